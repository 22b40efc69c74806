//! What the status says: counts of nodes, of which one that has several Pods is judged by the oldest.

use crate::view::{DaemonSetStatusView, pod_flag};

use super::facts::Facts;
use super::revisions::Revisions;

/// The status to write; `None` if the stored one says all that already.
pub(super) fn changed(facts: &Facts<'_>, revisions: &Revisions) -> Option<DaemonSetStatusView> {
    let status = count(facts, revisions);
    (status != facts.set.status).then_some(status)
}

/// The status as the snapshot shows it (upstream: updateDaemonSetStatus). Pods on nodes that are not there count
/// nowhere.
fn count(facts: &Facts<'_>, revisions: &Revisions) -> DaemonSetStatusView {
    let mut status = DaemonSetStatusView {
        observed_generation: facts.set.generation,
        collision_count: facts.set.status.collision_count,
        desired: facts.desired,
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
    use super::super::fixture::{NO_SCHEDULE, plan, pod, set, snapshot, surge, with_pods, written};
    use crate::view::{DaemonSetStatusView, GONE_NODE};

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

    #[test]
    fn without_nodes_the_generation_is_observed_all_the_same() {
        let mut snapshot = snapshot(0);
        assert_eq!(written(&plan(&snapshot)), None);
        set(&mut snapshot).generation = 2;
        let expected = DaemonSetStatusView { observed_generation: 2, ..DaemonSetStatusView::default() };
        assert_eq!(written(&plan(&snapshot)), Some(expected));
    }
}
