//! Requests that only DaemonSets make. Their Pods are created and deleted as those of Jobs are.

use std::sync::Arc;

use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, DaemonSet, Kind, Object, OwnerReference, ResourceVersion,
    RevisionManifest, Str, Uid,
};

use super::ObjectRef;
use crate::key::Name;

/// What is asked of the API server for a DaemonSet.
#[derive(Clone, Debug)]
pub enum DaemonSetOperation {
    /// Add a controller reference to a Pod or revision.
    Adopt {
        /// Its kind.
        kind: Kind,
        /// The object.
        object: ObjectRef,
        /// The reference to add.
        owner: OwnerReference,
        /// Also required: somebody else may have adopted it meanwhile.
        resource_version: ResourceVersion,
    },
    /// Remove our controller reference from a Pod or revision.
    Release {
        /// Its kind.
        kind: Kind,
        /// The object.
        object: ObjectRef,
        /// Uid of the reference to remove.
        owner: Uid,
    },
    /// Give a Pod or revision this revision hash as its label.
    Label {
        /// Its kind.
        kind: Kind,
        /// The object.
        object: ObjectRef,
        /// The hash.
        hash: Str,
    },
    /// Create a revision.
    CreateRevision(Arc<RevisionManifest>),
    /// Give a revision another number.
    RenumberRevision {
        /// The revision.
        revision: ObjectRef,
        /// The number.
        number: i64,
        /// Also required: another number may have come meanwhile.
        resource_version: ResourceVersion,
    },
    /// Delete a revision.
    DeleteRevision(ObjectRef),
    /// Replace a DaemonSet's status; metadata carries the resourceVersion.
    WriteStatus(Arc<DaemonSet>),
}

impl DaemonSetOperation {
    /// Verb and resource, as logs and metrics label the request.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Adopt { kind: Kind::Pod, .. }
            | Self::Release { kind: Kind::Pod, .. }
            | Self::Label { kind: Kind::Pod, .. } => "patch pods",
            Self::Adopt { .. }
            | Self::Release { .. }
            | Self::Label { .. }
            | Self::RenumberRevision { .. } => "patch controllerrevisions",
            Self::CreateRevision(_) => "create controllerrevisions",
            Self::DeleteRevision(_) => "delete controllerrevisions",
            Self::WriteStatus(_) => "update daemonsets/status",
        }
    }

    /// Kind and name of the object that it is about.
    #[must_use]
    pub fn target(&self) -> (Kind, Name) {
        let of = |object: &ObjectRef| Name { namespace: object.namespace.clone(), name: object.name.clone() };
        match self {
            Self::Adopt { kind, object, .. }
            | Self::Release { kind, object, .. }
            | Self::Label { kind, object, .. } => (*kind, of(object)),
            Self::CreateRevision(manifest) => (Kind::ControllerRevision, Name::of(&manifest.metadata)),
            Self::RenumberRevision { revision, .. } | Self::DeleteRevision(revision) => {
                (Kind::ControllerRevision, of(revision))
            }
            Self::WriteStatus(set) => (Kind::DaemonSet, Name::of(&set.metadata)),
        }
    }

    /// The object that is gone once this has found it gone.
    #[must_use]
    pub fn ends(&self) -> Option<(Kind, &ObjectRef)> {
        match self {
            Self::Release { kind, object, .. } => Some((*kind, object)),
            Self::DeleteRevision(revision) => Some((Kind::ControllerRevision, revision)),
            Self::Adopt { .. }
            | Self::Label { .. }
            | Self::CreateRevision(_)
            | Self::RenumberRevision { .. }
            | Self::WriteStatus(_) => None,
        }
    }

    /// Whether it is a patch, which is refused as Invalid where another object has the name.
    #[must_use]
    pub fn patches(&self) -> bool {
        match self {
            Self::Adopt { .. }
            | Self::Release { .. }
            | Self::Label { .. }
            | Self::RenumberRevision { .. } => true,
            Self::CreateRevision(_) | Self::DeleteRevision(_) | Self::WriteStatus(_) => false,
        }
    }

    /// Whether it has happened, as `found` shows its object; `owner` is the uid of the set.
    #[must_use]
    pub fn has_happened(&self, found: Option<&Object>, owner: Option<&Uid>) -> bool {
        let Some(found) = found else { return self.ends().is_some() };
        let metadata = found.metadata();
        let controller = metadata.controller().map(|reference| &reference.uid);
        match self {
            Self::Adopt { object, owner, .. } => metadata.uid == object.uid && controller == Some(&owner.uid),
            Self::Release { object, owner, .. } => metadata.uid != object.uid || controller != Some(owner),
            Self::Label { object, hash, .. } => {
                metadata.uid == object.uid
                    && metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL) == Some(hash)
            }
            Self::CreateRevision(manifest) => {
                let holds = |found: &Object| matches!(found, Object::ControllerRevision(revision) if revision.holds(manifest.data.get()));
                controller == owner && !metadata.is_terminating() && holds(found)
            }
            Self::RenumberRevision { revision, number, .. } => {
                metadata.uid == revision.uid
                    && matches!(found, Object::ControllerRevision(found) if found.revision == *number)
            }
            Self::DeleteRevision(revision) => metadata.uid != revision.uid || metadata.is_terminating(),
            Self::WriteStatus(sent) => {
                metadata.uid == sent.metadata.uid
                    && matches!(found, Object::DaemonSet(found) if found.status == sent.status)
            }
        }
    }
}
