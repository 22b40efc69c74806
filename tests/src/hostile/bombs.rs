//! What takes long to compile, and what tries to give another answer to the same question.

use std::fmt::Write as _;

use super::Class::{CompileBombs, NonDeterminism};
use super::{Guest, Hostile, Must, each, harmless};

pub(super) fn all() -> Vec<Hostile> {
    [compile_bombs(), non_determinism()].concat()
}

fn compile_bombs() -> Vec<Hostile> {
    let case = |name, fields: &str| Hostile::new(name, CompileBombs, Must::Survive, harmless().with(fields));
    let functions: String = (0..5_000).fold(String::new(), |mut text, number| {
        let _ = write!(text, "(func (export \"f{number}\") (param i32) (result i32) (i32.mul (local.get 0) (i32.const {number})))");
        text
    });
    let long = format!(
        "(func (param i32) (result i32) (local.get 0) {})",
        "(i32.add (i32.const 3)) (i32.rotl (i32.const 5))".repeat(20_000)
    );
    let branches = format!("(func (param i32) (block $b (br_table {} (local.get 0))))", "$b ".repeat(50_000));
    let depth = 800;
    let nested = format!(
        "(func (param i32) {} {})",
        "(block (br_if 0 (local.get 0)) ".repeat(depth),
        ")".repeat(depth)
    );
    let locals = format!("(func (result i64) {} (local.get 40000))", "(local i64)".repeat(45_000));
    let live = format!(
        "(func (param i64) (result i64) {} {})",
        "(local.get 0) (i64.add (i64.const 7)) ".repeat(900),
        "(i64.xor) ".repeat(899)
    );
    let mut doubled = String::from("(component (type $t0 (tuple u32 u32))");
    for level in 1..60 {
        let _ = write!(doubled, "(type $t{level} (tuple $t{} $t{}))", level - 1, level - 1);
    }
    doubled.push_str(r#"(import "x" (func (param "x" $t59))))"#);
    let doubled = wat::parse_str(&doubled).expect("a component as text");
    vec![
        case("has five thousand functions", &functions),
        case("has one function without end", &long),
        case("branches to fifty thousand places", &branches),
        case("is eight hundred blocks deep", &nested),
        case("has forty-five thousand locals", &locals),
        case("keeps nine hundred values alive", &live),
        Hostile::of_bytes(
            "has a type that doubles with every line",
            CompileBombs,
            Must::Refuse(&["not_a_component", "foreign_import"]),
            doubled,
        ),
        Hostile::of_bytes(
            "is larger than a plugin may be",
            CompileBombs,
            Must::Refuse(&["too_large"]),
            vec![0; (64 << 20) + 1],
        ),
    ]
}

fn non_determinism() -> Vec<Hostile> {
    let alike = |name, guest: Guest| Hostile::new(name, NonDeterminism, Must::AnswerAlike, guest);
    let milliseconds = |value: &str| {
        each(&format!("(i32.store offset=4 (local.get $a) (i32.and (i32.const 0xffffff) {value}))"))
    };
    let counter = "(global $calls (mut i32) (i32.const 0))";
    vec![
        alike(
            "counts its calls in a global",
            each(
                "(global.set $calls (i32.add (global.get $calls) (i32.const 1000)))
                (i32.store offset=4 (local.get $a) (global.get $calls))",
            )
            .with(counter),
        ),
        alike(
            "counts its calls in memory",
            each(
                "(i32.store (i32.const 2048) (i32.add (i32.load (i32.const 2048)) (i32.const 1000)))
                (i32.store offset=4 (local.get $a) (i32.load (i32.const 2048)))",
            ),
        ),
        alike(
            "tells how much memory it has had",
            milliseconds("(i32.add (memory.size) (memory.grow (i32.const 1)))"),
        ),
        alike("tells what memory holds that nobody wrote", milliseconds("(i32.load (i32.const 100000))")),
        alike(
            "tells the bits of what is no number",
            milliseconds(
                "(i32.reinterpret_f32 (f32.div
            (f32.const 0) (f32.convert_i32_u (i32.mul (local.get $q) (i32.const 0)))))",
            ),
        ),
        alike(
            "tells the bits of the root of less than nothing",
            milliseconds(
                "(i32.wrap_i64 (i64.reinterpret_f64
            (f64.sqrt (f64.const -1))))",
            ),
        ),
        alike(
            "tells the bits of a vector of no numbers",
            milliseconds(
                "(i32x4.extract_lane 0 (f32x4.div
            (v128.const f32x4 0 0 0 0) (v128.const f32x4 0 0 0 0)))",
            ),
        ),
        alike("tells where its question lies", milliseconds("(local.get $q)")),
    ]
}
