//! How a new template reaches the nodes (upstream: rollingUpdate).

mod asked;

use alloc::vec::Vec;

use crate::policy::Policy;
use crate::view::UpdateStrategy;

use super::changes::Changes;
use super::facts::{Facts, Node};
use super::pods::Pod;
use super::revisions::Revisions;

use asked::Choice;

/// What the rollout does now.
pub(super) struct Rolled {
    /// The Pods that it creates and deletes.
    pub(super) changes: Changes,
    /// When a policy wants to be asked again though nothing happens, milliseconds from now.
    pub(super) ask_again_ms: Option<u64>,
}

impl Rolled {
    /// Nothing for now.
    pub(super) fn nothing() -> Self {
        Self { changes: Changes::within(0), ask_again_ms: None }
    }
}

/// The Pods that the rollout replaces now, and those that it creates beside old ones; nodes come in the order of
/// [`Facts::nodes`].
///
/// A node that is left out has an available Pod of the present template, so that only with surge it has to be counted.
///
/// It is for nodes on which nothing is missing and nothing too much, see [`manage`](super::manage). Pods of a node that
/// is not there neither stop it nor count: with surge upstream stops until they are gone, and without surge they use
/// up what may be unavailable.
///
/// Where a policy decides, the rollout that began at `since_ms` begins at no node that it does not name, and ends what it
/// began: the second Pod of a node takes the place of the first whatever the policy says by then.
pub(super) fn decide(facts: &Facts<'_>, revisions: &Revisions, since_ms: i64, policy: &dyn Policy) -> Rolled {
    let Some(limits) = Limits::of(facts) else { return Rolled::nothing() };
    let mut changes = Changes::within(facts.snapshot.flags.max_pods_per_sync);
    let asked = asked::ask(facts, revisions, &limits, since_ms, policy);
    let within = |limit: u32| asked.budget.map_or(limit, |budget| budget.min(limit));
    if limits.surge > 0 {
        with_surge(facts, revisions, within(limits.surge), &asked.choice, &mut changes);
    } else {
        without_surge(facts, revisions, within(limits.unavailable), &asked.choice, &mut changes);
    }
    Rolled { changes, ask_again_ms: asked.ask_again_ms }
}

/// How many nodes may be so at once.
struct Limits {
    /// Without an available Pod; without meaning where Pods surge.
    unavailable: u32,
    /// With two Pods.
    surge: u32,
}

impl Limits {
    /// Those of the set; `None` if it does not roll, or a limit cannot be read.
    fn of(facts: &Facts<'_>) -> Option<Self> {
        let set = facts.set;
        match set.strategy {
            UpdateStrategy::OnDelete => return None,
            UpdateStrategy::RollingUpdate => {}
        }
        let surge = facts.max_surge(facts.desired)?;
        let unavailable = set.max_unavailable.as_ref().map_or(Some(0), |limit| limit.of(facts.desired))?;
        // With both zero it would never end (upstream: updatedDesiredNodeCounts).
        let is_stuck = surge == 0 && unavailable == 0 && facts.desired > 0;
        Some(Self { unavailable: if is_stuck { 1 } else { unavailable }, surge })
    }
}

/// The Pods of a node whose deletion was not asked for: one of the present template at most, and one of another.
#[derive(Clone, Copy)]
struct Pair {
    new: Option<Pod>,
    old: Option<Pod>,
}

impl Pair {
    /// Those of `node`; `None` if it has several of either kind.
    fn of(node: Node<'_>, revisions: &Revisions) -> Option<Self> {
        let mut pair = Self { new: None, old: None };
        for pod in node.pods.iter().filter(|pod| !pod.is_terminating()) {
            let place = if revisions.is_updated(*pod) { &mut pair.new } else { &mut pair.old };
            if place.replace(*pod).is_some() {
                return None;
            }
        }
        Some(pair)
    }
}

/// Nodes that are to have a Pod, or have one. One that is not to have a Pod counts, as upstream, and an old Pod there
/// may go though no new one comes.
fn entries<'facts>(facts: &'facts Facts<'_>) -> impl Iterator<Item = Node<'facts>> {
    facts.nodes().filter(|node| node.answer.should_run || !node.pods.is_empty())
}

/// Old Pods that are unavailable go at once, and use up the limit; those that are available go as far as it allows.
fn without_surge(
    facts: &Facts<'_>,
    revisions: &Revisions,
    max_unavailable: u32,
    choice: &Choice,
    changes: &mut Changes,
) {
    let mut unavailable = 0_u32;
    let (mut broken, mut candidates) = (Vec::new(), Vec::new());
    for node in entries(facts) {
        let is_available = match Pair::of(node, revisions) {
            Some(Pair { new: Some(new), old: None }) => facts.is_available(new),
            Some(Pair { new: None, old: Some(old) }) => {
                let is_available = facts.is_available(old);
                if choice.has(node) {
                    let group = if is_available { &mut candidates } else { &mut broken };
                    group.push((node.position, old.position));
                }
                is_available
            }
            Some(Pair { new: None, old: None } | Pair { new: Some(_), old: Some(_) }) | None => false,
        };
        unavailable = unavailable.saturating_add(u32::from(!is_available));
    }
    choice.sort(&mut broken, |(node, _)| *node);
    for (_, old) in broken {
        changes.delete(old);
    }
    choice.sort(&mut candidates, |(node, _)| *node);
    take(&candidates, max_unavailable.saturating_sub(unavailable), changes);
}

/// Deletes so many of these old Pods, each of which is on its node.
fn take(candidates: &[(u32, u32)], most: u32, changes: &mut Changes) {
    for (node, old) in candidates.iter().take(most as usize) {
        changes.begin_with(*node);
        changes.delete(*old);
    }
}

/// A new Pod comes beside an old one, which goes once the new one is available; where the old one is not available the
/// limit does not count.
fn with_surge(
    facts: &Facts<'_>,
    revisions: &Revisions,
    max_surge: u32,
    choice: &Choice,
    changes: &mut Changes,
) {
    let (mut surging, mut available) = (0_u32, facts.snapshot.settled);
    let (mut beyond, mut candidates, mut sunset) = (Vec::new(), Vec::new(), Vec::new());
    for node in entries(facts) {
        let Some(pair) = Pair::of(node, revisions) else {
            surging = surging.saturating_add(1);
            continue;
        };
        let decisive = pair.old.or(pair.new);
        let is_available = decisive.is_some_and(|pod| facts.is_available(pod));
        available = available.saturating_add(u32::from(is_available));
        match (pair.old, pair.new) {
            (Some(old), Some(new)) if facts.is_available(new) => changes.delete(old.position),
            (Some(_), Some(_)) => surging = surging.saturating_add(1),
            (Some(_), None) if !choice.has(node) => {}
            (Some(_), None) if is_available && node.answer.should_run => candidates.push(node.position),
            (Some(old), None) if is_available => sunset.push((node.position, old.position)),
            (Some(_), None) if node.answer.should_run => beyond.push(node.position),
            (Some(old), None) => changes.delete(old.position),
            (None, Some(_) | None) => {}
        }
    }
    choice.sort(&mut beyond, |node| *node);
    for node in beyond {
        changes.create(node);
    }
    take(&sunset, available.saturating_sub(facts.desired), changes);
    choice.sort(&mut candidates, |node| *node);
    for node in candidates.iter().take(max_surge.saturating_sub(surging) as usize) {
        changes.create(*node);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{NO_SCHEDULE, NOW_S, changes, pod, range, set, snapshot, surge, with_pods};
    use crate::kube::IntOrPercent;
    use crate::view::{DaemonSetSnapshot, GONE_NODE};

    fn percent(text: &str) -> Option<IntOrPercent> {
        Some(IntOrPercent::Text(text.into()))
    }

    fn unavailable(snapshot: &mut DaemonSetSnapshot, limit: i32) {
        set(snapshot).max_unavailable = Some(IntOrPercent::Int(limit));
    }

    /// So many nodes with such Pods each.
    fn nodes(groups: &[(usize, &'static str, &'static str)]) -> DaemonSetSnapshot {
        let pods = groups.iter().flat_map(|(count, hash, words)| vec![(*hash, *words); *count]);
        with_pods(&pods.collect::<vec::Vec<_>>())
    }

    /// Rolls one node after the other, of which this one refuses what the rollout asks of it; the Pods whose deletion was
    /// asked for, and the nodes for which Pods were, in their order.
    fn roll(snapshot: &mut DaemonSetSnapshot, refuses: u32) -> (vec::Vec<u32>, vec::Vec<u32>) {
        let (mut created, mut deleted) = (vec![], vec![]);
        for _ in 0..9 {
            let (creates, deletes) = changes(snapshot);
            snapshot.memo = super::super::fixture::plan(snapshot).memo;
            for node in creates.into_iter().filter(|node| *node != refuses) {
                pod(snapshot, node, "new", "");
                created.push(node);
            }
            for gone in deletes.into_iter().filter(|pod| *pod != refuses) {
                // It is gone at once.
                snapshot.pods.node[gone as usize] = GONE_NODE;
                deleted.push(gone);
            }
        }
        (created, deleted)
    }

    #[test]
    fn a_pod_whose_delete_is_refused_does_not_stop_the_rollout() {
        let mut snapshot = nodes(&[(4, "old", "")]);
        assert_eq!(roll(&mut snapshot, 0), (vec![1, 2, 3], vec![1, 2, 3]));
    }

    #[test]
    fn a_node_for_which_no_second_pod_may_come_does_not_stop_a_rollout_with_surge() {
        let mut snapshot = nodes(&[(4, "old", "")]);
        surge(&mut snapshot, 1);
        let (created, deleted) = roll(&mut snapshot, 0);
        assert_eq!((created, deleted), (vec![1, 2, 3], vec![1, 2, 3]));
    }

    #[test]
    fn on_a_node_that_takes_no_new_pod_one_whose_delete_is_refused_keeps_none_of_the_others() {
        let mut snapshot = nodes(&[(3, "old", ""), (2, "new", "unready")]);
        snapshot.nodes.shape[..3].fill(NO_SCHEDULE);
        surge(&mut snapshot, 1);
        assert_eq!(roll(&mut snapshot, 0).1, [1], "one of the three is more than two nodes need");
    }

    #[test]
    fn as_many_old_pods_go_as_may_be_unavailable() {
        let mut snapshot = nodes(&[(5, "old", "")]);
        unavailable(&mut snapshot, 2);
        assert_eq!(changes(&snapshot), (vec![], vec![0, 1]));
        let mut half = nodes(&[(2, "new", ""), (3, "old", "")]);
        assert_eq!(changes(&half), (vec![], vec![2]));
        half.pods.flags[0] &= !crate::view::pod_flag::READY;
        assert_eq!(changes(&half), (vec![], vec![]), "a new one is not available yet");
    }

    #[test]
    fn limits_are_shares_of_the_nodes_rounded_up_and_never_both_zero() {
        for (limit, count, expected) in
            [("50%", 3, 2), ("10%", 3, 1), ("34%", 3, 2), ("0%", 2, 1), ("100%", 4, 4), ("nonsense", 2, 0)]
        {
            let mut snapshot = nodes(&[(count, "old", "")]);
            set(&mut snapshot).max_unavailable = percent(limit);
            assert_eq!(changes(&snapshot).1.len(), expected, "{limit} of {count}");
        }
        let mut snapshot = nodes(&[(2, "old", "")]);
        (set(&mut snapshot).max_unavailable, set(&mut snapshot).max_surge) = (None, None);
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
        set(&mut snapshot).max_surge = percent("nonsense");
        assert_eq!(changes(&snapshot), (vec![], vec![]));
    }

    #[test]
    fn unavailable_old_pods_go_first_and_use_up_the_limit() {
        for (max_unavailable, expected) in [(1, 10), (9, 10), (10, 10), (11, 11)] {
            let mut snapshot = nodes(&[(10, "old", ""), (10, "older", "unready")]);
            unavailable(&mut snapshot, max_unavailable);
            let (_, deletes) = changes(&snapshot);
            assert_eq!(deletes.len(), expected);
            assert_eq!(deletes[..10], range(10, 20));
        }
        let mut snapshot = nodes(&[(88, "new", "unready"), (2, "old", "unready"), (10, "old", "")]);
        unavailable(&mut snapshot, 10);
        assert_eq!(changes(&snapshot), (vec![], vec![88, 89]));
        let mut snapshot = nodes(&[(3, "new", "unready"), (2, "old", "")]);
        unavailable(&mut snapshot, 3);
        assert_eq!(changes(&snapshot), (vec![], vec![]));
    }

    #[test]
    fn a_node_that_waits_for_its_pod_counts_as_unavailable() {
        let mut snapshot = nodes(&[(1, "old", ""), (1, "new", "going")]);
        assert_eq!(changes(&snapshot), (vec![], vec![]));
        unavailable(&mut snapshot, 2);
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
    }

    #[test]
    fn nothing_is_rolled_while_a_pod_is_missing() {
        let mut snapshot = snapshot(3);
        unavailable(&mut snapshot, 3);
        pod(&mut snapshot, 0, "old", "");
        pod(&mut snapshot, 1, "old", "unready");
        assert_eq!(changes(&snapshot), (vec![2], vec![]));
    }

    #[test]
    fn a_failed_pod_that_waits_does_not_stop_the_others() {
        let mut snapshot = nodes(&[(1, "new", "failed"), (2, "old", "")]);
        unavailable(&mut snapshot, 2);
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
        snapshot.memo = super::super::fixture::plan(&snapshot).memo;
        assert_eq!(changes(&snapshot), (vec![], vec![1]));
    }

    #[test]
    fn either_label_says_that_a_pod_is_of_the_template() {
        let mut snapshot = nodes(&[(1, "old", "generation"), (1, "new", ""), (1, "", "generation")]);
        assert_eq!(changes(&snapshot), (vec![], vec![]));
        surge(&mut snapshot, 1);
        assert_eq!(changes(&snapshot), (vec![], vec![]));
    }

    #[test]
    fn on_delete_replaces_nothing() {
        let mut snapshot = nodes(&[(2, "old", ""), (1, "old", "unready")]);
        set(&mut snapshot).strategy = crate::view::UpdateStrategy::OnDelete;
        assert_eq!(changes(&snapshot), (vec![], vec![]));
        surge(&mut snapshot, 3);
        assert_eq!(changes(&snapshot), (vec![], vec![]));
    }

    #[test]
    fn a_node_that_takes_no_new_pod_may_lose_its_old_one() {
        let mut snapshot = nodes(&[(2, "old", "")]);
        snapshot.nodes.shape[0] = NO_SCHEDULE;
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
    }

    #[test]
    fn pods_of_a_node_that_is_not_there_neither_count_nor_go() {
        let mut snapshot = nodes(&[(1, "old", "")]);
        pod(&mut snapshot, GONE_NODE, "old", "unready");
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
        surge(&mut snapshot, 1);
        assert_eq!(changes(&snapshot), (vec![0], vec![]));
    }

    #[test]
    fn deletes_of_one_plan_are_limited() {
        let mut snapshot = nodes(&[(400, "old", "")]);
        unavailable(&mut snapshot, 400);
        assert_eq!(changes(&snapshot), (vec![], range(0, 250)));
        surge(&mut snapshot, 400);
        assert_eq!(changes(&snapshot), (range(0, 250), vec![]));
    }

    #[test]
    fn new_pods_come_beside_old_ones_as_far_as_the_limit_allows() {
        let mut snapshot = nodes(&[(5, "old", "")]);
        surge(&mut snapshot, 2);
        assert_eq!(changes(&snapshot), (vec![0, 1], vec![]));
        let first = pod(&mut snapshot, 0, "new", "");
        let second = pod(&mut snapshot, 1, "new", "unready");
        assert_eq!(changes(&snapshot), (vec![], vec![0]), "first what is to go");
        snapshot.pods.flags[0] |= crate::view::pod_flag::TERMINATING;
        assert_eq!(changes(&snapshot), (vec![2], vec![]));
        assert!(first < second);
        for (limit, count) in [("50%", 3), ("100%", 5), ("1%", 1), ("0%", 0)] {
            let mut snapshot = nodes(&[(5, "old", "")]);
            surge(&mut snapshot, 0);
            set(&mut snapshot).max_surge = percent(limit);
            let (creates, deletes) = changes(&snapshot);
            assert_eq!((creates.len(), deletes.len()), (count, usize::from(count == 0)), "{limit}");
        }
    }

    #[test]
    fn where_old_pods_are_unavailable_new_ones_come_at_once() {
        let mut snapshot = nodes(&[(5, "old", "unready"), (2, "old", "")]);
        surge(&mut snapshot, 1);
        assert_eq!(changes(&snapshot), (vec![0, 1, 2, 3, 4, 5], vec![]));
        for node in 0..5 {
            pod(&mut snapshot, node, "new", "unready");
        }
        assert_eq!(changes(&snapshot), (vec![], range(0, 5)), "though the new ones are not ready");
    }

    #[test]
    fn a_new_pod_must_be_available_before_the_next_one_comes() {
        let mut snapshot = nodes(&[(2, "old", "")]);
        surge(&mut snapshot, 1);
        set(&mut snapshot).min_ready_seconds = 15;
        let new = pod(&mut snapshot, 0, "new", "");
        snapshot.pods.ready_changed_s[new as usize] = NOW_S - 10;
        assert_eq!(changes(&snapshot), (vec![], vec![]));
        snapshot.pods.flags[1] &= !crate::view::pod_flag::READY;
        assert_eq!(changes(&snapshot), (vec![1], vec![]), "beyond the limit");
        snapshot.now_ms += 5_000;
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
    }

    #[test]
    fn a_node_with_several_pods_of_a_kind_counts_as_surging() {
        let mut snapshot = nodes(&[(2, "old", "")]);
        surge(&mut snapshot, 1);
        // By the hash one is old, by the number of the template both are new: nothing is pruned yet.
        pod(&mut snapshot, 0, "new", "unready");
        snapshot.pods.flags[0] |= crate::view::pod_flag::OF_GENERATION;
        assert_eq!(changes(&snapshot), (vec![], vec![]));
        surge(&mut snapshot, 2);
        assert_eq!(changes(&snapshot), (vec![1], vec![]));
    }

    #[test]
    fn on_nodes_that_take_no_new_pod_old_ones_go_as_others_become_available() {
        let mut snapshot = nodes(&[(3, "old", ""), (2, "new", "unready")]);
        snapshot.nodes.shape[..2].fill(NO_SCHEDULE);
        surge(&mut snapshot, 1);
        assert_eq!(changes(&snapshot), (vec![2], vec![]), "3 available for 3 nodes");
        snapshot.pods.flags[3] |= crate::view::pod_flag::READY;
        assert_eq!(changes(&snapshot), (vec![2], vec![0]));
        snapshot.pods.flags[4] |= crate::view::pod_flag::READY;
        assert_eq!(changes(&snapshot), (vec![2], vec![0, 1]));
        snapshot.pods.flags[1] &= !crate::view::pod_flag::READY;
        assert_eq!(changes(&snapshot), (vec![2], vec![1, 0]));
    }
}
