//! The snapshot of a DaemonSet with its Pods and revisions, and all nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::daemon_set::history::{Holder, Taken};
use windlass_core::daemon_set::placement::NodeShape;
use windlass_core::daemon_set::revision;
use windlass_core::kube::{ControllerRevision, DaemonTemplate, Node, Str, daemon_pod_row};
use windlass_core::view::{
    DaemonPodColumns, DaemonSetFlags, DaemonSetSnapshot, GONE_NODE, NO_NODE, NodeColumns, OwnedRevision,
};

use super::{Carried, Gathered, KnownPods, Subject, to_u32};
use crate::Now;
use crate::cache::{Cache, DaemonSetEntry, PodEntry};
use crate::engine::Snapshot;
use crate::key::{KeyKind, Name};

/// What the positions of a DaemonSet's snapshot stand for, besides its Pods.
#[derive(Clone, Debug)]
pub struct DaemonScene {
    /// The node at each position.
    pub nodes: Vec<Arc<Node>>,
    /// The revision at each position.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// The set's template.
    pub template: Arc<DaemonTemplate>,
}

/// The snapshot of a DaemonSet, or `None` if it is not cached, or has a template that is none of a Pod.
#[must_use]
pub fn daemon_set(
    cache: &Cache,
    name: &Name,
    flags: &DaemonSetFlags,
    now: Now,
    carried: &Carried,
) -> Option<Gathered> {
    let entry = cache.daemon_set(name)?;
    let meaning = entry.meaning.as_ref().ok()?;
    let template = &meaning.template;
    let nodes: Vec<Arc<Node>> = cache.nodes().cloned().collect();
    let (shapes, columns) = shapes_of(&nodes, template);
    let children = children(cache, entry);
    let revisions = revisions(cache, entry);
    let snapshot = DaemonSetSnapshot {
        now_ms: now.unix_ms,
        flags: flags.clone(),
        set: meaning.view.clone(),
        shapes,
        pods: pod_columns(&children, entry, &columns),
        nodes: columns,
        revisions: revisions.iter().map(|revision| owned_revision(revision, entry, template)).collect(),
        taken: taken(cache, entry, template),
        live_owner: carried.live_owner,
        memo: carried.memo.clone(),
    };
    Some(Gathered {
        snapshot: Arc::new(Snapshot::DaemonSet(snapshot)),
        children,
        jobs: Vec::new(),
        daemon: Some(DaemonScene { nodes, revisions, template: template.clone() }),
        subject: Subject::DaemonSet(entry.set.clone()),
        scope: KeyKind::DaemonSet,
        known: KnownPods { arrivals: cache.pod_arrivals(), of_job: 0 },
    })
}

/// The distinct shapes of nodes as the template sees them, and which node has which.
fn shapes_of(nodes: &[Arc<Node>], template: &DaemonTemplate) -> (Vec<NodeShape>, NodeColumns) {
    let keys = template.placement.label_keys();
    let mut known = BTreeMap::<NodeShape, u32>::new();
    let mut shapes = Vec::new();
    let mut columns =
        NodeColumns { name: Vec::with_capacity(nodes.len()), shape: Vec::with_capacity(nodes.len()) };
    for node in nodes {
        let shape = NodeShape::of(node, &keys);
        let position = match known.get(&shape) {
            Some(position) => *position,
            None => {
                let position = to_u32(shapes.len());
                shapes.push(shape.clone());
                known.insert(shape, position);
                position
            }
        };
        columns.name.push(node.metadata.name.clone());
        columns.shape.push(position);
    }
    (shapes, columns)
}

/// The set's Pods, and those without a controller that it would adopt; by name.
fn children(cache: &Cache, entry: &DaemonSetEntry) -> Vec<Arc<PodEntry>> {
    let metadata = &entry.set.metadata;
    let mut children = cache.pods_of(&metadata.uid);
    let owned = children.len();
    let orphans = cache.pods_without_controller(&metadata.namespace);
    children.extend(
        orphans.filter(|orphan| !orphan.removed && entry.selects(&orphan.pod.metadata.labels)).cloned(),
    );
    if children.len() > owned {
        children.sort_by(|a, b| a.pod.metadata.name.cmp(&b.pod.metadata.name));
    }
    children
}

fn pod_columns(children: &[Arc<PodEntry>], entry: &DaemonSetEntry, nodes: &NodeColumns) -> DaemonPodColumns {
    let mut columns = DaemonPodColumns::default();
    let mut hashes = BTreeMap::<Str, u32>::new();
    for (position, child) in (0_u32..).zip(children) {
        let spec = &child.pod.spec;
        // Upstream (GetTargetNodeName): where it was bound, else where alone it may be.
        let target = spec.node_name.as_ref().filter(|name| !name.is_empty()).or(spec.pinned_to.as_ref());
        let node =
            target.map_or(NO_NODE, |target| nodes.name.binary_search(target).map_or(GONE_NODE, to_u32));
        let row = daemon_pod_row(&child.pod, &entry.set, node);
        let hash = match hashes.get(&row.hash) {
            Some(position) => *position,
            None => {
                let position = to_u32(columns.hashes.len());
                columns.hashes.push(row.hash.clone());
                hashes.insert(row.hash.clone(), position);
                position
            }
        };
        columns.push(&row, hash);
        if child.pod.is_terminal() && !child.pod.metadata.is_terminating() {
            columns.ended.push((position, child.pod.metadata.name.clone()));
        }
    }
    columns
}

/// The set's revisions, and those without a controller that it would adopt; by name.
fn revisions(cache: &Cache, entry: &DaemonSetEntry) -> Vec<Arc<ControllerRevision>> {
    let metadata = &entry.set.metadata;
    let all = cache.revisions(&metadata.namespace);
    all.filter(|revision| match revision.holder(&metadata.uid) {
        Holder::Set => true,
        Holder::Nobody => entry.selects(&revision.metadata.labels),
        Holder::Other => false,
    })
    .cloned()
    .collect()
}

fn owned_revision(
    revision: &ControllerRevision,
    entry: &DaemonSetEntry,
    template: &DaemonTemplate,
) -> OwnedRevision {
    OwnedRevision {
        row: revision.row(&template.data),
        owned: revision.holder(&entry.set.metadata.uid) == Holder::Set,
        selected: entry.selects(&revision.metadata.labels),
    }
}

/// The revision that has the name which a new one would get, where there is one.
fn taken(cache: &Cache, entry: &DaemonSetEntry, template: &DaemonTemplate) -> Option<Taken> {
    let metadata = &entry.set.metadata;
    let name = revision::name(&metadata.name, &template.hash);
    let holder = cache.revision(&Name { namespace: metadata.namespace.clone(), name })?;
    Some(Taken {
        holds_template: holder.holds(&template.data),
        holder: holder.holder(&metadata.uid),
        matches_selector: entry.selects(&holder.metadata.labels),
        terminating: holder.metadata.is_terminating(),
    })
}
