//! The CronJob controller's decisions, one file each; [`reconcile`] lists them in their order.

mod active;
mod complaints;
mod facts;
mod history;
mod runs;
pub mod schedule;
mod steps;
pub mod zone;

#[cfg(test)]
mod properties;

use alloc::vec::Vec;

use crate::fault::Fault;
use crate::plan::{Plan, Read};
use crate::policy::Policy;
use crate::view::CronJobSnapshot;

pub use runs::MAX_RUNS;

use active::Active;
use complaints::Complaints;
use facts::Facts;
use runs::Runs;
use steps::Decisions;

/// The plan for a CronJob as it stands in the snapshot.
///
/// # Errors
/// A [`Fault`] if the snapshot contradicts itself.
pub fn reconcile(snapshot: &CronJobSnapshot, policy: &dyn Policy) -> Result<Plan, Fault> {
    let facts = &Facts::read(snapshot)?;
    if active::wants_read(facts) {
        let memo = snapshot.memo.clone();
        return Ok(Plan { read: Some(Read::ActiveJobs), memo, ..Plan::default() });
    }
    let mut complaints = Complaints::default();
    let active = Active::of(facts, &mut complaints);
    // One that is about to go gets its status, and nothing else.
    let (surplus, runs) = if facts.cron_job.terminating {
        (Vec::new(), Runs::default())
    } else {
        (history::surplus(facts), runs::decide(facts, &active, policy, &mut complaints))
    };
    let (complaints, memo) = complaints.settle(&snapshot.memo, &facts.cron_job.uid);
    Ok(Decisions { facts, active, runs, surplus, complaints, memo }.into_plan())
}
