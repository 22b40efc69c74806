//! Answers that are too much, or none at all.

use super::Class::Answers;
use super::{Guest, Hostile, Must, each, harmless, whole};
use crate::guests::Decides;

const OUTPUT: Must = Must::Fault(&["output"]);
const TRAP: Must = Must::Fault(&["trap"]);
const BOUNDS: Must = Must::Fault(&["out_of_bounds"]);

pub(super) fn all() -> Vec<Hostile> {
    [oversize(), malformed(), beyond_bounds()].concat()
}

/// Instructions of a whole `decide` that give this list of answers.
fn list(at: u32, count: u32) -> String {
    format!(
        "(drop (memory.grow (i32.const 64))) (i32.store8 (i32.const 96) (i32.const 0))
        (i32.store offset=4 (i32.const 96) (i32.const {at}))
        (i32.store offset=8 (i32.const 96) (i32.const {count})) (i32.const 96)"
    )
}

/// Instructions that make a case of an answer with a text of this place and length.
fn text(case: u32, at: u32, length: u32) -> String {
    format!(
        "(i32.store8 (local.get $a) (i32.const {case})) (i32.store offset=4 (local.get $a) (i32.const {at}))
        (i32.store offset=8 (local.get $a) (i32.const {length}))"
    )
}

fn oversize() -> Vec<Hostile> {
    let megabyte = 1 << 20;
    let grown = |body: String| each(&format!("(drop (memory.grow (i32.const 64))) {body}"));
    let mut chatty = harmless();
    let line = chatty.log(1, "one more line");
    let chatty = chatty.answering(&format!(
        "(local $n i32) (loop $again {line} (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 10000))))
        (i32.store offset=4 (local.get $a) (i32.const 5000))"
    ));
    vec![
        Hostile::new("gives a hundred thousand answers", Answers, OUTPUT, whole(&list(131_072, 100_000))),
        Hostile::new("stops with a message of a megabyte", Answers, OUTPUT, grown(text(2, 32_768, megabyte))),
        Hostile::new("holds for a reason of a megabyte", Answers, OUTPUT, grown(text(3, 32_768, megabyte))),
        Hostile::new(
            "refuses with an error of a megabyte",
            Answers,
            OUTPUT,
            whole(
                "(drop (memory.grow (i32.const 64))) (i32.store8 (i32.const 96) (i32.const 1))
            (i32.store offset=4 (i32.const 96) (i32.const 32768))
            (i32.store offset=8 (i32.const 96) (i32.const 1048576)) (i32.const 96)",
            ),
        ),
        Hostile::new(
            "gives a case of a later version with a megabyte",
            Answers,
            OUTPUT,
            grown(text(4, 32_768, megabyte)),
        ),
        // What goes past the limits of a log is dropped, or costs too much: nothing worse.
        Hostile::new("logs ten thousand lines", Answers, Must::Survive, chatty),
        Hostile::new(
            "logs a megabyte in one line",
            Answers,
            Must::Survive,
            grown(
                "(call $log (i32.const 1) (i32.const 32768) (i32.const 1048576))
            (i32.store offset=4 (local.get $a) (i32.const 5000))"
                    .to_owned(),
            ),
        ),
        Hostile::new(
            "says of itself a megabyte",
            Answers,
            Must::Refuse(&["not_described", "description_too_long"]),
            harmless().describing(
                "(drop (memory.grow (i32.const 64))) (i32.store (i32.const 128) (i32.const 32768))
                (i32.store offset=4 (i32.const 128) (i32.const 1048576)) (i32.const 128)",
            ),
        ),
    ]
}

fn malformed() -> Vec<Hostile> {
    let case = |name, guest: Guest| Hostile::new(name, Answers, TRAP, guest);
    vec![
        case("gives a list that is not in its memory", whole(&list(0x7000_0000, 1))),
        case("gives a list longer than its memory", whole(&list(1_024, 0x0fff_ffff))),
        case("gives a list that is not aligned", whole(&list(1_025, 1))),
        case("gives a result that is not in its memory", whole("(i32.const 0x7fffffff)")),
        case("gives a result that is not aligned", whole("(i32.const 97)")),
        case(
            "gives a result that is neither",
            whole("(i32.store8 (i32.const 96) (i32.const 7)) (i32.const 96)"),
        ),
        case("gives a case that there is not", each("(i32.store8 (local.get $a) (i32.const 9))")),
        case("gives a text that is not in its memory", each(&text(2, 0x7000_0000, 9))),
        case(
            "gives a text that is no text",
            each(&format!("(i32.store (i32.const 2048) (i32.const 0xfffefdfc)) {}", text(2, 2_048, 4))),
        ),
    ]
}

fn beyond_bounds() -> Vec<Hostile> {
    let case = |name, guest: Guest| Hostile::new(name, Answers, BOUNDS, guest);
    // Two numbers at 2,048 for a list of instants or positions.
    let numbers = |first: &str, second: &str| {
        format!(
            "(i32.store (i32.const 2048) {first}) (i32.store (i32.const 2052) {second})
            (i32.store offset=4 (local.get $a) (i32.const 2048))
            (i32.store offset=8 (local.get $a) (i32.const 2))"
        )
    };
    let until = "(i32.load offset=28 (local.get $q))";
    let schedule = |name, first: &str, second: &str| {
        let guest = Guest::new(Decides::Schedule, &numbers(first, second));
        case(name, guest).about(Decides::Schedule)
    };
    let runs = |name, first: &str, second: &str| {
        let guest = Guest::new(Decides::MissedRuns, &numbers(first, second));
        case(name, guest).about(Decides::MissedRuns)
    };
    let before = "(i32.sub (i32.load offset=28 (local.get $q)) (i32.const 1))";
    let after = "(i32.add (i32.load offset=28 (local.get $q)) (i32.const 1))";
    let start = "(i32.load offset=24 (local.get $q))";
    vec![
        case("gives no answer at all", whole(&list(1_024, 0))),
        case(
            "gives one answer too many",
            whole(
                "(i32.store offset=4 (i32.const 96) (i32.const 2048))
            (i32.store offset=8 (i32.const 96) (i32.add (local.get $count) (i32.const 1))) (i32.const 96)",
            ),
        ),
        case("delays for weeks", each("(i32.store offset=4 (local.get $a) (i32.const -1))")),
        case(
            "wants to be asked again at once, without a reason",
            each("(i32.store8 (local.get $a) (i32.const 3))"),
        ),
        schedule("fires after the window", until, after),
        schedule("fires where the window begins", start, until),
        schedule("fires in falling order", until, before),
        schedule("fires twice at one instant", until, until),
        runs("runs what was not missed", "(i32.const 0)", "(i32.const 100000)"),
        runs("runs twice what was missed once", "(i32.const 0)", "(i32.const 0)"),
    ]
}
