//! DaemonSets by name, and the nodes and revisions that they go by.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::daemon_set::placement::{Answer, NodeShape};
use windlass_core::daemon_set::revision::TemplateFault;
use windlass_core::kube::{
    ControllerRevision, DaemonSet, DaemonTemplate, Kind, Labels, Node, ResourceVersion, Str, Uid,
    daemon_set_view,
};
use windlass_core::view::DaemonSetView;

use super::Change;
use crate::key::Name;

/// A cached DaemonSet and what is made of it once per version.
#[derive(Clone, Debug)]
pub struct DaemonSetEntry {
    /// The object.
    pub set: Arc<DaemonSet>,
    /// Its template and view; or why there is none, which no server's validation lets happen.
    pub meaning: Result<Meaning, TemplateFault>,
    /// Whether its removal was acknowledged and not yet watched.
    pub removed: bool,
}

/// What is made of a DaemonSet.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// Its template.
    pub template: Arc<DaemonTemplate>,
    /// Its view.
    pub view: Arc<DaemonSetView>,
}

impl DaemonSetEntry {
    fn new(set: Arc<DaemonSet>, before: Option<&Self>) -> Self {
        let is_same = |before: &&Self| {
            before.set.spec == set.spec && before.set.status.collision_count == set.status.collision_count
        };
        let template = match before.filter(is_same).map(|before| &before.meaning) {
            Some(Ok(meaning)) => Ok(meaning.template.clone()),
            Some(Err(_)) | None => DaemonTemplate::read(&set).map(Arc::new),
        };
        let meaning = template.map(|template| {
            let view = Arc::new(daemon_set_view(&set, &template));
            Meaning { template, view }
        });
        Self { set, meaning, removed: false }
    }

    /// Whether the node is to have a Pod of the set, and keeps one that is there.
    #[must_use]
    pub fn answer_for(&self, node: Option<&Node>) -> Answer {
        let (Ok(meaning), Some(node)) = (&self.meaning, node) else { return Answer::default() };
        let placement = &meaning.template.placement;
        placement.on_shape(&NodeShape::of(node, &placement.label_keys())).on_node(&node.metadata.name)
    }

    /// Whether the set's selector matches `labels`.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.set.spec.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// DaemonSets of the watch and of our own writes, with nodes and revisions.
#[derive(Debug, Default)]
pub(super) struct DaemonSetCache {
    entries: BTreeMap<Name, DaemonSetEntry>,
    by_uid: BTreeMap<Uid, Name>,
    nodes: BTreeMap<Name, Arc<Node>>,
    revisions: BTreeMap<Name, RevisionEntry>,
}

#[derive(Clone, Debug)]
struct RevisionEntry {
    revision: Arc<ControllerRevision>,
    removed: bool,
}

impl DaemonSetCache {
    pub(super) fn get(&self, name: &Name) -> Option<&DaemonSetEntry> {
        self.entries.get(name).filter(|entry| !entry.removed)
    }

    pub(super) fn name(&self, uid: &Uid) -> Option<&Name> {
        self.by_uid.get(uid)
    }

    pub(super) fn names_of(&self, kind: Kind) -> Vec<Name> {
        match kind {
            Kind::DaemonSet => self.entries.keys().cloned().collect(),
            Kind::Node => self.nodes.keys().cloned().collect(),
            Kind::ControllerRevision => self.revisions.keys().cloned().collect(),
            Kind::CronJob | Kind::Job | Kind::Pod => Vec::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// All nodes, by name.
    pub(super) fn nodes(&self) -> impl ExactSizeIterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// The node of that name.
    pub(super) fn node(&self, name: &Str) -> Option<&Arc<Node>> {
        self.nodes.get(&Name { namespace: Str::default(), name: name.clone() })
    }

    /// All DaemonSets.
    pub(super) fn sets(&self) -> impl Iterator<Item = (&Name, &DaemonSetEntry)> {
        self.entries.iter().filter(|(_, entry)| !entry.removed)
    }

    /// DaemonSets of a namespace whose selector matches `labels`; an empty one matches nothing here.
    pub(super) fn selecting(&self, namespace: &Str, labels: &Labels) -> Vec<Name> {
        let first = Name { namespace: namespace.clone(), name: "".into() };
        let in_namespace = self.entries.range(first..).take_while(|(name, _)| name.namespace == *namespace);
        in_namespace.filter(|(_, entry)| entry.selects(labels)).map(|(name, _)| name.clone()).collect()
    }

    /// Revisions of a namespace, by name.
    pub(super) fn revisions(&self, namespace: &Str) -> impl Iterator<Item = &Arc<ControllerRevision>> {
        let first = Name { namespace: namespace.clone(), name: "".into() };
        let all = self.revisions.range(first..).take_while(move |(name, _)| name.namespace == *namespace);
        all.filter(|(_, entry)| !entry.removed).map(|(_, entry)| &entry.revision)
    }

    pub(super) fn revision(&self, name: &Name) -> Option<&Arc<ControllerRevision>> {
        self.revisions.get(name).filter(|entry| !entry.removed).map(|entry| &entry.revision)
    }

    pub(super) fn upsert(&mut self, set: Arc<DaemonSet>, changes: &mut Vec<Change>) {
        let name = Name::of(&set.metadata);
        if let Some(before) = self.entries.get(&name) {
            let version = before.set.metadata.resource_version;
            if version >= set.metadata.resource_version {
                return;
            }
            if before.set.metadata.uid != set.metadata.uid {
                self.remove(&name, version, changes);
            }
        }
        let before = self.entries.get(&name);
        let spec = before.is_none_or(|before| {
            before.set.metadata.generation != set.metadata.generation
                || before.set.metadata.is_terminating() != set.metadata.is_terminating()
        });
        let entry = DaemonSetEntry::new(set, before);
        self.by_uid.insert(entry.set.metadata.uid.clone(), name.clone());
        self.entries.insert(name.clone(), entry);
        changes.push(Change::DaemonSet { name, spec });
    }

    pub(super) fn remove(&mut self, name: &Name, at: ResourceVersion, changes: &mut Vec<Change>) {
        let Some(entry) = self.entries.get(name) else { return };
        if entry.set.metadata.resource_version > at {
            return;
        }
        let uid = entry.set.metadata.uid.clone();
        self.by_uid.remove(&uid);
        self.entries.remove(name);
        changes.push(Change::DaemonSetGone { name: name.clone() });
    }

    pub(super) fn upsert_node(&mut self, node: Arc<Node>, changes: &mut Vec<Change>) {
        let name = Name::of(&node.metadata);
        let before = self.nodes.get(&name);
        if before.is_some_and(|before| before.metadata.resource_version >= node.metadata.resource_version) {
            return;
        }
        let before = self.nodes.insert(name, node.clone());
        // Nodes report in all the time; what decides is their labels and taints.
        let is_same = before.as_ref().is_some_and(|before| {
            before.metadata.uid == node.metadata.uid
                && before.metadata.labels == node.metadata.labels
                && before.spec.taints == node.spec.taints
        });
        if !is_same {
            changes.push(Change::Node { before, after: Some(node) });
        }
    }

    pub(super) fn remove_node(&mut self, name: &Name, at: ResourceVersion, changes: &mut Vec<Change>) {
        if self.nodes.get(name).is_some_and(|node| node.metadata.resource_version <= at) {
            let before = self.nodes.remove(name);
            changes.push(Change::Node { before, after: None });
        }
    }

    pub(super) fn upsert_revision(
        &mut self,
        mut revision: Arc<ControllerRevision>,
        changes: &mut Vec<Change>,
    ) {
        let name = Name::of(&revision.metadata);
        let before = self.revisions.get(&name);
        let version = revision.metadata.resource_version;
        if before.is_some_and(|before| before.revision.metadata.resource_version >= version) {
            return;
        }
        let owner = |revision: &ControllerRevision| {
            revision.metadata.controller().map(|reference| reference.uid.clone())
        };
        // Of what another kind controls only the name matters.
        if revision.metadata.controller().is_some_and(|owner| !owner.names(Kind::DaemonSet)) {
            Arc::make_mut(&mut revision).data = None;
        }
        let owners = [before.and_then(|before| owner(&before.revision)), owner(&revision)];
        let same = before.filter(|before| before.revision.metadata.uid == revision.metadata.uid);
        let removed = same.is_some_and(|before| before.removed);
        self.revisions.insert(name.clone(), RevisionEntry { revision, removed });
        changes.push(Change::Revision { name, owners });
    }

    pub(super) fn remove_revision(&mut self, name: &Name, at: ResourceVersion, changes: &mut Vec<Change>) {
        let Some(entry) = self.revisions.get(name) else { return };
        if entry.revision.metadata.resource_version > at {
            return;
        }
        let owner = entry.revision.metadata.controller().map(|reference| reference.uid.clone());
        self.revisions.remove(name);
        changes.push(Change::Revision { name: name.clone(), owners: [owner, None] });
    }

    /// Marks a DaemonSet or revision as gone on the server's word.
    pub(super) fn mark_removed(&mut self, kind: Kind, name: &Name, uid: &Uid) {
        if kind == Kind::DaemonSet
            && let Some(entry) = self.entries.get_mut(name)
            && entry.set.metadata.uid == *uid
        {
            entry.removed = true;
        }
        if kind == Kind::ControllerRevision
            && let Some(entry) = self.revisions.get_mut(name)
            && entry.revision.metadata.uid == *uid
        {
            entry.removed = true;
        }
    }
}
