//! Adoption and release: Pods without a controller that the selector matches become the Job's, and its own
//! Pods that the selector left are let go.

use alloc::vec::Vec;

use crate::plan::{Action, Plan, Read};
use crate::view::{LiveOwner, pod_flag};

use super::facts::Facts;
use super::pods::Pod;

/// The plan that sets ownership right, if it is not; nothing else is decided before.
///
/// A plan of its own, because what is counted and created hangs on whose the Pods are. Before an adoption
/// the Job is read live, and nothing but that is done: the cache may not know yet that it is gone.
pub(super) fn plan(facts: &Facts<'_>) -> Option<Plan> {
    if facts.deleting {
        return None;
    }
    let released = positions(facts, is_to_be_released);
    let adopted = positions(facts, is_to_be_adopted);
    if released.is_empty() && adopted.is_empty() {
        return None;
    }
    let mut plan = Plan { memo: facts.snapshot.memo.clone(), ..Plan::default() };
    if !adopted.is_empty() && facts.snapshot.live_owner.is_none() {
        plan.read = Some(Read::Owner);
        return Some(plan);
    }
    if !released.is_empty() {
        plan.push(Action::ReleasePods(released), Vec::new());
    }
    plan.requeue_after_ms = Some(0);
    match facts.snapshot.live_owner {
        // The watch is about to tell the same.
        Some(LiveOwner::Gone | LiveOwner::Terminating) if !adopted.is_empty() => {
            plan.requeue_after_ms = Some(u64::from(facts.snapshot.flags.sync_batch_ms));
        }
        Some(LiveOwner::Alive) if !adopted.is_empty() => {
            plan.push(Action::AdoptPods(adopted), Vec::new());
        }
        Some(LiveOwner::Alive | LiveOwner::Gone | LiveOwner::Terminating) | None => {}
    }
    Some(plan)
}

fn positions(facts: &Facts<'_>, is_chosen: fn(Pod<'_>) -> bool) -> Vec<u32> {
    facts.pods.everyone().filter(|pod| is_chosen(*pod)).map(|pod| pod.position).collect()
}

fn is_to_be_released(pod: Pod<'_>) -> bool {
    pod.has(pod_flag::OWNED) && !pod.has(pod_flag::SELECTED)
}

fn is_to_be_adopted(pod: Pod<'_>) -> bool {
    pod.has(pod_flag::ORPHAN) && pod.has(pod_flag::SELECTED) && !pod.has(pod_flag::TERMINATING)
}
