//! What the reconcile of a DaemonSet may see.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::LiveOwner;
use crate::daemon_set::history::{RevisionRow, Taken};
use crate::daemon_set::placement::NodeShape;
use crate::kube::{IntOrPercent, PodPhase, Str, Uid};

/// Stands in a Pod's node column for "names no node at all".
pub const NO_NODE: u32 = u32::MAX;
/// Stands in a Pod's node column for "names a node that is not there".
pub const GONE_NODE: u32 = u32::MAX - 1;

/// Everything that one reconcile of a DaemonSet sees.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSetSnapshot {
    /// Wall clock of the reconcile, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Settings of the host that the logic reads.
    pub flags: DaemonSetFlags,
    /// The DaemonSet.
    pub set: Arc<DaemonSetView>,
    /// Distinct shapes of nodes, with the labels that the set's placement asks about.
    pub shapes: Vec<NodeShape>,
    /// Nodes, by name: all of them but those that are settled, and all where a rollout policy is asked.
    pub nodes: NodeColumns,
    /// How many nodes are left out that were settled with a Pod
    /// ([`SettledNodes::with_pod`](crate::plan::SettledNodes)); of those settled without one nothing needs to be known.
    pub settled: u32,
    /// Pods that are for none of the nodes left out: those that it controls, and those without a controller that its selector matches; by name.
    pub pods: DaemonPodColumns,
    /// Revisions that it controls, and those without a controller that its selector matches; by name.
    pub revisions: Vec<OwnedRevision>,
    /// The revision that has the name which a new one would get, where there is one.
    pub taken: Option<Taken>,
    /// Keys of the node labels that the policy of rollouts asks for, which the shapes hold as well; `None` where the
    /// built-in one decides, which is not asked: its question would hold every node.
    pub rollout_policy: Option<Vec<Str>>,
    /// What a live read of the set found, if the last plan asked for one.
    pub live_owner: Option<LiveOwner>,
    /// What the last plan for this key returned; empty at first.
    pub memo: Vec<u8>,
}

/// Settings of the host that the DaemonSet logic reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSetFlags {
    /// Most creates, and most deletes, of one plan (upstream: BurstReplicas, 250).
    pub max_pods_per_sync: u32,
    /// First delay before a failed Pod is replaced, milliseconds (upstream: 1 s).
    pub backoff_base_ms: u32,
    /// Longest such delay, milliseconds (upstream: 15 min).
    pub backoff_max_ms: u32,
}

impl Default for DaemonSetFlags {
    /// Upstream's constants (pkg/controller/daemon and cmd/kube-controller-manager/app/apps.go, 1.37.1).
    fn default() -> Self {
        Self { max_pods_per_sync: 250, backoff_base_ms: 1_000, backoff_max_ms: 900_000 }
    }
}

/// A DaemonSet, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonSetView {
    /// Namespace and name, joined by a slash.
    pub owner: Str,
    /// Uid of the DaemonSet.
    pub uid: Uid,
    /// Whether deletion was asked for.
    pub terminating: bool,
    /// Counts changes of the desired state.
    pub generation: i64,
    /// Whether the selector is empty, and so would match every Pod.
    pub selects_all: bool,
    /// JSON text of what the template says of nodes ([`PlacementSpec`](crate::kube::PlacementSpec)).
    pub placement: Str,
    /// How a new template reaches the nodes.
    pub strategy: UpdateStrategy,
    /// Most nodes whose Pod may be unavailable during a rollout; absent if it is not said.
    pub max_unavailable: Option<IntOrPercent>,
    /// Most nodes that may have a second Pod during a rollout; absent if it is not said.
    pub max_surge: Option<IntOrPercent>,
    /// Seconds for which a Pod must be ready to count as available.
    pub min_ready_seconds: u32,
    /// Most revisions kept besides those in use; absent: all are kept.
    pub revision_history_limit: Option<u32>,
    /// The hash that a new revision for the template gets.
    pub template_hash: Str,
    /// Observed state.
    pub status: DaemonSetStatusView,
}

/// How a new template reaches the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateStrategy {
    /// Pods are replaced a few at a time.
    #[default]
    RollingUpdate,
    /// Pods are replaced when somebody deletes them; so it is for a strategy that this version does not know.
    OnDelete,
}

/// A DaemonSet's observed state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DaemonSetStatusView {
    /// Generation that the counters are about.
    pub observed_generation: i64,
    /// Nodes that are to have a Pod and have one.
    pub current: u32,
    /// Nodes that are to have a Pod.
    pub desired: u32,
    /// Nodes that have a Pod and are not to have one.
    pub misscheduled: u32,
    /// Nodes whose Pod is ready.
    pub ready: u32,
    /// Nodes whose Pod is of the present template.
    pub updated: u32,
    /// Nodes whose Pod has been ready for long enough.
    pub available: u32,
    /// Nodes that are to have a Pod, and have none that has been ready for long enough.
    pub unavailable: u32,
    /// How often the name of a new revision was taken by another.
    pub collision_count: Option<i32>,
}

/// Nodes as columns of equal length; position N of each is the same node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeColumns {
    /// Name of the node.
    pub name: Vec<Str>,
    /// Position of the node's shape.
    pub shape: Vec<u32>,
}

/// One of the DaemonSet's Pods as the columns hold it; the facts of `flags` are bits of
/// [`pod_flag`](super::pod_flag).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonPodRow {
    /// Phase.
    pub phase: PodPhase,
    /// Bits of [`pod_flag`](super::pod_flag).
    pub flags: u16,
    /// Position of the node that it is bound to or may alone run on, or [`NO_NODE`] or [`GONE_NODE`].
    pub node: u32,
    /// Its label controller-revision-hash; empty if it has none.
    pub hash: Str,
    /// Creation, seconds since the Unix epoch.
    pub created_s: i64,
    /// Last change of the Ready condition, seconds since the Unix epoch; 0 if not reported.
    pub ready_changed_s: i64,
}

/// A DaemonSet's Pods as columns of equal length; position N of each is the same Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonPodColumns {
    /// [`PodPhase`] as its position in Pending, Running, Succeeded, Failed, Unknown.
    pub phase: Vec<u8>,
    /// See [`DaemonPodRow::flags`].
    pub flags: Vec<u16>,
    /// See [`DaemonPodRow::node`].
    pub node: Vec<u32>,
    /// Position of the Pod's hash label among `hashes`.
    pub hash: Vec<u32>,
    /// See [`DaemonPodRow::created_s`].
    pub created_s: Vec<i64>,
    /// See [`DaemonPodRow::ready_changed_s`].
    pub ready_changed_s: Vec<i64>,
    /// Distinct hash labels.
    pub hashes: Vec<Str>,
    /// Position and name of each Pod that has ended and whose deletion was not asked for, by rising position.
    pub ended: Vec<(u32, Str)>,
}

/// A revision, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRevision {
    /// The revision.
    pub row: RevisionRow,
    /// Whether the set controls it; else it has no controller.
    pub owned: bool,
    /// Whether the set's selector matches its labels.
    pub selected: bool,
}

impl DaemonPodColumns {
    /// Number of Pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.phase.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phase.is_empty()
    }

    /// Whether all columns have the same length, and name only hashes that there are.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let length = self.phase.len();
        let hashes = self.hashes.len();
        self.flags.len() == length
            && self.node.len() == length
            && self.hash.len() == length
            && self.created_s.len() == length
            && self.ready_changed_s.len() == length
            && self.hash.iter().all(|hash| (*hash as usize) < hashes)
    }

    /// Appends a Pod whose hash is at `hash` among `hashes`.
    pub fn push(&mut self, row: &DaemonPodRow, hash: u32) {
        self.phase.push(super::phase_number(row.phase));
        self.flags.push(row.flags);
        self.node.push(row.node);
        self.hash.push(hash);
        self.created_s.push(row.created_s);
        self.ready_changed_s.push(row.ready_changed_s);
    }

    /// The Pod at `position`.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<DaemonPodRow> {
        Some(DaemonPodRow {
            phase: super::phase_of(*self.phase.get(position)?),
            flags: *self.flags.get(position)?,
            node: *self.node.get(position)?,
            hash: self.hashes.get(*self.hash.get(position)? as usize)?.clone(),
            created_s: *self.created_s.get(position)?,
            ready_changed_s: *self.ready_changed_s.get(position)?,
        })
    }
}
