//! What became of the Jobs that CronJobs made: the history limits remove most of them, so they are counted as they go.

use std::collections::BTreeMap;

use windlass_core::kube::{ConditionStatus, Job, Kind, Uid};

/// What became of the Jobs that one CronJob made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Jobs that were created.
    pub made: u64,
    /// Jobs that completed.
    pub complete: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were removed before they had ended.
    pub cut_short: u64,
}

/// The runs of each CronJob that there is, by its uid.
#[derive(Debug, Default)]
pub(super) struct RunLedger(BTreeMap<Uid, Runs>);

impl RunLedger {
    /// Takes note of a change of a Job; of one that no CronJob controls there is nothing to note.
    pub(super) fn note(&mut self, before: Option<&Job>, after: Option<&Job>) {
        let Some(owner) = after.or(before).and_then(|job| job.metadata.controller()) else { return };
        if !owner.names(Kind::CronJob) {
            return;
        }
        if before.is_none() {
            self.0.entry(owner.uid.clone()).or_default().made += 1;
            return;
        }
        // A CronJob that is gone has none.
        let Some(runs) = self.0.get_mut(&owner.uid) else { return };
        let had_ended = before.is_some_and(Job::is_finished);
        match after {
            _ if had_ended => {}
            None => runs.cut_short += 1,
            Some(job) if has_failed(job) => runs.failed += 1,
            Some(job) if job.is_finished() => runs.complete += 1,
            Some(_) => {}
        }
    }

    pub(super) fn of(&self, cron_job: &str) -> Runs {
        self.0.get(cron_job).copied().unwrap_or_default()
    }

    pub(super) fn forget(&mut self, cron_job: &str) {
        self.0.remove(cron_job);
    }
}

fn has_failed(job: &Job) -> bool {
    let mut conditions = job.status.conditions.iter();
    conditions.any(|condition| &*condition.kind == "Failed" && condition.status == ConditionStatus::True)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_core::kube::{CronJob, JobCondition};

    use super::*;

    fn job(owner: &CronJob, ended: Option<&str>) -> Job {
        let mut job = Job::default();
        job.metadata.owner_references = Arc::new(vec![owner.controller_reference()]);
        job.status.conditions.extend(ended.map(|kind| JobCondition {
            kind: kind.into(),
            status: ConditionStatus::True,
            ..JobCondition::default()
        }));
        job
    }

    #[test]
    fn each_job_is_counted_once_however_often_it_changes() {
        let mut owner = CronJob::default();
        owner.metadata.uid = "u".into();
        let (running, complete, failed) =
            (job(&owner, None), job(&owner, Some("Complete")), job(&owner, Some("Failed")));
        let mut ledger = RunLedger::default();
        for end in [&complete, &failed] {
            ledger.note(None, Some(&running));
            ledger.note(Some(&running), Some(&running));
            ledger.note(Some(&running), Some(end));
            ledger.note(Some(end), Some(end));
            ledger.note(Some(end), None);
        }
        ledger.note(None, Some(&running));
        ledger.note(Some(&running), None);
        ledger.note(None, Some(&Job::default()));
        assert_eq!(ledger.of("u"), Runs { made: 3, complete: 1, failed: 1, cut_short: 1 });
        assert_eq!(ledger.of("another"), Runs::default());
        ledger.forget("u");
        ledger.note(Some(&running), None);
        assert_eq!(ledger.of("u"), Runs::default());
    }
}
