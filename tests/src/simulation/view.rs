//! What one process could see: everything that its watches and lists have delivered and its own requests
//! have acknowledged, put together independently of the machine's cache.
//!
//! Per name the newest version known counts; what a watch or list removed never comes back.

mod daemon;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, ConditionStatus, CronJob, INDEX_FAILURE_COUNT_ANNOTATION,
    INDEX_IGNORED_FAILURE_COUNT_ANNOTATION, Job, Kind, Object, Pod, PodPhase, ResourceVersion, Str, Uid,
};
use windlass_core::view::{NO_INDEX, PodColumns, pod_flag};
use windlass_host::watch::{StreamId, WatchBody, WatchCommand};

use super::random::mix;
use daemon::Others;

/// Lists in a row from before what was watched, after which the server's history counts as gone back.
const LAGGING_LISTS: u32 = 3;

/// What one process could see.
#[derive(Debug, Default)]
pub struct View {
    cron_jobs: BTreeMap<Str, KnownCronJob>,
    jobs: BTreeMap<Str, (Arc<Job>, bool)>,
    pods: BTreeMap<Str, (Arc<Pod>, bool)>,
    others: Others,
    /// Kinds that the process has to see.
    kinds: Vec<Kind>,
    children: BTreeMap<Uid, Children>,
    gone: BTreeMap<Kind, BTreeSet<Uid>>,
    reached: BTreeMap<Kind, ResourceVersion>,
    lagging_lists: BTreeMap<Kind, u32>,
    streams: BTreeMap<Kind, StreamId>,
    listing: BTreeMap<Kind, Vec<Object>>,
    listed: BTreeSet<Kind>,
    /// What the process' wall clock shows, seconds since the Unix epoch.
    clock_s: i64,
}

/// A CronJob as one process could see it.
#[derive(Clone, Debug)]
pub struct KnownCronJob {
    /// Its newest version.
    pub cron_job: Arc<CronJob>,
    /// When another schedule or zone was seen, by the process' wall clock, seconds since the Unix epoch.
    pub edited_s: Option<i64>,
    removed: bool,
}

/// The Pods of a Job that it still has to do with: not gone, and not both ended and counted.
#[derive(Debug, Default)]
pub struct Children {
    names: BTreeSet<Str>,
    /// A sum over the Pods of what a reconcile sees of each.
    sum: u64,
}

/// One Pod as far as slots and counts depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Phase.
    pub phase: PodPhase,
    /// Deletion was asked for.
    pub is_terminating: bool,
    /// It waits to be counted.
    pub is_tracked: bool,
    /// It is ready.
    pub is_ready: bool,
    /// Its completion index, or [`NO_INDEX`].
    pub index: u32,
    /// Counted failures of its index before it.
    pub index_failures: u32,
    /// Ignored failures of its index before it.
    pub index_ignored_failures: u32,
}

impl View {
    /// The view of a process that has to see these kinds.
    #[must_use]
    pub fn of_kinds(kinds: &[Kind]) -> Self {
        Self { kinds: kinds.to_vec(), ..Self::default() }
    }

    /// Whether every kind was listed since the view began.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.kinds.iter().all(|kind| self.listed.contains(kind))
    }

    /// Notes what the wall clock of the process shows, seconds since the Unix epoch.
    pub fn look_at_clock(&mut self, clock_s: i64) {
        self.clock_s = clock_s;
    }

    /// Notes which stream counts from now on.
    pub fn command(&mut self, command: WatchCommand) {
        match command {
            WatchCommand::List { kind, stream } => {
                self.streams.insert(kind, stream);
                self.listing.insert(kind, Vec::new());
            }
            WatchCommand::Watch { kind, stream, .. } => {
                self.streams.insert(kind, stream);
                self.listing.remove(&kind);
            }
            WatchCommand::Stop { kind } => {
                self.streams.remove(&kind);
            }
        }
    }

    /// Takes in what a list or watch said.
    pub fn hears(&mut self, kind: Kind, stream: StreamId, body: &WatchBody) {
        if self.streams.get(&kind) != Some(&stream) {
            return;
        }
        match body {
            WatchBody::Page(objects) => {
                if let Some(listing) = self.listing.get_mut(&kind) {
                    listing.extend(objects.iter().cloned());
                }
            }
            WatchBody::ListDone(version) => {
                if let Some(objects) = self.listing.remove(&kind) {
                    self.list(kind, objects, *version);
                }
            }
            // A watch never goes back; what it repeats may be gone by now.
            WatchBody::Applied(object) | WatchBody::Deleted(object)
                if self
                    .reached
                    .get(&kind)
                    .is_some_and(|reached| object.metadata().resource_version <= *reached) => {}
            WatchBody::Applied(object) => {
                self.reach(kind, object.metadata().resource_version);
                self.learn(object);
            }
            WatchBody::Deleted(object) => {
                self.reach(kind, object.metadata().resource_version);
                self.remove(object.kind(), &object.metadata().name, object.metadata().resource_version);
            }
            WatchBody::Bookmark(version) => self.reach(kind, *version),
            WatchBody::Ended(_) => {}
        }
    }

    /// Takes in an object from an answer; what the watch has got past may be gone by now.
    pub fn acknowledge(&mut self, object: &Object) {
        if object.metadata().resource_version > self.reached(object.kind()) {
            self.learn(object);
        }
    }

    fn learn(&mut self, object: &Object) {
        let metadata = object.metadata();
        if self.gone.get(&object.kind()).is_some_and(|gone| gone.contains(&metadata.uid)) {
            return;
        }
        match object {
            Object::Job(job) => {
                if self
                    .jobs
                    .get(&metadata.name)
                    .is_some_and(|(known, _)| known.metadata.resource_version >= metadata.resource_version)
                {
                    return;
                }
                self.jobs.insert(metadata.name.clone(), (job.clone(), false));
            }
            Object::Pod(pod) => {
                let known = self.pods.get(&metadata.name);
                if known
                    .is_some_and(|(known, _)| known.metadata.resource_version >= metadata.resource_version)
                {
                    return;
                }
                let removed =
                    known.is_some_and(|(known, removed)| *removed && known.metadata.uid == metadata.uid);
                self.unlink(&metadata.name.clone());
                self.pods.insert(metadata.name.clone(), (pod.clone(), removed));
                self.link(&metadata.name);
            }
            Object::CronJob(cron_job) => self.learn_cron_job(cron_job),
            Object::Node(_) | Object::DaemonSet(_) | Object::ControllerRevision(_) => {
                self.others.learn(object);
            }
        }
    }

    fn learn_cron_job(&mut self, cron_job: &Arc<CronJob>) {
        let name = &cron_job.metadata.name;
        let known = self.cron_jobs.get(name);
        if known.is_some_and(|known| {
            known.cron_job.metadata.resource_version >= cron_job.metadata.resource_version
        }) {
            return;
        }
        let known = known.filter(|known| known.cron_job.metadata.uid == cron_job.metadata.uid);
        let timing = |cron_job: &CronJob| (cron_job.spec.schedule.clone(), cron_job.spec.time_zone.clone());
        let is_edited = known.is_some_and(|known| timing(&known.cron_job) != timing(cron_job));
        let edited_s = if is_edited { Some(self.clock_s) } else { known.and_then(|known| known.edited_s) };
        let known = KnownCronJob { cron_job: cron_job.clone(), edited_s, removed: false };
        self.cron_jobs.insert(name.clone(), known);
    }

    /// Takes in the server's word that an object is gone, before any watch says so.
    pub fn learn_removed(&mut self, kind: Kind, name: &Str, uid: &Uid) {
        match kind {
            Kind::Job => {
                if let Some((job, removed)) = self.jobs.get_mut(name)
                    && job.metadata.uid == *uid
                {
                    *removed = true;
                }
            }
            Kind::Pod => {
                if self.pods.get(name).is_some_and(|(pod, _)| pod.metadata.uid == *uid) {
                    self.unlink(name);
                    if let Some((_, removed)) = self.pods.get_mut(name) {
                        *removed = true;
                    }
                }
            }
            Kind::CronJob => {
                if let Some(known) = self.cron_jobs.get_mut(name)
                    && known.cron_job.metadata.uid == *uid
                {
                    known.removed = true;
                }
            }
            Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => {
                self.others.learn_removed(kind, name, uid);
            }
        }
    }

    /// The CronJob of that name.
    #[must_use]
    pub fn cron_job(&self, name: &str) -> Option<&KnownCronJob> {
        self.cron_jobs.get(name).filter(|known| !known.removed)
    }

    /// The Jobs whose controller has that uid, in order of name.
    pub fn jobs_of<'a>(&'a self, owner: &'a Uid) -> impl Iterator<Item = &'a Arc<Job>> {
        let jobs = self.jobs.values().filter(|(_, removed)| !removed).map(|(job, _)| job);
        jobs.filter(move |job| job.metadata.controller().is_some_and(|controller| controller.uid == *owner))
    }

    /// An edit that was seen when the clock showed more than `now_s` was made before that.
    pub fn bound_edit(&mut self, name: &str, now_s: i64) {
        if let Some(known) = self.cron_jobs.get_mut(name) {
            known.edited_s = known.edited_s.map(|edited_s| edited_s.min(now_s));
        }
    }

    /// Uids that CronJobs list as active by that name.
    pub fn listed_as_active<'a>(&'a self, job: &'a str) -> impl Iterator<Item = &'a Uid> {
        let listed = self.cron_jobs.values().flat_map(|known| &known.cron_job.status.active);
        listed.filter(move |reference| &*reference.name == job).map(|reference| &reference.uid)
    }

    /// Whether the server said of the Job of that uid that it is gone, before any watch did.
    #[must_use]
    pub fn has_removed(&self, uid: &Uid) -> bool {
        self.jobs.values().any(|(job, removed)| *removed && job.metadata.uid == *uid)
    }

    /// Whether the Job of that uid was seen to go.
    #[must_use]
    pub fn has_seen_go(&self, uid: &Uid) -> bool {
        self.gone.get(&Kind::Job).is_some_and(|gone| gone.contains(uid))
    }

    /// Revision up to which the watch of that kind, or a list, has been applied.
    #[must_use]
    pub fn reached(&self, kind: Kind) -> ResourceVersion {
        self.reached.get(&kind).copied().unwrap_or_default()
    }

    /// The Job of that name.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<&Arc<Job>> {
        self.jobs.get(name).filter(|(_, removed)| !removed).map(|(job, _)| job)
    }

    /// The Pods that the Job of that uid still has to do with.
    pub fn pods_of<'a>(&'a self, uid: &Uid) -> impl Iterator<Item = &'a Arc<Pod>> {
        let names = self.children.get(uid).into_iter().flat_map(|children| &children.names);
        names.filter_map(|name| self.pods.get(name).map(|(pod, _)| pod))
    }

    /// The number that stands for what a reconcile of the Job sees of its Pods.
    #[must_use]
    pub fn sum_of(&self, uid: &Uid) -> u64 {
        self.children.get(uid).map_or(0, |children| children.sum)
    }

    fn reach(&mut self, kind: Kind, version: ResourceVersion) {
        let reached = self.reached.entry(kind).or_default();
        *reached = (*reached).max(version);
    }

    fn list(&mut self, kind: Kind, objects: Vec<Object>, version: ResourceVersion) {
        if self.reached.get(&kind).is_some_and(|reached| version < *reached) {
            let lagging = self.lagging_lists.entry(kind).or_default();
            *lagging += 1;
            if *lagging < LAGGING_LISTS {
                return;
            }
            self.forget(kind);
        }
        self.lagging_lists.remove(&kind);
        self.reach(kind, version);
        let listed: BTreeSet<Str> = objects.iter().map(|object| object.metadata().name.clone()).collect();
        let names: Vec<Str> = match kind {
            Kind::Job => self.jobs.keys().cloned().collect(),
            Kind::Pod => self.pods.keys().cloned().collect(),
            Kind::CronJob => self.cron_jobs.keys().cloned().collect(),
            Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => self.others.names(kind),
        };
        for name in names.iter().filter(|name| !listed.contains(*name)) {
            self.remove(kind, name, version);
        }
        for object in &objects {
            self.learn(object);
        }
        self.listed.insert(kind);
    }

    /// The server's history went back: nothing known of the kind holds.
    fn forget(&mut self, kind: Kind) {
        self.gone.remove(&kind);
        self.reached.remove(&kind);
        match kind {
            Kind::Job => self.jobs.clear(),
            Kind::Pod => {
                self.pods.clear();
                self.children.clear();
            }
            Kind::CronJob => self.cron_jobs.clear(),
            Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => self.others.forget(kind),
        }
    }

    fn remove(&mut self, kind: Kind, name: &Str, at: ResourceVersion) {
        match kind {
            Kind::Job => {
                if self.jobs.get(name).is_some_and(|(job, _)| job.metadata.resource_version <= at)
                    && let Some((job, _)) = self.jobs.remove(name)
                {
                    self.gone.entry(kind).or_default().insert(job.metadata.uid.clone());
                }
            }
            Kind::Pod => {
                if self.pods.get(name).is_some_and(|(pod, _)| pod.metadata.resource_version <= at) {
                    self.unlink(name);
                    if let Some((pod, _)) = self.pods.remove(name) {
                        self.gone.entry(kind).or_default().insert(pod.metadata.uid.clone());
                    }
                }
            }
            Kind::CronJob => {
                let version = |known: &KnownCronJob| known.cron_job.metadata.resource_version;
                if self.cron_jobs.get(name).is_some_and(|known| version(known) <= at)
                    && let Some(known) = self.cron_jobs.remove(name)
                {
                    self.gone.entry(kind).or_default().insert(known.cron_job.metadata.uid.clone());
                }
            }
            Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => {
                if let Some(uid) = self.others.remove(kind, name, at) {
                    self.gone.entry(kind).or_default().insert(uid);
                }
            }
        }
    }

    fn link(&mut self, name: &Str) {
        let Some((pod, removed)) = self.pods.get(name) else { return };
        let Some(owner) = pod.metadata.controller() else { return };
        let sight = Sight::of(pod);
        if !removed && sight.concerns_its_job() {
            let children = self.children.entry(owner.uid.clone()).or_default();
            children.names.insert(name.clone());
            children.sum = children.sum.wrapping_add(sight.number());
        }
    }

    fn unlink(&mut self, name: &Str) {
        let Some((pod, _)) = self.pods.get(name) else { return };
        let Some(owner) = pod.metadata.controller() else { return };
        if let Some(children) = self.children.get_mut(&owner.uid)
            && children.names.remove(name)
        {
            children.sum = children.sum.wrapping_sub(Sight::of(pod).number());
        }
    }
}

impl Sight {
    /// What there is to see of `pod`.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let number = |name: &str| pod.metadata.annotations.get(name).and_then(|number| number.parse().ok());
        Self {
            phase: pod.status.phase,
            is_terminating: pod.metadata.is_terminating(),
            is_tracked: pod.is_tracked(),
            is_ready: pod.ready_condition().is_some_and(|ready| ready.status == ConditionStatus::True),
            index: number(COMPLETION_INDEX_ANNOTATION).unwrap_or(NO_INDEX),
            index_failures: number(INDEX_FAILURE_COUNT_ANNOTATION).unwrap_or(0),
            index_ignored_failures: number(INDEX_IGNORED_FAILURE_COUNT_ANNOTATION).unwrap_or(0),
        }
    }

    /// Whether the Pod has ended.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// Whether the Pod has neither ended nor is about to go.
    #[must_use]
    pub fn is_active(self) -> bool {
        !self.is_terminal() && !self.is_terminating
    }

    fn concerns_its_job(self) -> bool {
        !self.is_terminal() || self.is_tracked
    }

    fn number(self) -> u64 {
        let phase = match self.phase {
            PodPhase::Pending => 0,
            PodPhase::Running => 1,
            PodPhase::Succeeded => 2,
            PodPhase::Failed => 3,
            PodPhase::Unknown => 4,
        };
        number(phase, self.is_terminating, self.is_tracked, self.is_ready, self.index)
    }
}

/// The number that stands for what the columns of a snapshot show of the Job's own Pods.
#[must_use]
pub fn sum_of_columns(pods: &PodColumns) -> u64 {
    let mut sum = 0_u64;
    for position in 0..pods.len() {
        let flags = pods.flags[position];
        if flags & pod_flag::OWNED == 0 {
            continue;
        }
        let has = |flag: u16| flags & flag != 0;
        sum = sum.wrapping_add(number(
            pods.phase[position],
            has(pod_flag::TERMINATING),
            has(pod_flag::TRACKED),
            has(pod_flag::READY),
            pods.index[position],
        ));
    }
    sum
}

fn number(phase: u8, is_terminating: bool, is_tracked: bool, is_ready: bool, index: u32) -> u64 {
    let bits = u64::from(phase)
        | u64::from(is_terminating) << 3
        | u64::from(is_tracked) << 4
        | u64::from(is_ready) << 5
        | u64::from(index) << 8;
    mix(bits.wrapping_add(1))
}
