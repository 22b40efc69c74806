//! Which nodes need not be looked at again before something happens there: so that an event costs what it changed, and
//! not what there is.

use crate::plan::SettledNodes;

use super::facts::{Facts, Node};
use super::revisions::Revisions;

/// The nodes at which nothing is to be done for as long as nothing changes.
///
/// A Pod of another revision is never settled, even where nothing is rolled: what becomes of revisions hangs on the
/// Pods that name them. So none is either while several revisions hold the template.
pub(super) fn decide(facts: &Facts<'_>, revisions: &Revisions) -> SettledNodes {
    let mut settled = SettledNodes::default();
    let is_single = facts.snapshot.revisions.iter().filter(|one| one.row.holds_template).count() < 2;
    for (node, present) in facts.by_name().zip(&facts.pods.present) {
        match (present, node.pods) {
            (0, []) if !node.answer.should_run => settled.without.push(node.position),
            (1, [_]) if is_single && has_what_it_needs(facts, revisions, node) => {
                settled.with_pod.push(node.position);
            }
            _ => {}
        }
    }
    settled
}

fn has_what_it_needs(facts: &Facts<'_>, revisions: &Revisions, node: Node<'_>) -> bool {
    let is_right = node.answer.should_run && node.answer.should_continue;
    is_right
        && node
            .pods
            .iter()
            .all(|pod| !pod.is_terminating() && facts.is_available(*pod) && revisions.has_current_hash(*pod))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{
        NO_EXECUTE, NO_SCHEDULE, changes, plan, pod, revision, set, surge, with_pods, written,
    };
    use crate::view::{DaemonSetSnapshot, NodeColumns};

    fn settled(snapshot: &DaemonSetSnapshot) -> (vec::Vec<u32>, vec::Vec<u32>) {
        let settled = plan(snapshot).settled;
        (settled.with_pod, settled.without)
    }

    #[test]
    fn a_node_is_settled_that_has_what_it_is_to_have_and_nothing_else() {
        let mut snapshot = with_pods(&[
            ("new", ""),
            ("old", ""),
            ("new", "unready"),
            ("new", "failed"),
            ("new", "going"),
            ("new", ""),
            ("old", "generation"),
            ("new", ""),
        ]);
        pod(&mut snapshot, 5, "new", "unready");
        snapshot.nodes.shape[7] = NO_SCHEDULE;
        assert_eq!(settled(&snapshot), (vec![0], vec![]));
        set(&mut snapshot).min_ready_seconds = 901;
        assert_eq!(settled(&snapshot), (vec![], vec![]), "it will be available by nothing but time");
    }

    #[test]
    fn a_node_without_a_pod_is_settled_where_none_is_to_be() {
        let mut snapshot = with_pods(&[("new", ""), ("new", "going"), ("new", "failed going")]);
        snapshot.nodes = NodeColumns {
            name: ["a", "b", "c", "d", "e"].map(Into::into).to_vec(),
            shape: vec![0, NO_EXECUTE, NO_EXECUTE, NO_EXECUTE, 0],
        };
        assert_eq!(settled(&snapshot), (vec![0], vec![3]));
    }

    #[test]
    fn no_pod_is_settled_while_several_revisions_hold_the_template() {
        let mut snapshot = with_pods(&[("new", ""), ("twin", "")]);
        snapshot.revisions = vec![revision("new", 2, true), revision("twin", 3, true)];
        assert_eq!(settled(&snapshot), (vec![], vec![]));
    }

    /// The same with the nodes left out that a plan called settled, and their Pods.
    fn without_settled(snapshot: &DaemonSetSnapshot) -> DaemonSetSnapshot {
        let settled = plan(snapshot).settled;
        let is_kept = |node: &u32| !settled.with_pod.contains(node) && !settled.without.contains(node);
        let count = u32::try_from(snapshot.nodes.name.len()).unwrap();
        let kept: vec::Vec<u32> = (0..count).filter(is_kept).collect();
        let mut rest = DaemonSetSnapshot {
            settled: u32::try_from(settled.with_pod.len()).unwrap(),
            nodes: NodeColumns {
                name: kept.iter().map(|node| snapshot.nodes.name[*node as usize].clone()).collect(),
                shape: kept.iter().map(|node| snapshot.nodes.shape[*node as usize]).collect(),
            },
            pods: Default::default(),
            ..snapshot.clone()
        };
        for position in 0..snapshot.pods.len() {
            let mut row = snapshot.pods.get(position).unwrap();
            if let Some(place) = kept.iter().position(|node| *node == row.node) {
                row.node = u32::try_from(place).unwrap();
                super::super::fixture::push(&mut rest, &row);
            }
        }
        rest
    }

    #[test]
    fn what_is_left_out_counts_as_if_it_were_there() {
        let mut snapshot = with_pods(&[
            ("new", ""),
            ("old", ""),
            ("new", ""),
            ("old", ""),
            ("new", "unready"),
            ("new", ""),
            ("old", ""),
        ]);
        set(&mut snapshot).max_unavailable = Some(crate::kube::IntOrPercent::Text("40%".into()));
        let rest = without_settled(&snapshot);
        assert_eq!((rest.settled, rest.nodes.name.len()), (3, 4));
        assert_eq!(written(&plan(&rest)), written(&plan(&snapshot)));
        assert_eq!(
            (changes(&snapshot).1.len(), changes(&rest).1.len()),
            (2, 2),
            "40% of 7, one is unavailable"
        );

        surge(&mut snapshot, 2);
        snapshot.nodes.shape[1] = NO_SCHEDULE;
        pod(&mut snapshot, 3, "new", "unready");
        let rest = without_settled(&snapshot);
        assert_eq!(written(&plan(&rest)), written(&plan(&snapshot)));
        let sizes = |snapshot: &DaemonSetSnapshot| (changes(snapshot).0.len(), changes(snapshot).1.len());
        assert_eq!(sizes(&rest), sizes(&snapshot));
        assert_ne!(sizes(&rest), (0, 0));
    }
}
