//! What a plan for a CronJob may do.

use std::collections::BTreeSet;

use windlass_core::cron_job::MAX_RUNS;
use windlass_core::kube::{JobManifest, Time};
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
            let distinct: BTreeSet<&u32> = jobs.iter().collect();
            if jobs.iter().all(is_ours) && distinct.len() == jobs.len() {
                Ok(())
            } else {
                Err(PlanDefect::ForeignJob)
            }
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
    // The annotation is read back as the instant.
    let is_instant = |slot: &JobSlot| {
        slot.scheduled_s >= 0
            && Time::parse(&slot.timestamp).is_some_and(|time| time.unix_seconds == slot.scheduled_s)
    };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_core::kube::Object;
    use windlass_core::plan::Read;
    use windlass_core::view::CronJobFlags;

    use super::super::check;
    use super::*;
    use crate::Now;
    use crate::cache::Cache;
    use crate::key::Name;
    use crate::snapshot::{Carried, cron_job};

    const NOW_MS: i64 = 1_767_232_800_000;

    /// A CronJob whose status lists a Job that nobody knows, and a Job of it.
    fn gathered() -> Gathered {
        let (mut cache, mut changes) = (Cache::default(), Vec::new());
        let text = r#"{"metadata":{"name":"tick","namespace":"default","uid":"c","resourceVersion":"3"},
            "spec":{"schedule":"* * * * *","concurrencyPolicy":"Allow","jobTemplate":{}},
            "status":{"active":[{"name":"lost","uid":"l"}]}}"#;
        cache
            .watched(Object::CronJob(Arc::new(serde_json::from_str(text).expect("a CronJob"))), &mut changes);
        let text = r#"{"metadata":{"name":"tick-by-hand","namespace":"default","uid":"j","resourceVersion":"4",
            "ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"tick","uid":"c","controller":true}]},
            "spec":{}}"#;
        cache.watched(Object::Job(Arc::new(serde_json::from_str(text).expect("a Job"))), &mut changes);
        let name = Name { namespace: "default".into(), name: "tick".into() };
        let now = Now { monotonic_ms: 0, unix_ms: NOW_MS };
        let gathered = cron_job(&cache, &name, &CronJobFlags::default(), now, None, &Carried::default());
        gathered.expect("it is cached")
    }

    fn verdict(action: Action) -> Option<PlanDefect> {
        let mut plan = Plan::default();
        plan.push(action, Vec::new());
        check(plan, &gathered()).err()
    }

    #[test]
    fn a_jobs_annotation_says_the_instant_of_its_name() {
        let slot = |timestamp: &str| JobSlot { scheduled_s: 1_767_232_800, timestamp: timestamp.into() };
        assert_eq!(verdict(Action::CreateJobs(vec![slot("2026-01-01T03:00:00+01:00")])), None);
        for wrong in ["2026-01-01T03:00:00Z", "at three", ""] {
            let verdict = verdict(Action::CreateJobs(vec![slot(wrong)]));
            assert_eq!(verdict, Some(PlanDefect::ScheduledTwice), "{wrong}");
        }
    }

    #[test]
    fn a_job_is_deleted_once() {
        assert_eq!(verdict(Action::DeleteJobs(vec![0])), None);
        assert_eq!(verdict(Action::DeleteJobs(vec![0, 0])), Some(PlanDefect::ForeignJob));
        assert_eq!(verdict(Action::DeleteJobs(vec![1])), Some(PlanDefect::ForeignJob));
    }

    #[test]
    fn it_wakes_only_at_what_is_to_come() {
        let wake = |at_ms| check(Plan { wake_at_ms: Some(at_ms), ..Plan::default() }, &gathered()).err();
        assert_eq!(wake(NOW_MS), Some(PlanDefect::WakeInThePast));
        assert_eq!(wake(NOW_MS + 1), None);
    }

    #[test]
    fn it_reads_the_jobs_that_it_lists_and_no_owner() {
        let read = |read| check(Plan { read: Some(read), ..Plan::default() }, &gathered()).err();
        assert_eq!(read(Read::ActiveJobs), None);
        assert_eq!(read(Read::Owner), Some(PlanDefect::ForbiddenAction));
    }
}
