//! Defects of the CronJob controller.

use std::sync::Arc;

use windlass_core::kube::{ConcurrencyPolicy, JobManifest, Kind, Object, Time};
use windlass_core::plan::{Action, Plan};
use windlass_core::view::{CronJobSnapshot, CronJobView, JobState};
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
        _ => return None,
    }
    snapshot.cron_job = Arc::new(cron_job);
    Some(Snapshot::CronJob(snapshot))
}

/// Puts a defect into a plan of the core.
pub(super) fn corrupt_plan(mutant: Mutant, plan: &mut Plan) {
    match mutant {
        Mutant::NeverWakes => plan.wake_at_ms = None,
        Mutant::ForgetsInstants => {
            for step in &mut plan.steps {
                if let Action::WriteCronJobStatus(status) = &mut step.action {
                    let earlier = |time: Time| Time::from_unix_seconds(time.unix_seconds - OFF_S);
                    status.last_schedule_time = status.last_schedule_time.map(earlier);
                }
            }
        }
        _ => {}
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
