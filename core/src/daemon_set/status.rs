//! What the status says: counts of nodes, of which one that has several Pods is judged by the oldest.

use crate::view::{DaemonSetStatusView, pod_flag};

use super::facts::Facts;
use super::revisions::Revisions;

/// Nodes from which on the status of a set is gathered: one of fewer is told with every change, as upstream.
const GATHERED_NODES: u32 = 100;
/// How long after a status another waits for each node, milliseconds: a set of 1,000 nodes that is rolled out for half a
/// minute costs some 15 writes of its status, and not one for each look.
const GATHER_MS_PER_NODE: u32 = 2;
/// Longest such wait, milliseconds.
const MAX_GATHER_MS: u32 = 5_000;

/// What becomes of the status.
pub(super) struct Status {
    /// The one to write; `None` if the stored one says all that already, or it waits.
    pub(super) write: Option<DaemonSetStatusView>,
    due_in_ms: Option<u64>,
    last_write_ms: i64,
}

impl Status {
    /// When a status that waits is due, milliseconds from now.
    pub(super) fn due_in_ms(&self) -> Option<u64> {
        self.due_in_ms
    }

    /// When a status was written after which others still wait, milliseconds since the Unix epoch; 0 if none was.
    pub(super) fn last_write_ms(&self) -> i64 {
        self.last_write_ms
    }
}

/// The status to write now, where one that says more was last written at `last_write_ms`.
///
/// What others wait for is told at once: that the set was seen as it is now, and that all its Pods are there. Counters
/// on the way wait for what follows, the longer the more nodes there are, and only if one was written shortly before.
pub(super) fn decide(facts: &Facts<'_>, revisions: &Revisions, last_write_ms: i64) -> Status {
    let now_ms = facts.snapshot.now_ms;
    let window_ms = i64::from(window_ms(facts.desired));
    let elapsed_ms = now_ms.saturating_sub(last_write_ms);
    // Of an instant in the future, left before the clock was set back, nothing follows.
    let left_ms = if elapsed_ms < 0 { 0 } else { window_ms.saturating_sub(elapsed_ms).max(0) };
    let kept_ms = if left_ms > 0 { last_write_ms } else { 0 };
    let status = count(facts, revisions);
    if status == facts.set.status {
        return Status { write: None, due_in_ms: None, last_write_ms: kept_ms };
    }
    if left_ms > 0 && !is_awaited(&status, &facts.set.status) {
        let due_in_ms = u64::try_from(left_ms).ok();
        return Status { write: None, due_in_ms, last_write_ms: kept_ms };
    }
    Status { write: Some(status), due_in_ms: None, last_write_ms: if window_ms > 0 { now_ms } else { 0 } }
}

fn window_ms(nodes: u32) -> u32 {
    if nodes < GATHERED_NODES { 0 } else { nodes.saturating_mul(GATHER_MS_PER_NODE).min(MAX_GATHER_MS) }
}

/// Whether `new` says what others wait for and the `stored` one does not.
fn is_awaited(new: &DaemonSetStatusView, stored: &DaemonSetStatusView) -> bool {
    new.observed_generation != stored.observed_generation
        || new.collision_count != stored.collision_count
        || is_complete(new) && !is_complete(stored)
}

/// Whether every node that is to have a Pod has one of the present template that is available, and no other has one.
pub(super) fn is_complete(status: &DaemonSetStatusView) -> bool {
    status.updated == status.desired && status.available == status.desired && status.misscheduled == 0
}

/// The status as the snapshot shows it (upstream: updateDaemonSetStatus). Pods on nodes that are not there count
/// nowhere, and nodes that are left out everywhere but among the misscheduled.
fn count(facts: &Facts<'_>, revisions: &Revisions) -> DaemonSetStatusView {
    let mut status = DaemonSetStatusView {
        observed_generation: facts.set.generation,
        collision_count: facts.set.status.collision_count,
        desired: facts.desired,
        current: facts.snapshot.settled,
        ready: facts.snapshot.settled,
        available: facts.snapshot.settled,
        updated: facts.snapshot.settled,
        ..DaemonSetStatusView::default()
    };
    let add = |counter: &mut u32, counts: bool| *counter = counter.saturating_add(u32::from(counts));
    for node in facts.nodes() {
        let Some(oldest) = node.pods.first() else { continue };
        if node.answer.should_run {
            add(&mut status.current, true);
            add(&mut status.ready, oldest.has(pod_flag::READY));
            add(&mut status.available, facts.is_available(*oldest));
            add(&mut status.updated, revisions.is_updated(*oldest));
        } else {
            add(&mut status.misscheduled, true);
        }
    }
    status.unavailable = status.desired.saturating_sub(status.available);
    status
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{NO_SCHEDULE, plan, pod, set, snapshot, surge, with_pods, written};
    use crate::view::{DaemonSetSnapshot, DaemonSetStatusView, GONE_NODE};

    #[test]
    fn each_counter_is_of_nodes() {
        let mut snapshot = with_pods(&[
            ("new", ""),
            ("old", ""),
            ("new", "unready"),
            ("new", "failed going"),
            ("old", "generation"),
            ("old", ""),
        ]);
        snapshot.nodes.shape[5] = NO_SCHEDULE;
        pod(&mut snapshot, GONE_NODE, "new", "");
        set(&mut snapshot).generation = 4;
        set(&mut snapshot).status.collision_count = Some(2);
        let expected = DaemonSetStatusView {
            observed_generation: 4,
            current: 4,
            desired: 5,
            misscheduled: 1,
            ready: 3,
            updated: 3,
            available: 3,
            unavailable: 2,
            collision_count: Some(2),
        };
        assert_eq!(written(&plan(&snapshot)), Some(expected));
        set(&mut snapshot).status = expected;
        assert_eq!(written(&plan(&snapshot)), None, "nothing has changed");
    }

    #[test]
    fn the_oldest_pod_of_a_node_decides() {
        let mut snapshot = with_pods(&[("old", "")]);
        surge(&mut snapshot, 1);
        pod(&mut snapshot, 0, "new", "unready");
        let status = written(&plan(&snapshot)).unwrap();
        assert_eq!((status.ready, status.available, status.updated), (1, 1, 0));
        let mut snapshot = with_pods(&[("new", "unready going")]);
        pod(&mut snapshot, 0, "new", "");
        let status = written(&plan(&snapshot)).unwrap();
        assert_eq!((status.current, status.ready, status.updated), (1, 0, 1));
    }

    /// A set of so many nodes one of which has no Pod, and whose status was written just now.
    fn after_a_write(nodes: usize) -> DaemonSetSnapshot {
        let mut snapshot = with_pods(&vec![("new", ""); nodes]);
        snapshot.pods.flags[0] &= !crate::view::pod_flag::READY;
        let told = plan(&snapshot);
        set(&mut snapshot).status = written(&told).unwrap();
        snapshot.memo = told.memo;
        snapshot.pods.flags[1] &= !crate::view::pod_flag::READY;
        snapshot
    }

    #[test]
    fn counters_of_a_large_set_are_gathered() {
        for (nodes, wait_ms) in [(99, None), (100, Some(200)), (1_000, Some(2_000)), (6_000, Some(5_000))] {
            let mut snapshot = after_a_write(nodes);
            let gathered = plan(&snapshot);
            assert_eq!(
                (written(&gathered).is_none(), gathered.requeue_after_ms),
                (wait_ms.is_some(), wait_ms)
            );
            let Some(wait_ms) = wait_ms else { continue };
            snapshot.memo = gathered.memo;
            snapshot.now_ms += i64::try_from(wait_ms).unwrap() - 1;
            assert_eq!(plan(&snapshot).requeue_after_ms, Some(1));
            snapshot.now_ms += 1;
            assert!(written(&plan(&snapshot)).is_some());
        }
    }

    #[test]
    fn nothing_waits_without_a_memo_or_with_one_of_the_future() {
        let mut snapshot = after_a_write(100);
        snapshot.now_ms -= 1;
        assert!(written(&plan(&snapshot)).is_some());
        snapshot.now_ms += 1;
        snapshot.memo.clear();
        assert!(written(&plan(&snapshot)).is_some());
    }

    #[test]
    fn what_others_wait_for_does_not_wait() {
        let mut observed = after_a_write(100);
        set(&mut observed).generation = 2;
        assert!(written(&plan(&observed)).is_some());
        let mut complete = after_a_write(101);
        for flags in &mut complete.pods.flags[..2] {
            *flags |= crate::view::pod_flag::READY;
        }
        let told = plan(&complete);
        assert!(written(&told).is_some_and(|status| status.unavailable == 0));
        set(&mut complete).status = written(&told).unwrap();
        complete.memo = told.memo;
        complete.nodes.shape.pop();
        complete.nodes.name.pop();
        complete.pods.node[100] = GONE_NODE;
        assert_eq!(written(&plan(&complete)), None, "it was complete, and is with one node less");
    }

    #[test]
    fn without_nodes_the_generation_is_observed_all_the_same() {
        let mut snapshot = snapshot(0);
        assert_eq!(written(&plan(&snapshot)), None);
        set(&mut snapshot).generation = 2;
        let expected = DaemonSetStatusView { observed_generation: 2, ..DaemonSetStatusView::default() };
        assert_eq!(written(&plan(&snapshot)), Some(expected));
    }
}
