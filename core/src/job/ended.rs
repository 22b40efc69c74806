//! A Job that ended: finalizers that are left come off, Pods that came late go, and past its time to live it is
//! deleted.

use alloc::vec::Vec;

use crate::kube::{ConditionStatus, JobCondition};
use crate::plan::{Action, Plan, Read, SyncAction};
use crate::view::LiveOwner;

use super::conditions::{COMPLETE, FAILED};
use super::facts::Facts;

/// The plan for a Job that has a terminal condition; `None` if it has none.
///
/// Upstream leaves the finalizers to its queue of orphan Pods; here the Job's own key does it, since the
/// snapshot shows them. A Pod that is active though the Job has ended was created by a request that arrived
/// late, and nobody waits for what it does: it is deleted (upstream lets it run). The time to live holds
/// whoever manages the Job, as upstream, and does not wait for the clean-up: what refuses that would else keep
/// the Job for ever.
pub(super) fn plan(facts: &Facts<'_>) -> Option<Plan> {
    terminal_condition(&facts.job.status.conditions)?;
    let mut plan = Plan::default();
    let ttl_seconds = facts.job.ttl_seconds_after_finished.filter(|_| !facts.deleting);
    let expiry_ms = ttl_seconds.and_then(|seconds| expiry_ms(&facts.job.status.conditions, seconds));
    let wait_ms = expiry_ms.map(|expiry_ms| facts.until_ms(expiry_ms));
    let is_expired = wait_ms == Some(0);
    if is_expired && facts.snapshot.live_owner.is_none() {
        plan.read = Some(Read::Owner);
        return Some(plan);
    }
    if facts.is_ours() {
        clean_up(facts, &mut plan);
    }
    if is_expired && facts.snapshot.live_owner == Some(LiveOwner::Alive) {
        plan.push(Action::DeleteJob, Vec::new());
    }
    plan.requeue_after_ms = wait_ms.filter(|_| !is_expired);
    Some(plan)
}

/// Late Pods go, and so do the finalizers of the others.
fn clean_up(facts: &Facts<'_>, plan: &mut Plan) {
    let late = facts.pods.active.clone();
    if !late.is_empty() {
        plan.push(Action::DeletePods { pods: late, untrack: true }, Vec::new());
        plan.action = SyncAction::PodsDeleted;
    }
    let left = facts.pods.iter().filter(|pod| pod.is_tracked() && !pod.is_active());
    let left: Vec<u32> = left.map(|pod| pod.position).collect();
    if !left.is_empty() {
        plan.push(Action::UntrackPods(left), Vec::new());
    }
}

/// When a Job with these conditions is to be deleted, milliseconds since the Unix epoch: so many seconds after
/// its end; `None` if it has not ended, or nobody knows when.
#[must_use]
pub fn expiry_ms(conditions: &[JobCondition], ttl_seconds: u32) -> Option<i64> {
    let ended_ms = terminal_condition(conditions)?.last_transition_time?.unix_ms();
    Some(ended_ms.saturating_add(i64::from(ttl_seconds).saturating_mul(1000)))
}

fn terminal_condition(conditions: &[JobCondition]) -> Option<&JobCondition> {
    conditions.iter().find(|condition| {
        condition.status == ConditionStatus::True && matches!(&*condition.kind, COMPLETE | FAILED)
    })
}
