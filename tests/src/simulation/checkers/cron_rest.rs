//! What holds of CronJobs once nothing more is to happen: K6, K7, K8 and V3.

use std::sync::Arc;

use windlass_core::kube::{ConcurrencyPolicy, CronJob, CronJobSpec, Job, JobManifest, Kind, Object, Uid};
use windlass_core::view::JobState;
use windlass_host::plugin::decision::Decision;
use windlass_sandbox::Store;

use super::Violation;
use super::cron::{instant_of, schedule_of, state};
use super::cron_ledger::{CronLedger, CronRecord, JobLife};
use super::plugins::{plugin_of, waits_for_ever};
use crate::simulation::cluster::Cluster;

/// How long after the last fault something may still be late, milliseconds: a key that failed waits for a minute at
/// most, and so does a flow that the server asked to rest, and a watch that broke for half of one.
const SETTLED_AFTER_MS: u64 = 180_000;
/// How long after an edit an instant may come before the edit is seen, milliseconds.
const SEEN_AFTER_MS: u64 = 10_000;
/// How long after its instant there is a Job, milliseconds.
const MADE_WITHIN_MS: u64 = 30_000;
/// A deadline so short that a run may miss it without a fault, seconds.
const SHORT_DEADLINE_S: i64 = 60;
/// Most instants of one schedule that are looked at.
const MOST_INSTANTS: u32 = 2_000;

/// The CronJobs as they are at rest; `calm_ms` is when the last fault was over.
pub(super) fn check(
    store: &Store,
    cluster: &Cluster,
    ledger: &CronLedger,
    (calm_ms, swapped_ms): (u64, u64),
) -> Result<(), Violation> {
    for object in store.objects(Kind::CronJob) {
        let Object::CronJob(cron_job) = object else { continue };
        if cron_job.metadata.is_terminating() {
            return Err(Violation::new("V1", format!("{} is still about to go", cron_job.metadata.name)));
        }
        check_status(cron_job, &jobs_of(store, &cron_job.metadata.uid))?;
    }
    let start_ms = store.unix_ms().saturating_sub_unsigned(store.now_ms());
    let settled_ms = if calm_ms == 0 { SEEN_AFTER_MS } else { calm_ms + SETTLED_AFTER_MS };
    let times = Times { start_ms, settled_ms, end_ms: store.now_ms() };
    // Whoever listens to plugins is where their schedule is once the last of them answers as the built-in policies do.
    let settled_ms = settled_ms.max(swapped_ms + SETTLED_AFTER_MS);
    let bound_times = Times { settled_ms, ..times };
    ledger.crons().try_for_each(|record| {
        let annotations = &record.cron_job.metadata.annotations;
        let mut decisions = [Decision::Schedule, Decision::MissedRuns].into_iter();
        if waits_for_ever(annotations) {
            return Ok(());
        }
        let is_bound = decisions.any(|decision| plugin_of(annotations, decision).is_some());
        if is_bound { &bound_times } else { &times }.check(record, ledger, cluster)
    })
}

fn jobs_of(store: &Store, uid: &Uid) -> Vec<Arc<Job>> {
    let keys = store.dependents(uid);
    let jobs = keys.filter_map(|key| match store.get(key.kind, &key.namespace, &key.name) {
        Ok(Object::Job(job)) => Some(job),
        _ => None,
    });
    jobs.collect()
}

fn check_status(cron_job: &CronJob, jobs: &[Arc<Job>]) -> Result<(), Violation> {
    let name = &cron_job.metadata.name;
    let wrong = |predicate, why: String| Err(Violation::new(predicate, format!("{name}: {why}")));
    let made = |job: &&Arc<Job>| instant_of(cron_job, &job.metadata).is_some();
    let mut running: Vec<Uid> = jobs
        .iter()
        .filter(made)
        .filter(|job| !job.is_finished())
        .map(|job| job.metadata.uid.clone())
        .collect();
    let mut listed: Vec<Uid> = cron_job.status.active.iter().map(|reference| reference.uid.clone()).collect();
    running.sort();
    listed.sort();
    if running != listed {
        return wrong("K7", format!("lists {listed:?} as active, where {running:?} have not ended"));
    }
    let newest_s = jobs.iter().filter_map(|job| instant_of(cron_job, &job.metadata)).max();
    if newest_s > cron_job.status.last_schedule_time.map(|time| time.unix_seconds) {
        return wrong("K6", format!("{newest_s:?} has a Job, and the status does not tell"));
    }
    let succeeded =
        jobs.iter().filter(|job| job.is_complete()).filter_map(|job| job.status.completion_time).max();
    if succeeded > cron_job.status.last_successful_time {
        return wrong("K6", format!("a Job completed at {succeeded:?}, and the status does not tell"));
    }
    for (ended, limit) in [
        (JobState::Complete, cron_job.spec.successful_jobs_history_limit),
        (JobState::Failed, cron_job.spec.failed_jobs_history_limit),
    ] {
        let kept = jobs.iter().filter(|job| state(job) == ended).count();
        if limit.is_some_and(|limit| kept > usize::try_from(limit).unwrap_or(0)) {
            return wrong("K8", format!("keeps {kept} Jobs that are {ended:?}, of {limit:?}"));
        }
    }
    Ok(())
}

/// When what holds, milliseconds since the start but for the start itself.
#[derive(Clone, Copy)]
struct Times {
    /// Wall clock at the start, milliseconds since the Unix epoch.
    start_ms: i64,
    /// From when on every instant has its Job.
    settled_ms: u64,
    end_ms: u64,
}

impl Times {
    /// V3: each instant at which nothing stood in the way has its Job.
    fn check(&self, record: &CronRecord, ledger: &CronLedger, cluster: &Cluster) -> Result<(), Violation> {
        let untils = record.versions.iter().skip(1).map(|(from_ms, _)| *from_ms).chain([self.end_ms]);
        for ((from_ms, spec), until_ms) in record.versions.iter().zip(untils) {
            let Some(spec) = spec.as_ref().filter(|spec| spec.suspend != Some(true)) else { continue };
            let first_ms = self.settled_ms.max(from_ms + SEEN_AFTER_MS);
            let last_ms = until_ms.saturating_sub(MADE_WITHIN_MS);
            if spec.starting_deadline_seconds.is_some_and(|s| s < SHORT_DEADLINE_S) || first_ms >= last_ms {
                continue;
            }
            for at_s in self.instants(record, spec, first_ms, last_ms) {
                let at_ms = self.since_start(at_s);
                let name = JobManifest::name_at(&record.cron_job.metadata.name, at_s);
                let is_excused = stood_in_the_way(record, spec, at_s, at_ms)
                    || ledger.named(&name).iter().any(|life| was_there(life, at_ms, life.removed_ms))
                    || cluster.was_limited(at_ms.saturating_sub(SETTLED_AFTER_MS), at_ms + MADE_WITHIN_MS);
                let made = record.slots.get(&at_s).and_then(|made| made.first());
                let is_made = made.is_some_and(|life| life.created_ms <= at_ms + MADE_WITHIN_MS);
                if !is_made && !is_excused {
                    let why = format!("no Job {name} within {MADE_WITHIN_MS} ms, and nothing in its way");
                    return Err(Violation::new("V3", why));
                }
            }
        }
        Ok(())
    }

    /// The instants of `spec` after `first_ms` and up to `last_ms`.
    ///
    /// Each follows from the one before, as the library has it, and so from those that had a Job, and the first of all
    /// from the creation.
    fn instants(&self, record: &CronRecord, spec: &CronJobSpec, first_ms: u64, last_ms: u64) -> Vec<i64> {
        let Some(schedule) = schedule_of(spec) else { return Vec::new() };
        let (first_s, last_s) = (self.unix_s(first_ms), self.unix_s(last_ms));
        let created_s = record.versions.first().map_or(first_s, |(at_ms, _)| self.unix_s(*at_ms));
        let last_slot_s = record.slots.range(..=first_s).next_back().map(|(at_s, _)| *at_s);
        let anchor_s = last_slot_s.unwrap_or(created_s).max(created_s);
        // `@every` counts from each instant that had its Job; the fields of a clock know no beginning.
        let later_s = record.slots.range(first_s + 1..).map(|(at_s, _)| *at_s);
        let is_begin = |at_s: &i64| *at_s <= last_s && schedule.interval_s().is_some();
        let later_s: Vec<i64> = later_s.filter(is_begin).collect();
        let begins_s = std::iter::once(anchor_s).chain(later_s.iter().copied());
        let ends_s = later_s.iter().copied().chain([last_s]);
        let due = begins_s
            .zip(ends_s)
            .flat_map(|(begin_s, end_s)| schedule.earliest(begin_s, end_s, MOST_INSTANTS).at_s);
        due.filter(|at_s| *at_s > first_s).collect()
    }

    fn unix_s(&self, ms: u64) -> i64 {
        self.start_ms.saturating_add_unsigned(ms).div_euclid(1_000)
    }

    fn since_start(&self, unix_s: i64) -> u64 {
        u64::try_from(unix_s * 1_000 - self.start_ms).unwrap_or(0)
    }
}

/// Whether a later instant had its Job already, or an earlier run had not ended that forbids another.
fn stood_in_the_way(record: &CronRecord, spec: &CronJobSpec, at_s: i64, at_ms: u64) -> bool {
    let until_ms = at_ms + MADE_WITHIN_MS;
    let mut later = record.slots.range(at_s + 1..).flat_map(|(_, made)| made);
    let mut others = record.slots.iter().filter(|(slot_s, _)| **slot_s != at_s).flat_map(|(_, made)| made);
    later.any(|life| life.created_ms <= until_ms)
        || spec.concurrency_policy == ConcurrencyPolicy::Forbid
            && others.any(|life| was_there(life, at_ms, life.ended_ms))
}

/// Whether a Job was there within the time that the run of `at_ms` has, up to `until_ms`.
fn was_there(life: &JobLife, at_ms: u64, until_ms: Option<u64>) -> bool {
    life.created_ms <= at_ms + MADE_WITHIN_MS
        && until_ms.is_none_or(|until_ms| until_ms + SEEN_AFTER_MS >= at_ms)
}
