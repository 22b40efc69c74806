//! The plan: what was decided, as steps that follow one another.

use alloc::vec;
use alloc::vec::Vec;

use crate::kube::{ConcurrencyPolicy, Time};
use crate::plan::{Action, ActiveJob, CronJobStatusWrite, Dependency, EventRecord, Plan};
use crate::view::JobState;

use super::active::Active;
use super::facts::Facts;
use super::runs::Runs;

/// Everything that was decided.
pub(super) struct Decisions<'facts> {
    /// What they rest on.
    pub(super) facts: &'facts Facts<'facts>,
    /// The list of active Jobs.
    pub(super) active: Active,
    /// What the schedule wants.
    pub(super) runs: Runs,
    /// Jobs that are more than the history keeps.
    pub(super) surplus: Vec<u32>,
    /// Complaints that are new.
    pub(super) complaints: Vec<EventRecord>,
    /// What the next reconcile is told.
    pub(super) memo: Vec<u8>,
}

impl Decisions<'_> {
    /// The plan: what is replaced goes, then the Jobs come, then the status says so, then it is told which Jobs left
    /// the list; history and complaints wait for nothing.
    pub(super) fn into_plan(self) -> Plan {
        let mut plan = Plan {
            wake_at_ms: self.runs.next_s.map(|next_s| next_s.saturating_mul(1_000)),
            ..Plan::default()
        };
        let replaced = self.replaced();
        if self.runs.slots.is_empty() {
            self.write(&mut plan, self.active.listed.clone(), self.last_scheduled(false), Vec::new());
        } else if replaced.is_empty() {
            let create = plan.push(Action::CreateJobs(self.runs.slots.clone()), Vec::new());
            self.write_after(&mut plan, create, &[], Vec::new());
        } else {
            let delete = plan.push(Action::DeleteJobs(replaced.clone()), Vec::new());
            let create =
                plan.push(Action::CreateJobs(self.runs.slots.clone()), vec![Dependency::succeeded(delete)]);
            self.write_after(&mut plan, create, &replaced, vec![Dependency::succeeded(delete)]);
            let unchanged = self.active.listed.clone();
            self.write(&mut plan, unchanged, self.last_scheduled(false), vec![Dependency::failed(delete)]);
        }
        if !self.surplus.is_empty() {
            plan.push(Action::DeleteJobs(self.surplus.clone()), Vec::new());
        }
        for event in &self.complaints {
            plan.push(Action::RecordEvent(event.clone()), Vec::new());
        }
        plan.memo = self.memo;
        plan
    }

    /// The status after the Jobs were created, and the status after they were not; in both `replaced` have gone.
    fn write_after(&self, plan: &mut Plan, create: u32, replaced: &[u32], after: Vec<Dependency>) {
        let kept: Vec<ActiveJob> = self.without(replaced);
        let mut listed = kept.clone();
        listed.extend(
            (0..self.runs.slots.len()).filter_map(|slot| Some(ActiveJob::Created(u32::try_from(slot).ok()?))),
        );
        self.write(plan, listed, self.last_scheduled(true), vec![Dependency::succeeded(create)]);
        let failed = after.into_iter().chain([Dependency::failed(create)]).collect();
        self.write(plan, kept, self.last_scheduled(false), failed);
    }

    /// Adds a status write, unless the status is so already, and what is told once it is stored: a write that is
    /// refused is followed by another plan, which would tell it again.
    fn write(
        &self,
        plan: &mut Plan,
        active: Vec<ActiveJob>,
        last_schedule_time: Option<Time>,
        after: Vec<Dependency>,
    ) {
        let stored = self.facts.cron_job;
        let last_successful_time = stored.last_successful_time.max(self.last_success());
        let is_same = is_unchanged(&active, self.facts.snapshot.active.len())
            && last_schedule_time == stored.last_schedule_time
            && last_successful_time == stored.last_successful_time;
        if !is_same {
            let status = CronJobStatusWrite { active, last_schedule_time, last_successful_time };
            let write = plan.push(Action::WriteCronJobStatus(status), after);
            for event in &self.active.left {
                plan.push(Action::RecordEvent(event.clone()), vec![Dependency::succeeded(write)]);
            }
        }
    }

    /// Jobs that have to go before a new one comes.
    fn replaced(&self) -> Vec<u32> {
        match self.facts.cron_job.concurrency_policy {
            ConcurrencyPolicy::Replace if !self.runs.slots.is_empty() => self.active.replaceable.clone(),
            ConcurrencyPolicy::Replace
            | ConcurrencyPolicy::Allow
            | ConcurrencyPolicy::Forbid
            | ConcurrencyPolicy::Other(_) => Vec::new(),
        }
    }

    /// The list without the Jobs at these positions of the snapshot.
    fn without(&self, positions: &[u32]) -> Vec<ActiveJob> {
        let position_of = |listed: &ActiveJob| match listed {
            ActiveJob::Listed(place) => {
                self.facts.snapshot.active.get(*place as usize).and_then(|active| active.job)
            }
            ActiveJob::Known(position) => Some(*position),
            ActiveJob::Created(_) => None,
        };
        let kept = self.active.listed.iter();
        kept.filter(|listed| position_of(listed).is_none_or(|position| !positions.contains(&position)))
            .copied()
            .collect()
    }

    /// The newest instant that has a Job; with those of this plan, if they are `created`.
    fn last_scheduled(&self, created: bool) -> Option<Time> {
        let newest_s = self.runs.slots.iter().map(|slot| slot.scheduled_s).max().filter(|_| created);
        newest_s.max(self.facts.last_scheduled_s).map(Time::from_unix_seconds)
    }

    /// When the last of its Jobs completed, those made by hand included (as upstream).
    fn last_success(&self) -> Option<Time> {
        let succeeded =
            self.facts.jobs.iter().filter(|job| job.row.owned && job.row.state == JobState::Complete);
        succeeded.filter_map(|job| job.row.completed).max()
    }
}

/// Whether a list of active Jobs is the one of `length` that is stored.
fn is_unchanged(active: &[ActiveJob], length: usize) -> bool {
    active.len() == length
        && active.iter().enumerate().all(|(place, listed)| {
            u32::try_from(place).is_ok_and(|place| *listed == ActiveJob::Listed(place))
        })
}
