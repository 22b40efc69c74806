//! A process may die before or after any of its writes: what is left at rest is the same, and so is what was made for
//! each slot on the way.

use std::fmt::Debug;

use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::random::Random;
use windlass_tests::simulation::script::{Moment, ScriptDeed};
use windlass_tests::simulation::workload::{JobPlan, Workload, cron, daemon};
use windlass_tests::simulation::world::{Cut, Plot, Report, run};

/// Seeds of the runs that are cut; those are taken that write neither too little nor too much.
const SEEDS: std::ops::Range<u64> = 1..2_400;
/// Fewest and most writes of a run that is cut at each of them.
const WRITES: std::ops::RangeInclusive<u64> = 3..=60;
/// Runs of Jobs that are cut, runs of a CronJob, and runs of a DaemonSet.
const RUNS: usize = 25;
/// Most commits of a run after which its process is told to end, and how many are between two.
const MOST_COMMITS: u64 = 120;
/// See [`MOST_COMMITS`].
const STRIDE: usize = 2;
/// Pairs of cuts that are tried in each run.
const PAIRS: u64 = 20;

#[test]
fn a_crash_at_any_write_changes_nothing_that_is_left_of_jobs() {
    let cut_runs = cut_all(jobs);
    assert!(cut_runs > 500, "only {cut_runs} runs were cut: the workloads have changed");
}

#[test]
fn a_crash_at_any_write_changes_nothing_that_is_left_of_a_cron_job() {
    let cut_runs = cut_all(cron_job);
    assert!(cut_runs > 500, "only {cut_runs} runs were cut: the workloads have changed");
}

#[test]
fn a_crash_at_any_write_changes_nothing_that_is_left_of_a_daemon_set() {
    let cut_runs = cut_all(daemon_set);
    assert!(cut_runs > 500, "only {cut_runs} runs were cut: the workloads have changed");
}

#[test]
fn a_process_that_is_told_to_end_loses_nothing_of_jobs() {
    let ended = end_all(jobs);
    assert!(ended > 300, "only {ended} processes were told to end: the workloads have changed");
}

#[test]
fn a_process_that_is_told_to_end_loses_nothing_of_a_cron_job() {
    let ended = end_all(cron_job);
    assert!(ended > 300, "only {ended} processes were told to end: the workloads have changed");
}

#[test]
fn a_process_that_is_told_to_end_loses_nothing_of_a_daemon_set() {
    let ended = end_all(daemon_set);
    assert!(ended > 300, "only {ended} processes were told to end: the workloads have changed");
}

/// Cuts each run at each of its writes, and at pairs of them; how many runs that were.
fn cut_all(workload_of: fn(u64) -> Option<Workload>) -> u64 {
    let mut cut_runs = 0;
    for (seed, workload, whole) in small_runs(workload_of) {
        let singles =
            (1..=whole.writes).flat_map(|write| [false, true].map(|is_after| vec![Cut { write, is_after }]));
        let mut random = Random::new(seed, 9);
        let mut some_cut = || Cut { write: random.between(1, whole.writes), is_after: random.chance(500) };
        let doubles: Vec<Vec<Cut>> = (0..PAIRS).map(|_| vec![some_cut(), some_cut()]).collect();
        for cuts in singles.chain(doubles) {
            let plot = Plot { cuts: cuts.clone(), ..Plot::quiet(seed, workload.clone()) };
            assert_same(&run(plot, &NativeEngine), &whole, &cuts);
            cut_runs += 1;
        }
    }
    println!("{cut_runs} runs were cut");
    cut_runs
}

/// Tells the process of each run to end after every other commit; how often it was told.
fn end_all(workload_of: fn(u64) -> Option<Workload>) -> u64 {
    let mut ended = 0;
    for (seed, workload, whole) in small_runs(workload_of) {
        for skips in (0..whole.commits.min(MOST_COMMITS)).step_by(STRIDE) {
            let mut plot = Plot::quiet(seed, workload.clone());
            let skips = u32::try_from(skips).unwrap_or(u32::MAX);
            let deed = ScriptDeed::Terminate { process: 0 };
            let any = Moment::Committed(Box::new(|_| true));
            plot.script.add_after("the process is told to end", (skips, 1), any, deed);
            let report = run(plot, &NativeEngine);
            assert_same(&report, &whole, &format!("told to end after {skips} commits"));
            ended += report.done.iter().map(|done| u64::from(done.times)).sum::<u64>();
        }
    }
    println!("{ended} processes were told to end");
    ended
}

/// Runs that are small, each played whole.
fn small_runs(workload_of: fn(u64) -> Option<Workload>) -> impl Iterator<Item = (u64, Workload, Report)> {
    let runs = SEEDS.filter_map(move |seed| {
        let workload = workload_of(seed)?;
        let whole = run(Plot::quiet(seed, workload.clone()), &NativeEngine);
        assert_eq!(whole.violation, None, "seed {seed}");
        WRITES.contains(&whole.writes).then_some((seed, workload, whole))
    });
    runs.take(RUNS)
}

/// The Jobs of `seed`, if people leave them alone and their end hangs on no moment.
fn jobs(seed: u64) -> Option<Workload> {
    let workload = Workload::of(seed);
    (workload.deeds.is_empty() && workload.jobs.iter().all(is_settled)).then_some(workload)
}

/// Whether what is left of a Job hangs on no moment, crash or not: which Pods a work queue starts, a Job that
/// fails or is cut short, or Jobs that share Pods, does.
fn is_settled(plan: &JobPlan) -> bool {
    let spec = &plan.spec;
    plan.fate.failing_per_mille == 0
        && spec.completions.is_some()
        && spec.active_deadline_seconds.is_none()
        && spec.success_policy.is_none()
        && spec.manual_selector.is_none()
}

/// The small CronJob of `seed`.
fn cron_job(seed: u64) -> Option<Workload> {
    Some(cron::small::workload(seed))
}

/// The small DaemonSet of `seed`.
fn daemon_set(seed: u64) -> Option<Workload> {
    Some(daemon::small::workload(seed))
}

fn assert_same(report: &Report, whole: &Report, what: &impl Debug) {
    let seed = report.seed;
    assert_eq!(report.violation, None, "seed {seed}: {what:?}");
    assert_eq!(report.end_state, whole.end_state, "seed {seed}: {what:?}");
    assert_eq!(report.made, whole.made, "seed {seed}: {what:?}");
}
