//! The snapshot of a DaemonSet with its Pods and revisions, and all nodes.

use std::sync::Arc;

use windlass_core::daemon_set::revision;
use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, ControllerRevision, DaemonTemplate, Node, Str, daemon_pod_columns,
    node_columns,
};
use windlass_core::view::{DaemonSetFlags, DaemonSetSnapshot};

use super::{Carried, Gathered, KnownPods, Subject};
use crate::Now;
use crate::cache::{Cache, DaemonSetEntry, PodEntry};
use crate::engine::Snapshot;
use crate::key::{KeyKind, Name};

/// What the positions of a DaemonSet's snapshot stand for, besides its Pods.
#[derive(Clone, Debug)]
pub struct DaemonScene {
    /// The node at each position; those that are settled are left out.
    pub nodes: Vec<Arc<Node>>,
    /// The revision at each position.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// The set's template.
    pub template: Arc<DaemonTemplate>,
}

/// The nodes that a snapshot shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// All of them.
    #[default]
    Everywhere,
    /// Some.
    At {
        /// Their names; some may be gone.
        nodes: Vec<Str>,
        /// How many others were settled with a Pod.
        settled: u32,
    },
}

/// What a snapshot of a DaemonSet shows besides its Pods and revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The nodes.
    pub look: Look,
    /// Keys of the labels of nodes that the policy of its rollouts wants to see, where a plugin is bound; then all nodes
    /// are shown as long as one has a Pod of an earlier revision.
    pub rollout_labels: Option<Vec<Str>>,
}

/// The snapshot of a DaemonSet, or `None` if it is not cached, or has a template that is none of a Pod.
#[must_use]
pub fn daemon_set(
    cache: &Cache,
    name: &Name,
    flags: &DaemonSetFlags,
    now: Now,
    carried: &Carried,
    sight: &Sight,
) -> Option<Gathered> {
    let entry = cache.daemon_set(name)?;
    let meaning = entry.meaning.as_ref().ok()?;
    let template = &meaning.template;
    let Sight { look, rollout_labels } = sight;
    let mut look = look;
    let mut children_seen = children(cache, entry, look);
    // A policy is asked about all nodes, whatever has happened there, and only while one has a Pod of an earlier revision:
    // such a Pod is never settled.
    let is_current = |child: &Arc<PodEntry>| {
        child
            .pod
            .metadata
            .labels
            .get(CONTROLLER_REVISION_HASH_LABEL)
            .is_some_and(|hash| **hash == *template.hash)
    };
    if rollout_labels.is_some() && *look != Look::Everywhere && !children_seen.iter().all(is_current) {
        look = &Look::Everywhere;
        children_seen = children(cache, entry, look);
    }
    let children = children_seen;
    let (nodes, settled): (Vec<Arc<Node>>, u32) = match look {
        Look::Everywhere => (cache.nodes().cloned().collect(), 0),
        Look::At { nodes, settled } => {
            (nodes.iter().filter_map(|name| cache.node(name).cloned()).collect(), *settled)
        }
    };
    let keys = rollout_labels.as_deref().unwrap_or_default();
    let (shapes, columns) = node_columns(nodes.iter().map(|node| &**node), &template.placement, keys);
    let revisions = revisions(cache, entry);
    let (set, metadata) = (&entry.set, &entry.set.metadata);
    let new_name = revision::name(&metadata.name, &template.hash);
    let taken = cache.revision(&Name { namespace: metadata.namespace.clone(), name: new_name });
    let snapshot = DaemonSetSnapshot {
        now_ms: now.unix_ms,
        flags: flags.clone(),
        set: meaning.view.clone(),
        shapes,
        pods: daemon_pod_columns(children.iter().map(|child| &*child.pod), set, &columns),
        nodes: columns,
        settled,
        revisions: revisions.iter().map(|revision| revision.owned_row(set, template)).collect(),
        taken: taken.map(|revision| revision.taken(set, template)),
        rollout_policy: rollout_labels.clone(),
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

/// The set's Pods for the nodes that are looked at, and those without a controller that it would adopt; by name.
fn children(cache: &Cache, entry: &DaemonSetEntry, look: &Look) -> Vec<Arc<PodEntry>> {
    let metadata = &entry.set.metadata;
    let mut children = match look {
        Look::Everywhere => cache.pods_of(&metadata.uid),
        Look::At { nodes, .. } => cache.pods_at(&metadata.uid, nodes),
    };
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

/// The set's revisions, and those without a controller that it would adopt; by name.
fn revisions(cache: &Cache, entry: &DaemonSetEntry) -> Vec<Arc<ControllerRevision>> {
    let all = cache.revisions(&entry.set.metadata.namespace);
    all.filter(|revision| revision.is_seen_by(&entry.set)).cloned().collect()
}
