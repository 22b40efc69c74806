//! The fault simulator: the host's state machine on the sandbox, in virtual time, with everything going wrong
//! that can, and checkers that judge the history.
//!
//! One seed decides the workload, the faults and every moment; the same seed gives the same history byte for
//! byte. Nothing here reads a clock. Modules in the order in which a run uses them.

pub mod random;

pub mod gate;
pub mod workload;

pub mod faults;
pub mod script;

pub mod world;

pub mod agenda;
pub mod cluster;
pub mod history;
pub mod mutants;
pub mod plugins;
pub mod record;
pub mod story;
pub mod view;

pub mod checkers;

use windlass_host::engine::Engine;

use faults::{Fault, Faults};
use mutants::Mutant;
use random::Random;
use workload::Workload;
use world::{Plot, Report};

/// Runs the plot of `seed`.
#[must_use]
pub fn run_seed(seed: u64, engine: &dyn Engine, mutant: Option<Mutant>, is_traced: bool) -> Report {
    let workload = Workload::of(seed);
    let faults = faults_of(seed, &workload);
    let plot = Plot { faults, mutant, is_traced, ..Plot::quiet(seed, workload) };
    world::run(plot, engine)
}

/// What goes wrong in the run of `seed`: with CronJobs, for most of the time that they are there. Clocks are wrong where
/// there are CronJobs or DaemonSets.
fn faults_of(seed: u64, workload: &Workload) -> Faults {
    let mut faults = Faults::of(seed);
    let keeps_time = workload.crons.is_empty() && workload.sets.is_empty() || workload.has_waiting_jobs();
    if keeps_time {
        // Deadlines, retries and times to live are judged by the server's clock.
        faults.forbid(Fault::ClockForward);
        faults.forbid(Fault::ClockBack);
    }
    if workload.has_queues() {
        // Who acts at the same time knows nothing of the other's grants.
        faults.forbid(Fault::SecondProcess);
    }
    if let Some((end_ms, _)) = workload.deeds.last().filter(|_| !workload.crons.is_empty()) {
        let random = &mut Random::new(seed, 8);
        faults.until(random.between(end_ms / 10, end_ms * 7 / 10));
    }
    faults
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Inputs that the machines handled.
    pub steps: u64,
    /// Revisions that were committed.
    pub commits: u64,
    /// Faults that struck.
    pub struck: faults::Coverage,
    /// Seeds of the runs in which a predicate did not hold, and which.
    pub violations: Vec<(u64, checkers::Violation)>,
}

impl Summary {
    /// Adds what came of one run.
    pub fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.steps += report.steps;
        self.commits += report.commits;
        self.struck.add(&report.struck);
        if let Some(violation) = &report.violation {
            self.violations.push((report.seed, violation.clone()));
        }
    }

    /// Adds what came of other runs.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.commits += other.commits;
        self.struck.add(&other.struck);
        self.violations.extend(other.violations);
        self.violations.sort_by_key(|(seed, _)| *seed);
    }
}

/// Runs `count` seeds from `first` on, on so many threads; stops early after `most_violations` of them.
#[must_use]
pub fn run_seeds(
    first: u64,
    count: u64,
    threads: u64,
    most_violations: usize,
    engine: &dyn Engine,
    mutant: Option<Mutant>,
) -> Summary {
    let run_share = |thread: u64| {
        let mut summary = Summary::default();
        let mut seed = first + thread;
        while seed < first + count && summary.violations.len() < most_violations {
            // A defect is looked for where it can show.
            if mutant.is_none_or(|mutant| mutant.concerns(&Workload::of(seed))) {
                summary.add(&run_seed(seed, engine, mutant, false));
            }
            seed += threads;
        }
        summary
    };
    let mut summary = Summary::default();
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run_share(thread))).collect();
        for share in shares {
            // A run that panics is a failure of its own, with its own message.
            match share.join() {
                Ok(share) => summary.merge(share),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    summary
}
