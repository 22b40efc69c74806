//! The API server's store: objects, their history, and the verbs that change them.

mod commit;
mod create;
mod cron_job;
mod daemon_set;
mod delete;
mod event;
mod history;
mod namespace;
mod patch;
mod quota;
mod read;
mod revision;
mod update;

pub use commit::{Commit, Verb};
pub use delete::{DeleteOptions, Deletion, Propagation};
pub use event::{Event, Regarding};
pub use history::{WatchEvent, WatchEventKind};
pub use patch::MetadataPatch;
pub use quota::Quota;
pub use read::{ContinueToken, ListOptions, Page};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use windlass_core::kube::{Kind, Object, ObjectMeta, ResourceVersion, Str, Time, Uid};

use crate::body::{Bodies, Body, PodBody};
use crate::dice::Dice;
use crate::{ObjectKey, Resource};
use commit::CommitLog;
use event::Events;
use history::History;
use namespace::Namespace;

/// Who makes a request; recorded with what it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Actor(pub &'static str);

impl Actor {
    /// Whoever applies manifests.
    pub const USER: Self = Self("user");
    /// The sandbox's scheduler.
    pub const SCHEDULER: Self = Self("scheduler");
    /// The sandbox's kubelets.
    pub const KUBELET: Self = Self("kubelet");
    /// What the sandbox does about kubelets that are silent.
    pub const NODE_CONTROLLER: Self = Self("node-controller");
    /// The sandbox's eviction of Pods from tainted nodes.
    pub const TAINT_EVICTION: Self = Self("taint-eviction");
    /// The sandbox's garbage collector, for owners, namespaces and vanished nodes.
    pub const GARBAGE_COLLECTOR: Self = Self("garbage-collector");
}

/// What a store is to be like.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Decides uids and generated names.
    pub seed: u64,
    /// Wall clock at the start, milliseconds since the Unix epoch.
    pub start_unix_ms: i64,
    /// Events kept for watches of each kind; older ones get 410 Expired.
    pub watch_history: usize,
    /// Whether commits are kept until they are drained.
    pub record_commits: bool,
    /// Whether creating in an unknown namespace makes it; else the request is refused, as upstream does.
    pub auto_create_namespaces: bool,
}

/// Events kept for watches of one kind, unless options say otherwise.
pub const DEFAULT_WATCH_HISTORY: usize = 10_000;
/// Most removed objects whose last state can be printed whole.
const MAX_REMOVED: usize = 256;
/// 2026-01-01T00:00:00Z, where the virtual clock starts unless options say otherwise.
const DEFAULT_START_UNIX_MS: i64 = 1_767_225_600_000;

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            start_unix_ms: DEFAULT_START_UNIX_MS,
            watch_history: DEFAULT_WATCH_HISTORY,
            record_commits: false,
            auto_create_namespaces: true,
        }
    }
}

/// The API server and what it stores.
///
/// Every verb names an [`Actor`], takes and gives shared typed objects, and is refused with an
/// [`ApiStatus`](windlass_core::kube::ApiStatus) in upstream's words. Nothing is read from a clock: [`Store::set_time`] says how late it is.
#[derive(Debug)]
pub struct Store {
    options: StoreOptions,
    now_ms: u64,
    revision: u64,
    dice: Dice,
    tables: [Table; Kind::ALL.len()],
    namespaces: BTreeMap<Str, Namespace>,
    /// How many objects a namespace may hold, by its name and their kind.
    quotas: BTreeMap<(Str, Kind), Quota>,
    dependents: BTreeMap<Uid, BTreeSet<ObjectKey>>,
    bodies: Bodies,
    /// What was kept beside objects that are gone, so that their last state can be printed; oldest first.
    removed: VecDeque<(Uid, Body)>,
    events: Events,
    commits: CommitLog,
}

/// All objects of one kind.
#[derive(Debug)]
struct Table {
    by_namespace: BTreeMap<Str, BTreeMap<Str, Entry>>,
    count: usize,
    history: History,
}

#[derive(Clone, Debug)]
struct Entry {
    object: Object,
    body: Body,
}

impl Store {
    /// An empty store with the namespace `default`.
    #[must_use]
    pub fn new(options: StoreOptions) -> Self {
        let table = || Table {
            by_namespace: BTreeMap::new(),
            count: 0,
            history: History::new(options.watch_history),
        };
        let mut store = Self {
            now_ms: 0,
            revision: 0,
            dice: Dice::new(options.seed),
            tables: Kind::ALL.map(|_| table()),
            namespaces: BTreeMap::new(),
            quotas: BTreeMap::new(),
            dependents: BTreeMap::new(),
            bodies: Bodies::default(),
            removed: VecDeque::new(),
            events: Events::default(),
            commits: CommitLog::default(),
            options,
        };
        store.insert_namespace(Actor::USER, "default".into());
        store
    }

    /// Sets the virtual clock, milliseconds since the start; it never goes back.
    pub fn set_time(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// The virtual clock, milliseconds since the start.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The wall clock, milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        self.options.start_unix_ms.saturating_add_unsigned(self.now_ms)
    }

    /// The revision of the newest commit; also what a bookmark would say now.
    #[must_use]
    pub fn revision(&self) -> ResourceVersion {
        ResourceVersion(self.revision)
    }

    /// How many objects of `kind` there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.table(kind).count
    }

    /// Objects whose metadata names `owner` as an owner, in a fixed order.
    pub fn dependents(&self, owner: &str) -> impl Iterator<Item = &ObjectKey> {
        self.dependents.get(owner).into_iter().flatten()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.options.seed
    }

    pub(crate) fn time(&self) -> Time {
        Time::from_unix_ms(self.unix_ms())
    }

    pub(crate) fn object(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Object> {
        self.entry(kind, namespace, name).map(|entry| &entry.object)
    }

    pub(crate) fn body(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Body> {
        self.entry(kind, namespace, name).map(|entry| &entry.body)
    }

    /// What is kept beside this incarnation of `object`, also for a while after its removal.
    pub(crate) fn body_of(&self, object: &Object) -> Option<&Body> {
        let metadata = object.metadata();
        match self.entry(object.kind(), &metadata.namespace, &metadata.name) {
            Some(entry) if entry.object.metadata().uid == metadata.uid => Some(&entry.body),
            Some(_) | None => {
                let mut newest_first = self.removed.iter().rev();
                newest_first.find(|(uid, _)| *uid == metadata.uid).map(|(_, body)| body)
            }
        }
    }

    pub(crate) fn pod_body(&self, namespace: &str, name: &str) -> Option<&Arc<PodBody>> {
        match self.body(Kind::Pod, namespace, name)? {
            Body::Pod(body) => Some(body),
            Body::Slim | Body::Node(_) => None,
        }
    }

    fn table(&self, kind: Kind) -> &Table {
        &self.tables[table_index(kind)]
    }

    fn entry(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Entry> {
        self.table(kind).by_namespace.get(namespace)?.get(name)
    }

    /// Stores `after` under the next revision, tells watches, and gives it back as stored.
    fn put(
        &mut self,
        actor: Actor,
        verb: Verb,
        before: Option<Object>,
        mut after: Object,
        body: Option<Body>,
    ) -> Object {
        self.revision += 1;
        metadata_mut(&mut after).resource_version = ResourceVersion(self.revision);
        self.index_owners(before.as_ref(), Some(&after));
        let metadata = after.metadata();
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
        let table = &mut self.tables[table_index(after.kind())];
        let objects = table.by_namespace.entry(namespace).or_default();
        match (objects.get_mut(&name), body) {
            (Some(entry), None) => entry.object = after.clone(),
            (Some(entry), Some(body)) => *entry = Entry { object: after.clone(), body },
            (None, body) => {
                table.count += 1;
                objects.insert(name, Entry { object: after.clone(), body: body.unwrap_or(Body::Slim) });
            }
        }
        table.history.push(WatchEvent {
            kind: if before.is_some() { WatchEventKind::Modified } else { WatchEventKind::Added },
            revision: ResourceVersion(self.revision),
            object: after.clone(),
            before: before.clone(),
        });
        self.log(actor, verb, Resource::from(after.kind()), before, Some(after.clone()));
        after
    }

    /// Removes `before`, which is stored, under the next revision; gives its last state, as watches see it.
    fn remove(&mut self, actor: Actor, verb: Verb, before: Object) -> Object {
        self.revision += 1;
        self.index_owners(Some(&before), None);
        let (namespace, name) = (before.metadata().namespace.clone(), before.metadata().name.clone());
        let table = &mut self.tables[table_index(before.kind())];
        if let Some(objects) = table.by_namespace.get_mut(&namespace) {
            if let Some(entry) = objects.remove(&name) {
                table.count -= 1;
                if self.removed.len() >= MAX_REMOVED {
                    self.removed.pop_front();
                }
                self.removed.push_back((before.metadata().uid.clone(), entry.body));
            }
            if objects.is_empty() {
                table.by_namespace.remove(&namespace);
            }
        }
        let mut last = before.clone();
        metadata_mut(&mut last).resource_version = ResourceVersion(self.revision);
        table.history.push(WatchEvent {
            kind: WatchEventKind::Deleted,
            revision: ResourceVersion(self.revision),
            object: last.clone(),
            before: Some(before.clone()),
        });
        self.log(actor, verb, Resource::from(before.kind()), Some(before), None);
        last
    }

    fn index_owners(&mut self, before: Option<&Object>, after: Option<&Object>) {
        let old = before.map(|object| &object.metadata().owner_references);
        let new = after.map(|object| &object.metadata().owner_references);
        if old == new {
            return;
        }
        if let (Some(object), Some(references)) = (before, old) {
            let key = ObjectKey::of(object);
            for reference in references.iter() {
                if let Some(keys) = self.dependents.get_mut(&reference.uid) {
                    keys.remove(&key);
                    if keys.is_empty() {
                        self.dependents.remove(&reference.uid);
                    }
                }
            }
        }
        if let (Some(object), Some(references)) = (after, new) {
            let key = ObjectKey::of(object);
            for reference in references.iter() {
                self.dependents.entry(reference.uid.clone()).or_default().insert(key.clone());
            }
        }
    }
}

fn table_index(kind: Kind) -> usize {
    match kind {
        Kind::CronJob => 0,
        Kind::Job => 1,
        Kind::Pod => 2,
        Kind::Node => 3,
        Kind::DaemonSet => 4,
        Kind::ControllerRevision => 5,
    }
}

/// Metadata of `object` for change; what others share is copied first.
pub(crate) fn metadata_mut(object: &mut Object) -> &mut ObjectMeta {
    match object {
        Object::CronJob(cron_job) => &mut Arc::make_mut(cron_job).metadata,
        Object::Job(job) => &mut Arc::make_mut(job).metadata,
        Object::Pod(pod) => &mut Arc::make_mut(pod).metadata,
        Object::Node(node) => &mut Arc::make_mut(node).metadata,
        Object::DaemonSet(set) => &mut Arc::make_mut(set).metadata,
        Object::ControllerRevision(revision) => &mut Arc::make_mut(revision).metadata,
    }
}
