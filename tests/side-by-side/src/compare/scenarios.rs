//! The scenarios: what is done to Jobs, CronJobs and DaemonSets, the same with either controller.

mod counting;
mod cron_jobs;
mod daemon_pods;
mod daemon_rollouts;
mod ending;
mod failing;
mod living;

use std::pin::Pin;

use anyhow::Result;

use super::world::World;

/// One scenario, run in a namespace of its own.
pub(super) struct Scenario {
    /// Rows of the table of features that it is about.
    pub(super) rows: &'static str,
    /// Its name, which is part of the namespace's.
    pub(super) name: &'static str,
    /// What is done.
    pub(super) script: Script,
    /// Differences that may show.
    pub(super) declared: &'static [Declared],
}

/// What is done in a scenario.
pub(super) type Script = fn(World) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A difference that is deliberate.
#[derive(Debug)]
pub(super) struct Declared {
    /// Part of the path at which it shows.
    pub(super) at: &'static str,
    /// Its row in docs/differences.md.
    pub(super) row: &'static str,
}

/// Every scenario.
pub(super) fn all() -> Vec<Scenario> {
    [
        counting::all(),
        failing::all(),
        ending::all(),
        living::all(),
        cron_jobs::all(),
        daemon_pods::all(),
        daemon_rollouts::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A scenario without declared differences.
fn scenario(rows: &'static str, name: &'static str, script: Script) -> Scenario {
    Scenario { rows, name, script, declared: &[] }
}
