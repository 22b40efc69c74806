//! What the reconcile of a DaemonSet knows before it decides: the snapshot, checked, with the answer for every node and
//! the Pods of each.

use alloc::vec::Vec;

use crate::fault::Fault;
use crate::kube::{PlacementSpec, Str};
use crate::view::{DaemonSetSnapshot, DaemonSetView, UpdateStrategy, pod_flag};

use super::memo::{Memo, Turn};
use super::placement::{Answer, Placement};
use super::pods::{Pod, Pods};

/// A snapshot, checked and sorted.
pub(super) struct Facts<'snapshot> {
    /// The snapshot.
    pub(super) snapshot: &'snapshot DaemonSetSnapshot,
    /// The set in it.
    pub(super) set: &'snapshot DaemonSetView,
    /// The set's Pods.
    pub(super) pods: Pods,
    /// How many nodes are to have a Pod, those included that are left out.
    pub(super) desired: u32,
    /// Position of the node with which the last plan began, if nothing has come of it.
    pub(super) tried: Option<u32>,
    /// Of each node whether it is to have a Pod.
    answers: Vec<Answer>,
    /// Position of the node whose turn it is.
    turn: usize,
}

/// A node, and what is there.
#[derive(Clone, Copy)]
pub(super) struct Node<'facts> {
    /// Its position in the snapshot.
    pub(super) position: u32,
    /// Its name.
    pub(super) name: &'facts Str,
    /// Whether it is to have a Pod.
    pub(super) answer: Answer,
    /// The set's Pods there, the oldest first.
    pub(super) pods: &'facts [Pod],
}

impl<'snapshot> Facts<'snapshot> {
    /// The facts of `snapshot`.
    ///
    /// # Errors
    /// A [`Fault`] if the snapshot contradicts itself, or holds a placement that cannot be read.
    pub(super) fn read(snapshot: &'snapshot DaemonSetSnapshot) -> Result<Self, Fault> {
        let set = &*snapshot.set;
        let answers = answers(snapshot)?;
        let pods = Pods::sort(&snapshot.pods, answers.len())?;
        let shown: u32 = answers.iter().map(|answer| u32::from(answer.should_run)).sum();
        let desired = shown.saturating_add(snapshot.settled);
        let last = Memo::decode(&snapshot.memo, &set.uid).turn;
        let place = |turn: &Turn| snapshot.nodes.name.partition_point(|name| *name < turn.node);
        let place = last.as_ref().map_or(0, place);
        let is_unchanged = |turn: &Turn| {
            let is_there = snapshot.nodes.name.get(place).is_some_and(|name| *name == turn.node);
            // Whatever was done there has changed the number of its Pods.
            is_there && pods.alive_on(place) == turn.pods
        };
        let is_tried = last.as_ref().is_some_and(is_unchanged);
        let tried = u32::try_from(place).ok().filter(|_| is_tried);
        let turn = place.saturating_add(usize::from(is_tried));
        Ok(Self { snapshot, set, pods, desired, tried, answers, turn })
    }

    /// The nodes that are not left out by name, from the one whose turn it is to the one before it. Where a plan cannot do
    /// everything, it does what comes first, and the next one begins elsewhere; upstream has no order at all.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.by_name().skip(self.turn).chain(self.by_name().take(self.turn))
    }

    /// The nodes that are not left out, by name.
    pub(super) fn by_name(&self) -> impl Iterator<Item = Node<'_>> {
        let names = self.snapshot.nodes.name.iter();
        let nodes = (0_u32..).zip(names).zip(&self.answers).zip(self.pods.by_node());
        nodes.map(|(((position, name), answer), pods)| Node { position, name, answer: *answer, pods })
    }

    /// What the next reconcile is told of a plan that begins with the node at this position.
    pub(super) fn turn_of(&self, node: u32) -> Option<Turn> {
        let name = self.snapshot.nodes.name.get(node as usize)?;
        Some(Turn { node: name.clone(), pods: self.pods.alive_on(node as usize) })
    }

    /// Whether a Pod has been ready for as long as the set wants.
    pub(super) fn is_available(&self, pod: Pod) -> bool {
        if !pod.has(pod_flag::READY) {
            return false;
        }
        self.set.min_ready_seconds == 0
            || (pod.ready_changed_s != 0 && self.available_at_ms(pod.ready_changed_s) <= self.snapshot.now_ms)
    }

    /// When the next Pod may become available because time passes, milliseconds from now.
    ///
    /// A Pod that became ready in the future, by the clock of its node, is looked at as if it were ready now: if the
    /// controller's clock is put right by then it counts, and else the look after that is exact.
    pub(super) fn until_available_ms(&self) -> Option<u64> {
        let now_s = self.snapshot.now_ms.div_euclid(1_000);
        let waits =
            |pod: &&Pod| pod.has(pod_flag::READY) && pod.ready_changed_s != 0 && !self.is_available(**pod);
        let looks = self.pods.placed().iter().filter(waits);
        let looks = looks.map(|pod| self.available_at_ms(pod.ready_changed_s.min(now_s)));
        looks.map(|at_ms| u64::try_from(at_ms.saturating_sub(self.snapshot.now_ms)).unwrap_or(0).max(1)).min()
    }

    /// When a Pod that became ready at this instant has been so for as long as the set wants, milliseconds since the Unix
    /// epoch.
    pub(super) fn available_at_ms(&self, ready_s: i64) -> i64 {
        ready_s.saturating_add(i64::from(self.set.min_ready_seconds)).saturating_mul(1_000)
    }

    /// Whether a node may have a second Pod for a while (upstream: AllowsSurge, which asks about a single node).
    pub(super) fn allows_surge(&self) -> bool {
        self.set.strategy == UpdateStrategy::RollingUpdate && self.max_surge(1).is_some_and(|surge| surge > 0)
    }

    /// Most nodes of so many that may have a second Pod; `None` if the limit cannot be read.
    pub(super) fn max_surge(&self, nodes: u32) -> Option<u32> {
        self.set.max_surge.as_ref().map_or(Some(0), |surge| surge.of(nodes))
    }

    /// The namespace of the set and of all that it owns.
    pub(super) fn namespace(&self) -> &str {
        self.set.owner.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

fn answers(snapshot: &DaemonSetSnapshot) -> Result<Vec<Answer>, Fault> {
    let spec: PlacementSpec =
        serde_json::from_str(&snapshot.set.placement).map_err(|_| Fault::MalformedText)?;
    let placement = Placement::of(&spec);
    let shapes: Vec<_> = snapshot.shapes.iter().map(|shape| placement.on_shape(shape)).collect();
    let nodes = &snapshot.nodes;
    if nodes.name.len() != nodes.shape.len() {
        return Err(Fault::UnequalColumns);
    }
    let answer = |(name, shape): (&Str, &u32)| {
        let shape = shapes.get(*shape as usize).ok_or(Fault::PositionOutOfRange)?;
        Ok(shape.on_node(name))
    };
    nodes.name.iter().zip(&nodes.shape).map(answer).collect()
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec;

    use super::super::fixture::{NOW_S, changes, fault, plan, pod, set, snapshot, with_pods, written};
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = with_pods(&[("new", ""), ("new", "failed")]);
        assert_eq!(fault(&good), None);
        let broken = |spoil: &dyn Fn(&mut DaemonSetSnapshot)| {
            let mut snapshot = good.clone();
            spoil(&mut snapshot);
            fault(&snapshot)
        };
        let unequal = Some("unequal_columns".into());
        assert_eq!(broken(&|snapshot| snapshot.nodes.name.truncate(1)), unequal);
        assert_eq!(broken(&|snapshot| snapshot.pods.created_s.push(0)), unequal);
        assert_eq!(broken(&|snapshot| snapshot.pods.flags.truncate(1)), unequal);
        let beyond = Some("position_out_of_range".into());
        assert_eq!(broken(&|snapshot| snapshot.nodes.shape[1] = 3), beyond);
        assert_eq!(broken(&|snapshot| snapshot.pods.node[0] = 2), beyond);
        assert_eq!(broken(&|snapshot| snapshot.pods.hash[0] = 1), beyond);
        assert_eq!(broken(&|snapshot| snapshot.pods.ended[0].0 = 2), beyond);
        for text in ["", "[", "3"] {
            let malformed = Some("malformed_text".into());
            assert_eq!(
                broken(&|snapshot| Arc::make_mut(&mut snapshot.set).placement = text.into()),
                malformed
            );
        }
    }

    #[test]
    fn the_template_decides_by_shape_and_by_name() {
        let mut snapshot = snapshot(3);
        snapshot.shapes[1].labels = vec![("disk".into(), "ssd".into())];
        snapshot.shapes[1].taints.clear();
        snapshot.nodes.shape[2] = 1;
        set(&mut snapshot).placement = r#"{"nodeSelector":{"disk":"ssd"}}"#.into();
        assert_eq!(changes(&snapshot), (vec![2], vec![]));
        set(&mut snapshot).placement = r#"{"nodeName":"node-00001"}"#.into();
        assert_eq!(changes(&snapshot), (vec![1], vec![]));
        set(&mut snapshot).placement = r#"{"nodeName":"node-00009"}"#.into();
        assert_eq!(changes(&snapshot), (vec![], vec![]));
    }

    /// A set that wants its Pods to be ready for 15 s, and one that became ready so many seconds ago.
    fn ready_for(seconds: i64) -> DaemonSetSnapshot {
        let mut snapshot = with_pods(&[("new", "")]);
        set(&mut snapshot).min_ready_seconds = 15;
        snapshot.pods.ready_changed_s[0] = NOW_S - seconds;
        snapshot
    }

    #[test]
    fn a_pod_is_available_once_it_was_ready_for_long_enough_and_not_before() {
        let available = |snapshot: &DaemonSetSnapshot| {
            let plan = plan(snapshot);
            (written(&plan).unwrap().available, plan.requeue_after_ms)
        };
        assert_eq!(available(&ready_for(10)), (0, Some(5_000)));
        assert_eq!(available(&ready_for(15)), (1, None));
        let mut early = ready_for(15);
        early.now_ms -= 1;
        assert_eq!(available(&early), (0, Some(1)));
        let mut unknown = ready_for(15);
        unknown.pods.ready_changed_s[0] = 0;
        assert_eq!(available(&unknown), (0, None), "no time makes it available");
        set(&mut unknown).min_ready_seconds = 0;
        assert_eq!(available(&unknown), (1, None));
    }

    #[test]
    fn a_node_whose_clock_is_ahead_does_not_put_the_next_look_off() {
        assert_eq!(plan(&ready_for(-3_600)).requeue_after_ms, Some(15_000));
        assert_eq!(plan(&ready_for(-1)).requeue_after_ms, Some(15_000));
        assert_eq!(plan(&ready_for(14)).requeue_after_ms, Some(1_000), "the look after that is exact");
    }

    #[test]
    fn the_second_pod_of_a_node_is_waited_for_as_well() {
        let mut snapshot = ready_for(100);
        super::super::fixture::surge(&mut snapshot, 1);
        let second = pod(&mut snapshot, 0, "old", "");
        snapshot.pods.ready_changed_s[second as usize] = NOW_S - 3;
        snapshot.pods.hashes = super::super::fixture::texts(&["old", "new"]);
        assert_eq!(changes(&snapshot), (vec![], vec![]));
        assert_eq!(plan(&snapshot).requeue_after_ms, Some(12_000));
    }
}
