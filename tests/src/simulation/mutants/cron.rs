//! Defects of the CronJob controller.

use std::sync::Arc;

use windlass_core::kube::{ConcurrencyPolicy, JobManifest, Kind, Object, Time};
use windlass_core::plan::{Action, ActiveJob, CronJobStatusWrite, Plan};
use windlass_core::view::{CronJobSnapshot, CronJobView, JobRow, JobState};
use windlass_host::engine::Snapshot;
use windlass_host::request::Outcome;
use windlass_sandbox::Store;

use super::Mutant;

/// How much too early [`Mutant::RunsEarly`] is, and how much too little [`Mutant::ForgetsInstants`] tells, seconds.
const OFF_S: i64 = 30;

/// Another snapshot than the one that the core was to see; `None` where the defect does not concern it.
pub(super) fn corrupt_snapshot(mutant: Mutant, snapshot: &CronJobSnapshot) -> Option<Snapshot> {
    let mut snapshot = snapshot.clone();
    let mut cron_job = CronJobView::clone(&snapshot.cron_job);
    match mutant {
        Mutant::RunsAgain => {
            cron_job.last_schedule_time = None;
            snapshot.jobs.iter_mut().for_each(|row| row.owned = false);
            snapshot.active.clear();
        }
        Mutant::RunsEarly => snapshot.now_ms += OFF_S * 1_000,
        Mutant::RunsThePast => snapshot.edited_s = None,
        Mutant::RunsLate => cron_job.starting_deadline_seconds = None,
        Mutant::RunsSideBySide => cron_job.concurrency_policy = ConcurrencyPolicy::Allow,
        Mutant::MissesEnds => {
            snapshot.jobs.iter_mut().for_each(|row| row.state = JobState::Unfinished);
        }
        Mutant::KeepsNothing => {
            cron_job.successful_jobs_history_limit = Some(0);
            cron_job.failed_jobs_history_limit = Some(0);
        }
        Mutant::KeepsEverything => {
            cron_job.successful_jobs_history_limit = None;
            cron_job.failed_jobs_history_limit = None;
        }
        _ => return None,
    }
    snapshot.cron_job = Arc::new(cron_job);
    Some(Snapshot::CronJob(snapshot))
}

/// Puts a defect into a plan of the core.
pub(super) fn corrupt_plan(mutant: Mutant, snapshot: &CronJobSnapshot, plan: &mut Plan) {
    match mutant {
        Mutant::NeverWakes => plan.wake_at_ms = None,
        Mutant::NeverWakesAfterAnInterval if snapshot.cron_job.schedule.starts_with("@every") => {
            plan.wake_at_ms = None;
        }
        Mutant::ForgetsInstants => change_status(plan, |status| {
            let earlier = |time: Time| Time::from_unix_seconds(time.unix_seconds - OFF_S);
            status.last_schedule_time = status.last_schedule_time.map(earlier);
        }),
        Mutant::HidesInstants => hide_instants(snapshot, plan),
        Mutant::HidesSuccess => {
            let stored = snapshot.cron_job.last_successful_time;
            change_status(plan, |status| status.last_successful_time = stored);
            drop_what_changes_nothing(snapshot, plan);
        }
        // Where it should keep none, so that nothing is amiss but the second run.
        Mutant::CleansWhatItHides if snapshot.cron_job.successful_jobs_history_limit == Some(0) => {
            hide_instants(snapshot, plan);
            let ended = |row: &JobRow| row.owned && !row.terminating && row.state == JobState::Complete;
            let jobs = (0_u32..).zip(&snapshot.jobs).filter(|(_, row)| ended(row));
            let jobs: Vec<u32> = jobs.map(|(position, _)| position).collect();
            plan.steps.retain(|step| !matches!(&step.action, Action::DeleteJobs(some) if *some == jobs));
            if !jobs.is_empty() {
                plan.push(Action::DeleteJobs(jobs), Vec::new());
            }
        }
        _ => {}
    }
}

fn hide_instants(snapshot: &CronJobSnapshot, plan: &mut Plan) {
    change_status(plan, |status| status.last_schedule_time = snapshot.cron_job.last_schedule_time);
    drop_what_changes_nothing(snapshot, plan);
}

/// Takes the status writes out of a plan that leave the status as it is; no step follows one.
fn drop_what_changes_nothing(snapshot: &CronJobSnapshot, plan: &mut Plan) {
    let stored = &snapshot.cron_job;
    let listed: Vec<ActiveJob> =
        (0_u32..).zip(&snapshot.active).map(|(place, _)| ActiveJob::Listed(place)).collect();
    plan.steps.retain(|step| match &step.action {
        Action::WriteCronJobStatus(status) => {
            status.active != listed
                || status.last_schedule_time != stored.last_schedule_time
                || status.last_successful_time != stored.last_successful_time
        }
        _ => true,
    });
}

fn change_status(plan: &mut Plan, change: impl Fn(&mut CronJobStatusWrite)) {
    for step in &mut plan.steps {
        if let Action::WriteCronJobStatus(status) = &mut step.action {
            change(status);
        }
    }
}

/// Changes what the process is told of a create: a Job that has the name counts as the one that was asked for.
pub(super) fn take_for_own(store: &Store, manifest: &JobManifest, outcome: Outcome) -> Outcome {
    let metadata = &manifest.metadata;
    match (&outcome, store.get(Kind::Job, &metadata.namespace, &metadata.name)) {
        (Outcome::Rejected(status), Ok(Object::Job(job))) if status.code == 409 => {
            Outcome::Done(Some(Object::Job(job)))
        }
        _ => outcome,
    }
}
