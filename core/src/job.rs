//! The Job controller's decisions.

pub mod naming;

use crate::fault::Fault;
use crate::plan::{Action, Plan};
use crate::policy::Policy;
use crate::view::{JobSnapshot, OrphanOwner, OrphanSnapshot};

/// The plan for a Job as it stands in the snapshot.
///
/// # Errors
/// A [`Fault`] if the snapshot contradicts itself.
pub fn reconcile(snapshot: &JobSnapshot, policy: &dyn Policy) -> Result<Plan, Fault> {
    let _ = policy;
    snapshot.pods.rows().ok_or(Fault::UnequalColumns)?;
    Err(Fault::UnsupportedKind)
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
