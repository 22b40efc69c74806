//! The DaemonSet's Pods, sorted by the node for which they are meant.

use alloc::vec;
use alloc::vec::Vec;

use crate::fault::Fault;
use crate::kube::PodPhase;
use crate::view::{DaemonPodColumns, GONE_NODE, NO_NODE, pod_flag};

/// One Pod of the set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pod {
    /// Its position in the snapshot.
    pub(super) position: u32,
    /// Its phase.
    pub(super) phase: PodPhase,
    /// Position of its hash label among those of the snapshot.
    pub(super) hash: u32,
    /// Last change of the Ready condition, seconds since the Unix epoch; 0 if not reported.
    pub(super) ready_changed_s: i64,
    /// Creation, seconds since the Unix epoch.
    pub(super) created_s: i64,
    flags: u16,
    node: u32,
}

/// The set's Pods, those left out that have ended and are about to go: they only wait for a finalizer, or for the
/// kubelet.
pub(super) struct Pods {
    /// Those that are meant for a node that is there, by node, and on each the oldest first.
    sorted: Vec<Pod>,
    /// Where among them those of each node begin, and where those of the last node end.
    starts: Vec<u32>,
    /// Of each node how many Pods of the set are meant for it, those included that were left out.
    pub(super) present: Vec<u32>,
    /// Those that are meant for a node that is not there.
    pub(super) gone: Vec<Pod>,
    /// Of each distinct hash label whether one of the set's Pods has it, those that were left out included.
    pub(super) named: Vec<bool>,
}

impl Pod {
    /// Whether it has this [`pod_flag`].
    pub(super) fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether its deletion was asked for.
    pub(super) fn is_terminating(self) -> bool {
        self.has(pod_flag::TERMINATING)
    }

    /// Whether the set controls it and the selector matches it.
    fn is_claimed(self) -> bool {
        self.has(pod_flag::OWNED) && self.has(pod_flag::SELECTED)
    }

    fn has_ended(self) -> bool {
        matches!(self.phase, PodPhase::Failed | PodPhase::Succeeded)
    }

    /// Orders Pods of a node, the oldest first and before all those that no node has yet (upstream:
    /// podByCreationTimestampAndPhase, which does not look at the phase). Positions are in the order of names.
    fn age(self) -> (bool, i64, u32) {
        (!self.has(pod_flag::BOUND), self.created_s, self.position)
    }
}

impl Pods {
    /// The set's Pods among `columns`, where there are so many nodes.
    ///
    /// # Errors
    /// [`Fault::UnequalColumns`] or [`Fault::PositionOutOfRange`] if the columns contradict themselves.
    pub(super) fn sort(columns: &DaemonPodColumns, nodes: usize) -> Result<Self, Fault> {
        let hashes = columns.hashes.len();
        if columns.hash.iter().any(|hash| *hash as usize >= hashes)
            || columns.ended.iter().any(|(position, _)| *position as usize >= columns.len())
        {
            return Err(Fault::PositionOutOfRange);
        }
        if !columns.is_consistent() {
            return Err(Fault::UnequalColumns);
        }
        let mut pods = Self {
            sorted: Vec::new(),
            starts: vec![0; nodes],
            present: vec![0; nodes],
            gone: Vec::new(),
            named: vec![false; hashes],
        };
        let mut placed: Vec<Pod> = Vec::with_capacity(columns.len());
        for pod in read(columns) {
            let count = pods.starts.get_mut(pod.node as usize);
            if count.is_none() && !matches!(pod.node, NO_NODE | GONE_NODE) {
                return Err(Fault::PositionOutOfRange);
            }
            if !pod.is_claimed() {
                continue;
            }
            if let Some(named) = pods.named.get_mut(pod.hash as usize) {
                *named = true;
            }
            if let Some(present) = pods.present.get_mut(pod.node as usize) {
                *present = present.saturating_add(1);
            }
            if pod.has_ended() && pod.is_terminating() {
                continue;
            }
            if let Some(count) = pods.starts.get_mut(pod.node as usize) {
                *count = count.saturating_add(1);
                placed.push(pod);
            } else if pod.node == GONE_NODE {
                pods.gone.push(pod);
            }
        }
        pods.place(&placed);
        Ok(pods)
    }

    /// Puts Pods in the order of nodes, in time that is linear in both; `starts` holds the number on each node.
    fn place(&mut self, placed: &[Pod]) {
        let mut total = 0_u32;
        for start in &mut self.starts {
            let count = *start;
            *start = total;
            total = total.saturating_add(count);
        }
        let mut free = self.starts.clone();
        self.starts.push(total);
        self.sorted = vec![Pod::default(); placed.len()];
        for pod in placed {
            let Some(place) = free.get_mut(pod.node as usize) else { continue };
            if let Some(slot) = self.sorted.get_mut(*place as usize) {
                *slot = *pod;
                *place = place.saturating_add(1);
            }
        }
        for (start, end) in self.starts.iter().zip(self.starts.iter().skip(1)) {
            if let Some(group) = self.sorted.get_mut(*start as usize..*end as usize) {
                group.sort_unstable_by_key(|pod| pod.age());
            }
        }
    }

    /// The Pods of each node, in the order of nodes; of each the oldest first.
    pub(super) fn by_node(&self) -> impl Iterator<Item = &[Pod]> {
        let bounds = self.starts.iter().zip(self.starts.iter().skip(1));
        bounds.map(|(start, end)| self.sorted.get(*start as usize..*end as usize).unwrap_or_default())
    }

    /// How many Pods of a node nobody has asked to go, saturating.
    pub(super) fn alive_on(&self, node: usize) -> u8 {
        let alive = self.by_node().nth(node).into_iter().flatten().filter(|pod| !pod.is_terminating());
        u8::try_from(alive.count()).unwrap_or(u8::MAX)
    }

    /// All Pods that are meant for a node that is there.
    pub(super) fn placed(&self) -> &[Pod] {
        &self.sorted
    }
}

/// All Pods of `columns`, in the order of positions.
fn read(columns: &DaemonPodColumns) -> impl Iterator<Item = Pod> {
    let facts = columns.phase.iter().zip(&columns.flags).zip(&columns.node).zip(&columns.hash);
    let instants = columns.created_s.iter().zip(&columns.ready_changed_s);
    (0_u32..).zip(facts.zip(instants)).map(
        |(position, ((((phase, flags), node), hash), (created_s, ready_changed_s)))| Pod {
            position,
            phase: crate::view::phase_of(*phase),
            hash: *hash,
            ready_changed_s: *ready_changed_s,
            flags: *flags,
            node: *node,
            created_s: *created_s,
        },
    )
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::fixture::{pod, snapshot};
    use super::*;

    /// Positions of the Pods of each node.
    fn by_node(pods: &Pods) -> Vec<Vec<u32>> {
        pods.by_node().map(|pods| pods.iter().map(|pod| pod.position).collect()).collect()
    }

    #[test]
    fn pods_are_found_on_their_nodes_the_oldest_first() {
        let mut snapshot = snapshot(4);
        let young = pod(&mut snapshot, 2, "a", "");
        let same_age = pod(&mut snapshot, 2, "a", "going");
        let unbound = pod(&mut snapshot, 2, "a", "unbound");
        let old = pod(&mut snapshot, 2, "b", "");
        let last = pod(&mut snapshot, 3, "a", "failed");
        let first = pod(&mut snapshot, 0, "a", "");
        pod(&mut snapshot, 1, "c", "failed going");
        pod(&mut snapshot, 1, "d", "succeeded going");
        pod(&mut snapshot, NO_NODE, "e", "");
        pod(&mut snapshot, 1, "f", "orphan going");
        pod(&mut snapshot, 1, "f", "unselected");
        let gone = pod(&mut snapshot, GONE_NODE, "a", "");
        snapshot.pods.created_s[old as usize] -= 1;
        snapshot.pods.created_s[unbound as usize] -= 9;
        let pods = Pods::sort(&snapshot.pods, 4).unwrap();
        assert_eq!(by_node(&pods), [vec![first], vec![], vec![old, young, same_age, unbound], vec![last]]);
        assert_eq!(pods.gone.iter().map(|pod| pod.position).collect::<Vec<_>>(), [gone]);
        assert_eq!(pods.named, [true, true, true, true, true, false]);
    }

    #[test]
    fn without_nodes_no_pod_is_placed() {
        let mut snapshot = snapshot(0);
        pod(&mut snapshot, GONE_NODE, "a", "");
        let pods = Pods::sort(&snapshot.pods, 0).unwrap();
        assert!(by_node(&pods).is_empty() && pods.placed().is_empty() && pods.gone.len() == 1);
    }
}
