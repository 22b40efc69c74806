//! A process may die before or after any of its writes: what is left at rest is the same.

use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::random::Random;
use windlass_tests::simulation::workload::Workload;
use windlass_tests::simulation::world::{Cut, Plot, Report, run};

/// Runs that are cut, by seed; those are taken whose workload is small and left alone by people.
const SEEDS: std::ops::Range<u64> = 1..400;
/// Most writes of a run that is cut at each of them.
const MOST_WRITES: u64 = 60;
/// Runs that are cut.
const RUNS: usize = 25;
/// Pairs of cuts that are tried in each run.
const PAIRS: u64 = 20;

#[test]
fn a_crash_at_any_write_changes_nothing_that_is_left() {
    let small = SEEDS.filter_map(|seed| {
        let workload = Workload::of(seed);
        let whole = play(seed, &workload, Vec::new());
        // Which Pods a work queue or a Job that fails still starts hangs on the moment, crash or not.
        let is_settled =
            workload.jobs.iter().all(|job| job.fate.failing_per_mille == 0 && job.spec.completions.is_some());
        let is_small = workload.deeds.is_empty() && (3..=MOST_WRITES).contains(&whole.writes);
        (is_small && is_settled).then_some((seed, workload, whole))
    });
    let mut cut_runs = 0;
    for (seed, workload, whole) in small.take(RUNS) {
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

fn play(seed: u64, workload: &Workload, cuts: Vec<Cut>) -> Report {
    let plot = Plot { cuts, ..Plot::quiet(seed, workload.clone()) };
    let report = run(plot, &NativeEngine);
    assert_eq!(report.violation, None, "seed {seed}");
    report
}
