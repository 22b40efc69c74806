//! DaemonSets, nodes and revisions as one process could see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{
    ControllerRevision, DaemonSet, Kind, Node, Object, Pod, ResourceVersion, Str, Uid,
};

use super::View;

/// Objects by kind and name: of each the newest version known, and whether the server said that it is gone before any
/// watch did.
#[derive(Debug, Default)]
pub(super) struct Others(BTreeMap<(Kind, Str), (Object, bool)>);

impl Others {
    pub(super) fn learn(&mut self, object: &Object) {
        let metadata = object.metadata();
        let name = (object.kind(), metadata.name.clone());
        let known = self.0.get(&name);
        if known.is_some_and(|(known, _)| known.metadata().resource_version >= metadata.resource_version) {
            return;
        }
        let is_same = known.is_some_and(|(known, removed)| *removed && known.metadata().uid == metadata.uid);
        let removed = is_same && object.kind() == Kind::ControllerRevision;
        self.0.insert(name, (object.clone(), removed));
    }

    pub(super) fn learn_removed(&mut self, kind: Kind, name: &Str, uid: &Uid) {
        if let Some((object, removed)) = self.0.get_mut(&(kind, name.clone()))
            && object.metadata().uid == *uid
        {
            *removed = true;
        }
    }

    /// Forgets what a watch or list says is gone; gives its uid.
    pub(super) fn remove(&mut self, kind: Kind, name: &Str, at: ResourceVersion) -> Option<Uid> {
        let key = (kind, name.clone());
        let (object, _) = self.0.get(&key)?;
        if object.metadata().resource_version > at {
            return None;
        }
        self.0.remove(&key).map(|(object, _)| object.metadata().uid.clone())
    }

    pub(super) fn names(&self, kind: Kind) -> Vec<Str> {
        self.0.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn forget(&mut self, kind: Kind) {
        self.0.retain(|(of, _), _| *of != kind);
    }

    fn present(&self) -> impl Iterator<Item = &Object> {
        self.0.values().filter(|(_, removed)| !removed).map(|(object, _)| object)
    }
}

impl View {
    /// The DaemonSet of that name.
    #[must_use]
    pub fn daemon_set(&self, name: &str) -> Option<&Arc<DaemonSet>> {
        self.others.present().find_map(|object| match object {
            Object::DaemonSet(set) if &*set.metadata.name == name => Some(set),
            _ => None,
        })
    }

    /// All nodes, in order of name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.others.present().filter_map(|object| match object {
            Object::Node(node) => Some(node),
            _ => None,
        })
    }

    /// The revisions that a DaemonSet controls, and those that it would adopt, in order of name.
    pub fn revisions_of<'a>(
        &'a self,
        set: &'a DaemonSet,
    ) -> impl Iterator<Item = &'a Arc<ControllerRevision>> {
        self.others.present().filter_map(|object| match object {
            Object::ControllerRevision(revision) if revision.is_seen_by(set) => Some(revision),
            _ => None,
        })
    }

    /// The Pods that a DaemonSet controls, and those that it would adopt, in order of name.
    pub fn pods_seen_by<'a>(&'a self, set: &'a DaemonSet) -> impl Iterator<Item = &'a Arc<Pod>> {
        let pods = self.pods.values().filter(|(_, removed)| !removed).map(|(pod, _)| pod);
        pods.filter(|pod| match pod.metadata.controller() {
            Some(owner) => owner.uid == set.metadata.uid,
            None => set.spec.selector.as_ref().is_some_and(|selector| selector.matches(&pod.metadata.labels)),
        })
    }
}
