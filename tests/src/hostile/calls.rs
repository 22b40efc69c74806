//! Calls that do not end as they should: traps, endless loops, too much memory, too much stack.

use super::Class::{EndlessLoops, Memory, Stack, Traps};
use super::{Guest, Hostile, Must, each, harmless, whole};

const TRAP: Must = Must::Fault(&["trap"]);
const TIMEOUT: Must = Must::Fault(&["timeout"]);
const UNDESCRIBED: Must = Must::Refuse(&["not_described", "not_compiled"]);
/// Where growth is refused, the guest goes on as it likes; what it makes of that is its own trap.
const TOO_MUCH: Must = Must::Fault(&["memory", "trap"]);
/// Each element of a table that grows costs fuel, whether or not it may grow.
const TOO_LARGE_A_TABLE: Must = Must::Fault(&["trap", "timeout"]);

pub(super) fn all() -> Vec<Hostile> {
    [traps(), endless_loops(), memory(), stack()].concat()
}

fn traps() -> Vec<Hostile> {
    let case = |name, body: &str| Hostile::new(name, Traps, TRAP, each(body));
    let table = "(table $table 2 funcref) (type $other (func (param i64)))
        (func $one) (elem (i32.const 0) $one)";
    let with_table = |name, body: &str| Hostile::new(name, Traps, TRAP, each(body).with(table));
    vec![
        case("does what cannot be done", "unreachable"),
        case(
            "divides by zero",
            "(drop (i32.div_u (i32.const 1) (i32.load offset=44 (local.get $q))))
            (drop (i32.div_u (i32.const 1) (i32.const 0)))",
        ),
        case(
            "divides to more than a number holds",
            "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
        ),
        case("reads past its memory", "(drop (i32.load (i32.const -8)))"),
        case("writes past its memory", "(i32.store offset=0xffff0000 (i32.const 0xfffff) (i32.const 1))"),
        case("makes a number of what is none", "(drop (i32.trunc_f32_s (f32.const nan)))"),
        // Each byte of it costs fuel, whether or not it is there.
        Hostile::new(
            "fills past its memory",
            Traps,
            Must::Fault(&["trap", "timeout"]),
            each("(memory.fill (i32.const 65536) (i32.const 7) (i32.const 0x7fffffff))"),
        ),
        with_table("calls what its table has not", "(call_indirect (i32.const 1))"),
        with_table("calls past its table", "(call_indirect (i32.const 9))"),
        with_table(
            "calls a function as what it is not",
            "(call_indirect (type $other) (i64.const 1) (i32.const 0))",
        ),
        Hostile::new("traps when it starts", Traps, UNDESCRIBED, harmless().starting("unreachable")),
        Hostile::new(
            "traps when it says what it is",
            Traps,
            UNDESCRIBED,
            harmless().describing("unreachable"),
        ),
    ]
}

fn endless_loops() -> Vec<Hostile> {
    let case = |name, guest: Guest| Hostile::new(name, EndlessLoops, TIMEOUT, guest);
    let endless = "(loop $again (br $again))";
    let mut chatty = harmless();
    let log = chatty.log(2, "still here");
    vec![
        case("loops", each(endless)),
        case(
            "loops and works",
            each(
                "(local $n i64) (loop $again
            (local.set $n (i64.add (local.get $n) (i64.const 1))) (br $again))",
            ),
        ),
        case(
            "loops through functions",
            each("(loop $again (call $nothing) (br $again))").with("(func $nothing)"),
        ),
        case(
            "loops through its table",
            each("(loop $again (call_indirect (i32.const 0)) (br $again))")
                .with("(table 1 funcref) (func $nothing) (elem (i32.const 0) $nothing)"),
        ),
        case(
            "loops and fills its memory",
            each(
                "(loop $again
            (memory.fill (i32.const 32768) (i32.const 1) (i32.const 65536)) (br $again))",
            ),
        ),
        case("loops and logs", chatty.answering(&format!("(loop $again {log} (br $again))"))),
        case(
            "counts to more than there is time for",
            each(
                "(local $n i64) (local.set $n (i64.const 0x7fffffffffffffff))
            (loop $again (local.set $n (i64.sub (local.get $n) (i64.const 1)))
            (br_if $again (i64.ne (local.get $n) (i64.const 0))))",
            ),
        ),
        Hostile::new("loops when it starts", EndlessLoops, UNDESCRIBED, harmless().starting(endless)),
        Hostile::new(
            "loops when it says what it is",
            EndlessLoops,
            UNDESCRIBED,
            harmless().describing("(loop $again (br $again)) (i32.const 0)"),
        ),
    ]
}

fn memory() -> Vec<Hostile> {
    let case = |name, guest: Guest| Hostile::new(name, Memory, TOO_MUCH, guest);
    let all_pages =
        "(loop $again (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 1))))) unreachable";
    vec![
        case("wants all memory at once", each("(drop (memory.grow (i32.const 65000))) unreachable")),
        case("wants memory page by page until there is no more", each(all_pages)),
        case(
            "wants twice the limit and uses it",
            each(
                "(drop (memory.grow (i32.const 2048)))
            (i32.store (i32.const 0x7000000) (i32.const 1))",
            ),
        ),
        Hostile::new(
            "wants a table without end",
            Memory,
            TOO_LARGE_A_TABLE,
            each(
                "(if (i32.eq (i32.const -1)
            (table.grow $large (ref.null func) (i32.const 0x7ffffff))) (then unreachable))",
            )
            .with("(table $large 1 funcref)"),
        ),
        Hostile::new(
            "begins with more memory than there is",
            Memory,
            UNDESCRIBED,
            harmless().with_pages(2_000),
        ),
        Hostile::new(
            "begins with a table larger than there is",
            Memory,
            UNDESCRIBED,
            harmless().with("(table 9000000 funcref)"),
        ),
        Hostile::new(
            "wants memory when it starts",
            Memory,
            UNDESCRIBED,
            harmless()
                .starting("(if (i32.eq (i32.const -1) (memory.grow (i32.const 65000))) (then unreachable))"),
        ),
        // No harm: it may have what is below the limit, and a refusal of more is its own business.
        Hostile::new(
            "wants too much and does without",
            Memory,
            Must::AnswerAlike,
            each(
                "(drop (memory.grow (i32.const 65000))) (i32.store offset=4 (local.get $a) (i32.const 5000))",
            ),
        ),
    ]
}

fn stack() -> Vec<Hostile> {
    let case = |name, guest: Guest| Hostile::new(name, Stack, TRAP, guest);
    let many_locals = format!(
        "(func $deep (param i64) (result i64) {} (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 0)))",
        "(local i64)".repeat(1_000)
    );
    let even_odd = "(func $even (param i32) (result i32) (i32.add (i32.const 1) (call $odd (local.get 0))))
        (func $odd (param i32) (result i32) (i32.add (i32.const 1) (call $even (local.get 0))))";
    let endless = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    let dropped = "(drop (call $deep (i32.const 0)))";
    vec![
        case("calls itself without end", each(dropped).with(endless)),
        case("calls itself in two functions", each("(drop (call $even (i32.const 0)))").with(even_odd)),
        case(
            "calls itself with a thousand locals",
            each("(drop (call $deep (i64.const 0)))").with(&many_locals),
        ),
        case(
            "calls itself through its table",
            each("(drop (call $deep (i32.const 0)))").with(
                "(table 1 funcref) (type $call (func (param i32) (result i32)))
                (func $deep (param i32) (result i32) (i32.add (i32.const 1)
                    (call_indirect (type $call) (local.get 0) (i32.const 0))))
                (elem (i32.const 0) $deep)",
            ),
        ),
        case(
            "calls itself where it decides",
            whole("(i32.add (i32.const 1) (call $deep (i32.const 0)))").with(endless),
        ),
        Hostile::new(
            "calls itself when it starts",
            Stack,
            UNDESCRIBED,
            harmless().starting(dropped).with(endless),
        ),
        Hostile::new(
            "calls itself when it says what it is",
            Stack,
            UNDESCRIBED,
            harmless().describing("(call $deep (i32.const 0))").with(endless),
        ),
    ]
}
