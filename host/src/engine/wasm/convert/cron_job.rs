//! The same for CronJobs.

use windlass_core::kube::{ConcurrencyPolicy, Time};
use windlass_core::plan::{ActiveJob, CronJobStatusWrite, JobSlot};
use windlass_core::policy::{missed_runs, schedule};
use windlass_core::view::{ActiveRow, CronJobSnapshot, CronJobView, JobRow, JobState};

use super::super::bindings::{
    cron_job as wit_cron_job, missed_runs as wit_missed_runs, schedule as wit_schedule, types as wit,
};
use super::live_owner;

/// The contract's snapshot of a CronJob.
pub(in super::super) fn cron_job_snapshot(snapshot: &CronJobSnapshot) -> wit_cron_job::Snapshot {
    wit_cron_job::Snapshot {
        now_ms: snapshot.now_ms,
        settings: wit_cron_job::Settings {
            default_zone: (&*snapshot.flags.default_zone).into(),
            edits_run_the_past: snapshot.flags.edits_run_the_past,
        },
        cron_job: view(&snapshot.cron_job),
        edited_s: snapshot.edited_s,
        newest_run_s: snapshot.newest_run_s,
        jobs: snapshot.jobs.iter().map(job_row).collect(),
        active: snapshot.active.iter().map(active_row).collect(),
        memo: snapshot.memo.clone(),
    }
}

/// A question of the core about a schedule.
pub(in super::super) fn schedule_question(question: wit_schedule::Question) -> schedule::Question {
    schedule::Question {
        owner: question.owner,
        schedule: question.schedule,
        zone: question.zone,
        after_s: question.after_s,
        until_s: question.until_s,
        limit: question.limit,
        latest: question.latest,
        seed: question.seed,
        facts: question.facts,
    }
}

/// An answer to the core about a schedule.
pub(in super::super) fn schedule_answer(answer: schedule::Answer) -> wit_schedule::Answer {
    match answer {
        schedule::Answer::Fires(schedule::Firing { at_s, more }) => {
            wit_schedule::Answer::Fires(wit_schedule::Firing { at_s, more })
        }
        schedule::Answer::Refused(reason) => wit_schedule::Answer::Refused(reason),
        schedule::Answer::Other(name) => wit_schedule::Answer::Other(name),
    }
}

/// A question of the core about missed runs.
pub(in super::super) fn missed_runs_question(question: wit_missed_runs::Question) -> missed_runs::Question {
    missed_runs::Question {
        owner: question.owner,
        missed_s: question.missed_s,
        more_before: question.more_before,
        why: question.why,
        now_s: question.now_s,
        starting_deadline_s: question.starting_deadline_s,
        concurrency_policy: question.concurrency_policy,
        active: question.active,
        seed: question.seed,
        facts: question.facts,
    }
}

/// An answer to the core about missed runs.
pub(in super::super) fn missed_runs_answer(answer: missed_runs::Answer) -> wit_missed_runs::Answer {
    match answer {
        missed_runs::Answer::Run(positions) => wit_missed_runs::Answer::Run(positions),
        missed_runs::Answer::Other(name) => wit_missed_runs::Answer::Other(name),
    }
}

/// The core's Job to create.
pub(super) fn job_slot(slot: wit::JobSlot) -> JobSlot {
    JobSlot { scheduled_s: slot.scheduled_s, timestamp: slot.timestamp.into() }
}

/// The core's status of a CronJob.
pub(super) fn status_write(status: wit::CronJobStatusWrite) -> CronJobStatusWrite {
    CronJobStatusWrite {
        active: status.active.into_iter().map(active_job).collect(),
        last_schedule_time: status.last_schedule_time_s.map(Time::from_unix_seconds),
        last_successful_time: status.last_successful_time_s.map(Time::from_unix_seconds),
    }
}

fn active_job(active: wit::ActiveJob) -> ActiveJob {
    match active {
        wit::ActiveJob::Listed(place) => ActiveJob::Listed(place),
        wit::ActiveJob::Known(position) => ActiveJob::Known(position),
        wit::ActiveJob::Created(slot) => ActiveJob::Created(slot),
    }
}

fn view(view: &CronJobView) -> wit_cron_job::View {
    wit_cron_job::View {
        owner: (&*view.owner).into(),
        uid: (&*view.uid).into(),
        terminating: view.terminating,
        created_s: view.created_s,
        schedule: (&*view.schedule).into(),
        time_zone: view.time_zone.as_deref().map(Into::into),
        starting_deadline_seconds: view.starting_deadline_seconds,
        concurrency_policy: match &view.concurrency_policy {
            ConcurrencyPolicy::Allow => wit_cron_job::ConcurrencyPolicy::Allow,
            ConcurrencyPolicy::Forbid => wit_cron_job::ConcurrencyPolicy::Forbid,
            ConcurrencyPolicy::Replace => wit_cron_job::ConcurrencyPolicy::Replace,
            ConcurrencyPolicy::Other(name) => wit_cron_job::ConcurrencyPolicy::Other((&**name).into()),
        },
        suspended: view.suspended,
        successful_jobs_history_limit: view.successful_jobs_history_limit,
        failed_jobs_history_limit: view.failed_jobs_history_limit,
        last_schedule_time_s: view.last_schedule_time.map(|time| time.unix_seconds),
        last_successful_time_s: view.last_successful_time.map(|time| time.unix_seconds),
    }
}

fn job_row(row: &JobRow) -> wit_cron_job::JobRow {
    wit_cron_job::JobRow {
        name: (&*row.name).into(),
        owned: row.owned,
        terminating: row.terminating,
        state: match row.state {
            JobState::Unfinished => wit_cron_job::JobState::Unfinished,
            JobState::Complete => wit_cron_job::JobState::Complete,
            JobState::Failed => wit_cron_job::JobState::Failed,
        },
        scheduled_s: row.scheduled_s,
        started_s: row.started.map(|time| time.unix_seconds),
        completed_s: row.completed.map(|time| time.unix_seconds),
    }
}

fn active_row(row: &ActiveRow) -> wit_cron_job::ActiveRow {
    wit_cron_job::ActiveRow { name: (&*row.name).into(), job: row.job, live: row.live.map(live_owner) }
}
