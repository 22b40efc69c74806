//! From one item of a step to the request that carries it out.

use std::sync::Arc;

use windlass_core::job::naming;
use windlass_core::kube::{
    CronJob, Job, JobManifest, JobStatus, ObjectReference, PodManifest, cron_job_status, job_reference,
    job_status,
};
use windlass_core::plan::{Action, ActiveJob, JobStatusWrite, PodSlot};

use super::{Execution, Ticket};
use crate::cache::{Cache, Counted, PodEntry};
use crate::engine::Snapshot;
use crate::key::Name;
use crate::request::{ObjectRef, Operation, Propagation};
use crate::snapshot::Gathered;

impl Execution {
    /// The request for an item, or `None` if it needs none.
    pub(super) fn operation(&mut self, ticket: Ticket, cache: &Cache) -> Option<Operation> {
        let step = self.steps.get(ticket.step)?;
        match &step.action {
            Action::CreatePods(slots) => {
                let slot = *slots.get(ticket.item)?;
                self.create(slot, cache)
            }
            Action::DeletePods { pods, untrack } => {
                let (position, untrack) = (*pods.get(ticket.item)?, *untrack);
                let entry = self.child(position)?;
                if untrack && !ticket.deleting && entry.pod.is_tracked() {
                    return Some(self.untrack(position, entry));
                }
                Some(Operation::DeletePod(reference(entry)))
            }
            Action::UntrackPods(pods) => {
                let position = *pods.get(ticket.item)?;
                let entry = self.child(position)?;
                entry.pod.is_tracked().then(|| self.untrack(position, entry))
            }
            Action::AdoptPods(pods) => {
                let entry = self.child(*pods.get(ticket.item)?)?;
                let owner = self.subject.job()?.controller_reference();
                let resource_version = entry.pod.metadata.resource_version;
                Some(Operation::AdoptPod { pod: reference(entry), owner, resource_version })
            }
            Action::ReleasePods(pods) => {
                let entry = self.child(*pods.get(ticket.item)?)?;
                let owner = self.subject.job()?.metadata.uid.clone();
                let resource_version = entry.pod.metadata.resource_version;
                Some(Operation::ReleasePod { pod: reference(entry), owner, resource_version })
            }
            Action::WriteJobStatus(status) => {
                let job = self.subject.job()?;
                let status =
                    job_status(status, |position| Some(self.child(position)?.pod.metadata.uid.clone()));
                let job = Arc::new(Job { status, ..Job::clone(job) });
                self.written = Some(job.clone());
                Some(Operation::WriteJobStatus(job))
            }
            Action::DeleteJob => {
                let job = ObjectRef::of(&self.subject.job()?.metadata);
                Some(Operation::DeleteJob { job, pods: Propagation::Foreground })
            }
            Action::CreateJobs(slots) => {
                let (slot, cron_job) = (slots.get(ticket.item)?, self.subject.cron_job()?);
                let name = JobManifest::name_at(&cron_job.metadata.name, slot.scheduled_s);
                let manifest = JobManifest::new(cron_job, name, slot.timestamp.clone());
                Some(Operation::CreateJob(Arc::new(manifest)))
            }
            Action::DeleteJobs(jobs) => {
                let job = self.jobs.get(*jobs.get(ticket.item)? as usize)?;
                let job = ObjectRef::of(&job.metadata);
                Some(Operation::DeleteJob { job, pods: Propagation::Background })
            }
            Action::WriteCronJobStatus(status) => {
                let cron_job = self.subject.cron_job()?;
                let status = cron_job_status(&cron_job.status, status, |active| self.reference_to(active));
                Some(Operation::WriteCronJobStatus(Arc::new(CronJob { status, ..CronJob::clone(cron_job) })))
            }
            Action::DaemonSet(action) => self.daemon_set_operation(&action.clone(), ticket.item, cache),
            Action::RecordEvent(_) => None,
        }
    }

    /// Whether the last status write of this plan counts the same Pods as `status`.
    #[must_use]
    pub fn wrote_counts_of(&self, status: &JobStatus) -> bool {
        let written = self.written.as_ref().map(|job| Counted::of(&job.status));
        written == Some(Counted::of(status))
    }

    /// Whether the Job's status is what `status` would make it.
    pub(super) fn is_current(&self, status: &JobStatusWrite) -> bool {
        let Some(job) = self.subject.job() else { return false };
        let wanted = job_status(status, |position| Some(self.child(position)?.pod.metadata.uid.clone()));
        let settled = |status: &JobStatus| {
            let mut status = status.clone();
            status.uncounted_terminated_pods.get_or_insert_default();
            status
        };
        settled(&wanted) == settled(&job.status)
    }

    fn create(&mut self, slot: PodSlot, cache: &Cache) -> Option<Operation> {
        let job = self.subject.job()?;
        let template = self.template.as_ref()?;
        let namespace = job.metadata.namespace.clone();
        // What came after the snapshot makes no name free: were it another's Pod of this slot, or our own of a
        // request long given up, the next name would be a second Pod of the slot.
        let known = self.known;
        let taken = |name: &str| {
            let entry = cache.pod(&Name { namespace: namespace.clone(), name: name.into() });
            entry.is_some_and(|entry| entry.arrival <= known.arrivals)
        };
        // Where slots are all alike, as many attempts as there are Pods are taken for sure, or were: to begin
        // there saves looking at each, and two views that differ by deleted Pods still derive one name.
        let first = match slot.index {
            Some(_) => 0,
            None => self.next_attempt.max(known.of_job),
        };
        let (name, attempt) = naming::pod_name(template, &job.metadata.uid, slot, first, &taken);
        let manifest: PodManifest = template.pod(slot, name);
        if slot.index.is_none() {
            self.next_attempt = attempt.saturating_add(1);
        }
        Some(Operation::CreatePod(Arc::new(manifest)))
    }

    /// The removal of the finalizer; of a Pod whose end may yet count, only as it was seen.
    fn untrack(&self, position: u32, entry: &PodEntry) -> Operation {
        let is_recorded = self.recorded.binary_search(&position).is_ok();
        let as_seen = entry.pod.may_yet_count(self.subject.job().map(AsRef::as_ref), is_recorded);
        let version = entry.pod.metadata.resource_version;
        Operation::UntrackPod { pod: reference(entry), resource_version: as_seen.then_some(version) }
    }

    /// The link to a Job that the CronJob's status does not list yet.
    fn reference_to(&self, active: ActiveJob) -> Option<ObjectReference> {
        let job = match active {
            ActiveJob::Listed(_) => None,
            ActiveJob::Known(position) => self.jobs.get(position as usize),
            ActiveJob::Created(slot) => self.created_jobs.get(&(slot as usize)),
        };
        job.map(|job| job_reference(job))
    }

    pub(super) fn child(&self, position: u32) -> Option<&PodEntry> {
        self.children.get(position as usize).map(AsRef::as_ref)
    }
}

/// Positions of the Pods that are uncounted already; sorted.
pub(super) fn recorded(gathered: &Gathered) -> Vec<u32> {
    let mut positions = Vec::new();
    if let Snapshot::Job(snapshot) = &*gathered.snapshot {
        positions.extend(snapshot.uncounted.succeeded.iter().chain(&snapshot.uncounted.failed));
    }
    positions.sort_unstable();
    positions
}

pub(super) fn reference(entry: &PodEntry) -> ObjectRef {
    ObjectRef::of(&entry.pod.metadata)
}
