//! What a reconcile costs: it grows with the Pods and nodes that exist and not faster, the largest Jobs that the API
//! server accepts cross the boundary, no schedule and no gap makes a CronJob dear, and a question about a rollout may be
//! about every node of the largest cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "cost/daemon_set.rs"]
mod daemon_set;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use windlass_core::kube::{
    JobManifest, OnExitCodes, OnExitCodesOperator, PodFailurePolicy, PodFailurePolicyAction,
    PodFailurePolicyRule, PodPhase, Time,
};
use windlass_core::policy::BuiltIn;
use windlass_core::view::{
    CompletionModeView, CronJobFlags, CronJobSnapshot, CronJobView, FailedPod, JobFlags, JobRow, JobSnapshot,
    JobState, JobStatusView, JobView, NO_INDEX, PodColumns, PodRow, UncountedPods, pod_flag,
};
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::{Options, WasmEngine};
use windlass_host::engine::{Engine, SharedPolicy, Snapshot};

const NOW_S: i64 = 1_767_225_600;
/// Pods of the smaller and of the larger Job whose costs are compared, and nodes of the DaemonSets.
const FEW: u32 = 1_000;
const MANY: u32 = 8_000;
/// How much dearer a Pod or node may be in the larger one, in hundredths: sorting costs log n (log 8000 / log 1000 = 1.3).
const GROWTH_PERCENT: u64 = 135;

/// A Job with so many Pods.
type Shape = fn(u32) -> JobSnapshot;

const SHAPES: [(&str, Shape); 9] = [
    ("at rest", at_rest),
    ("every Pod succeeded", every_pod_succeeded),
    ("every index succeeded", every_index_succeeded),
    ("every second index was completed before", every_second_index_completed),
    ("all Pods have one index", all_of_one_index),
    ("suspended", suspended),
    ("every index failed and is tried again", every_index_failed),
    ("every failed Pod is judged by twenty rules", every_pod_judged),
    ("every Pod was recorded before", every_pod_recorded),
];

/// Counts instructions and not time, so that a busy machine changes nothing.
static ENGINE: LazyLock<WasmEngine> =
    LazyLock::new(|| WasmEngine::embedded_with(Options::deterministic()).expect("a core is built in"));

#[test]
fn the_cost_of_a_reconcile_grows_with_its_pods_and_not_faster() {
    for (name, shape) in SHAPES {
        let [few, many] =
            [FEW, MANY].map(|count| ENGINE.fuel_for(&shape(count), &policy()).expect("a plan") as u64);
        let most = few * u64::from(MANY / FEW) * GROWTH_PERCENT / 100;
        println!("{name}: {} units a Pod, then {}", few / u64::from(FEW), many / u64::from(MANY));
        assert!(many <= most, "{name}: {few} units for {FEW} Pods, {many} for {MANY}");
    }
}

#[test]
fn the_cost_of_a_daemon_set_grows_with_its_nodes_and_not_faster() {
    for (name, shape) in daemon_set::SHAPES {
        let fuel = |count| ENGINE.fuel_for_daemon_set(&shape(count), &policy()).expect("a plan");
        let [few, many] = [FEW, MANY].map(fuel);
        let most = few * u64::from(MANY / FEW) * GROWTH_PERCENT / 100;
        println!("{name}: {} units a node, then {}", few / u64::from(FEW), many / u64::from(MANY));
        assert!(many <= most, "{name}: {few} units for {FEW} nodes, {many} for {MANY}");
    }
}

#[test]
fn a_job_of_100_000_indexes_and_as_many_pods_crosses() {
    for shape in [every_index_succeeded, every_second_index_completed, suspended, every_index_failed] {
        let snapshot = Snapshot::Job(JobSnapshot { flags: JobFlags::default(), ..shape(100_000) });
        let plan = ENGINE.reconcile(&snapshot, &policy()).expect("a plan");
        assert_eq!(Ok(plan), NativeEngine.reconcile(&snapshot, &policy()));
    }
}

/// Nodes of the largest cluster that is supported upstream, three times over.
const MOST_NODES: u32 = 15_000;

#[test]
fn a_question_about_15_000_nodes_with_all_the_labels_that_may_be_asked_for_crosses() {
    let snapshot = Snapshot::DaemonSet(daemon_set::asked(MOST_NODES));
    let plan = ENGINE.reconcile(&snapshot, &policy()).expect("a plan");
    assert_eq!(Ok(plan), NativeEngine.reconcile(&snapshot, &policy()));
}

/// Schedules that look far, and windows that are long: a name, the schedule, its zone, and the years missed.
const GAPS: [(&str, &str, &str, i64); 9] = [
    ("nothing missed", "* * * * *", "UTC", 0),
    ("every minute of a century", "* * * * *", "Europe/Vienna", 100),
    ("every second of a century", "@every 1s", "UTC", 100),
    ("every night of a century where clocks change by the moon", "30 2 * * *", "Africa/Casablanca", 100),
    ("every Christmas of a century", "0 18 24 12 *", "America/Sao_Paulo", 100),
    ("every leap day of a century", "0 0 29 2 *", "Australia/Lord_Howe", 100),
    ("Fridays the 13th of a century", "0 0 13 * 5", "America/New_York", 100),
    ("a day that never comes", "59 23 31 2 *", "UTC", 100),
    ("a field that matches nothing", ", * * * *", "UTC", 100),
];
/// Most units of one reconcile of a CronJob, about one an instruction: the dearest of the above, leap days, took 9.3
/// million, since each search for one goes through years of days.
const MOST_UNITS: u64 = 12_000_000;

#[test]
fn a_cron_job_costs_a_bounded_number_of_steps_whatever_it_missed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/core");
    let bytes = std::fs::read(folder.join("core-default.wasm")).expect("a core is built: run `make core`");
    // This one looks for the instants itself, so that the search is part of the cost.
    let engine = WasmEngine::new(&bytes, Options::deterministic()).expect("a core");
    for (name, schedule, zone, years) in GAPS {
        let snapshot = cron_job(schedule, zone, years);
        let units = engine.fuel_for_cron_job(&snapshot, &policy()).expect("a plan");
        println!("{name}: {units} units");
        assert!(units <= MOST_UNITS, "{name}: {units} units");
        let snapshot = Snapshot::CronJob(snapshot);
        let plan = NativeEngine.reconcile(&snapshot, &policy());
        assert_eq!(engine.reconcile(&snapshot, &policy()), plan, "{name}");
    }
}

/// A CronJob that ran last so many years ago, and has Jobs of all kinds.
fn cron_job(schedule: &str, zone: &str, years: i64) -> CronJobSnapshot {
    /// 2090-01-01T00:00:30Z.
    const NOW_S: i64 = 3_786_912_030;
    let last_s = NOW_S - years * 31_557_600 - 30;
    let job = |number: i64| JobRow {
        name: JobManifest::name_at("cron", last_s - number * 60),
        owned: true,
        state: if number % 2 == 0 { JobState::Complete } else { JobState::Failed },
        scheduled_s: Some(last_s - number * 60),
        ..JobRow::default()
    };
    let mut jobs: Vec<JobRow> = (0..20).map(job).collect();
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    let cron_job = CronJobView {
        owner: "default/cron".into(),
        uid: "uid".into(),
        created_s: last_s - 10_000,
        schedule: schedule.into(),
        time_zone: Some(zone.into()),
        last_schedule_time: Some(Time::from_unix_seconds(last_s)),
        ..CronJobView::default()
    };
    CronJobSnapshot {
        now_ms: NOW_S * 1000,
        flags: CronJobFlags::default(),
        cron_job: Arc::new(cron_job),
        edited_s: None,
        newest_run_s: None,
        jobs,
        active: Vec::new(),
        memo: Vec::new(),
    }
}

fn policy() -> SharedPolicy {
    Arc::new(BuiltIn::default())
}

fn at_rest(count: u32) -> JobSnapshot {
    snapshot(job(count), pods(count, |_, row| row.phase = PodPhase::Running))
}

fn every_pod_succeeded(count: u32) -> JobSnapshot {
    snapshot(job(count), pods(count, |_, row| row.phase = PodPhase::Succeeded))
}

fn every_index_succeeded(count: u32) -> JobSnapshot {
    snapshot(
        indexed(count),
        pods(count, |number, row| (row.phase, row.index) = (PodPhase::Succeeded, number)),
    )
}

fn every_second_index_completed(count: u32) -> JobSnapshot {
    let mut job = indexed(count);
    let completed: Vec<String> = (0..count).step_by(2).map(|index| index.to_string()).collect();
    job.status.completed_indexes = completed.join(",").as_str().into();
    job.status.succeeded = count / 2;
    snapshot(job, pods(count / 2, |number, row| (row.phase, row.index) = (PodPhase::Running, number * 2 + 1)))
}

fn all_of_one_index(count: u32) -> JobSnapshot {
    snapshot(indexed(count), pods(count, |_, row| (row.phase, row.index) = (PodPhase::Running, 7)))
}

fn suspended(count: u32) -> JobSnapshot {
    let job = JobView { suspended: true, ..job(count) };
    snapshot(job, pods(count, |_, row| row.phase = PodPhase::Running))
}

fn every_index_failed(count: u32) -> JobSnapshot {
    let job = JobView { backoff_limit_per_index: Some(9), ..indexed(count) };
    snapshot(
        job,
        pods(count, |number, row| {
            (row.phase, row.index, row.index_failures) = (PodPhase::Failed, number, number % 9);
        }),
    )
}

fn every_pod_judged(count: u32) -> JobSnapshot {
    let rule = |code| PodFailurePolicyRule {
        action: PodFailurePolicyAction::Ignore,
        on_exit_codes: Some(OnExitCodes {
            container_name: None,
            operator: OnExitCodesOperator::In,
            values: vec![code],
        }),
        on_pod_conditions: Vec::new(),
    };
    let policy = PodFailurePolicy { rules: (1..=20).map(rule).collect() };
    let job = JobView { pod_failure_policy: Some(policy), replace_only_failed: true, ..job(count) };
    let mut pods = pods(count, |_, row| row.phase = PodPhase::Failed);
    pods.failed_details = (0..count)
        .map(|pod| FailedPod {
            pod,
            name: format!("default/job-{pod}"),
            exits: vec![("main".into(), 20)],
            conditions: Vec::new(),
        })
        .collect();
    snapshot(job, pods)
}

fn every_pod_recorded(count: u32) -> JobSnapshot {
    let mut snapshot = every_pod_succeeded(count);
    snapshot.uncounted = UncountedPods { succeeded: (0..count).collect(), failed: Vec::new() };
    snapshot
}

fn job(count: u32) -> JobView {
    JobView {
        owner: "default/job".into(),
        uid: "uid".into(),
        parallelism: count,
        completions: Some(count),
        backoff_limit: u32::MAX,
        status: JobStatusView {
            start_time: Some(Time::from_unix_seconds(NOW_S - 600)),
            ..JobStatusView::default()
        },
        ..JobView::default()
    }
}

fn indexed(count: u32) -> JobView {
    JobView { mode: CompletionModeView::Indexed, ..job(count) }
}

fn pods(count: u32, change: impl Fn(u32, &mut PodRow)) -> PodColumns {
    let mut columns = PodColumns::with_capacity(count as usize);
    for number in 0..count {
        let mut row = PodRow {
            phase: PodPhase::Pending,
            flags: pod_flag::OWNED | pod_flag::SELECTED | pod_flag::TRACKED | pod_flag::BOUND,
            index: NO_INDEX,
            restarts: 0,
            most_restarts: 0,
            most_sidecar_restarts: 0,
            index_failures: 0,
            index_ignored_failures: 0,
            created_s: NOW_S - 500,
            ready_changed_s: 0,
            finished_s: NOW_S - i64::from(number % 400),
            exit_code: 1,
        };
        change(number, &mut row);
        columns.push(row);
    }
    columns
}

/// A snapshot in which no limit of a sync keeps anything back.
fn snapshot(job: JobView, pods: PodColumns) -> JobSnapshot {
    let flags = JobFlags { max_uncounted_pods: u32::MAX, max_pods_per_sync: u32::MAX, ..JobFlags::default() };
    JobSnapshot {
        now_ms: NOW_S * 1000,
        flags,
        job: Arc::new(job),
        pods,
        uncounted: UncountedPods::default(),
        live_owner: None,
        admission: None,
        memo: Vec::new(),
    }
}
