//! Stories of CronJobs: what they are made of, and what is left of them.

use std::sync::Arc;

use windlass_core::kube::{CronJob, CronJobSpec, Job, JobManifest, Kind, Labels, Object, Str};
use windlass_host::request::{Operation, Outcome, Propagation};
use windlass_sandbox::{Commit, Store};

use super::{ScriptDeed, Story, Told};
use crate::simulation::cluster::cron::{cron_job, delete, edit_cron_job};
use crate::simulation::history::is_ours;
use crate::simulation::workload::cron::{CronDeed, CronPlan, PLAIN_START_S, spec};
use crate::simulation::workload::{Deed, PodFate};

/// Name of the CronJob of a story.
pub const NAME: &str = "cron";
/// The wall clock at the start of a story, seconds since the Unix epoch: the first second of an hour and of a minute.
pub const START_S: i64 = PLAIN_START_S;

impl Story {
    /// Adds a CronJob that is created at the start, which ends at `end_ms`: it is suspended then. `change` says what
    /// is special about it; its Jobs take a second or so.
    #[must_use]
    pub fn cron_job(self, schedule: &str, end_ms: u64, change: impl FnOnce(&mut CronJobSpec)) -> Self {
        let fate = PodFate { start_ms: (5, 50), run_ms: (300, 900), ..PodFate::default() };
        self.cron_job_with(schedule, end_ms, fate, change)
    }

    /// The same, with Jobs whose Pods fare otherwise.
    #[must_use]
    pub fn cron_job_with(
        mut self,
        schedule: &str,
        end_ms: u64,
        fate: PodFate,
        change: impl FnOnce(&mut CronJobSpec),
    ) -> Self {
        let mut spec = spec(schedule);
        change(&mut spec);
        let plan = CronPlan {
            name: NAME.into(),
            spec: Arc::new(spec),
            created_ms: 100,
            is_old: false,
            fate,
            annotations: Labels::new(),
        };
        let workload = &mut self.plot.workload;
        workload.start_unix_ms = START_S * 1_000;
        workload.crons.push(plan);
        workload.end_all(end_ms);
        self
    }

    /// Lets the story begin at another instant, seconds since the Unix epoch.
    #[must_use]
    pub fn begins(mut self, start_s: i64) -> Self {
        self.plot.workload.start_unix_ms = start_s * 1_000;
        self
    }

    /// Says that the CronJob was taken by an older server, which did not look at its schedule.
    #[must_use]
    pub fn as_an_older_server_took_it(mut self) -> Self {
        for plan in &mut self.plot.workload.crons {
            plan.is_old = true;
        }
        self
    }

    /// Adds something that people do to the CronJob at an instant, milliseconds since the start.
    #[must_use]
    pub fn cron_deed(mut self, at_ms: u64, deed: CronDeed) -> Self {
        let deeds = &mut self.plot.workload.deeds;
        deeds.push((at_ms, Deed::Cron(0, deed)));
        deeds.sort_by_key(|(at_ms, _)| *at_ms);
        self
    }
}

impl Told {
    /// The last state of the CronJob.
    ///
    /// # Panics
    /// If there never was one.
    #[must_use]
    pub fn cron(&self) -> &Arc<CronJob> {
        let mut states = self.commits().iter().filter_map(|commit| match &commit.after {
            Some(Object::CronJob(cron_job)) => Some(cron_job),
            _ => None,
        });
        match states.next_back() {
            Some(cron_job) => cron_job,
            None => panic!("no CronJob in the story"),
        }
    }

    /// Every Job that we made, as it was then, and when.
    pub fn jobs_made(&self) -> impl Iterator<Item = (u64, &Arc<Job>)> {
        self.commits().iter().filter_map(|commit| Some((commit.time_ms, made(commit)?)))
    }

    /// The minutes of the instants that got a Job from us, as names tell them, from the start of the story on.
    #[must_use]
    pub fn minutes_made(&self) -> Vec<i64> {
        let start = self.start_s() / 60;
        let minute = |job: &Job| job.metadata.name.rsplit('-').next()?.parse::<i64>().ok();
        self.jobs_made().filter_map(|(_, job)| Some(minute(job)? - start)).collect()
    }

    /// Reasons of the Events that we recorded about the CronJob, in their order.
    #[must_use]
    pub fn reasons(&self) -> Vec<&str> {
        let events =
            self.requests().iter().filter_map(|exchange| match (&exchange.operation, &exchange.outcome) {
                (Operation::RecordEvent(event), Outcome::Done(_)) if event.kind == Kind::CronJob => {
                    Some(&*event.reason)
                }
                _ => None,
            });
        events.collect()
    }

    /// Whether Events for `reason`, and for nothing else, were recorded about the CronJob: one for each process that
    /// looked at it.
    #[must_use]
    pub fn told_only(&self, reason: &str) -> bool {
        let reasons = self.reasons();
        (1..=2).contains(&reasons.len()) && reasons.iter().all(|told| *told == reason)
    }

    /// The wall clock at the start, seconds since the Unix epoch.
    fn start_s(&self) -> i64 {
        let first = self.commits().iter().find_map(|commit| {
            let created = commit.after.as_ref()?.metadata().creation_timestamp?;
            Some(created.unix_seconds - i64::try_from(commit.time_ms / 1_000).ok()?)
        });
        first.unwrap_or(START_S)
    }
}

/// Name of the Job for the minute that begins so many minutes after the start.
#[must_use]
pub fn job_name(minutes: i64) -> Str {
    JobManifest::name_at(NAME, START_S + minutes * 60)
}

/// Whether a request creates a Job.
#[must_use]
pub fn creates_job(operation: &Operation) -> bool {
    matches!(operation, Operation::CreateJob(_))
}

/// Whether a request writes the status of a CronJob.
#[must_use]
pub fn writes_cron_status(operation: &Operation) -> bool {
    matches!(operation, Operation::WriteCronJobStatus(_))
}

/// Whether a request deletes a Job for its CronJob.
#[must_use]
pub fn deletes_job(operation: &Operation) -> bool {
    matches!(operation, Operation::DeleteJob { pods: Propagation::Background, .. })
}

/// Whether a commit is the creation of a Job by us.
#[must_use]
pub fn job_made(commit: &Commit) -> bool {
    made(commit).is_some()
}

/// Whether a commit is the completion of a Job.
#[must_use]
pub fn job_completed(commit: &Commit) -> bool {
    let is_complete = |object: &Option<Object>| matches!(object, Some(Object::Job(job)) if job.is_complete());
    is_complete(&commit.after) && !is_complete(&commit.before)
}

/// Somebody deletes the Job that a commit is about, so many milliseconds later.
#[must_use]
pub fn delete_its_job(after_ms: u64) -> ScriptDeed {
    ScriptDeed::Change(
        after_ms,
        Box::new(|store, commit| {
            if let Some(Object::Job(job)) = commit.and_then(|commit| commit.after.as_ref()) {
                delete(store, Kind::Job, &job.metadata.name, windlass_sandbox::Propagation::Background);
            }
        }),
    )
}

/// Changes the spec of the story's CronJob.
pub fn edit(store: &mut Store, change: impl Fn(&mut CronJobSpec)) {
    edit_cron_job(store, NAME, change);
}

/// The story's CronJob, if it is there.
#[must_use]
pub fn stored(store: &Store) -> Option<Arc<CronJob>> {
    cron_job(store, NAME)
}

/// The Job that we made with a commit, as it was then.
fn made(commit: &Commit) -> Option<&Arc<Job>> {
    match (&commit.before, &commit.after) {
        (None, Some(Object::Job(job))) if is_ours(commit) => Some(job),
        _ => None,
    }
}
