//! The rest of the cluster: kubelets, the garbage collector, and people.
//!
//! The sandbox has its own scheduler and kubelets; here every moment of theirs has to come from the seed, so
//! that they act on the store alone, through the same verbs as everybody.

pub mod cron;
pub mod daemon;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, CONTROLLER_UID_LABEL, ConditionStatus, ContainerState,
    ContainerStateTerminated, ContainerStatus, JOB_TRACKING_FINALIZER, Job, JobManifest, Kind, Object,
    ObjectMeta, Pod, PodCondition, PodManifest, PodPhase, PodStatus, Str, Time, Uid,
};
use windlass_sandbox::{Actor, Commit, DeleteOptions, MetadataPatch, ObjectKey, Propagation, Store};

use super::random::{Random, mix};
use super::workload::cron::{CronDeed, template as job_template};
use super::workload::daemon::NodeDeed;
use super::workload::{
    Deed, EDITION_ANNOTATION, Lot, NAMESPACE, OTHER_CONTROLLER, Place, PodFate, Workload, manifest, template,
};

const ORPHAN_FINALIZER: &str = "orphan";
const DISRUPTION_TARGET: &str = "DisruptionTarget";
const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// Longest time until the garbage collector looks at what lost its owner, milliseconds.
const COLLECT_WITHIN_MS: u64 = 2_000;

/// Something that the cluster does by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A Pod's containers start.
    Start(Uid),
    /// A Pod passes its readiness probe.
    Ready(Uid),
    /// A Pod's containers end by themselves.
    End(Uid),
    /// A Pod's containers are stopped, because the Pod is to go.
    Stop(Uid),
    /// The garbage collector looks at the dependents of an owner that is gone or to go.
    Collect(Uid),
    /// The workload's Job at this position is created.
    CreateJob(usize),
    /// The workload's CronJob at this position is created.
    CreateCronJob(usize),
    /// The workload's deed at this position is done.
    Deed(usize),
    /// The workload's DaemonSet at this position is created.
    CreateDaemonSet(usize),
    /// The workload's node at this position joins.
    Join(usize),
    /// A Pod that is tied to a node is bound to it.
    Bind(Uid),
    /// The Pods that were bound to a node that is gone are collected.
    LoseNode(Str),
}

/// Kubelets, the garbage collector, and people.
#[derive(Debug)]
pub struct Cluster {
    workload: Workload,
    pods: BTreeMap<Uid, Life>,
    places: BTreeMap<Uid, u64>,
    attempts: BTreeMap<(Uid, Str), u64>,
    /// Uids of the Jobs, CronJobs and DaemonSets that are there.
    owners: BTreeSet<Uid>,
    ground: daemon::Ground,
    random: Random,
}

#[derive(Debug)]
struct Life {
    name: Str,
    lot: Lot,
    stopping: bool,
    /// The node that it is tied to, if it is a DaemonSet's.
    node: Option<Str>,
}

impl Cluster {
    /// The cluster of a workload.
    #[must_use]
    pub fn new(workload: Workload, seed: u64) -> Self {
        Self {
            workload,
            pods: BTreeMap::new(),
            places: BTreeMap::new(),
            attempts: BTreeMap::new(),
            owners: BTreeSet::new(),
            ground: daemon::Ground::default(),
            random: Random::new(seed, 3),
        }
    }

    /// What is to happen though nothing happened, and when.
    #[must_use]
    pub fn first_turns(&self) -> Vec<(u64, Turn)> {
        let jobs = self.workload.jobs.iter().enumerate();
        let mut turns: Vec<_> = jobs.map(|(job, plan)| (plan.created_ms, Turn::CreateJob(job))).collect();
        let crons = self.workload.crons.iter().enumerate();
        turns.extend(crons.map(|(cron, plan)| (plan.created_ms, Turn::CreateCronJob(cron))));
        let nodes = self.workload.nodes.iter().enumerate().filter(|(_, plan)| plan.is_there);
        turns.extend(nodes.map(|(node, _)| (0, Turn::Join(node))));
        let sets = self.workload.sets.iter().enumerate();
        turns.extend(sets.map(|(set, plan)| (plan.created_ms, Turn::CreateDaemonSet(set))));
        turns.extend(
            self.workload.deeds.iter().enumerate().map(|(deed, (at_ms, _))| (*at_ms, Turn::Deed(deed))),
        );
        turns
    }

    /// What a commit leads to: turns, each after so many milliseconds.
    pub fn react(&mut self, commit: &Commit, turns: &mut Vec<(u64, Turn)>) {
        self.react_on_ground(commit, turns);
        match (&commit.before, &commit.after) {
            (None, Some(owner @ (Object::Job(_) | Object::CronJob(_) | Object::DaemonSet(_)))) => {
                self.owners.insert(owner.metadata().uid.clone());
                self.collect_if_orphaned(owner, turns);
            }
            (Some(owner @ (Object::Job(_) | Object::CronJob(_) | Object::DaemonSet(_))), None) => {
                self.owners.remove(&owner.metadata().uid);
                self.collect_soon(&owner.metadata().uid, turns);
                if let Some(controller) = owner.metadata().controller() {
                    turns.push((1, Turn::Collect(controller.uid.clone())));
                }
            }
            (before, Some(Object::Pod(pod))) => {
                if before.is_none() {
                    self.welcome(pod, turns);
                }
                let old = before.as_ref().and_then(|before| before.metadata().controller());
                if let Some(owner) = old.filter(|_| pod.metadata.controller().is_none()) {
                    turns.push((1, Turn::Collect(owner.uid.clone())));
                }
                self.collect_if_orphaned(&Object::Pod(pod.clone()), turns);
            }
            (_, Some(revision @ Object::ControllerRevision(_))) => self.collect_if_orphaned(revision, turns),
            _ => {}
        }
        let is_terminating = |object: &Option<Object>| {
            object.as_ref().is_some_and(|object| object.metadata().is_terminating())
        };
        if is_terminating(&commit.after) && !is_terminating(&commit.before) {
            match &commit.after {
                Some(Object::Pod(pod)) => {
                    if let Some(life) = self.pods.get_mut(&pod.metadata.uid) {
                        life.stopping = true;
                        turns.push((life.lot.stop_ms, Turn::Stop(pod.metadata.uid.clone())));
                    }
                }
                Some(Object::Job(_) | Object::CronJob(_) | Object::DaemonSet(_)) => {
                    if let Some(owner) = &commit.after {
                        self.collect_soon(&owner.metadata().uid, turns);
                    }
                }
                _ => {}
            }
        }
        if let (Some(Object::Pod(pod)), None) = (&commit.before, &commit.after) {
            self.pods.remove(&pod.metadata.uid);
            if let Some(owner) = pod.metadata.controller() {
                turns.push((1, Turn::Collect(owner.uid.clone())));
            }
        }
    }

    /// Takes a turn; `store` shows what came of it.
    pub fn take(&mut self, store: &mut Store, turn: &Turn, turns: &mut Vec<(u64, Turn)>) {
        if self.parks(turn) {
            return;
        }
        match turn {
            Turn::Start(uid) => self.start(store, uid, turns),
            Turn::Ready(uid) if self.pods.get(uid).is_some_and(|life| life.node.is_some()) => {
                self.be_ready(store, uid);
            }
            Turn::Ready(uid) => {
                self.with_pod(store, uid, |pod| pod.status.phase == PodPhase::Running, |_, _| ready());
            }
            Turn::End(uid) => self.end(store, uid),
            Turn::Stop(uid) => self.stop(store, uid),
            Turn::Collect(uid) => collect(store, uid),
            Turn::CreateJob(position) => {
                if let Some(plan) = self.workload.jobs.get(*position) {
                    let _ = store.create_job(Actor::USER, manifest(plan));
                }
            }
            Turn::CreateCronJob(position) => {
                if let Some(plan) = self.workload.crons.get(*position) {
                    cron::create(store, plan);
                }
            }
            Turn::Deed(position) => {
                if let Some((_, deed)) = self.workload.deeds.get(*position).copied() {
                    match deed {
                        Deed::Node(node, deed) => self.perform_on_node(store, node, deed, turns),
                        Deed::Heal => self.heal(store, turns),
                        _ => self.perform(store, deed),
                    }
                }
            }
            Turn::CreateDaemonSet(position) => {
                if let Some(plan) = self.workload.sets.get(*position) {
                    daemon::create(store, plan);
                }
            }
            Turn::Join(position) => self.perform_on_node(store, *position, NodeDeed::Join, turns),
            Turn::Bind(uid) => self.bind(store, uid, turns),
            Turn::LoseNode(node) => self.lose_node(store, node),
        }
    }

    /// Whether the Pods of the Job of that name end by themselves.
    #[must_use]
    pub fn pods_end(&self, job: &str) -> bool {
        self.fate_of(job).is_none_or(|fate| !fate.endless)
    }

    /// Whether a quota held back Jobs at any time from `from_ms` to `until_ms`.
    #[must_use]
    pub fn was_limited(&self, from_ms: u64, until_ms: u64) -> bool {
        let limits = self.workload.deeds.iter().filter_map(|(at_ms, deed)| match deed {
            Deed::Cron(_, CronDeed::Limit(limit)) => Some((*at_ms, limit.is_some())),
            _ => None,
        });
        let limits: Vec<(u64, bool)> = limits.collect();
        let ends = limits.iter().skip(1).map(|(at_ms, _)| *at_ms).chain([u64::MAX]);
        limits
            .iter()
            .zip(ends)
            .any(|((at_ms, is_set), end_ms)| *is_set && *at_ms <= until_ms && end_ms >= from_ms)
    }

    /// Does `deed`, if there is still something to do it to.
    pub fn perform(&mut self, store: &mut Store, deed: Deed) {
        match deed {
            Deed::SetParallelism(job, parallelism) => {
                self.edit(store, job, |job| Arc::make_mut(&mut job.spec).parallelism = Some(parallelism));
            }
            Deed::Scale(job, size) => self.edit(store, job, |job| {
                let spec = Arc::make_mut(&mut job.spec);
                (spec.parallelism, spec.completions) = (Some(size), Some(size));
            }),
            Deed::SetSuspend(job, suspend) => {
                self.edit(store, job, |job| Arc::make_mut(&mut job.spec).suspend = Some(suspend));
            }
            Deed::DeleteJob(job, propagation) => self.delete_job(store, job, propagation),
            Deed::ReplaceJob(job) => {
                self.delete_job(store, job, Propagation::Background);
                if let Some(plan) = self.workload.jobs.get(job) {
                    let _ = store.create_job(Actor::USER, manifest(plan));
                }
            }
            Deed::SetDeadline(job, seconds) => {
                self.edit(store, job, |job| Arc::make_mut(&mut job.spec).active_deadline_seconds = seconds);
            }
            Deed::EditTemplate(job, edition) => self.edit(store, job, |job| {
                let template = &mut Arc::make_mut(&mut job.spec).template;
                let edition = Str::from(edition.to_string());
                Arc::make_mut(&mut template.metadata.annotations).insert(EDITION_ANNOTATION.into(), edition);
            }),
            Deed::HandOver(job, is_ours) => {
                self.delete_job(store, job, Propagation::Background);
                if let Some(plan) = self.workload.jobs.get(job) {
                    let mut job = manifest(plan);
                    let theirs = (!is_ours).then(|| OTHER_CONTROLLER.into());
                    Arc::make_mut(&mut job.spec).managed_by = theirs;
                    let _ = store.create_job(Actor::USER, job);
                }
            }
            Deed::TouchJob(job, value) => {
                if let Some(job) = self.job(store, job) {
                    touch(store, Kind::Job, &job.metadata.name, value);
                }
            }
            Deed::DeletePod(job, place) => self.with_some_pod(store, job, place, |_| true, delete_pod),
            Deed::CollectPod(job, place) => {
                self.with_some_pod(store, job, place, Pod::is_terminal, delete_pod);
            }
            Deed::EvictPod(job, place) => self.with_some_pod(store, job, place, |_| true, evict_pod),
            Deed::ForceDeletePod(job, place) => {
                self.with_some_pod(
                    store,
                    job,
                    place,
                    |_| true,
                    |store, pod| {
                        let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
                        let _ = store.delete(Actor::USER, Kind::Pod, NAMESPACE, &pod.metadata.name, &options);
                    },
                );
            }
            Deed::FlipPod(job, place) => {
                self.with_some_pod(store, job, place, Pod::is_terminal, |store, pod| {
                    end_pod(store, pod, if pod.status.phase == PodPhase::Failed { 0 } else { 1 });
                });
            }
            Deed::TouchPod(job, place) => self.with_some_pod(
                store,
                job,
                place,
                |_| true,
                |store, pod| {
                    touch(store, Kind::Pod, &pod.metadata.name, place);
                },
            ),
            Deed::DisownPod(job, place) => self.with_some_pod(
                store,
                job,
                place,
                |_| true,
                |store, pod| {
                    let owner = pod.metadata.controller().map(|owner| owner.uid.clone());
                    let patch = MetadataPatch { remove_owner: owner.as_deref(), ..MetadataPatch::default() };
                    let _ = store.patch(Actor::USER, Kind::Pod, NAMESPACE, &pod.metadata.name, &patch);
                },
            ),
            Deed::Cron(cron, deed) => {
                if let Some(plan) = self.workload.crons.get(cron) {
                    cron::perform(store, plan, deed);
                }
            }
            Deed::Daemon(set, deed) => self.perform_on_set(store, set, deed),
            // These lead to turns: see `take`.
            Deed::Node(..) | Deed::Heal => {}
            Deed::RelabelPod(job, place) => self.with_some_pod(
                store,
                job,
                place,
                |_| true,
                |store, pod| {
                    let labels = [(CONTROLLER_UID_LABEL.into(), Some("somebody-else".into()))];
                    let patch = MetadataPatch { labels: &labels, ..MetadataPatch::default() };
                    let _ = store.patch(Actor::USER, Kind::Pod, NAMESPACE, &pod.metadata.name, &patch);
                },
            ),
        }
    }

    fn welcome(&mut self, pod: &Pod, turns: &mut Vec<(u64, Turn)>) {
        let metadata = &pod.metadata;
        if let Some(node) = &pod.spec.pinned_to {
            return self.welcome_to_node(pod, node, turns);
        }
        let Some(owner) = metadata.controller() else { return };
        let Some(fate) = self.fate_of(&owner.name) else { return };
        let index = metadata.annotations.get(COMPLETION_INDEX_ANNOTATION);
        let attempt = match index {
            Some(index) => self.attempts.entry((owner.uid.clone(), index.clone())).or_default(),
            None => self.places.entry(owner.uid.clone()).or_default(),
        };
        *attempt += 1;
        let index = index.map(|index| index.parse().unwrap_or(0));
        let place = Place { index, attempt: *attempt };
        let lot = fate.lot(place);
        turns.push((lot.start_ms, Turn::Start(metadata.uid.clone())));
        let life = Life { name: metadata.name.clone(), lot, stopping: false, node: None };
        self.pods.insert(metadata.uid.clone(), life);
    }

    /// How the Pods of the Job of that name fare.
    fn fate_of(&self, job: &str) -> Option<PodFate> {
        let plan = self.workload.jobs.iter().find(|plan| &*plan.name == job);
        plan.map(|plan| plan.fate).or_else(|| {
            let plan = self.workload.cron_of(job)?;
            // Each Job is another throw.
            let seed = job.bytes().fold(plan.fate.seed, |seed, byte| mix(seed ^ u64::from(byte)));
            Some(PodFate { seed, ..plan.fate })
        })
    }

    /// Lets the garbage collector look at an object whose controller is not there.
    fn collect_if_orphaned(&mut self, object: &Object, turns: &mut Vec<(u64, Turn)>) {
        if let Some(owner) = object.metadata().controller()
            && (owner.names(Kind::Job) || owner.names(Kind::CronJob) || owner.names(Kind::DaemonSet))
            && !self.owners.contains(&owner.uid)
            && !object.metadata().is_terminating()
        {
            self.collect_soon(&owner.uid.clone(), turns);
        }
    }

    fn collect_soon(&mut self, owner: &Uid, turns: &mut Vec<(u64, Turn)>) {
        turns.push((self.random.spread(1, COLLECT_WITHIN_MS), Turn::Collect(owner.clone())));
    }

    fn start(&mut self, store: &mut Store, uid: &Uid, turns: &mut Vec<(u64, Turn)>) {
        let pending = |pod: &Pod| pod.status.phase == PodPhase::Pending && !pod.metadata.is_terminating();
        let started = self.with_pod(store, uid, pending, |_, now| PodStatus {
            phase: PodPhase::Running,
            start_time: Some(now),
            ..PodStatus::default()
        });
        let Some(life) = self.pods.get(uid).filter(|_| started) else { return };
        if life.lot.becomes_ready {
            turns.push((life.lot.run_ms.unwrap_or(100) / 4 + 1, Turn::Ready(uid.clone())));
        }
        if let Some(run_ms) = life.lot.run_ms {
            turns.push((run_ms, Turn::End(uid.clone())));
        }
    }

    fn end(&self, store: &mut Store, uid: &Uid) {
        let living = |pod: &Pod| !pod.is_terminal();
        self.with_pod(store, uid, living, |lot, now| {
            let mut status = ended(lot.exit_code, now);
            if lot.is_disrupted {
                status.conditions.push(disrupted());
            }
            status
        });
    }

    /// Ends a Pod that is to go and takes it away; its finalizers may keep it.
    fn stop(&self, store: &mut Store, uid: &Uid) {
        let living = |pod: &Pod| !pod.is_terminal();
        self.with_pod(store, uid, living, |lot, now| ended(lot.stop_code, now));
        let Some(life) = self.pods.get(uid).filter(|life| life.stopping) else { return };
        let options = DeleteOptions { uid: Some(uid), grace_seconds: Some(0), ..DeleteOptions::default() };
        let _ = store.delete(Actor::KUBELET, Kind::Pod, NAMESPACE, &life.name.clone(), &options);
    }

    /// Gives a Pod a new status, if it is there and `applies`.
    fn with_pod(
        &self,
        store: &mut Store,
        uid: &Uid,
        applies: impl Fn(&Pod) -> bool,
        status: impl Fn(Lot, Time) -> PodStatus,
    ) -> bool {
        let Some(life) = self.pods.get(uid) else { return false };
        let Ok(Object::Pod(pod)) = store.get(Kind::Pod, NAMESPACE, &life.name) else { return false };
        if pod.metadata.uid != *uid || !applies(&pod) {
            return false;
        }
        let mut new = Pod::clone(&pod);
        let mut status = status(life.lot, Time::from_unix_ms(store.unix_ms()));
        let is_disrupted = |condition: &&PodCondition| &*condition.kind == DISRUPTION_TARGET;
        status.conditions.extend(pod.status.conditions.iter().find(is_disrupted).cloned());
        new.status = Arc::new(status);
        store.update_pod_status(Actor::KUBELET, &new).is_ok()
    }

    fn job(&self, store: &Store, position: usize) -> Option<Arc<Job>> {
        let plan = self.workload.jobs.get(position)?;
        match store.get(Kind::Job, NAMESPACE, &plan.name) {
            Ok(Object::Job(job)) => Some(job),
            _ => None,
        }
    }

    fn edit(&self, store: &mut Store, position: usize, change: impl Fn(&mut Job)) {
        let Some(job) = self.job(store, position) else { return };
        let mut new = Job::clone(&job);
        change(&mut new);
        let _ = store.update_job(Actor::USER, &new);
    }

    fn delete_job(&self, store: &mut Store, position: usize, propagation: Propagation) {
        let Some(job) = self.job(store, position) else { return };
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        let _ = store.delete(Actor::USER, Kind::Job, NAMESPACE, &job.metadata.name, &options);
    }

    fn with_some_pod(
        &self,
        store: &mut Store,
        job: usize,
        place: u64,
        applies: impl Fn(&Pod) -> bool,
        deed: impl Fn(&mut Store, &Pod),
    ) {
        let Some(job) = self.job(store, job) else { return };
        let names: Vec<Str> = store.dependents(&job.metadata.uid).map(|key| key.name.clone()).collect();
        let pods = names.iter().filter_map(|name| match store.get(Kind::Pod, NAMESPACE, name) {
            Ok(Object::Pod(pod)) if applies(&pod) => Some(pod),
            _ => None,
        });
        let pods: Vec<Arc<Pod>> = pods.collect();
        if !pods.is_empty() {
            deed(store, &pods[(place % pods.len() as u64) as usize].clone());
        }
    }
}

/// Gives an object another annotation, as somebody who wants to disturb does.
pub fn touch(store: &mut Store, kind: Kind, name: &str, value: u64) {
    let annotations = [("touched".into(), Some(Str::from(value.to_string())))];
    let patch = MetadataPatch { annotations: &annotations, ..MetadataPatch::default() };
    let _ = store.patch(Actor::USER, kind, NAMESPACE, name, &patch);
}

/// Removes a Pod by force, finalizers and all, and puts a stranger of the same name in its place.
pub fn replace_pod(store: &mut Store, name: &str) {
    if remove_by_force(store, Kind::Pod, name)
        && let Some(spec) = template(true).spec
    {
        let _ = store.create_pod(Actor::USER, &PodManifest { metadata: named(name), spec, hostname: None });
    }
}

/// Removes a Job by force and makes another of its name that nobody controls.
pub fn replace_job(store: &mut Store, name: &str) {
    if remove_by_force(store, Kind::Job, name) {
        let spec = job_template(0, None).spec;
        let _ = store.create_job_of(Actor::USER, &JobManifest { metadata: named(name), spec });
    }
}

/// Removes an object by force, finalizers and all; returns whether there was one.
pub fn remove_by_force(store: &mut Store, kind: Kind, name: &str) -> bool {
    let Ok(object) = store.get(kind, NAMESPACE, name) else { return false };
    for finalizer in object.metadata().finalizers.iter() {
        let patch = MetadataPatch { remove_finalizer: Some(finalizer), ..MetadataPatch::default() };
        let _ = store.patch(Actor::USER, kind, NAMESPACE, name, &patch);
    }
    let propagation = Some(Propagation::Background);
    let options = DeleteOptions { grace_seconds: Some(0), propagation, ..DeleteOptions::default() };
    let _ = store.delete(Actor::USER, kind, NAMESPACE, name, &options);
    true
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: name.into(), namespace: NAMESPACE.into(), ..ObjectMeta::default() }
}

/// Asks for the deletion of a Pod, as a user does.
pub fn delete_pod(store: &mut Store, pod: &Pod) {
    let options = DeleteOptions { uid: Some(&pod.metadata.uid), ..DeleteOptions::default() };
    let _ = store.delete(Actor::USER, Kind::Pod, NAMESPACE, &pod.metadata.name, &options);
}

/// Ends a Pod with this exit code, whatever it has been so far.
pub fn end_pod(store: &mut Store, pod: &Pod, exit_code: i32) {
    let mut new = pod.clone();
    new.status = Arc::new(ended(exit_code, Time::from_unix_ms(store.unix_ms())));
    let _ = store.update_pod_status(Actor::KUBELET, &new);
}

/// Marks a Pod as one that its node wants to be rid of, and deletes it.
fn evict_pod(store: &mut Store, pod: &Pod) {
    if !pod.is_terminal() {
        let mut new = pod.clone();
        Arc::make_mut(&mut new.status).conditions.push(disrupted());
        let _ = store.update_pod_status(Actor::KUBELET, &new);
    }
    delete_pod(store, pod);
}

fn disrupted() -> PodCondition {
    PodCondition { kind: DISRUPTION_TARGET.into(), status: ConditionStatus::True, ..PodCondition::default() }
}

fn ready() -> PodStatus {
    let condition =
        PodCondition { kind: "Ready".into(), status: ConditionStatus::True, ..PodCondition::default() };
    PodStatus { phase: PodPhase::Running, conditions: [condition].into(), ..PodStatus::default() }
}

fn ended(exit_code: i32, now: Time) -> PodStatus {
    let terminated = ContainerStateTerminated { exit_code, finished_at: Some(now), ..Default::default() };
    let container = ContainerStatus {
        name: "main".into(),
        state: ContainerState { terminated: Some(terminated) },
        ..ContainerStatus::default()
    };
    PodStatus {
        phase: if exit_code == 0 { PodPhase::Succeeded } else { PodPhase::Failed },
        container_statuses: [container].into(),
        ..PodStatus::default()
    }
}

/// What the garbage collector does about the dependents of `owner` (upstream: pkg/controller/garbagecollector).
fn collect(store: &mut Store, owner: &Uid) {
    let keys: Vec<ObjectKey> = store.dependents(owner).cloned().collect();
    let owners = store.objects(Kind::Job).chain(store.objects(Kind::CronJob));
    let mut owners = owners.chain(store.objects(Kind::DaemonSet));
    let job = owners.find(|object| object.metadata().uid == *owner).cloned();
    drop(owners);
    let has = |name: &str| job.as_ref().is_some_and(|job| job.metadata().has_finalizer(name));
    let (orphans, foreground) = (has(ORPHAN_FINALIZER), has(FOREGROUND_FINALIZER));
    if job.is_some() && !orphans && !foreground {
        return;
    }
    for key in &keys {
        let Ok(object) = store.get(key.kind, &key.namespace, &key.name) else { continue };
        if orphans {
            let patch = MetadataPatch { remove_owner: Some(owner), ..MetadataPatch::default() };
            let _ = store.patch(Actor::GARBAGE_COLLECTOR, key.kind, &key.namespace, &key.name, &patch);
        } else if !object.metadata().is_terminating() {
            let options = DeleteOptions { uid: Some(&object.metadata().uid), ..DeleteOptions::default() };
            let _ = store.delete(Actor::GARBAGE_COLLECTOR, key.kind, &key.namespace, &key.name, &options);
        }
    }
    let is_free = store.dependents(owner).next().is_none();
    if let Some(job) = job.filter(|_| orphans || (foreground && is_free)) {
        let finalizer = if orphans { ORPHAN_FINALIZER } else { FOREGROUND_FINALIZER };
        let patch = MetadataPatch { remove_finalizer: Some(finalizer), ..MetadataPatch::default() };
        let name = &job.metadata().name;
        let _ = store.patch(Actor::GARBAGE_COLLECTOR, job.kind(), NAMESPACE, name, &patch);
    }
}

/// Whether a Pod still waits to be counted.
#[must_use]
pub fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.has_finalizer(JOB_TRACKING_FINALIZER)
}
