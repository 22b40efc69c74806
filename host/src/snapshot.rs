//! From the cache to the one value that reconcile sees.

mod cron_job;
mod daemon_set;

pub use cron_job::cron_job;
pub use daemon_set::{DaemonScene, Look, Sight, daemon_set};

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{CronJob, DaemonSet, Job, Kind, ObjectMeta, Pod, Uid, failed_pod, uncounted_pods};
use windlass_core::view::{
    Admission, JobFlags, JobSnapshot, LiveOwner, NO_POD, OrphanOwner, OrphanSnapshot, PodColumns,
    UncountedPods,
};

use crate::Now;
use crate::cache::{Cache, PodEntry};
use crate::engine::Snapshot;
use crate::key::{KeyKind, Name};

/// A snapshot, and what its positions stand for.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What reconcile sees.
    pub snapshot: Arc<Snapshot>,
    /// The Pod at each position, of a Job's.
    pub children: Vec<Arc<PodEntry>>,
    /// The Job at each position, of a CronJob's.
    pub jobs: Vec<Arc<Job>>,
    /// What else positions stand for, of a DaemonSet's.
    pub daemon: Option<DaemonScene>,
    /// The object that the key stands for.
    pub subject: Subject,
    /// What the key allows a plan to do.
    pub scope: KeyKind,
    /// What the names of new Pods are derived from.
    pub known: KnownPods,
}

/// The object that a key stands for, as its snapshot shows it.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A Job.
    Job(Arc<Job>),
    /// A CronJob.
    CronJob(Arc<CronJob>),
    /// A DaemonSet.
    DaemonSet(Arc<DaemonSet>),
    /// A Pod that may have lost its Job; it is the only child.
    Orphan,
}

impl Subject {
    /// The Job, if it is one.
    #[must_use]
    pub fn job(&self) -> Option<&Arc<Job>> {
        match self {
            Self::Job(job) => Some(job),
            Self::CronJob(_) | Self::DaemonSet(_) | Self::Orphan => None,
        }
    }

    /// The CronJob, if it is one.
    #[must_use]
    pub fn cron_job(&self) -> Option<&Arc<CronJob>> {
        match self {
            Self::CronJob(cron_job) => Some(cron_job),
            Self::Job(_) | Self::DaemonSet(_) | Self::Orphan => None,
        }
    }

    /// The DaemonSet, if it is one.
    #[must_use]
    pub fn daemon_set(&self) -> Option<&Arc<DaemonSet>> {
        match self {
            Self::DaemonSet(set) => Some(set),
            Self::Job(_) | Self::CronJob(_) | Self::Orphan => None,
        }
    }

    /// Counts the changes of what is desired of it; an orphaned Pod's is of no interest.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.regarding().map_or(0, |(_, metadata)| metadata.generation)
    }

    /// Kind and metadata of what Events are about; an orphaned Pod has none.
    #[must_use]
    pub fn regarding(&self) -> Option<(Kind, &ObjectMeta)> {
        match self {
            Self::Job(job) => Some((Kind::Job, &job.metadata)),
            Self::CronJob(cron_job) => Some((Kind::CronJob, &cron_job.metadata)),
            Self::DaemonSet(set) => Some((Kind::DaemonSet, &set.metadata)),
            Self::Orphan => None,
        }
    }
}

/// The Pods that the cache held when a snapshot was taken.
///
/// Names are derived from these alone: a plan whose view is stale then asks for names that are taken, and the
/// server refuses them, even if the cache has learned better since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownPods {
    /// How many Pods had ever come into the cache.
    pub arrivals: u32,
    /// How many Pods the Job had, those included that do not cross.
    pub of_job: u32,
}

impl Gathered {
    /// The same for the Job's own key: to delete the Job by its age is another key's business.
    #[must_use]
    pub fn without_time_to_live(mut self) -> Self {
        if let Snapshot::Job(snapshot) = Arc::make_mut(&mut self.snapshot)
            && snapshot.job.ttl_seconds_after_finished.is_some()
        {
            Arc::make_mut(&mut snapshot.job).ttl_seconds_after_finished = None;
        }
        self
    }

    /// Notes what was decided about the start of the Job.
    pub fn decide_start(&mut self, admission: Admission) {
        if let Snapshot::Job(snapshot) = Arc::make_mut(&mut self.snapshot) {
            snapshot.admission = Some(admission);
        }
    }
}

/// What one key carries from plan to plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes of the last plan that succeeded, or whose status was stored.
    pub memo: Vec<u8>,
    /// Answer to the live read that the last plan asked for.
    pub live_owner: Option<LiveOwner>,
    /// Answers to the live reads of Jobs that the last plan asked for, by uid.
    pub live_jobs: BTreeMap<Uid, LiveOwner>,
}

impl Carried {
    /// Forgets what was read: it is old by the next run.
    pub fn forget_reads(&mut self) {
        self.live_owner = None;
        self.live_jobs.clear();
    }
}

/// The snapshot of a Job, or `None` if it is not cached.
#[must_use]
pub fn job(cache: &Cache, name: &Name, flags: &JobFlags, now: Now, carried: &Carried) -> Option<Gathered> {
    let entry = cache.job(name)?;
    let job = &entry.job;
    let children = children(cache, job);
    let mut pods = PodColumns::with_capacity(children.len());
    for (position, child) in children.iter().enumerate() {
        pods.push(child.row);
        let policy = job.spec.pod_failure_policy.as_ref();
        pods.failed_details
            .extend(policy.and_then(|policy| failed_pod(&child.pod, to_u32(position), policy)));
    }
    let snapshot = JobSnapshot {
        now_ms: now.unix_ms,
        flags: flags.clone(),
        job: entry.view.clone(),
        uncounted: uncounted_pods(job, children.iter().map(|child| &*child.pod)),
        pods,
        live_owner: carried.live_owner,
        admission: None,
        memo: carried.memo.clone(),
    };
    let snapshot = Arc::new(Snapshot::Job(snapshot));
    let known = KnownPods { arrivals: cache.pod_arrivals(), of_job: cache.pod_count_of(&job.metadata.uid) };
    let (subject, scope) = (Subject::Job(job.clone()), KeyKind::Job);
    Some(Gathered { snapshot, children, jobs: Vec::new(), daemon: None, subject, scope, known })
}

/// The snapshot of a Job that has ended, for its time to live alone: without Pods, which have no say in it.
///
/// `None` if it is not cached, not to be deleted by its age, or about to go already.
#[must_use]
pub fn time_to_live(
    cache: &Cache,
    name: &Name,
    flags: &JobFlags,
    now: Now,
    carried: &Carried,
) -> Option<Gathered> {
    let entry = cache.job(name).filter(|entry| has_time_to_live(&entry.job))?;
    let snapshot = JobSnapshot {
        now_ms: now.unix_ms,
        flags: flags.clone(),
        job: entry.view.clone(),
        uncounted: UncountedPods::default(),
        pods: PodColumns::default(),
        live_owner: carried.live_owner,
        admission: None,
        memo: Vec::new(),
    };
    let snapshot = Arc::new(Snapshot::Job(snapshot));
    Some(Gathered {
        snapshot,
        children: Vec::new(),
        jobs: Vec::new(),
        daemon: None,
        subject: Subject::Job(entry.job.clone()),
        scope: KeyKind::TimeToLive,
        known: KnownPods::default(),
    })
}

/// Whether the Job has ended and is to be deleted some time after (upstream: needsCleanup).
#[must_use]
pub fn has_time_to_live(job: &Job) -> bool {
    job.spec.ttl_seconds_after_finished.is_some() && job.is_finished() && !job.metadata.is_terminating()
}

/// The snapshot of a Pod that may have lost its Job, or `None` if it is not cached; `live` is what a live
/// read of the Job found, which is needed where the cache does not hold it.
#[must_use]
pub fn orphan(cache: &Cache, name: &Name, flags: &JobFlags, live: Option<LiveOwner>) -> Option<Gathered> {
    let entry = cache.pod(name).filter(|entry| entry.crosses())?;
    let owner = match orphan_owner(cache, &entry.pod, flags, live) {
        Ok(owner) => owner,
        // Without the live read nothing may be decided: the Pod may be ahead of its Job.
        Err(NeedsLiveRead) => OrphanOwner::Unfinished,
    };
    let snapshot = OrphanSnapshot { tracked: entry.pod.is_tracked(), owner };
    let snapshot = Arc::new(Snapshot::Orphan(snapshot));
    Some(Gathered {
        snapshot,
        children: vec![entry.clone()],
        jobs: Vec::new(),
        daemon: None,
        subject: Subject::Orphan,
        scope: KeyKind::OrphanPod,
        known: KnownPods::default(),
    })
}

/// The Job whose absence a live read has to confirm before the Pod counts as orphaned, if there is one.
#[must_use]
pub fn orphan_needs_read(cache: &Cache, name: &Name, flags: &JobFlags) -> Option<Name> {
    let entry = cache.pod(name).filter(|entry| entry.is_tracked())?;
    orphan_owner(cache, &entry.pod, flags, None).err()?;
    let owner = entry.pod.metadata.controller()?;
    Some(Name { namespace: name.namespace.clone(), name: owner.name.clone() })
}

/// Whether another controller manages the Job.
#[must_use]
pub fn managed_elsewhere(job: &Job, flags: &JobFlags) -> bool {
    !windlass_core::job::is_ours(job.spec.managed_by.as_deref(), flags.managed_by.as_deref())
}

struct NeedsLiveRead;

fn orphan_owner(
    cache: &Cache,
    pod: &Pod,
    flags: &JobFlags,
    live: Option<LiveOwner>,
) -> Result<OrphanOwner, NeedsLiveRead> {
    let Some(owner) = pod.metadata.controller() else { return Ok(OrphanOwner::Nobody) };
    if !owner.names(Kind::Job) {
        return Ok(OrphanOwner::OtherKind);
    }
    if let Some(entry) = cache.job_name(&owner.uid).and_then(|name| cache.job(name)) {
        return Ok(if managed_elsewhere(&entry.job, flags) {
            OrphanOwner::ManagedElsewhere
        } else if entry.job.is_finished() {
            OrphanOwner::Finished
        } else {
            OrphanOwner::Unfinished
        });
    }
    match live {
        _ if cache.has_seen_go(&owner.uid) => Ok(OrphanOwner::Gone),
        None => Err(NeedsLiveRead),
        Some(LiveOwner::Gone) => Ok(OrphanOwner::Gone),
        Some(LiveOwner::Alive | LiveOwner::Terminating) => Ok(OrphanOwner::Unfinished),
    }
}

fn children(cache: &Cache, job: &Job) -> Vec<Arc<PodEntry>> {
    let uid = &job.metadata.uid;
    let mut children: Vec<_> = cache.crossing_pods_of(uid).cloned().collect();
    let owned = children.len();
    let namespace = &job.metadata.namespace;
    if let Some(selector) = &job.spec.selector {
        let selected = cache
            .pods_without_controller(namespace)
            // One that has ended may have been counted before it was let go, so it stays where it is.
            .filter(|entry| entry.crosses() && selector.matches(&entry.pod.metadata.labels));
        children.extend(selected.map(|entry| {
            let row = windlass_core::kube::pod_row(&entry.pod, job);
            Arc::new(PodEntry { row, ..PodEntry::clone(entry) })
        }));
    }
    if children.len() > owned {
        children.sort_by(|a, b| a.pod.metadata.name.cmp(&b.pod.metadata.name));
    }
    children
}

fn to_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(NO_POD)
}
