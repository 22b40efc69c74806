//! From one item of a step for a DaemonSet to the request that carries it out.

use std::sync::Arc;

use windlass_core::daemon_set::naming;
use windlass_core::kube::{ControllerRevision, DaemonSet, Kind, daemon_set_status};
use windlass_core::plan::DaemonSetAction;

use super::Execution;
use super::requests::reference;
use crate::cache::Cache;
use crate::key::Name;
use crate::request::{DaemonSetOperation, ObjectRef, Operation};

/// How many requests a step takes.
pub(super) fn action_len(action: &DaemonSetAction) -> usize {
    match action {
        DaemonSetAction::CreatePods { nodes, .. } => nodes.len(),
        DaemonSetAction::DeletePods(positions)
        | DaemonSetAction::AdoptPods(positions)
        | DaemonSetAction::ReleasePods(positions)
        | DaemonSetAction::RelabelPods { pods: positions, .. }
        | DaemonSetAction::AdoptRevisions(positions)
        | DaemonSetAction::ReleaseRevisions(positions)
        | DaemonSetAction::DeleteRevisions(positions) => positions.len(),
        DaemonSetAction::CreateRevision { .. }
        | DaemonSetAction::LabelRevision { .. }
        | DaemonSetAction::RenumberRevision { .. }
        | DaemonSetAction::WriteStatus(_) => 1,
    }
}

impl Execution {
    /// The request for an item, or `None` if it needs none.
    pub(super) fn daemon_set_operation(
        &mut self,
        action: &DaemonSetAction,
        item: usize,
        cache: &Cache,
    ) -> Option<Operation> {
        let set = self.subject.daemon_set()?.clone();
        Some(Operation::DaemonSet(match action {
            DaemonSetAction::CreatePods { nodes, hash } => {
                return self.create_on_node(&set, *nodes.get(item)?, hash, cache);
            }
            DaemonSetAction::DeletePods(pods) => {
                return Some(Operation::DeletePod(reference(self.child(*pods.get(item)?)?)));
            }
            DaemonSetAction::AdoptPods(pods) => {
                let entry = self.child(*pods.get(item)?)?;
                DaemonSetOperation::Adopt {
                    kind: Kind::Pod,
                    object: reference(entry),
                    owner: set.controller_reference(),
                    resource_version: entry.pod.metadata.resource_version,
                }
            }
            DaemonSetAction::ReleasePods(pods) => DaemonSetOperation::Release {
                kind: Kind::Pod,
                object: reference(self.child(*pods.get(item)?)?),
                owner: set.metadata.uid.clone(),
            },
            DaemonSetAction::RelabelPods { pods, hash } => DaemonSetOperation::Label {
                kind: Kind::Pod,
                object: reference(self.child(*pods.get(item)?)?),
                hash: hash.clone(),
            },
            DaemonSetAction::CreateRevision { number } => {
                let manifest = self.daemon.as_ref()?.template.revision(&set, *number).ok()?;
                DaemonSetOperation::CreateRevision(Arc::new(manifest))
            }
            DaemonSetAction::AdoptRevisions(revisions) => {
                let revision = self.revision(*revisions.get(item)?)?;
                DaemonSetOperation::Adopt {
                    kind: Kind::ControllerRevision,
                    object: ObjectRef::of(&revision.metadata),
                    owner: set.controller_reference(),
                    resource_version: revision.metadata.resource_version,
                }
            }
            DaemonSetAction::ReleaseRevisions(revisions) => DaemonSetOperation::Release {
                kind: Kind::ControllerRevision,
                object: ObjectRef::of(&self.revision(*revisions.get(item)?)?.metadata),
                owner: set.metadata.uid.clone(),
            },
            DaemonSetAction::LabelRevision { revision, hash } => DaemonSetOperation::Label {
                kind: Kind::ControllerRevision,
                object: ObjectRef::of(&self.revision(*revision)?.metadata),
                hash: hash.clone(),
            },
            DaemonSetAction::RenumberRevision { revision, number } => {
                let metadata = &self.revision(*revision)?.metadata;
                DaemonSetOperation::RenumberRevision {
                    revision: ObjectRef::of(metadata),
                    number: *number,
                    resource_version: metadata.resource_version,
                }
            }
            DaemonSetAction::DeleteRevisions(revisions) => {
                let revision = self.revision(*revisions.get(item)?)?;
                DaemonSetOperation::DeleteRevision(ObjectRef::of(&revision.metadata))
            }
            DaemonSetAction::WriteStatus(status) => {
                let status = daemon_set_status(&set, status);
                DaemonSetOperation::WriteStatus(Arc::new(DaemonSet { status, ..DaemonSet::clone(&set) }))
            }
        }))
    }

    fn create_on_node(
        &self,
        set: &DaemonSet,
        node: u32,
        hash: &Arc<str>,
        cache: &Cache,
    ) -> Option<Operation> {
        let scene = self.daemon.as_ref()?;
        let node = scene.nodes.get(node as usize)?;
        let namespace = set.metadata.namespace.clone();
        // As for a Job: what came after the snapshot makes no name free.
        let known = self.known;
        let taken = |name: &str| {
            let entry = cache.pod(&Name { namespace: namespace.clone(), name: name.into() });
            entry.is_some_and(|entry| entry.arrival <= known.arrivals)
        };
        let name = naming::pod_name(set, &node.metadata.uid, hash, &taken);
        let manifest = scene.template.pod(set, &node.metadata.name, hash, name).ok()?;
        Some(Operation::CreatePod(Arc::new(manifest)))
    }

    fn revision(&self, position: u32) -> Option<&ControllerRevision> {
        self.daemon.as_ref()?.revisions.get(position as usize).map(AsRef::as_ref)
    }
}
