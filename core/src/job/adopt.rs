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
/// the Job is read live: the cache may not know yet that it is gone.
pub(super) fn plan(facts: &Facts<'_>) -> Option<Plan> {
    if facts.deleting {
        return None;
    }
    let mut plan = Plan { memo: facts.snapshot.memo.clone(), ..Plan::default() };
    let released = positions(facts, is_to_be_released);
    if !released.is_empty() {
        plan.push(Action::ReleasePods(released), Vec::new());
    }
    let adopted = positions(facts, is_to_be_adopted);
    match (adopted.is_empty(), facts.snapshot.live_owner) {
        (true, _) => {}
        (false, None) => plan.read = Some(Read::Owner),
        (false, Some(LiveOwner::Alive)) => {
            plan.push(Action::AdoptPods(adopted), Vec::new());
        }
        // The watch is about to tell the same.
        (false, Some(LiveOwner::Gone | LiveOwner::Terminating)) => {
            plan.requeue_after_ms = Some(u64::from(facts.snapshot.flags.sync_batch_ms));
            return Some(plan);
        }
    }
    if plan.steps.is_empty() && plan.read.is_none() {
        return None;
    }
    if plan.read.is_none() {
        plan.requeue_after_ms = Some(0);
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
