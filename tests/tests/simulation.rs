//! Seeds of the fault simulator.
//!
//! `WINDLASS_SEEDS=N` runs so many, `WINDLASS_FIRST_SEED=N` begins there, `WINDLASS_LINES=N` shows so many lines of what
//! led to the first violation.

use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::{self, Summary};

/// Seeds that a plain test run plays.
const DEFAULT_SEEDS: u64 = 2_000;
/// Seeds that are played on both engines.
#[cfg(feature = "wasm")]
const WASM_SEEDS: u64 = 50;
/// Threads that share them.
const THREADS: u64 = 2;
/// Violations after which a thread plays no further seed.
const MOST_VIOLATIONS: usize = 5;
/// Lines of the trace that lead to a violation, unless `WINDLASS_LINES` says another number.
const LAST_LINES: u64 = 60;

#[test]
fn every_predicate_holds_whatever_goes_wrong() {
    let (first, count) = (number("WINDLASS_FIRST_SEED", 1), number("WINDLASS_SEEDS", DEFAULT_SEEDS));
    #[expect(clippy::disallowed_types, reason = "only the speed is read from it")]
    let begun = std::time::Instant::now();
    let summary = simulation::run_seeds(first, count, THREADS, MOST_VIOLATIONS, &NativeEngine, None);
    let took_ms = begun.elapsed().as_millis().max(1) as u64;
    print_summary(&summary, took_ms);
    explain(&summary);
    assert!(summary.violations.is_empty(), "{} seeds failed", summary.violations.len());
    if count >= DEFAULT_SEEDS {
        let missing = summary.struck.missing();
        assert!(missing.is_empty(), "these faults never struck: {missing:?}");
    }
}

/// Beyond those of a plain run: half an hour of clock change. What other seeds found is told among the scenarios.
#[test]
fn a_seed_that_once_found_something_holds() {
    let seed = 3_654;
    let summary = simulation::run_seeds(seed, 1, 1, MOST_VIOLATIONS, &NativeEngine, None);
    explain(&summary);
    assert!(summary.violations.is_empty(), "seed {seed}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [1, 2, 3, 8, 13] {
        let once = simulation::run_seed(seed, &NativeEngine, None, false);
        let again = simulation::run_seed(seed, &NativeEngine, None, true);
        assert!(once.commits > 0);
        assert_eq!(
            (once.hash, once.steps, once.commits),
            (again.hash, again.steps, again.commits),
            "seed {seed}"
        );
    }
}

#[cfg(feature = "wasm")]
#[test]
fn the_core_as_wasm_gives_the_same_history() {
    use windlass_host::engine::wasm::{Options, WasmEngine};
    let wasm = WasmEngine::embedded_with(Options::deterministic()).expect("the core is embedded");
    for seed in 1..=WASM_SEEDS {
        let native = simulation::run_seed(seed, &NativeEngine, None, false);
        let guest = simulation::run_seed(seed, &wasm, None, false);
        assert!(native.commits > 0);
        assert_eq!(
            (native.hash, native.steps, native.commits),
            (guest.hash, guest.steps, guest.commits),
            "seed {seed}"
        );
    }
}

fn print_summary(summary: &Summary, took_ms: u64) {
    println!("{}", summary.struck.table());
    println!(
        "{} runs, {} steps, {} commits, {} faults, {} ms on {THREADS} threads: {} steps a second and thread",
        summary.runs,
        summary.steps,
        summary.commits,
        summary.struck.total(),
        took_ms,
        summary.steps * 1000 / took_ms / THREADS
    );
}

/// Plays the first seed that failed again, and says how to do so by hand.
fn explain(summary: &Summary) {
    for (seed, violation) in &summary.violations {
        println!("seed {seed}: {violation}");
        println!("  cargo run -p windlass-tests --bin simulate-seed -- --seed {seed}");
    }
    let Some((seed, _)) = summary.violations.first() else { return };
    let report = simulation::run_seed(*seed, &NativeEngine, None, true);
    let last_lines = number("WINDLASS_LINES", LAST_LINES) as usize;
    for line in &report.trace[report.trace.len().saturating_sub(last_lines)..] {
        println!("{line}");
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
