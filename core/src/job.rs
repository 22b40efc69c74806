//! The Job controller's decisions, one file each; [`reconcile`] lists them in their order.

mod adopt;
mod backoff;
mod batching;
mod conditions;
mod counting;
mod create;
mod ended;
mod ending;
mod facts;
mod failure_policy;
mod indexes;
mod manage;
mod managed_by;
mod memo;
pub mod naming;
mod pods;
mod progress;
#[cfg(test)]
mod properties;
mod status;
mod steps;
mod success_policy;
mod surplus;

use alloc::vec::Vec;

use crate::fault::Fault;
use crate::plan::{Action, EventRecord, Plan};
use crate::policy::Policy;
use crate::view::{CompletionModeView, JobSnapshot, OrphanOwner, OrphanSnapshot};

pub use ended::expiry_ms;
pub use failure_policy::action_on;
pub use indexes::count_indexes;
pub use managed_by::is_ours;

use counting::Tally;
use ending::Standing;
use facts::Facts;
use manage::{Change, Managed};
use progress::Progress;
use steps::Decisions;

/// The plan for a Job as it stands in the snapshot.
///
/// # Errors
/// A [`Fault`] if the snapshot contradicts itself.
pub fn reconcile(snapshot: &JobSnapshot, policy: &dyn Policy) -> Result<Plan, Fault> {
    let facts = &Facts::read(snapshot)?;
    if let Some(plan) = ended::plan(facts) {
        return Ok(plan);
    }
    if !facts.is_ours() {
        return Ok(Plan::default());
    }
    if facts.job.mode == CompletionModeView::Unknown {
        return Ok(unknown_completion_mode());
    }
    if let Some(plan) = adopt::plan(facts) {
        return Ok(plan);
    }
    let progress = Progress::of(facts);
    let progress = progress.as_ref();
    let tally = &Tally::of(facts, progress);
    let mut ending = ending::decide(&Standing { facts, tally, progress });
    let is_managed = ending.is_none() && !facts.deleting && !facts.is_held();
    let mut managed = Managed::default();
    if is_managed {
        managed = manage::decide(facts, tally, progress, policy);
        ending = managed.stopped.as_deref().map(ending::stopped_by_policy);
    }
    if ending.is_some() && !facts.pods.active.is_empty() {
        managed.change = Change::DeleteCounted(facts.pods.active.clone());
    }
    Ok(Decisions { facts, tally, progress, ending, managed, is_managed }.into_plan())
}

fn unknown_completion_mode() -> Plan {
    let mut plan = Plan::default();
    let event = EventRecord {
        warning: true,
        reason: "UnknownCompletionMode".into(),
        message: "Skipped Job sync because completion mode is unknown".into(),
    };
    plan.push(Action::RecordEvent(event), Vec::new());
    plan
}

/// The plan for a Pod that may have lost its Job: the tracking finalizer goes, or nothing is done.
#[must_use]
pub fn reconcile_orphan(snapshot: &OrphanSnapshot) -> Plan {
    let mut plan = Plan::default();
    let lost = match snapshot.owner {
        OrphanOwner::Nobody | OrphanOwner::Gone | OrphanOwner::Finished => true,
        OrphanOwner::OtherKind | OrphanOwner::Unfinished | OrphanOwner::ManagedElsewhere => false,
    };
    if lost && snapshot.tracked {
        plan.push(Action::UntrackPods([0].into()), [].into());
    }
    plan
}
