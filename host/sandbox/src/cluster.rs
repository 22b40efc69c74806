//! The store with its surroundings: scheduler, kubelets and garbage collector, driven by virtual time.

mod behavior;
mod eviction;
mod garbage_collector;
mod kubelet;
mod nodes;
mod runs;
mod scheduler;
mod silence;
mod waiting;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{COMPLETION_INDEX_ANNOTATION, Kind, Object, Pod, Str, Uid};

pub use behavior::ANNOTATION_PREFIX;
pub use runs::Runs;

use crate::{Actor, Commit, Event, ObjectKey, Regarding, Resource, Store, StoreOptions};
use behavior::Behavior;
use kubelet::Words;
use nodes::Nodes;
use runs::RunLedger;
use waiting::Waiting;
use work::{PodRef, Work, WorkQueue};

/// What a cluster is to be like; delays are milliseconds of virtual time.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// What its store is to be like.
    pub store: StoreOptions,
    /// From a Pod's creation to its binding.
    pub scheduler_delay_ms: u64,
    /// From a deletion to what it means for dependents and owners.
    pub garbage_collector_delay_ms: u64,
    /// From a Pod's binding to its start, unless annotations say otherwise.
    pub start_ms: u64,
    /// From a Pod's start to its end, unless annotations say otherwise.
    pub run_ms: u64,
    /// From a Pod's deletion to its containers' end, unless annotations say otherwise.
    pub stop_ms: u64,
    /// From a node's removal to the end of its Pods (upstream's PodGC quarantine: 40 s).
    pub node_loss_ms: u64,
    /// From a kubelet's silence to the taints that say so and to Pods that are not ready (upstream's node controller
    /// waits 50 s); none of that happens where absent.
    pub silence_ms: Option<u64>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            store: StoreOptions::default(),
            scheduler_delay_ms: 10,
            garbage_collector_delay_ms: 50,
            start_ms: 1000,
            run_ms: 5000,
            stop_ms: 1000,
            node_loss_ms: 40_000,
            silence_ms: None,
        }
    }
}

/// A cluster in memory.
///
/// Requests go through [`Cluster::request`]; what follows from them happens in [`Cluster::advance`], which is to
/// be called when [`Cluster::next_wake`] says so.
#[derive(Debug)]
pub struct Cluster {
    store: Store,
    options: ClusterOptions,
    work: WorkQueue,
    nodes: Nodes,
    pods: BTreeMap<Uid, PodState>,
    waiting: Waiting,
    /// Pods that an owner has made so far for each of its places.
    ordinals: BTreeMap<(Uid, Place), u32>,
    runs: RunLedger,
    words: Words,
}

/// What a Pod is for, among those of its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Whatever the others are for.
    Any,
    /// A completion index.
    Index(u32),
    /// A node.
    Node(Str),
}

/// What the surroundings know of one Pod.
#[derive(Debug)]
struct PodState {
    behavior: Behavior,
    /// How many Pods of the same owner and place came before.
    ordinal: u32,
    /// When it is to be evicted because of its node's taints, milliseconds since the start.
    eviction_ms: Option<u64>,
}

impl Cluster {
    /// An empty cluster: without a node nothing runs.
    #[must_use]
    pub fn new(options: ClusterOptions) -> Self {
        let mut store = Store::new(options.store.clone());
        store.join_cluster();
        Self {
            store,
            options,
            work: WorkQueue::default(),
            nodes: Nodes::default(),
            pods: BTreeMap::new(),
            waiting: Waiting::default(),
            ordinals: BTreeMap::new(),
            runs: RunLedger::default(),
            words: Words::default(),
        }
    }

    /// The API server, for reads.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Does `request` with the API server at `now_ms`, and takes note of what it changed.
    pub fn request<T>(&mut self, now_ms: u64, request: impl FnOnce(&mut Store) -> T) -> T {
        self.store.set_time(now_ms);
        let answer = request(&mut self.store);
        self.digest();
        answer
    }

    /// Commits since the last call, oldest first; empty unless the store's options record them.
    pub fn drain_commits(&mut self) -> impl ExactSizeIterator<Item = Commit> + '_ {
        self.store.drain_commits()
    }

    /// What became of the Jobs that the CronJob with that uid made, as long as it is there.
    #[must_use]
    pub fn runs_of(&self, cron_job: &str) -> Runs {
        self.runs.of(cron_job)
    }

    /// When something happens next without a request, milliseconds of virtual time.
    #[must_use]
    pub fn next_wake(&self) -> Option<u64> {
        self.work.next_ms()
    }

    /// Does everything that is due by `now_ms`, in order of time; how many things that were.
    pub fn advance(&mut self, now_ms: u64) -> usize {
        let mut done = 0;
        while let Some((due_ms, work)) = self.work.pop_due(now_ms) {
            self.store.set_time(due_ms);
            self.perform(work);
            self.digest();
            done += 1;
        }
        self.store.set_time(now_ms);
        done
    }

    fn perform(&mut self, work: Work) {
        match work {
            Work::Schedule(pod) => self.schedule(&pod),
            Work::Start(pod) => self.start(&pod),
            Work::Ready(pod, restarts) => self.become_ready(&pod, restarts),
            Work::EvictFromKubelet(pod) => self.evict_from_kubelet(&pod),
            Work::EvictFromNode(pod) => self.evict_from_node(&pod),
            Work::Finish(pod) => self.finish(&pod),
            Work::Restart(pod) => self.restart(&pod),
            Work::Stop(pod) => self.stop(&pod),
            Work::Collect(key, uid) => self.collect(&key, &uid),
            Work::Finalize(key, uid) => self.finalize(&key, &uid),
            Work::EmptyNamespace(namespace) => self.empty_namespace(&namespace),
            Work::HearNode(node) => self.hear_node(&node),
            Work::LoseNode(node) => self.lose_node(&node),
        }
    }

    /// Plans what follows from the commits since the last time.
    fn digest(&mut self) {
        let mut commits = self.store.take_undigested();
        for commit in commits.drain(..) {
            if commit.resource == Resource::Namespace {
                let terminating: Vec<Str> = self.store.terminating_namespaces().cloned().collect();
                for namespace in terminating {
                    self.after(self.options.garbage_collector_delay_ms, Work::EmptyNamespace(namespace));
                }
            }
            let (before, after) = (commit.before.as_ref(), commit.after.as_ref());
            self.note_ownership(before, after);
            match (before, after) {
                (None, Some(Object::Pod(pod))) => self.note_new_pod(pod),
                (Some(Object::Pod(old)), Some(Object::Pod(new))) => self.note_changed_pod(old, new),
                (Some(Object::Pod(old)), None) => self.note_removed_pod(old),
                (None, Some(Object::Job(new))) => self.runs.note(None, Some(new)),
                (Some(Object::Job(old)), Some(Object::Job(new))) => self.runs.note(Some(old), Some(new)),
                (Some(Object::Job(old)), None) => {
                    self.runs.note(Some(old), None);
                    self.forget_ordinals(&old.metadata.uid);
                }
                (Some(Object::CronJob(old)), None) => self.runs.forget(&old.metadata.uid),
                (_, Some(Object::Node(node))) => self.note_node(&node.clone()),
                (Some(Object::Node(node)), None) => self.note_removed_node(&node.metadata.name.clone()),
                (Some(Object::DaemonSet(old)), None) => self.forget_ordinals(&old.metadata.uid),
                (
                    _,
                    Some(
                        Object::CronJob(_)
                        | Object::Job(_)
                        | Object::DaemonSet(_)
                        | Object::ControllerRevision(_)
                        | Object::Pod(_),
                    ),
                )
                | (Some(Object::ControllerRevision(_)) | None, None) => {}
            }
        }
        self.store.give_back(commits);
    }

    fn note_new_pod(&mut self, pod: &Arc<Pod>) {
        let owner = pod.metadata.controller().map(|owner| owner.uid.clone());
        let index = pod.metadata.annotations.get(COMPLETION_INDEX_ANNOTATION);
        let place = match (index.and_then(|text| text.parse().ok()), &pod.spec.pinned_to) {
            (Some(index), _) => Place::Index(index),
            (None, Some(node)) => Place::Node(node.clone()),
            (None, None) => Place::Any,
        };
        let mut ordinal = 0;
        if let Some(owner) = owner {
            let count = self.ordinals.entry((owner, place)).or_default();
            ordinal = *count;
            *count = count.saturating_add(1);
        }
        let (behavior, malformed) = Behavior::of(&pod.metadata, &self.options, self.store.seed());
        if let Some(annotation) = malformed {
            self.warn(
                pod,
                "MalformedAnnotation",
                format!("{annotation} is not understood; the default holds"),
            );
        }
        self.pods.insert(pod.metadata.uid.clone(), PodState { behavior, ordinal, eviction_ms: None });
        if pod.spec.node_name.is_some() {
            self.note_bound_pod(pod);
        } else {
            self.after(self.options.scheduler_delay_ms, Work::Schedule(PodRef::of(pod)));
        }
    }

    fn note_changed_pod(&mut self, old: &Arc<Pod>, new: &Arc<Pod>) {
        if old.spec.node_name.is_none() && new.spec.node_name.is_some() {
            self.note_bound_pod(new);
        }
        if !old.is_terminal() && new.is_terminal() {
            self.release(new);
        }
        let grace = |pod: &Pod| {
            pod.metadata.deletion_timestamp.map(|_| pod.metadata.deletion_grace_period_seconds.unwrap_or(0))
        };
        if new.spec.node_name.is_some() && grace(new).is_some_and(|grace_s| grace(old) != Some(grace_s)) {
            let delay_ms = self.stop_delay_ms(new);
            self.after(delay_ms, Work::Stop(PodRef::of(new)));
        }
    }

    fn note_bound_pod(&mut self, pod: &Arc<Pod>) {
        if !pod.is_terminal() {
            self.occupy(pod);
        }
        let delay_ms = self.pods.get(&pod.metadata.uid).map_or(0, |state| state.behavior.start_ms);
        self.after(delay_ms, Work::Start(PodRef::of(pod)));
        if !pod.spec.node_name.as_ref().is_some_and(|node| self.nodes.exists(node)) {
            self.note_pod_without_node(pod);
        }
        self.note_taints(pod);
    }

    fn note_removed_pod(&mut self, pod: &Arc<Pod>) {
        if !pod.is_terminal() {
            self.release(pod);
        }
        self.pods.remove(&pod.metadata.uid);
        self.waiting.remove(pod);
    }

    fn forget_ordinals(&mut self, owner: &Uid) {
        let keys: Vec<_> = self
            .ordinals
            .range((owner.clone(), Place::Any)..)
            .map(|(key, _)| key.clone())
            .take_while(|key| key.0 == *owner)
            .collect();
        for key in keys {
            self.ordinals.remove(&key);
        }
    }

    /// Plans `work` for `delay_ms` from now.
    fn after(&mut self, delay_ms: u64, work: Work) {
        self.work.push(self.store.now_ms().saturating_add(delay_ms), work);
    }

    /// The Pod that `reference` means, if it still exists.
    fn pod(&self, reference: &PodRef) -> Option<Arc<Pod>> {
        match self.store.object(Kind::Pod, &reference.namespace, &reference.name)? {
            Object::Pod(pod) if pod.metadata.uid == reference.uid => Some(pod.clone()),
            Object::Pod(_)
            | Object::CronJob(_)
            | Object::Job(_)
            | Object::Node(_)
            | Object::DaemonSet(_)
            | Object::ControllerRevision(_) => None,
        }
    }

    /// Records an Event of the sandbox's own about a Pod.
    fn warn(&mut self, pod: &Pod, reason: &str, message: String) {
        let metadata = &pod.metadata;
        let event = Event {
            namespace: metadata.namespace.clone(),
            name: format!("{}.{:x}", metadata.name, self.store.revision().0).into(),
            regarding: Regarding {
                api_version: Kind::Pod.api_version().into(),
                kind: Kind::Pod.name().into(),
                namespace: metadata.namespace.clone(),
                name: metadata.name.clone(),
                uid: metadata.uid.clone(),
            },
            warning: true,
            reason: reason.into(),
            message: message.into(),
            controller: "windlass-sandbox".into(),
            ..Event::default()
        };
        // A namespace that is ending takes no Events; nobody is left to read them there.
        let _refused = self.store.create_event(Actor::KUBELET, event);
    }
}

/// Where the owner that `reference` names would be kept; `None` for kinds that are not served.
fn owner_key(reference: &windlass_core::kube::OwnerReference, namespace: &Str) -> Option<ObjectKey> {
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == &*reference.kind && kind.api_version() == &*reference.api_version)?;
    let namespace = if kind == Kind::Node { Str::default() } else { namespace.clone() };
    Some(ObjectKey { kind, namespace, name: reference.name.clone() })
}
