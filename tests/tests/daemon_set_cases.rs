//! Every text case of DaemonSets, on every engine.

use std::path::Path;

#[cfg(feature = "wasm")]
use windlass_host::engine::wasm;
use windlass_host::engine::{Engine, native::NativeEngine};
use windlass_tests::cases;

/// Fewer cases than these mean that the folder was not found whole.
const LEAST_CASES: usize = 130;

#[test]
fn every_daemon_set_case_holds_on_the_native_core() {
    holds_on(&NativeEngine);
}

#[cfg(feature = "wasm")]
#[test]
fn every_daemon_set_case_holds_on_the_wasm_core() {
    let engine = wasm::WasmEngine::embedded_with(wasm::Options::deterministic());
    holds_on(&engine.expect("the core is embedded"));
}

fn holds_on(engine: &dyn Engine) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/daemon-set");
    let count = cases::run_daemon_sets(&folder, engine).unwrap_or_else(|failure| panic!("{failure:#}"));
    assert!(count >= LEAST_CASES, "only {count} cases were found");
}
