//! What is no plugin of this version, or wants more of its surroundings than a log.

use super::Class::Contract;
use super::{Hostile, Must, harmless};

const NO_COMPONENT: Must = Must::Refuse(&["not_a_component"]);
const FOREIGN: Must = Must::Refuse(&["foreign_import"]);
const VERSION: Must = Must::Refuse(&["wrong_version"]);

pub(super) fn all() -> Vec<Hostile> {
    let bytes = |name, must, bytes: Vec<u8>| Hostile::of_bytes(name, Contract, must, bytes);
    let text = |name, must, text: &str| {
        let component = wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Hostile::of_bytes(name, Contract, must, component)
    };
    let good = harmless().component();
    let mut changed = good.clone();
    // In the middle of its code.
    for byte in changed.iter_mut().skip(200).take(64) {
        *byte ^= 0x55;
    }
    let instance = r#"(instance $empty) (export "windlass:plugin/meta@0.1.0" (instance $empty))"#;
    let policy = r#"(export "windlass:backoff/policy@0.1.0" (instance $empty))"#;
    let imports = |name: &str, of: &str| format!(r#"(component (import "{name}" {of}) {instance} {policy})"#);
    let now = r#"(instance (export "now" (func (result u64))))"#;
    let ask = r#"(instance (export "ask" (func (result u32))))"#;
    vec![
        bytes("is nothing", NO_COMPONENT, Vec::new()),
        bytes("is a text", NO_COMPONENT, b"#!/bin/sh\necho hello\n".to_vec()),
        bytes("is a core module", NO_COMPONENT, b"\0asm\x01\0\0\0".to_vec()),
        bytes("ends in the middle", NO_COMPONENT, good[..good.len() / 2].to_vec()),
        bytes(
            "has bytes changed in the middle",
            Must::Refuse(&[
                "not_a_component",
                "no_description",
                "decides_nothing",
                "wrong_version",
                "foreign_import",
            ]),
            changed,
        ),
        text("does not say what it is", Must::Refuse(&["no_description"]), "(component)"),
        text("decides nothing", Must::Refuse(&["decides_nothing"]), &format!("(component {instance})")),
        text(
            "describes itself for a later version",
            VERSION,
            &format!(
                r#"(component (instance $empty) (export "windlass:plugin/meta@0.2.0" (instance $empty)) {policy})"#
            ),
        ),
        text(
            "decides for a later version",
            VERSION,
            &format!(r#"(component {instance} (export "windlass:backoff/policy@0.2.0" (instance $empty)))"#),
        ),
        text(
            "has the names and nothing behind them",
            Must::Refuse(&["wrong_type"]),
            &format!("(component {instance} {policy})"),
        ),
        text("wants a clock", FOREIGN, &imports("wasi:clocks/wall-clock@0.2.0", now)),
        text("wants random numbers", FOREIGN, &imports("wasi:random/random@0.2.0", now)),
        text("wants the network", FOREIGN, &imports("wasi:sockets/tcp@0.2.0", now)),
        text("wants what only the core may ask", FOREIGN, &imports("windlass:backoff/ask@0.1.0", ask)),
        text("wants a log of a later version", FOREIGN, &imports("windlass:plugin/log@0.2.0", now)),
        text("wants a function of no name that we know", FOREIGN, &imports("now", "(func (result u64))")),
    ]
}
