//! What example plugins do to Jobs, as they are built from plugins/examples.

use std::process::Command;
use std::sync::Arc;

use windlass_core::kube::{Job, Kind, Object};
use windlass_host::controller::{Config, Controllers};
use windlass_host::engine::native::NativeEngine;
use windlass_host::plugin::set::PolicySet;
use windlass_host::simulate::manifest::read_documents;
use windlass_host::simulate::{Options, Simulation};
use windlass_tests::program::workspace;

use super::set;

/// Longest simulated time of a test, milliseconds.
const UNTIL_MS: u64 = 3_000_000;
/// Exit status of plugins/build where nothing can be built for wasm32-unknown-unknown.
const NO_TOOLCHAIN: i32 = 77;

/// The example plugins of these names; `None`, and a line that says that `test` is skipped, where this machine cannot
/// build them.
pub(super) fn examples(test: &str, names: &[&str]) -> Option<Arc<PolicySet>> {
    let directory = tempfile::tempdir().unwrap();
    let built = Command::new(workspace().join("plugins/build"))
        .args(names)
        .env("WINDLASS_PLUGINS_DIRECTORY", directory.path())
        .output()
        .unwrap();
    if built.status.code() == Some(NO_TOOLCHAIN) {
        println!("\nSKIPPED {test}: no toolchain for wasm32-unknown-unknown");
        return None;
    }
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let read = |name: &&str| std::fs::read(directory.path().join(format!("{name}.wasm"))).unwrap();
    let plugins: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, read(name))).collect();
    Some(set(&plugins))
}

fn simulate(manifest: &str, policies: Arc<PolicySet>) -> Simulation {
    let documents = read_documents("test", manifest).unwrap();
    let options = Options {
        nodes: None,
        seed: 1,
        keep_changes: true,
        controller: Config { controllers: Controllers::ALL, ..Config::default() },
        policies,
        plugins: None,
    };
    let mut simulation = Simulation::new(&documents, Arc::new(NativeEngine), options).unwrap();
    simulation.run_until(UNTIL_MS, &mut |_, _| {}).unwrap();
    simulation
}

/// A Job of one Pod that takes so many seconds.
fn job(name: &str, annotations: &str, run_s: u32) -> String {
    let lot = format!(r#""sandbox.windlass.dev/run-seconds": "{run_s}""#);
    job_with(name, annotations, &lot)
}

/// A Job of one Pod whose template has these annotations.
fn job_with(name: &str, annotations: &str, lot: &str) -> String {
    format!(
        r#"{{"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {{"name": "{name}", "namespace": "shop", "annotations": {{{annotations}}}}},
            "spec": {{"template": {{
                "metadata": {{"annotations": {{{lot}}}}},
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}"#
    )
}

/// When each Job started and completed, seconds, the first start being zero.
fn spans(simulation: &Simulation) -> Vec<(String, i64, i64)> {
    let jobs: Vec<Arc<Job>> = simulation
        .store()
        .objects(Kind::Job)
        .map(|object| match object {
            Object::Job(job) => job.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let start_s = |job: &Job| job.status.start_time.unwrap_or_else(|| panic!("{job:?}")).unix_seconds;
    let end_s = |job: &Job| job.status.completion_time.unwrap_or_else(|| panic!("{job:?}")).unix_seconds;
    let first_s = jobs.iter().map(|job| start_s(job)).min().unwrap();
    let span = |job: &Arc<Job>| (job.metadata.name.to_string(), start_s(job) - first_s, end_s(job) - first_s);
    jobs.iter().map(span).collect()
}

fn waits(simulation: &Simulation) -> Vec<String> {
    let told = simulation.store().events().filter(|event| &*event.reason == "PolicyWaits");
    told.map(|event| format!("{}: {}", event.regarding.name, event.message)).collect()
}

#[test]
fn a_team_has_so_many_jobs_at_once_and_the_oldest_comes_next() {
    let test = "a_team_has_so_many_jobs_at_once_and_the_oldest_comes_next";
    let Some(policies) = examples(test, &["admission-limit-per-team"]) else { return };
    let of_team = |team: &str| {
        format!(
            r#""policy.windlass.dev/admission": "admission-limit-per-team", "policy.windlass.dev/queue": "{team}",
               "policy.windlass.dev/admission-settings": "{{\"jobs\": 1, \"askAgainMs\": 600000}}""#
        )
    };
    let manifest = [
        job("web-a", &of_team("web"), 60),
        job("web-b", &of_team("web"), 60),
        job("web-c", &of_team("web"), 60),
        job("etl-a", &of_team("etl"), 60),
        job("free", "", 60),
    ]
    .join("\n---\n");
    let simulation = simulate(&manifest, policies);
    let spans = spans(&simulation);
    let of = |name: &str| spans.iter().find(|(of, _, _)| of == name).map(|(_, start, end)| (*start, *end));
    let (a, b, c) = (of("web-a").unwrap(), of("web-b").unwrap(), of("web-c").unwrap());
    assert!(a.0 == 0 && of("etl-a").unwrap().0 <= 1 && of("free").unwrap().0 <= 1, "{spans:?}");
    assert!(b.0 >= a.1 && c.0 >= b.1, "one after the other: {spans:?}");
    assert!(b.0 - a.1 <= 2 && c.0 - b.1 <= 2, "as soon as the place is free: {spans:?}");
    let told = waits(&simulation);
    let reason = r#"policy plugin admission-limit-per-team (admission) waits: team "web" runs 1 of 1 Jobs"#;
    assert_eq!(told, [format!("web-b: {reason}"), format!("web-c: {reason}")], "each is told once");
}

#[test]
fn a_job_starts_when_those_that_it_waits_for_are_complete() {
    let test = "a_job_starts_when_those_that_it_waits_for_are_complete";
    let Some(policies) = examples(test, &["admission-wait-for-jobs"]) else { return };
    let after = |names: &str| {
        format!(
            r#""policy.windlass.dev/admission": "admission-wait-for-jobs",
               "policy.windlass.dev/admission-settings": "{{\"askAgainMs\": 600000}}",
               "policy.windlass.dev/depends-on": "{names}""#
        )
    };
    let manifest =
        [job("sum", &after("load,clean"), 5), job("load", "", 60), job("clean", &after("load"), 30)]
            .join("\n---\n");
    let simulation = simulate(&manifest, policies);
    let spans = spans(&simulation);
    let of = |name: &str| spans.iter().find(|(of, _, _)| of == name).map(|(_, start, end)| (*start, *end));
    let (load, clean, sum) = (of("load").unwrap(), of("clean").unwrap(), of("sum").unwrap());
    assert!(clean.0 >= load.1 && sum.0 >= clean.1, "{spans:?}");
    assert!(clean.0 - load.1 <= 2 && sum.0 - clean.1 <= 2, "at once, not when the wait is over: {spans:?}");
    let told = waits(&simulation);
    let waits = "policy plugin admission-wait-for-jobs (admission) waits: waits for";
    assert!(told.contains(&format!("clean: {waits} shop/load (running)")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with(&format!("sum: {waits} "))), "{told:?}");
}

#[test]
fn a_namespace_that_has_spent_its_retries_waits() {
    let test = "a_namespace_that_has_spent_its_retries_waits";
    let Some(policies) = examples(test, &["backoff-retry-budget"]) else { return };
    let budget = r#""policy.windlass.dev/backoff": "backoff-retry-budget",
        "policy.windlass.dev/backoff-settings": "{\"retriesPerHour\": 1, \"baseMs\": 1000, \"holdMs\": 60000}""#;
    let manifest = job_with("etl", budget, r#""sandbox.windlass.dev/fail-first": "2""#);
    let simulation = simulate(&manifest, policies);
    let told = waits(&simulation);
    let reason = "namespace shop had 2 failures in the last hour, and 1 retries";
    assert_eq!(told, [format!("etl: policy plugin backoff-retry-budget (backoff) waits: {reason}")]);
    assert_eq!(simulation.store().objects(Kind::Pod).count(), 2, "no third Pod within fifty minutes");
}
