//! The same for CronJobs.

use windlass_core::kube::{ConcurrencyPolicy, Time};
use windlass_core::plan::{ActiveJob, CronJobStatusWrite, JobSlot};
use windlass_core::view::{ActiveRow, CronJobFlags, CronJobSnapshot, CronJobView, JobRow, JobState};

use super::live_owner;
use crate::bindings::exports::windlass::core::cron_job as wit_cron_job;
use crate::bindings::windlass::core::types as wit;

/// The core's snapshot of a CronJob.
pub(crate) fn cron_job_snapshot(snapshot: wit_cron_job::Snapshot) -> CronJobSnapshot {
    let wit_cron_job::Settings { default_zone, edits_run_the_past } = snapshot.settings;
    CronJobSnapshot {
        now_ms: snapshot.now_ms,
        flags: CronJobFlags { default_zone: default_zone.into(), edits_run_the_past },
        cron_job: view(snapshot.cron_job).into(),
        edited_s: snapshot.edited_s,
        newest_run_s: snapshot.newest_run_s,
        jobs: snapshot.jobs.into_iter().map(job_row).collect(),
        active: snapshot.active.into_iter().map(active_row).collect(),
        memo: snapshot.memo,
    }
}

/// The contract's Job to create.
pub(super) fn job_slot(slot: JobSlot) -> wit::JobSlot {
    wit::JobSlot { scheduled_s: slot.scheduled_s, timestamp: (&*slot.timestamp).into() }
}

/// The contract's status of a CronJob.
pub(super) fn status_write(status: CronJobStatusWrite) -> wit::CronJobStatusWrite {
    wit::CronJobStatusWrite {
        active: status.active.into_iter().map(active_job).collect(),
        last_schedule_time_s: status.last_schedule_time.map(|time| time.unix_seconds),
        last_successful_time_s: status.last_successful_time.map(|time| time.unix_seconds),
    }
}

fn active_job(active: ActiveJob) -> wit::ActiveJob {
    match active {
        ActiveJob::Listed(place) => wit::ActiveJob::Listed(place),
        ActiveJob::Known(position) => wit::ActiveJob::Known(position),
        ActiveJob::Created(slot) => wit::ActiveJob::Created(slot),
    }
}

fn view(view: wit_cron_job::View) -> CronJobView {
    CronJobView {
        owner: view.owner.into(),
        uid: view.uid.into(),
        terminating: view.terminating,
        created_s: view.created_s,
        schedule: view.schedule.into(),
        time_zone: view.time_zone.map(Into::into),
        starting_deadline_seconds: view.starting_deadline_seconds,
        concurrency_policy: match view.concurrency_policy {
            wit_cron_job::ConcurrencyPolicy::Allow => ConcurrencyPolicy::Allow,
            wit_cron_job::ConcurrencyPolicy::Forbid => ConcurrencyPolicy::Forbid,
            wit_cron_job::ConcurrencyPolicy::Replace => ConcurrencyPolicy::Replace,
            wit_cron_job::ConcurrencyPolicy::Other(name) => ConcurrencyPolicy::Other(name.into()),
        },
        suspended: view.suspended,
        successful_jobs_history_limit: view.successful_jobs_history_limit,
        failed_jobs_history_limit: view.failed_jobs_history_limit,
        last_schedule_time: view.last_schedule_time_s.map(Time::from_unix_seconds),
        last_successful_time: view.last_successful_time_s.map(Time::from_unix_seconds),
    }
}

fn job_row(row: wit_cron_job::JobRow) -> JobRow {
    JobRow {
        name: row.name.into(),
        owned: row.owned,
        terminating: row.terminating,
        state: match row.state {
            wit_cron_job::JobState::Unfinished => JobState::Unfinished,
            wit_cron_job::JobState::Complete => JobState::Complete,
            wit_cron_job::JobState::Failed => JobState::Failed,
        },
        scheduled_s: row.scheduled_s,
        started: row.started_s.map(Time::from_unix_seconds),
        completed: row.completed_s.map(Time::from_unix_seconds),
    }
}

fn active_row(row: wit_cron_job::ActiveRow) -> ActiveRow {
    ActiveRow { name: row.name.into(), job: row.job, live: row.live.map(live_owner) }
}
