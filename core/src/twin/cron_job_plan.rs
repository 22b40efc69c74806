//! The plan document for a CronJob.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde_json::value::RawValue;

use super::TwinFault;
use super::document::{
    PlanDocument, RequestDocument, StatusDocument, StatusOf, StepDocument, UidSource, after, event,
    job_target, target,
};
use crate::kube::{
    CronJob, Job, JobManifest, Kind, ManifestFault, ObjectReference, cron_job_status, job_reference,
};
use crate::plan::{Action, ActiveJob, CronJobStatusWrite, JobSlot, Plan, Step};

/// What the steps of a plan for a CronJob refer to.
struct Scene<'request> {
    cron_job: &'request CronJob,
    /// The Job at each position.
    jobs: &'request [&'request Job],
    /// The step that creates Jobs, and these Jobs.
    created: Option<(u32, Vec<JobManifest>)>,
}

impl PlanDocument {
    /// The document for `plan`, which was made for `cron_job` and `jobs`.
    pub(super) fn of_cron_job(plan: &Plan, cron_job: &CronJob, jobs: &[&Job]) -> Result<Self, TwinFault> {
        let manifest = |slot: &JobSlot| {
            let name = JobManifest::name_at(&cron_job.metadata.name, slot.scheduled_s);
            JobManifest::new(cron_job, name, slot.timestamp.clone())
        };
        let created = (0..).zip(&plan.steps).find_map(|(position, step)| {
            let Action::CreateJobs(slots) = &step.action else { return None };
            Some((position, slots.iter().map(manifest).collect()))
        });
        let scene = Scene { cron_job, jobs, created };
        let steps: Result<_, _> = plan.steps.iter().map(|step| scene.step(step)).collect();
        Ok(Self::of_steps(plan, steps?))
    }
}

impl Scene<'_> {
    fn step(&self, step: &Step) -> Result<StepDocument, TwinFault> {
        let items = match &step.action {
            Action::CreateJobs(_) => {
                let created = self.created.iter().flat_map(|(_, created)| created);
                let created: Result<Vec<_>, _> = created.map(create).collect();
                created.map_err(TwinFault::Template)?
            }
            Action::DeleteJobs(positions) => {
                let jobs = positions.iter().filter_map(|position| self.job(*position));
                let delete = |job| RequestDocument::Delete {
                    target: job_target(job),
                    propagation_policy: Some("Background"),
                };
                jobs.map(delete).collect()
            }
            Action::WriteCronJobStatus(write) => Vec::from([self.update_status(write)]),
            Action::RecordEvent(record) => {
                Vec::from([event(target(Kind::CronJob, &self.cron_job.metadata), record)])
            }
            // These are for other kinds.
            Action::CreatePods(_)
            | Action::DeletePods { .. }
            | Action::UntrackPods(_)
            | Action::AdoptPods(_)
            | Action::ReleasePods(_)
            | Action::WriteJobStatus(_)
            | Action::DeleteJob
            | Action::DaemonSet(_) => Vec::new(),
        };
        Ok(StepDocument {
            after: after(&step.after),
            items: items.into_iter().map(|request| [request].into()).collect(),
        })
    }

    fn job(&self, position: u32) -> Option<&Job> {
        self.jobs.get(usize::try_from(position).ok()?).copied()
    }

    fn manifest(&self, slot: u32) -> Option<&JobManifest> {
        self.created.as_ref()?.1.get(usize::try_from(slot).ok()?)
    }

    fn update_status(&self, write: &CronJobStatusWrite) -> RequestDocument {
        let reference = |active: ActiveJob| match active {
            ActiveJob::Listed(_) => None,
            ActiveJob::Known(position) => self.job(position).map(job_reference),
            ActiveJob::Created(slot) => self.manifest(slot).map(reference_without_uid),
        };
        let status = cron_job_status(&self.cron_job.status, write, reference);
        let source = |(place, active): (u32, &ActiveJob)| match (*active, &self.created) {
            (ActiveJob::Created(item), Some((step, _))) => {
                Some(UidSource { active: place, step: *step, item })
            }
            (ActiveJob::Created(_) | ActiveJob::Listed(_) | ActiveJob::Known(_), _) => None,
        };
        RequestDocument::UpdateStatus {
            object: Box::new(StatusDocument {
                api_version: Kind::CronJob.api_version(),
                kind: Kind::CronJob.name(),
                metadata: self.cron_job.metadata.clone(),
                status: StatusOf::CronJob(status),
            }),
            uids_from: (0..).zip(&write.active).filter_map(source).collect(),
        }
    }
}

fn create(manifest: &JobManifest) -> Result<RequestDocument, ManifestFault> {
    let text = manifest.to_json().map_err(|_| ManifestFault::MalformedSpec)?;
    let object = RawValue::from_string(text).map_err(|_| ManifestFault::MalformedSpec)?;
    Ok(RequestDocument::Create { object })
}

/// The link to a Job that the plan creates: its uid is known once it is there.
fn reference_without_uid(manifest: &JobManifest) -> ObjectReference {
    ObjectReference {
        kind: Kind::Job.name().into(),
        namespace: manifest.metadata.namespace.clone(),
        name: manifest.metadata.name.clone(),
        api_version: Kind::Job.api_version().into(),
        ..ObjectReference::default()
    }
}
