//! A process may die before or after any of its writes: what is left at rest is the same.

use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::random::Random;
use windlass_tests::simulation::script::{Moment, ScriptDeed};
use windlass_tests::simulation::workload::{JobPlan, Workload};
use windlass_tests::simulation::world::{Cut, Plot, Report, run};

/// Runs that are cut, by seed; those are taken whose workload is small and left alone by people.
const SEEDS: std::ops::Range<u64> = 1..800;
/// Most writes of a run that is cut at each of them.
const MOST_WRITES: u64 = 60;
/// Runs that are cut.
const RUNS: usize = 25;
/// Most commits of a run after which its process is told to end, and how many are between two.
const MOST_COMMITS: u64 = 120;
/// See [`MOST_COMMITS`].
const STRIDE: usize = 2;
/// Pairs of cuts that are tried in each run.
const PAIRS: u64 = 20;

#[test]
fn a_crash_at_any_write_changes_nothing_that_is_left() {
    let mut cut_runs = 0;
    for (seed, workload, whole) in small_runs().take(RUNS) {
        let singles =
            (1..=whole.writes).flat_map(|write| [false, true].map(|is_after| vec![Cut { write, is_after }]));
        let mut random = Random::new(seed, 9);
        let mut some_cut = || Cut { write: random.between(1, whole.writes), is_after: random.chance(500) };
        let doubles: Vec<Vec<Cut>> = (0..PAIRS).map(|_| vec![some_cut(), some_cut()]).collect();
        for cuts in singles.chain(doubles) {
            let cut = play(seed, &workload, cuts.clone());
            assert_eq!(cut.end_state, whole.end_state, "seed {seed} cut at {cuts:?}");
            cut_runs += 1;
        }
    }
    println!("{cut_runs} runs were cut");
    assert!(cut_runs > 500, "only {cut_runs} runs were cut: the workloads have changed");
}

#[test]
fn a_process_that_is_told_to_end_loses_nothing() {
    let mut ended = 0;
    for (seed, workload, whole) in small_runs().take(RUNS) {
        for skips in (0..whole.commits.min(MOST_COMMITS)).step_by(STRIDE) {
            let mut plot = Plot::quiet(seed, workload.clone());
            let skips = u32::try_from(skips).unwrap_or(u32::MAX);
            let deed = ScriptDeed::Terminate { process: 0 };
            let any = Moment::Committed(Box::new(|_| true));
            plot.script.add_after("the process is told to end", (skips, 1), any, deed);
            let report = run(plot, &NativeEngine);
            assert_eq!(report.violation, None, "seed {seed} told to end after {skips} commits");
            assert_eq!(report.end_state, whole.end_state, "seed {seed} told to end after {skips} commits");
            ended += report.done.iter().map(|done| u64::from(done.times)).sum::<u64>();
        }
    }
    assert!(ended > 300, "only {ended} processes were told to end: the workloads have changed");
}

/// Runs that are small, that people leave alone, and whose end hangs on no moment; each played whole.
fn small_runs() -> impl Iterator<Item = (u64, Workload, Report)> {
    SEEDS.filter_map(|seed| {
        let workload = Workload::of(seed);
        if !workload.deeds.is_empty() || !workload.jobs.iter().all(is_settled) {
            return None;
        }
        let whole = play(seed, &workload, Vec::new());
        (3..=MOST_WRITES).contains(&whole.writes).then_some((seed, workload, whole))
    })
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

fn play(seed: u64, workload: &Workload, cuts: Vec<Cut>) -> Report {
    let cut_at = format!("{cuts:?}");
    let plot = Plot { cuts, ..Plot::quiet(seed, workload.clone()) };
    let report = run(plot, &NativeEngine);
    assert_eq!(report.violation, None, "seed {seed} cut at {cut_at}");
    report
}
