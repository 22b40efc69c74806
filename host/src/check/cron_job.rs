//! What a plan for a CronJob may do.

use std::collections::BTreeSet;

use windlass_core::cron_job::MAX_RUNS;
use windlass_core::kube::JobManifest;
use windlass_core::plan::{
    Action, ActiveJob, CronJobStatusWrite, JobSlot, MAX_EVENT_MESSAGE_BYTES, Plan, Step,
};

use super::PlanDefect;
use crate::engine::Snapshot;
use crate::snapshot::Gathered;

/// Checks one step of the plan for a CronJob.
pub(super) fn check_step(step: &Step, gathered: &Gathered) -> Result<(), PlanDefect> {
    match &step.action {
        Action::CreateJobs(slots) => check_slots(slots, gathered),
        Action::DeleteJobs(jobs) => {
            let is_ours = |position: &u32| row_is_owned(gathered, *position) == Some(true);
            if jobs.iter().all(is_ours) { Ok(()) } else { Err(PlanDefect::ForeignJob) }
        }
        Action::WriteCronJobStatus(status) => check_status(status, gathered),
        Action::RecordEvent(event) if event.message.len() <= MAX_EVENT_MESSAGE_BYTES => Ok(()),
        _ => Err(PlanDefect::ForbiddenAction),
    }
}

/// Checks what no step shows by itself: that a status lists only Jobs which the plan creates.
pub(super) fn check_created(plan: &Plan) -> Result<(), PlanDefect> {
    let created = plan.steps.iter().filter_map(|step| match &step.action {
        Action::CreateJobs(slots) => Some(slots.len()),
        _ => None,
    });
    let created: Vec<usize> = created.collect();
    if created.len() > 1 {
        return Err(PlanDefect::TooManyCreates);
    }
    let slots = created.first().copied().unwrap_or(0);
    let is_known =
        |active: &ActiveJob| !matches!(active, ActiveJob::Created(slot) if *slot as usize >= slots);
    let all_known = plan.steps.iter().all(|step| match &step.action {
        Action::WriteCronJobStatus(status) => status.active.iter().all(is_known),
        _ => true,
    });
    if all_known { Ok(()) } else { Err(PlanDefect::ForeignJob) }
}

fn check_slots(slots: &[JobSlot], gathered: &Gathered) -> Result<(), PlanDefect> {
    if slots.len() > MAX_RUNS {
        return Err(PlanDefect::TooManyCreates);
    }
    let Some(cron_job) = gathered.subject.cron_job() else { return Err(PlanDefect::ForbiddenAction) };
    let names: BTreeSet<_> =
        slots.iter().map(|slot| JobManifest::name_at(&cron_job.metadata.name, slot.scheduled_s)).collect();
    let is_instant = |slot: &JobSlot| slot.scheduled_s >= 0;
    if names.len() == slots.len() && slots.iter().all(is_instant) {
        Ok(())
    } else {
        Err(PlanDefect::ScheduledTwice)
    }
}

fn check_status(status: &CronJobStatusWrite, gathered: &Gathered) -> Result<(), PlanDefect> {
    let Snapshot::CronJob(snapshot) = &*gathered.snapshot else { return Err(PlanDefect::ForbiddenAction) };
    let is_known = |active: &ActiveJob| match active {
        ActiveJob::Listed(place) => (*place as usize) < snapshot.active.len(),
        ActiveJob::Known(position) => row_is_owned(gathered, *position) == Some(true),
        ActiveJob::Created(_) => true,
    };
    let distinct: BTreeSet<(u8, u32)> = status.active.iter().map(place_of).collect();
    if status.active.iter().all(is_known) && distinct.len() == status.active.len() {
        Ok(())
    } else {
        Err(PlanDefect::ForeignJob)
    }
}

fn place_of(active: &ActiveJob) -> (u8, u32) {
    match active {
        ActiveJob::Listed(place) => (0, *place),
        ActiveJob::Known(position) => (1, *position),
        ActiveJob::Created(slot) => (2, *slot),
    }
}

fn row_is_owned(gathered: &Gathered, position: u32) -> Option<bool> {
    let Snapshot::CronJob(snapshot) = &*gathered.snapshot else { return None };
    snapshot.jobs.get(position as usize).map(|row| row.owned)
}
