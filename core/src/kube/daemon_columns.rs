//! From nodes, Pods and revisions to what positions of a DaemonSet's snapshot stand for.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::project_daemon::{daemon_pod_row, template_generation_label};
use super::{ControllerRevision, DaemonSet, DaemonTemplate, Node, Pod, Str};
use crate::daemon_set::history::{Holder, Taken};
use crate::daemon_set::placement::{NodeShape, Placement, ShapeRef};
use crate::view::{DaemonPodColumns, GONE_NODE, NO_NODE, NodeColumns, OwnedRevision};

/// The distinct shapes of nodes as `placement` sees them, with the labels of `more_keys` as well, and which node has
/// which; the nodes come by name.
#[must_use]
pub fn node_columns<'node>(
    nodes: impl IntoIterator<Item = &'node Node>,
    placement: &Placement,
    more_keys: &[Str],
) -> (Vec<NodeShape>, NodeColumns) {
    let mut keys = placement.label_keys();
    keys.extend(more_keys.iter().cloned());
    let mut known = BTreeMap::<ShapeRef<'_>, u32>::new();
    let (mut shapes, mut columns) = (Vec::new(), NodeColumns::default());
    for node in nodes {
        let shape = ShapeRef::of(node, &keys);
        let position = match known.get(&shape) {
            Some(position) => *position,
            None => {
                let position = to_u32(shapes.len());
                shapes.push(shape.to_shape());
                known.insert(shape, position);
                position
            }
        };
        columns.name.push(node.metadata.name.clone());
        columns.shape.push(position);
    }
    (shapes, columns)
}

/// The Pods of `set` as columns.
#[must_use]
pub fn daemon_pod_columns<'pod>(
    pods: impl IntoIterator<Item = &'pod Pod>,
    set: &DaemonSet,
    nodes: &NodeColumns,
) -> DaemonPodColumns {
    let mut columns = DaemonPodColumns::default();
    let mut hashes = BTreeMap::<Str, u32>::new();
    let generation = template_generation_label(set);
    for (position, pod) in (0_u32..).zip(pods) {
        let node = pod
            .target_node()
            .map_or(NO_NODE, |target| nodes.name.binary_search(target).map_or(GONE_NODE, to_u32));
        let row = daemon_pod_row(pod, set, generation.as_deref(), node);
        // Nearly all have the hash of the one before.
        let last = columns.hash.last().copied();
        let is_last = last.and_then(|last| columns.hashes.get(last as usize)) == Some(&row.hash);
        let hash = match last.filter(|_| is_last).or_else(|| hashes.get(&row.hash).copied()) {
            Some(position) => position,
            None => {
                let position = to_u32(columns.hashes.len());
                columns.hashes.push(row.hash.clone());
                hashes.insert(row.hash.clone(), position);
                position
            }
        };
        columns.push(&row, hash);
        if pod.is_terminal() && !pod.metadata.is_terminating() {
            columns.ended.push((position, pod.metadata.name.clone()));
        }
    }
    columns
}

impl ControllerRevision {
    /// Whether the reconcile of `set` has to see it: the set controls it or may adopt it.
    #[must_use]
    pub fn is_seen_by(&self, set: &DaemonSet) -> bool {
        match self.holder(&set.metadata.uid) {
            Holder::Set => true,
            Holder::Nobody => self.is_selected_by(set),
            Holder::Other => false,
        }
    }

    /// What the reconcile of `set` sees of it.
    #[must_use]
    pub fn owned_row(&self, set: &DaemonSet, template: &DaemonTemplate) -> OwnedRevision {
        OwnedRevision {
            row: self.row(&template.data),
            owned: self.holder(&set.metadata.uid) == Holder::Set,
            selected: self.is_selected_by(set),
        }
    }

    /// What the reconcile of `set` sees of it where it has the name that a new revision would get.
    #[must_use]
    pub fn taken(&self, set: &DaemonSet, template: &DaemonTemplate) -> Taken {
        Taken {
            holds_template: self.holds(&template.data),
            holder: self.holder(&set.metadata.uid),
            matches_selector: self.is_selected_by(set),
            terminating: self.metadata.is_terminating(),
        }
    }

    fn is_selected_by(&self, set: &DaemonSet) -> bool {
        set.spec.selector.as_ref().is_some_and(|selector| selector.matches(&self.metadata.labels))
    }
}

fn to_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(NO_NODE)
}
