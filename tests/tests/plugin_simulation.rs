//! Policy plugins in the fault simulator, in runs that are long or crowded: ten thousand swaps under load, and what others
//! feel of plugins that are slow.

use std::collections::BTreeMap;

use windlass_core::kube::{Labels, Object, Str};
use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::mutants::Mutant;
use windlass_tests::simulation::story::job;
use windlass_tests::simulation::workload::plugins::{Manner, PREFIX, PluginPlan, Version};
use windlass_tests::simulation::workload::{JobPlan, PodFate, Workload};
use windlass_tests::simulation::world::{Plot, Report, run};

/// Swaps under load.
const SWAPS: u64 = 10_000;
/// Swaps that may come before the process starts, which takes two seconds at most.
const BEFORE_THE_START: u64 = 200;
/// Time between two of them, milliseconds.
const SWAPPED_EVERY_MS: u64 = 20;
/// Jobs that ask meanwhile: each swap lets those look again that wait.
const JOBS: u64 = 12;
/// Jobs whose reconciles are measured, and those of plugins beside them.
const OTHERS: usize = 300;
const BOUND: usize = 100;

fn version(name: &str, number: u32, manner: Manner) -> Version {
    Version { name: name.into(), number, manner }
}

/// A Job whose Pods fail so many times in a thousand, bound to a plugin or to none.
fn bound(name: &str, plugin: Option<&str>, created_ms: u64, failing_per_mille: u64) -> JobPlan {
    let mut plan = job(name, |spec| spec.backoff_limit = Some(1_000));
    plan.created_ms = created_ms;
    let seed =
        name.bytes().fold(created_ms, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    plan.fate = PodFate { seed, failing_per_mille, ..plan.fate };
    let binding = plugin.map(|plugin| (Str::from(format!("{PREFIX}backoff")), Str::from(plugin)));
    plan.annotations = binding.into_iter().collect::<Labels>();
    plan
}

#[test]
fn ten_thousand_swaps_under_load_lose_nothing_and_mix_nothing() {
    // Two versions that take turns, and answer in other words.
    let versions = [version("p", 1, Manner::Plain), version("p", 2, Manner::Other)];
    let mut sets: Vec<(u64, Vec<Version>)> = (0..SWAPS + BEFORE_THE_START)
        .map(|swap| (swap * SWAPPED_EVERY_MS, vec![versions[swap as usize % 2].clone()]))
        .collect();
    sets.push(((SWAPS + BEFORE_THE_START) * SWAPPED_EVERY_MS, vec![version("p", 3, Manner::Plain)]));
    let jobs =
        (0..JOBS).map(|number| bound(&format!("job-{number}"), Some("p"), number * 5_000, 800)).collect();
    let workload = Workload { jobs, plugins: Some(PluginPlan { sets }), ..Workload::default() };
    let report = run(Plot::quiet(1, workload), &NativeEngine);
    // Each run used what was loaded as it began, and whatever was swapped in the middle of it: P6, judged at each.
    assert_eq!(report.violation, None);
    assert!(report.swaps >= SWAPS, "only {} swaps reached the process", report.swaps);
    let runs = |version: &Version| report.asked.get(&version.digest()).copied().unwrap_or(0);
    let asked: Vec<u64> = versions.iter().map(runs).collect();
    assert!(asked.iter().all(|runs| *runs > 2_000), "{asked:?} runs asked the two versions");
    // None was lost: every Job came to its end.
    let ended = report.end_state.iter().filter(|line| line.contains("; Complete True")).count();
    assert_eq!(ended, JOBS as usize, "{:#?}", report.end_state);
    println!("{} swaps, {asked:?} runs asked the two versions, {} commits", report.swaps, report.commits);
}

/// A crowd of Jobs that nobody decides for, and beside them Jobs that are bound to a plugin which takes all of its time,
/// traps, or never ends a call; or those same Jobs without it.
fn crowd(is_hostile: bool) -> Workload {
    let manners = [Manner::Slow, Manner::Loops, Manner::Traps, Manner::OutOfBounds];
    let names: Vec<String> = (0..manners.len()).map(|number| format!("p-{number}")).collect();
    let set = |number: u32, manner: Option<Manner>| -> Vec<Version> {
        let manner = |place: usize| manner.unwrap_or(manners[place]);
        names.iter().enumerate().map(|(place, name)| version(name, number, manner(place))).collect()
    };
    let others =
        (0..OTHERS).map(|number| bound(&format!("other-{number}"), None, 5_000 + number as u64 * 100, 0));
    let hostile = (0..BOUND).map(|number| {
        let plugin = &names[number % names.len()];
        bound(&format!("bound-{number}"), is_hostile.then_some(&**plugin), 1_000, 900)
    });
    // A new version each second, so that no quarantine keeps anybody from asking.
    let mut sets: Vec<_> =
        (0..40_u32).map(|second| (u64::from(second) * 1_000, set(second + 1, None))).collect();
    sets.push((40_000, set(100, Some(Manner::Plain))));
    Workload {
        jobs: others.chain(hostile).collect(),
        plugins: Some(PluginPlan { sets }),
        ..Workload::default()
    }
}

/// The last hundredth of the time from the creation of an unbound Job to that of its first Pod, milliseconds.
fn last_hundredth_ms(report: &Report) -> u64 {
    let mut created: BTreeMap<Str, u64> = BTreeMap::new();
    let mut waited: BTreeMap<Str, u64> = BTreeMap::new();
    for commit in &report.record.commits {
        match (&commit.before, &commit.after) {
            (None, Some(Object::Job(job))) if job.metadata.name.starts_with("other-") => {
                created.insert(job.metadata.name.clone(), commit.time_ms);
            }
            (None, Some(Object::Pod(pod))) => {
                let owner = pod.metadata.controller().map(|owner| owner.name.clone()).unwrap_or_default();
                if let Some(at_ms) = created.get(&owner) {
                    waited.entry(owner).or_insert(commit.time_ms - at_ms);
                }
            }
            _ => {}
        }
    }
    assert_eq!(waited.len(), OTHERS, "each has a Pod");
    let mut waited: Vec<u64> = waited.into_values().collect();
    waited.sort_unstable();
    waited[OTHERS * 99 / 100]
}

fn play(seed: u64, is_hostile: bool, mutant: Option<Mutant>) -> Report {
    let plot = Plot { is_traced: true, mutant, ..Plot::quiet(seed, crowd(is_hostile)) };
    run(plot, &NativeEngine)
}

#[test]
fn others_hardly_wait_for_plugins_that_are_slow() {
    let mut shared = Vec::new();
    for seed in 1..4 {
        let (without, with) = (play(seed, false, None), play(seed, true, None));
        assert_eq!((&without.violation, &with.violation), (&None, &None));
        assert!(with.asked.values().sum::<u64>() > 100, "{:?}", with.asked);
        let (without_ms, with_ms) = (last_hundredth_ms(&without), last_hundredth_ms(&with));
        println!(
            "seed {seed}: p99 from a Job to its Pod {without_ms} ms without hostile plugins, {with_ms} ms with"
        );
        assert!(
            with_ms < without_ms.max(1) * 2,
            "seed {seed}: {with_ms} ms, where {without_ms} ms are usual"
        );
        shared.push(play(seed, true, Some(Mutant::SharesTheLane)).violation);
    }
    // What is measured hangs on the lanes: with one for all the checker says so at once.
    assert!(shared.iter().flatten().any(|violation| violation.predicate == "P1"), "{shared:?}");
}
