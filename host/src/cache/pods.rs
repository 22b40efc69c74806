//! Pods by name, and by the uid of their controller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{Job, Kind, Pod, ResourceVersion, Str, Uid, pod_row};
use windlass_core::view::{PodRow, pod_flag};

use super::Change;
use crate::key::Name;

/// A cached Pod and its row in the columns that reconcile sees.
#[derive(Clone, Debug)]
pub struct PodEntry {
    /// The object.
    pub pod: Arc<Pod>,
    /// Its row, as its Job sees it; without the facts about the Job while that is not cached.
    pub row: PodRow,
    /// Whether its removal was acknowledged and not yet watched.
    pub removed: bool,
    /// How manieth Pod it was to come into the cache.
    pub arrival: u32,
}

impl PodEntry {
    /// Whether reconcile has to see the Pod: not if it is gone, nor if it ended and is counted.
    #[must_use]
    pub fn crosses(&self) -> bool {
        !self.removed && (!self.pod.is_terminal() || self.pod.is_tracked())
    }

    /// Whether the tracking finalizer has still to come off.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        !self.removed && self.pod.is_tracked()
    }

    /// Whether the Pod has ended and keeps the tracking finalizer.
    fn is_held(&self) -> bool {
        self.is_tracked() && self.pod.is_terminal()
    }

    fn controller(&self) -> Option<&Uid> {
        self.pod.metadata.controller().map(|owner| &owner.uid)
    }

    /// The node that a DaemonSet's Pod is for, empty if it names none; absent for Pods of others.
    fn daemon_node(&self) -> Option<Str> {
        self.pod.metadata.controller().filter(|owner| owner.names(Kind::DaemonSet))?;
        Some(self.pod.target_node().cloned().unwrap_or_default())
    }
}

/// Pods by name, and by the uid of their controller.
#[derive(Debug, Default)]
pub(super) struct PodCache {
    by_name: BTreeMap<Name, Arc<PodEntry>>,
    by_controller: BTreeMap<Uid, Owned>,
    without_controller: BTreeMap<Name, Arc<PodEntry>>,
    arrivals: u32,
}

/// The Pods of one controller by name, each in one of two maps: a Job of many completions has few Pods at a time
/// that reconcile must see, and may keep all others.
#[derive(Debug, Default)]
struct Owned {
    /// Those that reconcile has to see.
    crossing: BTreeMap<Str, Arc<PodEntry>>,
    /// Those that have ended and are counted, or are gone.
    settled: BTreeMap<Str, Arc<PodEntry>>,
    /// Of a DaemonSet's Pods the node and name of each.
    by_node: BTreeSet<(Str, Str)>,
}

impl Owned {
    fn len(&self) -> usize {
        self.crossing.len() + self.settled.len()
    }

    fn insert(&mut self, name: &Str, entry: &Arc<PodEntry>) {
        let (home, other) = if entry.crosses() {
            (&mut self.crossing, &mut self.settled)
        } else {
            (&mut self.settled, &mut self.crossing)
        };
        let elsewhere = other.remove(name);
        let before = home.insert(name.clone(), entry.clone()).or(elsewhere);
        let (was, is) = (before.and_then(|before| before.daemon_node()), entry.daemon_node());
        if was != is {
            self.move_to_node(name, was, is);
        }
    }

    fn remove(&mut self, name: &Str) {
        let removed = self.crossing.remove(name).or(self.settled.remove(name));
        self.move_to_node(name, removed.and_then(|entry| entry.daemon_node()), None);
    }

    fn move_to_node(&mut self, name: &Str, was: Option<Str>, is: Option<Str>) {
        if let Some(node) = was {
            self.by_node.remove(&(node, name.clone()));
        }
        if let Some(node) = is {
            self.by_node.insert((node, name.clone()));
        }
    }

    /// Names of the Pods for a node.
    fn at_node(&self, node: &Str) -> impl Iterator<Item = &Str> {
        let first = (node.clone(), Str::default());
        let all = self.by_node.range(first..).take_while(move |(other, _)| other == node);
        all.map(|(_, name)| name)
    }
}

impl PodCache {
    pub(super) fn arrivals(&self) -> u32 {
        self.arrivals
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Arc<PodEntry>> {
        self.by_name.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn crossing(&self, uid: &Uid) -> impl Iterator<Item = &Arc<PodEntry>> {
        self.by_controller.get(uid).into_iter().flat_map(|owned| owned.crossing.values())
    }

    /// All Pods of a controller that are not gone, by name.
    pub(super) fn of(&self, uid: &Uid) -> Vec<Arc<PodEntry>> {
        let Some(owned) = self.by_controller.get(uid) else { return Vec::new() };
        let all = owned.crossing.values().chain(owned.settled.values());
        let mut pods: Vec<Arc<PodEntry>> = all.filter(|entry| !entry.removed).cloned().collect();
        if !owned.settled.is_empty() {
            pods.sort_by(|a, b| a.pod.metadata.name.cmp(&b.pod.metadata.name));
        }
        pods
    }

    /// The Pods of a DaemonSet that are for one of these nodes, or name none, and that are not gone; by name.
    pub(super) fn at_nodes(&self, uid: &Uid, nodes: &[Str]) -> Vec<Arc<PodEntry>> {
        let Some(owned) = self.by_controller.get(uid) else { return Vec::new() };
        let none = Str::default();
        let names = nodes.iter().chain([&none]).flat_map(|node| owned.at_node(node));
        let entries = names.filter_map(|name| owned.crossing.get(name).or_else(|| owned.settled.get(name)));
        let mut pods: Vec<Arc<PodEntry>> = entries.filter(|entry| !entry.removed).cloned().collect();
        pods.sort_by(|a, b| a.pod.metadata.name.cmp(&b.pod.metadata.name));
        pods
    }

    /// The nodes that a DaemonSet has Pods for, once for each Pod.
    pub(super) fn nodes_of(&self, uid: &Uid) -> impl Iterator<Item = &Str> {
        let owned = self.by_controller.get(uid).into_iter();
        owned.flat_map(|owned| owned.by_node.iter().map(|(node, _)| node)).filter(|node| !node.is_empty())
    }

    /// Whether a DaemonSet has Pods for the node, gone ones included.
    pub(super) fn has_at_node(&self, uid: &Uid, node: &Str) -> bool {
        self.by_controller.get(uid).is_some_and(|owned| owned.at_node(node).next().is_some())
    }

    pub(super) fn count_of(&self, uid: &Uid) -> usize {
        self.by_controller.get(uid).map_or(0, Owned::len)
    }

    pub(super) fn without_controller(&self, namespace: &Str) -> impl Iterator<Item = &Arc<PodEntry>> {
        let first = Name { namespace: namespace.clone(), name: "".into() };
        self.without_controller
            .range(first..)
            .take_while(move |(name, _)| name.namespace == *namespace)
            .map(|(_, entry)| entry)
    }

    /// Adds or replaces a Pod if it is newer than what is known; `job` is its controller, if cached.
    pub(super) fn upsert(&mut self, pod: Arc<Pod>, job: Option<&Job>, changes: &mut Vec<Change>) {
        let name = Name::of(&pod.metadata);
        let before = self.by_name.get(&name);
        if before.is_some_and(|entry| entry.pod.metadata.resource_version >= pod.metadata.resource_version) {
            return;
        }
        let same = before.filter(|entry| entry.pod.metadata.uid == pod.metadata.uid);
        let removed = same.is_some_and(|entry| entry.removed);
        let arrival = same.map_or(self.arrivals.saturating_add(1), |entry| entry.arrival);
        let owner_before = before.and_then(|entry| entry.controller().cloned());
        let row = row_for(&pod, job);
        let is_passive = same.is_some_and(|entry| is_passive(&entry.row, &row));
        let is_binding = same.is_some_and(|entry| is_binding(entry, &pod, &row));
        let held_before = before.is_some_and(|entry| entry.is_held());
        let node_before = before.and_then(|entry| entry.daemon_node());
        self.arrivals = self.arrivals.max(arrival);
        let entry = Arc::new(PodEntry { pod, row, removed, arrival });
        let owner = entry.controller().cloned();
        if owner_before != owner {
            self.unlink(&name, owner_before.as_ref());
        }
        self.link(&name, owner.as_ref(), &entry);
        let held = [held_before, entry.is_held()];
        let nodes = [node_before, entry.daemon_node()];
        self.by_name.insert(name.clone(), entry);
        changes.push(Change::Pod {
            name,
            owners: [owner_before, owner],
            nodes,
            is_binding,
            is_passive,
            held,
        });
    }

    /// Removes a Pod unless it is newer than `at`.
    pub(super) fn remove(&mut self, name: &Name, at: ResourceVersion, changes: &mut Vec<Change>) {
        let Some(entry) = self.by_name.get(name) else { return };
        if entry.pod.metadata.resource_version > at {
            return;
        }
        let (owner, held) = (entry.controller().cloned(), [entry.is_held(), false]);
        let nodes = [entry.daemon_node(), None];
        self.by_name.remove(name);
        self.unlink(name, owner.as_ref());
        changes.push(Change::Pod {
            name: name.clone(),
            owners: [owner, None],
            nodes,
            is_binding: false,
            is_passive: false,
            held,
        });
    }

    /// Marks a Pod as gone on the server's word.
    pub(super) fn mark_removed(&mut self, name: &Name, uid: &Uid, changes: &mut Vec<Change>) {
        let Some(entry) = self.by_name.get(name) else { return };
        if entry.pod.metadata.uid != *uid || entry.removed {
            return;
        }
        let (owner, held) = (entry.controller().cloned(), [entry.is_held(), false]);
        let nodes = [entry.daemon_node(), None];
        let entry = Arc::new(PodEntry { removed: true, ..PodEntry::clone(entry) });
        self.link(name, owner.as_ref(), &entry);
        self.by_name.insert(name.clone(), entry);
        let owners = [owner.clone(), owner];
        changes.push(Change::Pod {
            name: name.clone(),
            owners,
            nodes,
            is_binding: false,
            is_passive: false,
            held,
        });
    }

    /// Makes the rows of a Job's Pods again, now that the Job is known.
    pub(super) fn adopt_rows(&mut self, job: &Job) {
        let Some(owned) = self.by_controller.get_mut(&job.metadata.uid) else { return };
        for entry in owned.crossing.values_mut().chain(owned.settled.values_mut()) {
            let row = pod_row(&entry.pod, job);
            if row != entry.row {
                *entry = Arc::new(PodEntry { row, ..PodEntry::clone(entry) });
                self.by_name.insert(Name::of(&entry.pod.metadata), entry.clone());
            }
        }
    }

    fn link(&mut self, name: &Name, owner: Option<&Uid>, entry: &Arc<PodEntry>) {
        match owner {
            Some(uid) => {
                self.by_controller.entry(uid.clone()).or_default().insert(&name.name, entry);
            }
            None => {
                self.without_controller.insert(name.clone(), entry.clone());
            }
        }
    }

    fn unlink(&mut self, name: &Name, owner: Option<&Uid>) {
        self.without_controller.remove(name);
        let Some(uid) = owner else { return };
        let Some(owned) = self.by_controller.get_mut(uid) else { return };
        owned.remove(&name.name);
        if owned.len() == 0 {
            self.by_controller.remove(uid);
        }
    }
}

/// Whether two rows of a Pod differ in its readiness and its node at most: these change by nobody's doing.
fn is_passive(before: &PodRow, after: &PodRow) -> bool {
    let rest = |row: &PodRow| PodRow {
        flags: row.flags & !(pod_flag::READY | pod_flag::BOUND),
        ready_changed_s: 0,
        ..*row
    };
    rest(before) == rest(after)
}

/// Whether the scheduler has bound a Pod to the node that it was for, and nothing else has changed.
fn is_binding(before: &PodEntry, pod: &Pod, row: &PodRow) -> bool {
    let bound = PodRow { flags: before.row.flags | pod_flag::BOUND, ..before.row };
    let (old, new) = (&before.pod.metadata, &pod.metadata);
    bound == *row
        && before.pod.target_node() == pod.target_node()
        && old.labels == new.labels
        && old.owner_references == new.owner_references
}

fn row_for(pod: &Pod, job: Option<&Job>) -> PodRow {
    match job {
        Some(job) => pod_row(pod, job),
        None => pod_row(pod, &Job::default()),
    }
}
