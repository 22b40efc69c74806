//! Every text case, on every engine.

use std::path::Path;

use windlass_host::engine::EngineFault;
#[cfg(feature = "wasm")]
use windlass_host::engine::{Engine, Snapshot, wasm};
use windlass_tests::cases;

#[test]
fn every_job_case_holds_on_the_native_core() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/job");
    let count = cases::run_all(&folder, &|snapshot, policy| {
        windlass_core::job::reconcile(snapshot, &*policy).map_err(EngineFault::Refused)
    });
    let count = count.unwrap_or_else(|failure| panic!("{failure:#}"));
    assert!(count >= 40, "only {count} cases were found");
}

#[cfg(feature = "wasm")]
#[test]
fn every_job_case_holds_on_the_wasm_core() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/job");
    let engine =
        wasm::WasmEngine::embedded_with(wasm::Options::deterministic()).expect("the core is embedded");
    let count = cases::run_all(&folder, &move |snapshot, policy| {
        engine.reconcile(&Snapshot::Job(snapshot.clone()), &policy)
    });
    let count = count.unwrap_or_else(|failure| panic!("{failure:#}"));
    assert!(count >= 40, "only {count} cases were found");
}
