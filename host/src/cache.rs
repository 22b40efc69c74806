//! What the watches have delivered, plus an overlay of this process's own acknowledged writes.
//!
//! One map a kind holds both. An answer enters only if it is newer than what the watch has reached for its
//! resource, so that it never brings back what the watch has since removed. The answer to a delete marks an
//! object and never removes it: only the watch, or a list, does.

mod cron_jobs;
mod daemon_sets;
mod pods;
#[cfg(test)]
mod tests;

pub use cron_jobs::CronJobEntry;
pub use daemon_sets::{DaemonSetEntry, Meaning};
pub use pods::PodEntry;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use windlass_core::kube::{
    ControllerRevision, Job, JobManifest, JobStatus, Kind, Labels, Node, Object, Pod, ResourceVersion, Str,
    Uid, cron_job_row, job_view, scheduled_instant,
};
use windlass_core::view::JobView;

use crate::key::Name;
use cron_jobs::CronJobCache;
use daemon_sets::DaemonSetCache;
use pods::PodCache;

/// Most uids of gone Jobs that are remembered; of an older one a live read has to say that it is gone.
pub const MAX_GONE_JOBS: usize = 4_096;

/// A cached Job and what is made of it once per version.
#[derive(Clone, Debug)]
pub struct JobEntry {
    /// The object.
    pub job: Arc<Job>,
    /// Its view.
    pub view: Arc<JobView>,
    /// Whether its removal was acknowledged and not yet watched.
    pub removed: bool,
}

/// The part of a Job's status that says which Pods have been counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted<'status> {
    succeeded: i32,
    failed: i32,
    completed_indexes: &'status str,
    uncounted: [&'status [Uid]; 2],
}

impl<'status> Counted<'status> {
    /// That part of `status`.
    #[must_use]
    pub fn of(status: &'status JobStatus) -> Self {
        let uncounted = status.uncounted_terminated_pods.as_ref();
        Self {
            succeeded: status.succeeded,
            failed: status.failed,
            completed_indexes: &status.completed_indexes,
            uncounted: uncounted.map_or([&[], &[]], |pods| [&pods.succeeded[..], &pods.failed[..]]),
        }
    }
}

/// What an event changed, for the queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A Job is new or different; `spec` says whether more than its status or metadata changed.
    Job {
        /// The Job.
        name: Name,
        /// Whether a plan made before is out of date.
        spec: bool,
        /// Whether the status counts other Pods than the one known before.
        counts: bool,
        /// How many Pods more it counts as failed than the one known before.
        failures: u32,
        /// Whether it was not known before.
        is_new: bool,
        /// Uids of its controller before and after, the same or not, where a CronJob has to see what changed.
        owners: [Option<Uid>; 2],
    },
    /// A Job is gone.
    JobGone {
        /// The Job.
        name: Name,
        /// Its uid.
        uid: Uid,
        /// Uid of its controller.
        owner: Option<Uid>,
    },
    /// A CronJob is new or different.
    CronJob {
        /// The CronJob.
        name: Name,
        /// Whether a plan made before is out of date.
        spec: bool,
        /// Whether it was known before with another schedule or time zone.
        rescheduled: bool,
    },
    /// A CronJob is gone.
    CronJobGone {
        /// The CronJob.
        name: Name,
    },
    /// A DaemonSet is new or different.
    DaemonSet {
        /// The DaemonSet.
        name: Name,
        /// Whether a plan made before is out of date.
        spec: bool,
    },
    /// A DaemonSet is gone.
    DaemonSetGone {
        /// The DaemonSet.
        name: Name,
    },
    /// A node is new, gone, or has other labels or taints.
    Node {
        /// As it was; absent if it was not known.
        before: Option<Arc<Node>>,
        /// As it is; absent if it is gone.
        after: Option<Arc<Node>>,
    },
    /// A revision is new, different or gone.
    Revision {
        /// The revision.
        name: Name,
        /// Uids of its controller before and after, the same or not.
        owners: [Option<Uid>; 2],
    },
    /// A Pod is new, different or gone.
    Pod {
        /// The Pod.
        name: Name,
        /// Uids of its controller before and after, the same or not.
        owners: [Option<Uid>; 2],
        /// The nodes that a DaemonSet's Pod was and is for, the same or not; empty where it names none.
        nodes: [Option<Str>; 2],
        /// Whether nothing changed but that it was bound to the node that it is for.
        is_binding: bool,
        /// Whether nothing changed but its readiness, its node, and what no decision needs.
        is_passive: bool,
        /// Whether it had ended and kept the tracking finalizer, before and after.
        held: [bool; 2],
    },
}

/// The cache of all watched kinds.
#[derive(Debug, Default)]
pub struct Cache {
    jobs: BTreeMap<Name, JobEntry>,
    jobs_by_uid: BTreeMap<Uid, Name>,
    /// Names of the Jobs that a CronJob controls, by its uid.
    jobs_by_owner: BTreeMap<Uid, BTreeSet<Name>>,
    /// The newest instant for which a CronJob has had a Job here, by its uid.
    newest_runs: BTreeMap<Uid, i64>,
    cron_jobs: CronJobCache,
    daemon_sets: DaemonSetCache,
    pods: PodCache,
    reached: BTreeMap<Kind, ResourceVersion>,
    gone_jobs: BTreeSet<Uid>,
    gone_in_order: VecDeque<Uid>,
}

impl Cache {
    /// Applies an object that the watch delivered.
    pub fn watched(&mut self, object: Object, changes: &mut Vec<Change>) {
        self.reach(object.kind(), object.metadata().resource_version);
        self.upsert(object, changes);
    }

    /// Applies a removal that the watch delivered; `object` carries the removal's resourceVersion.
    pub fn watched_removal(&mut self, object: &Object, changes: &mut Vec<Change>) {
        let at = object.metadata().resource_version;
        self.reach(object.kind(), at);
        let name = Name::of(object.metadata());
        self.remove(object.kind(), &name, at, changes);
    }

    /// Notes that the watch of `kind` has reached `version`.
    pub fn reach(&mut self, kind: Kind, version: ResourceVersion) {
        let reached = self.reached.entry(kind).or_default();
        *reached = (*reached).max(version);
    }

    /// How far the watch of `kind` has got.
    #[must_use]
    pub fn reached(&self, kind: Kind) -> ResourceVersion {
        self.reached.get(&kind).copied().unwrap_or_default()
    }

    /// Replaces everything of `kind` by a list at `version`; entries newer than the list stay.
    pub fn listed(
        &mut self,
        kind: Kind,
        objects: Vec<Object>,
        version: ResourceVersion,
        changes: &mut Vec<Change>,
    ) {
        let listed: BTreeSet<Name> = objects.iter().map(|object| Name::of(object.metadata())).collect();
        let gone: Vec<Name> = match kind {
            Kind::Job => self.jobs.keys().filter(|name| !listed.contains(name)).cloned().collect(),
            Kind::Pod => self.pods.names().filter(|name| !listed.contains(name)).cloned().collect(),
            Kind::CronJob => self.cron_jobs.names().filter(|name| !listed.contains(name)).cloned().collect(),
            Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => {
                let mut known = self.daemon_sets.names_of(kind);
                known.retain(|name| !listed.contains(name));
                known
            }
        };
        for name in gone {
            self.remove(kind, &name, version, changes);
        }
        for object in objects {
            self.upsert(object, changes);
        }
        self.reach(kind, version);
    }

    /// Forgets everything of `kind`: the server's history went back, so nothing known of it holds.
    pub fn forget(&mut self, kind: Kind, changes: &mut Vec<Change>) {
        let everything = ResourceVersion(u64::MAX);
        self.listed(kind, Vec::new(), everything, changes);
        self.reached.remove(&kind);
        self.gone_jobs.clear();
        self.gone_in_order.clear();
    }

    /// Adds the object in an answer to one of our own requests, if the watch has not got past it.
    pub fn acknowledged(&mut self, object: Object, changes: &mut Vec<Change>) {
        if object.metadata().resource_version > self.reached(object.kind()) {
            self.upsert(object, changes);
        }
    }

    /// Marks an object as gone on the server's word; the watch will remove it.
    pub fn acknowledged_removal(&mut self, kind: Kind, name: &Name, uid: &Uid, changes: &mut Vec<Change>) {
        match kind {
            Kind::Job => {
                if let Some(entry) = self.jobs.get_mut(name)
                    && entry.job.metadata.uid == *uid
                {
                    entry.removed = true;
                }
            }
            Kind::Pod => self.pods.mark_removed(name, uid, changes),
            Kind::CronJob => self.cron_jobs.mark_removed(name, uid),
            Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => {
                self.daemon_sets.mark_removed(kind, name, uid);
            }
        }
    }

    /// The Job of that name.
    #[must_use]
    pub fn job(&self, name: &Name) -> Option<&JobEntry> {
        self.jobs.get(name).filter(|entry| !entry.removed)
    }

    /// The Jobs, by name.
    pub fn jobs(&self) -> impl Iterator<Item = (&Name, &JobEntry)> {
        self.jobs.iter().filter(|(_, entry)| !entry.removed)
    }

    /// Name of the Job with that uid.
    #[must_use]
    pub fn job_name(&self, uid: &Uid) -> Option<&Name> {
        self.jobs_by_uid.get(uid)
    }

    /// Jobs whose controller has that uid, in order of name.
    pub fn jobs_of(&self, owner: &Uid) -> impl Iterator<Item = &Arc<Job>> {
        let names = self.jobs_by_owner.get(owner).into_iter().flatten();
        names.filter_map(|name| self.job(name)).map(|entry| &entry.job)
    }

    /// Jobs with a name that the CronJob would give, in order of name.
    pub fn jobs_named_after<'a>(&'a self, cron_job: &Name) -> impl Iterator<Item = &'a Arc<Job>> + use<'a> {
        let Name { namespace, name: cron_job } = cron_job.clone();
        let prefix: Str = format!("{cron_job}-").into();
        let first = Name { namespace: namespace.clone(), name: prefix.clone() };
        self.jobs
            .range(first..)
            .take_while(move |(name, _)| name.namespace == namespace && name.name.starts_with(&*prefix))
            .filter(move |(name, entry)| {
                !entry.removed && JobManifest::minute_of(&cron_job, &name.name).is_some()
            })
            .map(|(_, entry)| &entry.job)
    }

    /// The CronJob of that name.
    #[must_use]
    pub fn cron_job(&self, name: &Name) -> Option<&CronJobEntry> {
        self.cron_jobs.get(name)
    }

    /// The CronJobs, by name.
    pub fn cron_jobs(&self) -> impl Iterator<Item = (&Name, &CronJobEntry)> {
        self.cron_jobs.iter()
    }

    /// Name of the CronJob with that uid.
    #[must_use]
    pub fn cron_job_name(&self, uid: &Uid) -> Option<&Name> {
        self.cron_jobs.name(uid)
    }

    /// The newest instant for which the CronJob with that uid has had a Job here, seconds since the Unix epoch.
    #[must_use]
    pub fn newest_run_s(&self, cron_job: &Uid) -> Option<i64> {
        self.newest_runs.get(cron_job).copied()
    }

    /// Number of cached CronJobs.
    #[must_use]
    pub fn cron_job_count(&self) -> usize {
        self.cron_jobs.len()
    }

    /// The DaemonSet of that name.
    #[must_use]
    pub fn daemon_set(&self, name: &Name) -> Option<&DaemonSetEntry> {
        self.daemon_sets.get(name)
    }

    /// Name of the DaemonSet with that uid.
    #[must_use]
    pub fn daemon_set_name(&self, uid: &Uid) -> Option<&Name> {
        self.daemon_sets.name(uid)
    }

    /// All DaemonSets.
    pub fn daemon_sets(&self) -> impl Iterator<Item = (&Name, &DaemonSetEntry)> {
        self.daemon_sets.sets()
    }

    /// Number of cached DaemonSets.
    #[must_use]
    pub fn daemon_set_count(&self) -> usize {
        self.daemon_sets.count()
    }

    /// DaemonSets of a namespace whose selector matches `labels`.
    #[must_use]
    pub fn daemon_sets_selecting(&self, namespace: &Str, labels: &Labels) -> Vec<Name> {
        self.daemon_sets.selecting(namespace, labels)
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Arc<Node>> {
        self.daemon_sets.nodes()
    }

    /// Revisions of a namespace, whosever they are, by name.
    pub fn revisions(&self, namespace: &Str) -> impl Iterator<Item = &Arc<ControllerRevision>> {
        self.daemon_sets.revisions(namespace)
    }

    /// The revision of that name.
    #[must_use]
    pub fn revision(&self, name: &Name) -> Option<&Arc<ControllerRevision>> {
        self.daemon_sets.revision(name)
    }

    /// Whether the watch or a list removed the Job with that uid, which therefore never comes back.
    #[must_use]
    pub fn has_seen_go(&self, uid: &Uid) -> bool {
        self.gone_jobs.contains(uid)
    }

    /// Jobs of a namespace whose selector matches `labels`.
    pub fn jobs_selecting<'a>(
        &'a self,
        namespace: &'a Str,
        labels: &'a Labels,
    ) -> impl Iterator<Item = &'a Name> {
        let first = Name { namespace: namespace.clone(), name: "".into() };
        self.jobs
            .range(first..)
            .take_while(move |(name, _)| name.namespace == *namespace)
            .filter(move |(_, entry)| {
                entry.job.spec.selector.as_ref().is_some_and(|selector| selector.matches(labels))
            })
            .map(|(name, _)| name)
    }

    /// The Pod of that name, marked ones too.
    #[must_use]
    pub fn pod(&self, name: &Name) -> Option<&Arc<PodEntry>> {
        self.pods.get(name)
    }

    /// Pods that reconcile has to see whose controller has that uid, in order of name.
    pub fn crossing_pods_of(&self, uid: &Uid) -> impl Iterator<Item = &Arc<PodEntry>> {
        self.pods.crossing(uid)
    }

    /// All Pods whose controller has that uid and that are not gone, in order of name.
    #[must_use]
    pub fn pods_of(&self, uid: &Uid) -> Vec<Arc<PodEntry>> {
        self.pods.of(uid)
    }

    /// The Pods of the DaemonSet with that uid that are for one of these nodes, or name none, and that are not gone; in
    /// order of name.
    #[must_use]
    pub fn pods_at(&self, uid: &Uid, nodes: &[Str]) -> Vec<Arc<PodEntry>> {
        self.pods.at_nodes(uid, nodes)
    }

    /// Names of the nodes that the DaemonSet with that uid has Pods for, rising, and once for each Pod.
    pub fn nodes_with_pods_of(&self, uid: &Uid) -> impl Iterator<Item = &Str> {
        self.pods.nodes_of(uid)
    }

    /// Whether the DaemonSet with that uid has Pods for a node, those included whose removal is not watched yet.
    #[must_use]
    pub fn has_pods_at(&self, uid: &Uid, node: &Str) -> bool {
        self.pods.has_at_node(uid, node)
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &Str) -> Option<&Arc<Node>> {
        self.daemon_sets.node(name)
    }

    /// How many Pods have a controller of that uid, marked and ended ones included.
    #[must_use]
    pub fn pod_count_of(&self, uid: &Uid) -> u32 {
        u32::try_from(self.pods.count_of(uid)).unwrap_or(u32::MAX)
    }

    /// How many Pods have ever come into the cache; a Pod with a later arrival was not known yet.
    #[must_use]
    pub fn pod_arrivals(&self) -> u32 {
        self.pods.arrivals()
    }

    /// Pods of a namespace that have no controller, in order of name.
    pub fn pods_without_controller(&self, namespace: &Str) -> impl Iterator<Item = &Arc<PodEntry>> {
        self.pods.without_controller(namespace)
    }

    /// Number of cached Pods.
    #[must_use]
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// Number of cached Jobs.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    fn upsert(&mut self, object: Object, changes: &mut Vec<Change>) {
        match object {
            Object::Job(job) => self.upsert_job(job, changes),
            Object::Pod(pod) => self.upsert_pod(pod, changes),
            Object::CronJob(cron_job) => {
                if let Some(gone) = self.cron_jobs.upsert(cron_job, changes) {
                    self.forget_runs_if_gone(&gone);
                }
            }
            Object::Node(node) => self.daemon_sets.upsert_node(node, changes),
            Object::DaemonSet(set) => self.daemon_sets.upsert(set, changes),
            Object::ControllerRevision(revision) => self.daemon_sets.upsert_revision(revision, changes),
        }
    }

    /// Removes an object that is not newer than `at`.
    fn remove(&mut self, kind: Kind, name: &Name, at: ResourceVersion, changes: &mut Vec<Change>) {
        match kind {
            Kind::Job => self.remove_job(name, at, changes),
            Kind::Pod => self.pods.remove(name, at, changes),
            Kind::CronJob => self.remove_cron_job(name, at, changes),
            Kind::Node => self.daemon_sets.remove_node(name, at, changes),
            Kind::DaemonSet => self.daemon_sets.remove(name, at, changes),
            Kind::ControllerRevision => self.daemon_sets.remove_revision(name, at, changes),
        }
    }

    fn upsert_pod(&mut self, pod: Arc<Pod>, changes: &mut Vec<Change>) {
        let owner = pod.metadata.controller().and_then(|owner| {
            let name = self.jobs_by_uid.get(&owner.uid)?;
            Some(&self.jobs.get(name)?.job)
        });
        let owner = owner.cloned();
        self.pods.upsert(pod, owner.as_deref(), changes);
    }

    fn upsert_job(&mut self, job: Arc<Job>, changes: &mut Vec<Change>) {
        let name = Name::of(&job.metadata);
        let before = self.jobs.get(&name);
        if let Some(before) = before {
            if before.job.metadata.resource_version >= job.metadata.resource_version {
                return;
            }
            if before.job.metadata.uid != job.metadata.uid {
                let version = before.job.metadata.resource_version;
                self.remove_job(&name, version, changes);
            }
        }
        let before = self.jobs.get(&name);
        let owners = seen_by_owners(before.map(|entry| &*entry.job), &job);
        let spec = before.is_none_or(|entry| {
            entry.job.metadata.generation != job.metadata.generation
                || entry.job.metadata.is_terminating() != job.metadata.is_terminating()
        });
        let known = before.map(|entry| Counted::of(&entry.job.status)).unwrap_or_default();
        let counts = known != Counted::of(&job.status);
        let failed = before.map_or(job.status.failed, |entry| entry.job.status.failed);
        let failures = u32::try_from(job.status.failed.saturating_sub(failed)).unwrap_or(0);
        let is_new = before.is_none();
        if is_new {
            self.jobs_by_uid.insert(job.metadata.uid.clone(), name.clone());
            self.pods.adopt_rows(&job);
        }
        for owner in owners.iter().flatten() {
            let names = self.jobs_by_owner.entry(owner.clone()).or_default();
            if job.metadata.controller().is_some_and(|reference| reference.uid == *owner) {
                names.insert(name.clone());
            } else {
                names.remove(&name);
            }
            if names.is_empty() {
                self.jobs_by_owner.remove(owner);
                self.forget_runs_if_gone(owner);
            }
        }
        self.note_run(&job);
        let view = Arc::new(job_view(&job));
        self.jobs.insert(name.clone(), JobEntry { job, view, removed: false });
        changes.push(Change::Job { name, spec, counts, failures, is_new, owners });
    }

    /// Notes the instant for which a CronJob made the Job; it stays known once the Job is gone.
    fn note_run(&mut self, job: &Job) {
        let owner = job.metadata.controller().filter(|owner| owner.names(Kind::CronJob));
        if let Some(owner) = owner
            && let Some(at_s) = scheduled_instant(&owner.name, job)
        {
            let newest = self.newest_runs.entry(owner.uid.clone()).or_insert(at_s);
            *newest = (*newest).max(at_s);
        }
    }

    /// Forgets the instants of a CronJob that is not known and has no Job any more.
    fn forget_runs_if_gone(&mut self, cron_job: &Uid) {
        if self.cron_jobs.name(cron_job).is_none() && !self.jobs_by_owner.contains_key(cron_job) {
            self.newest_runs.remove(cron_job);
        }
    }

    fn remember_gone(&mut self, uid: Uid) {
        if self.gone_jobs.insert(uid.clone()) {
            self.gone_in_order.push_back(uid);
        }
        if self.gone_in_order.len() > MAX_GONE_JOBS
            && let Some(oldest) = self.gone_in_order.pop_front()
        {
            self.gone_jobs.remove(&oldest);
        }
    }

    fn remove_cron_job(&mut self, name: &Name, at: ResourceVersion, changes: &mut Vec<Change>) {
        if let Some(uid) = self.cron_jobs.remove(name, at, changes) {
            self.forget_runs_if_gone(&uid);
        }
    }

    fn remove_job(&mut self, name: &Name, at: ResourceVersion, changes: &mut Vec<Change>) {
        let Some(entry) = self.jobs.get(name) else { return };
        if entry.job.metadata.resource_version > at {
            return;
        }
        let uid = entry.job.metadata.uid.clone();
        let owner = cron_job_of(&entry.job);
        if let Some(owner) = &owner
            && let Some(names) = self.jobs_by_owner.get_mut(owner)
        {
            names.remove(name);
            if names.is_empty() {
                self.jobs_by_owner.remove(owner);
            }
        }
        if let Some(owner) = &owner {
            self.forget_runs_if_gone(owner);
        }
        self.jobs.remove(name);
        self.jobs_by_uid.remove(&uid);
        self.remember_gone(uid.clone());
        changes.push(Change::JobGone { name: name.clone(), uid, owner });
    }
}

/// Uid of the CronJob that controls the Job.
fn cron_job_of(job: &Job) -> Option<Uid> {
    job.metadata.controller().filter(|owner| owner.names(Kind::CronJob)).map(|owner| owner.uid.clone())
}

/// Uids of the CronJobs that have to see how `after` differs from `before`; none where nothing differs that a
/// CronJob goes by.
fn seen_by_owners(before: Option<&Job>, after: &Job) -> [Option<Uid>; 2] {
    let owners = [before.and_then(cron_job_of), cron_job_of(after)];
    match (before, &owners) {
        (Some(before), [Some(old), Some(new)])
            if old == new && cron_job_row(before, new) == cron_job_row(after, new) =>
        {
            [None, None]
        }
        _ => owners,
    }
}
