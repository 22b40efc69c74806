//! From CronJobs to views, and from a plan's status back to the API's.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::{
    CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, CronJob, CronJobStatus, Job, JobManifest, Kind, ObjectReference,
    Time, Uid,
};
use crate::plan::{ActiveJob, CronJobStatusWrite};
use crate::view::{ActiveRow, CronJobView, JobRow, JobState, LiveOwner};

/// What reconcile may see of a CronJob.
#[must_use]
pub fn cron_job_view(cron_job: &CronJob) -> CronJobView {
    let metadata = &cron_job.metadata;
    let spec = &cron_job.spec;
    // The API refuses limits below 0.
    let limit = |limit: Option<i32>| limit.map(|limit| u32::try_from(limit).unwrap_or(0));
    CronJobView {
        owner: format!("{}/{}", metadata.namespace, metadata.name).into(),
        uid: metadata.uid.clone(),
        terminating: metadata.is_terminating(),
        created_s: metadata.creation_timestamp.map_or(0, |time| time.unix_seconds),
        schedule: spec.schedule.clone(),
        time_zone: spec.time_zone.clone(),
        starting_deadline_seconds: spec.starting_deadline_seconds,
        concurrency_policy: spec.concurrency_policy.clone(),
        suspended: cron_job.is_suspended(),
        successful_jobs_history_limit: limit(spec.successful_jobs_history_limit),
        failed_jobs_history_limit: limit(spec.failed_jobs_history_limit),
        last_schedule_time: cron_job.status.last_schedule_time,
        last_successful_time: cron_job.status.last_successful_time,
    }
}

/// What the reconcile of the CronJob with that uid may see of a Job.
#[must_use]
pub fn cron_job_row(job: &Job, cron_job: &Uid) -> JobRow {
    let annotation = job.metadata.annotations.get(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION);
    let scheduled = annotation.and_then(|text| Time::parse(text));
    JobRow {
        name: job.metadata.name.clone(),
        owned: job.metadata.controller().is_some_and(|owner| owner.uid == *cron_job),
        terminating: job.metadata.is_terminating(),
        state: if job.is_complete() {
            JobState::Complete
        } else if job.is_finished() {
            JobState::Failed
        } else {
            JobState::Unfinished
        },
        scheduled_s: scheduled.map(|time| time.unix_seconds),
        started: job.status.start_time,
        completed: job.status.completion_time,
    }
}

/// `status.active` of a CronJob among its `jobs`, in the order stored; `live` says what is known of a Job that is not
/// among them.
#[must_use]
pub fn active_rows<'a>(
    status: &CronJobStatus,
    jobs: impl Iterator<Item = &'a Job>,
    live: impl Fn(&Uid) -> Option<LiveOwner>,
) -> Vec<ActiveRow> {
    let positions: BTreeMap<&Uid, u32> =
        (0..).zip(jobs).map(|(position, job)| (&job.metadata.uid, position)).collect();
    let row = |reference: &ObjectReference| ActiveRow {
        name: reference.name.clone(),
        job: positions.get(&reference.uid).copied(),
        live: live(&reference.uid),
    };
    status.active.iter().map(row).collect()
}

/// The instant for which the CronJob of that name made a Job, seconds since the Unix epoch: its annotation tells it,
/// and its name the minute of it; `None` where people made it.
#[must_use]
pub fn scheduled_instant(cron_job: &str, job: &Job) -> Option<i64> {
    let at = Time::parse(job.metadata.annotations.get(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION)?)?;
    let start_s = JobManifest::minute_of(cron_job, &job.metadata.name)?;
    JobManifest::is_in_minute(start_s, at.unix_seconds).then_some(at.unix_seconds)
}

/// A reference to a Job as the status of its CronJob lists it (upstream: reference.GetReference).
#[must_use]
pub fn job_reference(job: &Job) -> ObjectReference {
    ObjectReference {
        kind: Kind::Job.name().into(),
        namespace: job.metadata.namespace.clone(),
        name: job.metadata.name.clone(),
        uid: job.metadata.uid.clone(),
        api_version: Kind::Job.api_version().into(),
        resource_version: format!("{}", job.metadata.resource_version).into(),
        field_path: "".into(),
    }
}

/// The status that a plan asks for; `reference` gives the link to a Job that is not listed yet, and what it knows
/// nothing of is left out.
#[must_use]
pub fn cron_job_status(
    stored: &CronJobStatus,
    write: &CronJobStatusWrite,
    reference: impl Fn(ActiveJob) -> Option<ObjectReference>,
) -> CronJobStatus {
    let link = |active: &ActiveJob| match *active {
        ActiveJob::Listed(place) => stored.active.get(place as usize).cloned(),
        ActiveJob::Known(_) | ActiveJob::Created(_) => reference(*active),
    };
    CronJobStatus {
        active: write.active.iter().filter_map(link).collect(),
        last_schedule_time: write.last_schedule_time,
        last_successful_time: write.last_successful_time,
    }
}
