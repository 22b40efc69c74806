//! What plugins do to Jobs and CronJobs, in virtual time.

use std::sync::Arc;

use windlass_core::kube::{Kind, Object};
use windlass_host::controller::{Config, Controllers};
use windlass_host::engine::Engine;
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::WasmEngine;
use windlass_host::plugin::set::PolicySet;
use windlass_host::simulate::manifest::read_documents;
use windlass_host::simulate::report::text_report;
use windlass_host::simulate::{Options, Simulation};
use windlass_tests::guests::{Decides, Guest};

use super::set;

/// Longest simulated time of a test, milliseconds.
const UNTIL_MS: u64 = 4 * 3_600_000;

pub(super) fn simulate(manifest: &str, policies: Arc<PolicySet>) -> Simulation {
    simulate_on(Arc::new(NativeEngine), manifest, policies)
}

pub(super) fn simulate_on(engine: Arc<dyn Engine>, manifest: &str, policies: Arc<PolicySet>) -> Simulation {
    let documents = read_documents("test", manifest).unwrap();
    let options = Options {
        nodes: None,
        seed: 1,
        keep_changes: true,
        controller: Config { controllers: Controllers::ALL, ..Config::default() },
        policies,
        plugins: None,
    };
    let mut simulation = Simulation::new(&documents, engine, options).unwrap();
    simulation.run_until(UNTIL_MS, &mut |_, _| {}).unwrap();
    simulation
}

/// A Job whose first Pods fail, with these annotations besides.
fn failing_job(failures: u32, annotations: &str) -> String {
    format!(
        r#"{{"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {{"name": "etl", "namespace": "ops", "annotations": {{{annotations}}}}},
            "spec": {{"backoffLimit": 20, "template": {{
                "metadata": {{"annotations": {{"sandbox.windlass.dev/fail-first": "{failures}"}}}},
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}"#
    )
}

fn bound(plugin: &str, more: &str) -> String {
    format!(r#""policy.windlass.dev/backoff": "{plugin}"{more}"#)
}

/// Seconds between the creations of the Pods, less those that a Pod itself takes.
fn delays_s(simulation: &Simulation) -> Vec<i64> {
    let created = |object: &Object| object.metadata().creation_timestamp.unwrap().unix_seconds;
    let mut created: Vec<i64> = simulation.store().objects(Kind::Pod).map(created).collect();
    created.sort_unstable();
    // A second until it starts, and five until it ends.
    created.windows(2).map(|pair| pair[1] - pair[0] - 6).collect()
}

/// Messages of the Events of a reason, with how often each happened.
pub(super) fn events(simulation: &Simulation, reason: &str) -> Vec<(String, u32)> {
    let of_reason = simulation.store().events().filter(|event| &*event.reason == reason);
    of_reason.map(|event| (event.message.to_string(), event.series.map_or(1, |(count, _)| count))).collect()
}

#[test]
fn a_retry_waits_for_as_long_as_the_plugin_says() {
    let policies = || set(&[("steady", Guest::retry_after_ms(3_000).component())]);
    let job = failing_job(3, &bound("steady", ""));
    assert_eq!(delays_s(&simulate(&job, policies())), [3, 3, 3]);
    assert_eq!(
        delays_s(&simulate(&failing_job(3, ""), policies())),
        [10, 20, 40],
        "unbound, the built-in policy"
    );
    let wasm: Arc<dyn Engine> =
        Arc::new(WasmEngine::embedded().expect("a core is built in: run `make core`"));
    let text = |mut simulation| text_report(&mut simulation, true);
    let report = text(simulate(&job, policies()));
    assert_eq!(report, text(simulate(&job, policies())), "the same twice");
    assert_eq!(report, text(simulate_on(wasm, &job, policies())), "and on the wasm engine");
    assert!(
        report.ends_with("plugin/steady was asked 15 times about backoff and answered 15.\n"),
        "{report}"
    );
}

#[test]
fn a_plugin_that_traps_is_told_of_once_and_the_built_in_policy_answers() {
    let policies = set(&[("broken", Guest::new(Decides::Backoff, "unreachable").component())]);
    let simulation = simulate(&failing_job(3, &bound("broken", "")), policies);
    assert_eq!(delays_s(&simulation), [10, 20, 40]);
    let told = events(&simulation, "PolicyFailed");
    let first = "policy plugin broken (backoff) failed: it trapped: wasm trap: wasm `unreachable` instruction executed; \
                 the built-in policy answers";
    assert_eq!(told, [(first.to_owned(), 1)]);
    let faults: Vec<_> =
        simulation.plugin_calls().values().flat_map(|tally| tally.faults.keys().copied()).collect();
    assert_eq!(faults, ["quarantined", "trap"]);
}

#[test]
fn a_plugin_that_fails_makes_the_job_wait_or_fail_where_its_author_says_so() {
    let broken = || set(&[("broken", Guest::new(Decides::Backoff, "unreachable").component())]);
    let hold = bound("broken", r#", "policy.windlass.dev/backoff-on-failure": "Hold""#);
    let simulation = simulate(&failing_job(1, &hold), broken());
    assert!(delays_s(&simulation).is_empty(), "no Pod is created after the first");
    let fail = bound("broken", r#", "policy.windlass.dev/backoff-on-failure": "Fail""#);
    let simulation = simulate(&failing_job(1, &fail), broken());
    let Object::Job(job) = simulation.store().get(Kind::Job, "ops", "etl").unwrap() else { panic!("a Job") };
    let failed = job.status.conditions.iter().find(|condition| &*condition.kind == "Failed").unwrap();
    assert_eq!(&*failed.reason, "PolicyStopped");
    assert!(failed.message.contains("policy plugin broken (backoff) failed"));
}

#[test]
fn a_plugin_that_is_not_there_is_told_of_before_anything_fails() {
    let simulation = simulate(&failing_job(0, &bound("jiter", "")), Arc::default());
    let told = events(&simulation, "PolicyFailed");
    let message =
        "policy plugin jiter (backoff) failed: no plugin of that name is loaded; the built-in policy answers";
    assert_eq!(told, [(message.to_owned(), 1)]);
}

#[test]
fn an_answer_past_a_bound_changes_nothing() {
    let policies = set(&[("slow", Guest::retry_after_ms(u32::MAX).component())]);
    let simulation = simulate(&failing_job(1, &bound("slow", "")), policies);
    assert_eq!(delays_s(&simulation), [10]);
    let told = events(&simulation, "PolicyFailed");
    assert!(told[0].0.contains("its answer may not be given: a delay of 4294967295 ms"), "{told:?}");
}

#[test]
fn a_plugin_is_told_the_facts_that_it_wants() {
    // Seconds of delay: the length of the first fact's value.
    let each = "(if (i32.load offset=48 (local.get $q)) (then
        (i32.store offset=4 (local.get $a)
            (i32.mul (i32.const 1000) (i32.load offset=12 (i32.load offset=44 (local.get $q)))))))";
    let guest = Guest::new(Decides::Backoff, each).wanting("backoff", "job.annotation/example.com/tier");
    let policies = set(&[("tiered", guest.component())]);
    let annotations = bound("tiered", r#", "example.com/tier": "platinum""#);
    assert_eq!(delays_s(&simulate(&failing_job(2, &annotations), policies)), [8, 8]);
}

#[test]
fn settings_that_a_plugin_refuses_put_it_into_no_quarantine() {
    let body = "(i32.store8 (i32.const 64) (i32.const 1)) (i32.const 64)";
    let policies = set(&[("strict", Guest::retry_after_ms(1).validating(body).component())]);
    let simulation = simulate(&failing_job(8, &bound("strict", "")), policies);
    let told = events(&simulation, "PolicyFailed");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0.contains("it refuses its settings"), "{told:?}");
}

#[test]
fn a_plugin_that_holds_says_why_on_the_object() {
    let mut guest = Guest::retry_after_ms(0);
    let reason = guest.store_text(4, "maintenance");
    // Holds the first failure, five seconds at a time, for half a minute after the Job's start.
    let each = format!(
        "(if (i32.lt_u (i32.load offset=36 (local.get $q)) (i32.const 30000)) (then
            (i32.store8 (local.get $a) (i32.const 3)) {reason}
            (i32.store offset=12 (local.get $a) (i32.const 5000))))"
    );
    let policies = set(&[("patient", guest.answering(&each).component())]);
    let simulation = simulate(&failing_job(1, &bound("patient", "")), policies);
    let told = events(&simulation, "PolicyWaits");
    assert_eq!(told, [("policy plugin patient (backoff) waits: maintenance".to_owned(), 1)]);
    let delays = delays_s(&simulation);
    assert!(delays.len() == 1 && (23..=29).contains(&delays[0]), "{delays:?}");
}

#[test]
fn a_schedule_fires_when_the_plugin_says() {
    // Every full quarter of an hour, whatever the text says; the earliest or latest in the window, one at most.
    let each = "(local $at i32)
        (if (i32.load8_u offset=36 (local.get $q))
            (then (local.set $at (i32.mul (i32.const 900) (i32.div_u (i32.load offset=28 (local.get $q)) (i32.const 900)))))
            (else (local.set $at (i32.mul (i32.const 900)
                (i32.add (i32.const 1) (i32.div_u (i32.load offset=24 (local.get $q)) (i32.const 900)))))))
        (if (i32.and (i32.gt_u (local.get $at) (i32.load offset=24 (local.get $q)))
                     (i32.le_u (local.get $at) (i32.load offset=28 (local.get $q)))) (then
            (i32.store (i32.const 600) (local.get $at))
            (i32.store offset=4 (local.get $a) (i32.const 600))
            (i32.store offset=8 (local.get $a) (i32.const 1))))";
    let policies = set(&[("quarters", Guest::new(Decides::Schedule, each).component())]);
    let manifest = cron_job(r#""policy.windlass.dev/schedule": "quarters""#, "@yearly");
    let simulation = simulate(&manifest, policies);
    assert_eq!(
        simulation.runs_of(&uid_of_cron_job(&simulation)).made,
        15,
        "in four hours, less the last instant"
    );
    assert!(events(&simulation, "UnparseableSchedule").is_empty());
}

#[test]
fn a_schedule_whose_plugin_fails_waits_or_is_refused_where_its_author_says_so() {
    let broken = || set(&[("broken", Guest::new(Decides::Schedule, "unreachable").component())]);
    for (word, refused) in [("Hold", 0), ("Fail", 1)] {
        let annotations = format!(
            r#""policy.windlass.dev/schedule": "broken", "policy.windlass.dev/schedule-on-failure": "{word}""#
        );
        let simulation = simulate(&cron_job(&annotations, "*/10 * * * *"), broken());
        assert_eq!(simulation.runs_of(&uid_of_cron_job(&simulation)).made, 0, "{word}");
        assert_eq!(events(&simulation, "UnparseableSchedule").len().min(1), refused, "{word}");
        assert!(events(&simulation, "InvalidSchedule").is_empty(), "{word}");
        let asked = simulation.plugin_calls().values().map(|tally| tally.calls).sum::<u64>();
        assert!(asked > 100, "{word}: it is asked again and again, and was asked {asked} times");
    }
}

fn cron_job(annotations: &str, schedule: &str) -> String {
    format!(
        r#"{{"apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {{"name": "tick", "namespace": "ops", "annotations": {{{annotations}}}}},
            "spec": {{"schedule": "{schedule}", "jobTemplate": {{"spec": {{"template": {{
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}}}}}"#
    )
}

fn uid_of_cron_job(simulation: &Simulation) -> String {
    simulation.store().get(Kind::CronJob, "ops", "tick").unwrap().metadata().uid.to_string()
}
