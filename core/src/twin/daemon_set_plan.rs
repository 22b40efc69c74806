//! The plan document for a DaemonSet.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::value::RawValue;

use super::TwinFault;
use super::document::{
    MetadataPatch, PlanDocument, ReferencePatch, RequestDocument, StatusDocument, StatusOf, StepDocument,
    after, event, patch, target,
};
use super::gather::GatheredDaemonSet;
use crate::daemon_set::naming;
use crate::kube::{
    CONTROLLER_REVISION_HASH_LABEL, DaemonSet, Kind, ManifestFault, ObjectMeta, Pod, Str, daemon_set_status,
};
use crate::plan::{Action, DaemonSetAction, Plan, Step};

/// What the steps of a plan for a DaemonSet refer to.
struct Scene<'request> {
    set: &'request DaemonSet,
    gathered: &'request GatheredDaemonSet<'request>,
    /// All Pods whose names are taken.
    pods: &'request [Pod],
}

impl PlanDocument {
    /// The document for `plan`, which was made for `gathered`; `pods` are all whose names are taken.
    pub(super) fn of_daemon_set(
        plan: &Plan,
        set: &DaemonSet,
        gathered: &GatheredDaemonSet<'_>,
        pods: &[Pod],
    ) -> Result<Self, TwinFault> {
        let scene = Scene { set, gathered, pods };
        let steps: Result<_, _> = plan.steps.iter().map(|step| scene.step(step)).collect();
        Ok(Self::of_steps(plan, steps?))
    }
}

impl Scene<'_> {
    fn step(&self, step: &Step) -> Result<StepDocument, TwinFault> {
        let items = match &step.action {
            Action::DaemonSet(action) => self.requests(action).map_err(TwinFault::Template)?,
            Action::RecordEvent(record) => {
                Vec::from([event(target(Kind::DaemonSet, &self.set.metadata), record)])
            }
            // These are for other kinds.
            Action::CreatePods(_)
            | Action::DeletePods { .. }
            | Action::UntrackPods(_)
            | Action::AdoptPods(_)
            | Action::ReleasePods(_)
            | Action::WriteJobStatus(_)
            | Action::DeleteJob
            | Action::CreateJobs(_)
            | Action::DeleteJobs(_)
            | Action::WriteCronJobStatus(_) => Vec::new(),
        };
        Ok(StepDocument {
            after: after(&step.after),
            items: items.into_iter().map(|request| [request].into()).collect(),
        })
    }

    /// One request for each item of the action.
    fn requests(&self, action: &DaemonSetAction) -> Result<Vec<RequestDocument>, ManifestFault> {
        let pods = |positions: &[u32], request: &dyn Fn(Kind, &ObjectMeta) -> RequestDocument| {
            let pods = positions.iter().filter_map(|position| at(&self.gathered.pods, *position));
            pods.map(|pod| request(Kind::Pod, &pod.metadata)).collect()
        };
        let revisions = |positions: &[u32], request: &dyn Fn(Kind, &ObjectMeta) -> RequestDocument| {
            let all = positions.iter().filter_map(|position| at(&self.gathered.revisions, *position));
            all.map(|revision| request(Kind::ControllerRevision, &revision.metadata)).collect()
        };
        Ok(match action {
            DaemonSetAction::CreatePods { nodes, hash } => {
                let created: Result<Vec<_>, _> = nodes.iter().map(|node| self.create(*node, hash)).collect();
                created?.into_iter().flatten().collect()
            }
            DaemonSetAction::DeletePods(positions) => pods(positions, &delete),
            DaemonSetAction::AdoptPods(positions) => {
                pods(positions, &|kind, metadata| self.adopt(kind, metadata))
            }
            DaemonSetAction::ReleasePods(positions) => {
                pods(positions, &|kind, metadata| self.release(kind, metadata))
            }
            DaemonSetAction::RelabelPods { pods: positions, hash } => {
                pods(positions, &|kind, metadata| label(kind, metadata, hash))
            }
            DaemonSetAction::CreateRevision { number } => {
                let manifest = self.gathered.template.revision(self.set, *number);
                let text = manifest.and_then(|manifest| manifest.to_json());
                Vec::from([create(text.map_err(|_| ManifestFault::MalformedSpec)?)?])
            }
            DaemonSetAction::AdoptRevisions(positions) => {
                revisions(positions, &|kind, metadata| self.adopt(kind, metadata))
            }
            DaemonSetAction::ReleaseRevisions(positions) => {
                revisions(positions, &|kind, metadata| self.release(kind, metadata))
            }
            DaemonSetAction::LabelRevision { revision, hash } => {
                revisions(&[*revision], &|kind, metadata| label(kind, metadata, hash))
            }
            DaemonSetAction::RenumberRevision { revision, number } => {
                revisions(&[*revision], &|kind, metadata| {
                    patch(target(kind, metadata), as_seen(metadata), Some(*number))
                })
            }
            DaemonSetAction::DeleteRevisions(positions) => revisions(positions, &delete),
            DaemonSetAction::WriteStatus(status) => {
                let status = StatusOf::DaemonSet(daemon_set_status(self.set, status));
                let object = StatusDocument {
                    api_version: Kind::DaemonSet.api_version(),
                    kind: Kind::DaemonSet.name(),
                    metadata: self.set.metadata.clone(),
                    status,
                };
                Vec::from([RequestDocument::UpdateStatus { object: Box::new(object), uids_from: Vec::new() }])
            }
        })
    }

    fn create(&self, node: u32, hash: &Str) -> Result<Option<RequestDocument>, ManifestFault> {
        let Some(node) = at(&self.gathered.nodes, node) else { return Ok(None) };
        let is_taken = |name: &str| {
            let namespace = &self.set.metadata.namespace;
            self.pods.iter().any(|pod| *pod.metadata.name == *name && pod.metadata.namespace == *namespace)
        };
        let name = naming::pod_name(self.set, &node.metadata.uid, hash, &is_taken);
        let manifest = self.gathered.template.pod(self.set, &node.metadata.name, hash, name)?;
        Ok(Some(create(manifest.to_json()?)?))
    }

    /// Only as it was seen: another controller may have adopted it meanwhile.
    fn adopt(&self, kind: Kind, metadata: &ObjectMeta) -> RequestDocument {
        let owner_references = [ReferencePatch::Add(self.set.controller_reference())].into();
        patch(target(kind, metadata), MetadataPatch { owner_references, ..as_seen(metadata) }, None)
    }

    fn release(&self, kind: Kind, metadata: &ObjectMeta) -> RequestDocument {
        let removed = ReferencePatch::Remove { patch: "delete", uid: self.set.metadata.uid.clone() };
        let owner_references = [removed].into();
        patch(target(kind, metadata), MetadataPatch { owner_references, ..of_uid(metadata) }, None)
    }
}

fn create(text: String) -> Result<RequestDocument, ManifestFault> {
    let object = RawValue::from_string(text).map_err(|_| ManifestFault::MalformedSpec)?;
    Ok(RequestDocument::Create { object })
}

fn delete(kind: Kind, metadata: &ObjectMeta) -> RequestDocument {
    RequestDocument::Delete { target: target(kind, metadata), propagation_policy: None }
}

fn label(kind: Kind, metadata: &ObjectMeta, hash: &Str) -> RequestDocument {
    let labels = [(CONTROLLER_REVISION_HASH_LABEL, hash.clone())].into();
    patch(target(kind, metadata), MetadataPatch { labels, ..of_uid(metadata) }, None)
}

fn of_uid(metadata: &ObjectMeta) -> MetadataPatch {
    MetadataPatch { uid: metadata.uid.clone(), ..MetadataPatch::default() }
}

fn as_seen(metadata: &ObjectMeta) -> MetadataPatch {
    MetadataPatch { resource_version: Some(metadata.resource_version), ..of_uid(metadata) }
}

fn at<'all, T>(all: &'all [&'all T], position: u32) -> Option<&'all T> {
    all.get(usize::try_from(position).ok()?).copied()
}
