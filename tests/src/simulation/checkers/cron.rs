//! What a CronJob's reconcile may ask for, by what it could see: K1 to K5 and K8.
//!
//! Instants come from the schedule that the oracle test proves against upstream's parser.

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass_core::cron_job::schedule::Schedule;
use windlass_core::cron_job::zone::Zone;
use windlass_core::kube::{
    CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, ConcurrencyPolicy, CronJob, CronJobSpec, Job, JobManifest, Kind,
    ObjectMeta, ResourceVersion, Time, Uid, cron_job_row, cron_job_view,
};
use windlass_core::plan::{Action, Plan};
use windlass_core::policy::{missed_runs, schedule};
use windlass_core::view::{CronJobSnapshot, JobState};
use windlass_host::controller::Run;
use windlass_host::engine::Snapshot;
use windlass_host::key::Key;
use windlass_host::plugin::decision::Decision;
use windlass_host::request::{ObjectRef, Operation, Propagation, Request};

use super::Violation;
use super::observer::Observer;
use super::plugins::plugin_of;
use crate::simulation::plugins::{Answers, Asked, Questions};
use crate::simulation::view::KnownCronJob;

/// The zone that stands for "no zone" in a run.
const DEFAULT_ZONE: &str = "UTC";

/// What a reconcile of a CronJob saw, and what it has asked for since.
#[derive(Debug)]
pub(super) struct Seen {
    uid: Uid,
    generation: i64,
    spec: Arc<CronJobSpec>,
    created_s: i64,
    /// Revision up to which the watch of CronJobs had been applied.
    reached: ResourceVersion,
    /// Wall clock of the process.
    now_s: i64,
    edited_s: Option<i64>,
    /// The newest instant that has a Job or had one, as far as the process could know.
    last_s: Option<i64>,
    /// Jobs of the schedule that had not ended and were not about to go.
    unfinished: Vec<ObjectRef>,
    /// A Job that the status lists and of which nothing was known.
    unseen: Option<String>,
    /// Jobs that the history has no room for.
    surplus: BTreeSet<Uid>,
    creates: bool,
    asked: BTreeSet<i64>,
    /// The instants that a plugin named, where one decides when the schedule fires.
    fires: Option<BTreeSet<i64>>,
    /// The missed instants that a plugin chose, where one decides which are to be run.
    chosen: Option<BTreeSet<i64>>,
}

/// A process takes up a key.
pub(super) fn runs(
    observer: &mut Observer,
    run: &Run,
    (plan, asked): (Option<&Plan>, &[Asked]),
) -> Result<(), Violation> {
    let (Key::CronJob(name), Snapshot::CronJob(snapshot)) = (&run.key, &*run.snapshot) else { return Ok(()) };
    let now_s = snapshot.now_ms.div_euclid(1_000);
    // An edit lies in the past, whatever the clock showed when it was seen.
    observer.view.bound_edit(&name.name, now_s);
    let Some(known) = observer.view.cron_job(&name.name).cloned() else {
        return Err(Violation::new("C6", format!("{} runs for a CronJob that is known to be gone", run.key)));
    };
    let uid = known.cron_job.metadata.uid.clone();
    let jobs: Vec<Arc<Job>> = observer.view.jobs_of(&uid).cloned().collect();
    if let Some(what) = stale_part(snapshot, &known.cron_job, &jobs) {
        return Err(Violation::new("C4", format!("{} sees {what} other than the newest known", run.key)));
    }
    let looked = observer.looked.entry(uid.clone()).or_default();
    looked.extend(jobs.iter().filter_map(|job| instant_of(&known.cron_job, &job.metadata)));
    observer.crons.remove(&name.name);
    if let Some(plan) = plan {
        let mut seen = Seen::of(observer, &known, &jobs, now_s, plan);
        seen.hear(&known.cron_job, asked);
        observer.crons.insert(name.name.clone(), seen);
    }
    Ok(())
}

/// A process sends a request.
pub(super) fn sends(observer: &mut Observer, request: &Request) -> Result<(), Violation> {
    match &request.operation {
        Operation::CreateJob(manifest) => create(observer, manifest),
        Operation::DeleteJob { job, pods: Propagation::Background } => delete(observer, job),
        _ => Ok(()),
    }
}

/// Revision up to which the watch of CronJobs had been applied when the reconcile decided on that Job.
pub(super) fn reached(observer: &Observer, manifest: &JobManifest) -> ResourceVersion {
    let owner = manifest.metadata.controller();
    owner
        .and_then(|owner| observer.crons.get(&owner.name))
        .map_or_else(ResourceVersion::default, |seen| seen.reached)
}

/// The instant of the schedule of `cron_job` that the Job with that metadata has, by its annotation and its name;
/// `None` for one that people made.
pub(super) fn instant_of(cron_job: &CronJob, job: &ObjectMeta) -> Option<i64> {
    scheduled_s(job).filter(|at_s| JobManifest::name_at(&cron_job.metadata.name, *at_s) == job.name)
}

/// The schedule of a spec, if it is one.
pub(super) fn schedule_of(spec: &CronJobSpec) -> Option<Schedule> {
    let zone = Zone::by_name(spec.time_zone.as_deref().unwrap_or(DEFAULT_ZONE)).ok()?;
    Schedule::parse(&spec.schedule, zone).ok()
}

/// How a Job stands.
pub(super) fn state(job: &Job) -> JobState {
    if job.is_complete() {
        JobState::Complete
    } else if job.is_finished() {
        JobState::Failed
    } else {
        JobState::Unfinished
    }
}

/// What a snapshot shows of a CronJob and its Jobs otherwise than they are known; everything that a reconcile may see of
/// them counts.
fn stale_part(snapshot: &CronJobSnapshot, cron_job: &CronJob, jobs: &[Arc<Job>]) -> Option<&'static str> {
    let uid = &cron_job.metadata.uid;
    if *snapshot.cron_job != cron_job_view(cron_job) {
        return Some("a CronJob");
    }
    let rows = snapshot.jobs.iter().filter(|row| row.owned).cloned();
    if !rows.eq(jobs.iter().map(|job| cron_job_row(job, uid))) {
        return Some("Jobs");
    }
    let row_at = |position: u32| snapshot.jobs.get(position as usize).filter(|row| row.owned);
    let listed =
        snapshot.active.iter().map(|active| (&active.name, active.job.and_then(row_at).map(|row| &row.name)));
    let known = |uid: &Uid| jobs.iter().find(|job| job.metadata.uid == *uid).map(|job| &job.metadata.name);
    let wanted = cron_job.status.active.iter().map(|reference| (&reference.name, known(&reference.uid)));
    (!listed.eq(wanted)).then_some("a list of active Jobs")
}

fn scheduled_s(job: &ObjectMeta) -> Option<i64> {
    let text = job.annotations.get(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION)?;
    Time::parse(text).map(|time| time.unix_seconds)
}

fn create(observer: &mut Observer, manifest: &JobManifest) -> Result<(), Violation> {
    let name = manifest.metadata.name.clone();
    let wrong = |predicate, why: String| Err(Violation::new(predicate, format!("{name}: {why}")));
    let Some(owner) = manifest.metadata.controller().filter(|owner| owner.names(Kind::CronJob)) else {
        return wrong("C1", "would have no CronJob".to_owned());
    };
    let Some(known) = observer.view.cron_job(&owner.name).cloned() else {
        return wrong("C3", "its CronJob is known to be gone".to_owned());
    };
    if known.cron_job.metadata.uid != owner.uid || known.cron_job.metadata.is_terminating() {
        return wrong("C3", "its CronJob is known to be gone or to go".to_owned());
    }
    let Some(seen) = observer.crons.get_mut(&owner.name).filter(|seen| seen.uid == owner.uid) else {
        return wrong("C4", "no reconcile asked for it".to_owned());
    };
    if seen.generation != known.cron_job.metadata.generation || !is_from(&seen.spec, manifest) {
        return wrong("C4", "is not made from the newest spec that is known".to_owned());
    }
    let at_s = scheduled_s(&manifest.metadata);
    let Some(at_s) = at_s.filter(|at_s| JobManifest::name_at(&owner.name, *at_s) == name) else {
        return wrong("K2", format!("its name and its annotation tell two instants: {at_s:?}"));
    };
    let is_known = observer.looked.get(&owner.uid).is_some_and(|looked| looked.contains(&at_s));
    if is_known || !seen.asked.insert(at_s) {
        return wrong("K1", format!("the instant {at_s} is known to have had a Job"));
    }
    if let Err((predicate, why)) = seen.judge(at_s) {
        return wrong(predicate, why);
    }
    let stands_in_the_way = |job: &&ObjectRef| match seen.spec.concurrency_policy {
        ConcurrencyPolicy::Forbid => true,
        // What is replaced is gone or about to go by now.
        ConcurrencyPolicy::Replace => observer.view.job(&job.name).is_some_and(|now| {
            now.metadata.uid == job.uid && !now.metadata.is_terminating() && !now.is_finished()
        }),
        ConcurrencyPolicy::Allow | ConcurrencyPolicy::Other(_) => false,
    };
    if let Some(job) = seen.unfinished.iter().find(stands_in_the_way) {
        return wrong("K5", format!("{:?}, and {} has not ended", seen.spec.concurrency_policy, job.name));
    }
    let excludes = seen.spec.concurrency_policy != ConcurrencyPolicy::Allow;
    match &seen.unseen {
        Some(job) if excludes => wrong("K5", format!("nothing is known of {job}, which is listed as active")),
        _ => Ok(()),
    }
}

fn is_from(spec: &CronJobSpec, manifest: &JobManifest) -> bool {
    let template = &spec.job_template;
    let has = |(key, value): (&_, &_)| manifest.metadata.annotations.get(key) == Some(value);
    let text =
        |spec: &Option<Arc<serde_json::value::RawValue>>| spec.as_ref().map(|spec| spec.get().to_owned());
    text(&template.spec) == text(&manifest.spec)
        && template.metadata.annotations.iter().all(has)
        && template.metadata.labels == manifest.metadata.labels
}

fn delete(observer: &Observer, job: &ObjectRef) -> Result<(), Violation> {
    let wrong = |why: &str| Err(Violation::new("K8", format!("{}: {why}", job.name)));
    let mut seen = observer.crons.values();
    if seen.any(|seen| seen.may_delete(&job.uid)) {
        Ok(())
    } else {
        wrong("is deleted, though no CronJob's history has too little room for it, and nothing replaces it")
    }
}

impl Seen {
    fn of(observer: &Observer, known: &KnownCronJob, jobs: &[Arc<Job>], now_s: i64, plan: &Plan) -> Self {
        let metadata = &known.cron_job.metadata;
        let status = &known.cron_job.status;
        let is_running = |job: &&Arc<Job>| {
            !job.is_finished()
                && !job.metadata.is_terminating()
                && instant_of(&known.cron_job, &job.metadata).is_some()
        };
        let is_unknown =
            |uid: &Uid| !jobs.iter().any(|job| job.metadata.uid == *uid) && !observer.knows_gone(uid);
        let unseen = status.active.iter().find(|reference| is_unknown(&reference.uid));
        let looked = observer.looked.get(&metadata.uid).and_then(|looked| looked.last().copied());
        Self {
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            spec: known.cron_job.spec.clone(),
            created_s: metadata.creation_timestamp.map_or(0, |time| time.unix_seconds),
            reached: observer.view.reached(Kind::CronJob),
            now_s,
            edited_s: known.edited_s,
            last_s: looked.max(status.last_schedule_time.map(|time| time.unix_seconds)),
            unfinished: jobs.iter().filter(is_running).map(|job| ObjectRef::of(&job.metadata)).collect(),
            unseen: unseen.map(|reference| reference.name.to_string()),
            surplus: surplus(&known.cron_job.spec, jobs),
            creates: plan.steps.iter().any(|step| matches!(step.action, Action::CreateJobs(_))),
            asked: BTreeSet::new(),
            fires: None,
            chosen: None,
        }
    }

    /// Takes in what plugins said of the CronJob; what they were allowed to say is P2's matter.
    fn hear(&mut self, cron_job: &CronJob, asked: &[Asked]) {
        let is_bound = |decision| plugin_of(&cron_job.metadata.annotations, decision).is_some();
        self.fires = is_bound(Decision::Schedule).then(|| asked.iter().flat_map(fired).collect());
        self.chosen = is_bound(Decision::MissedRuns).then(|| asked.iter().flat_map(chosen).collect());
    }

    /// Whether there may be a Job for the instant `at_s`.
    fn judge(&self, at_s: i64) -> Result<(), (&'static str, String)> {
        if self.last_s.is_some_and(|last_s| at_s <= last_s) {
            let why = format!("{at_s} is not after {:?}, which is known to have had a Job", self.last_s);
            return Err(("K1", why));
        }
        let schedule = schedule_of(&self.spec);
        if self.spec.suspend == Some(true) || schedule.is_none() && self.fires.is_none() {
            return Err(("K2", "is asked for without a schedule".to_owned()));
        }
        if at_s > self.now_s || at_s <= self.created_s {
            let why = format!("{at_s} lies before {} or after {}", self.created_s, self.now_s);
            return Err(("K2", why));
        }
        if self.edited_s.is_some_and(|edited_s| at_s <= edited_s) {
            return Err(("K3", format!("{at_s} lies before the edit at {:?}", self.edited_s)));
        }
        let deadline_s = self.spec.starting_deadline_seconds;
        if deadline_s.is_some_and(|deadline_s| at_s.saturating_add(deadline_s) <= self.now_s) {
            return Err(("K4", format!("{at_s} is {} s late, with {deadline_s:?}", self.now_s - at_s)));
        }
        let since_s = self.last_s.map_or(self.created_s, |last_s| last_s.max(self.created_s));
        let latest = match (&self.fires, schedule) {
            (Some(fires), _) => fires.range(..=self.now_s).copied().collect(),
            (None, Some(schedule)) => schedule.latest(since_s, self.now_s, u32::MAX).at_s,
            (None, None) => Vec::new(),
        };
        if let Some(chosen) = &self.chosen {
            return match chosen.contains(&at_s) && latest.contains(&at_s) {
                true => Ok(()),
                false => Err(("K2", format!("{at_s} is none of {chosen:?}, which the plugin chose"))),
            };
        }
        if !latest.contains(&at_s) {
            return Err(("K2", format!("the schedule does not fire at {at_s}")));
        }
        match latest.last() {
            Some(last_s) if *last_s > at_s => {
                Err(("K4", format!("{at_s} is made up for, though {last_s} was missed, too")))
            }
            _ => Ok(()),
        }
    }

    fn may_delete(&self, uid: &Uid) -> bool {
        let replaces = self.creates && self.spec.concurrency_policy == ConcurrencyPolicy::Replace;
        self.surplus.contains(uid) || replaces && self.unfinished.iter().any(|job| job.uid == *uid)
    }
}

/// The instants that have passed, as the core was told in answer to questions about schedules. What a plugin names as the
/// next one, and lies in the past, is none of them.
fn fired(batch: &Asked) -> Vec<i64> {
    let (Questions::Schedule(questions), Answers::Schedule(told)) = (&batch.questions, &batch.told) else {
        return Vec::new();
    };
    let instants = |(question, answer): (&schedule::Question, &schedule::Answer)| {
        // What a later version means is not known, and the built-in answer stands in for it.
        let answer = match answer {
            schedule::Answer::Other(_) => schedule::built_in(question),
            answer => answer.clone(),
        };
        match answer {
            schedule::Answer::Fires(firing) => firing.at_s,
            schedule::Answer::Refused(_) | schedule::Answer::Other(_) => Vec::new(),
        }
    };
    let of_the_past = questions.iter().zip(told).filter(|(question, _)| question.latest);
    of_the_past.flat_map(instants).map(i64::from).collect()
}

/// The instants that the core was told in answer to questions about missed runs.
fn chosen(batch: &Asked) -> Vec<i64> {
    let (Questions::MissedRuns(questions), Answers::MissedRuns(told)) = (&batch.questions, &batch.told)
    else {
        return Vec::new();
    };
    let instants = |(question, answer): (&missed_runs::Question, &missed_runs::Answer)| -> Vec<u32> {
        let positions = match (answer, missed_runs::built_in(question)) {
            (missed_runs::Answer::Run(positions), _) => positions.clone(),
            (missed_runs::Answer::Other(_), missed_runs::Answer::Run(positions)) => positions,
            (missed_runs::Answer::Other(_), missed_runs::Answer::Other(_)) => Vec::new(),
        };
        positions.iter().filter_map(|position| question.missed_s.get(*position as usize)).copied().collect()
    };
    questions.iter().zip(told).flat_map(instants).map(i64::from).collect()
}

/// The ended Jobs beyond the limits: the oldest, by their start.
fn surplus(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> BTreeSet<Uid> {
    let mut surplus = BTreeSet::new();
    for (ended, limit) in [
        (JobState::Complete, spec.successful_jobs_history_limit),
        (JobState::Failed, spec.failed_jobs_history_limit),
    ] {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { continue };
        let is_kept = |job: &&Arc<Job>| state(job) == ended && !job.metadata.is_terminating();
        let mut kept: Vec<&Arc<Job>> = jobs.iter().filter(is_kept).collect();
        kept.sort_by_key(|job| {
            let started = job.status.start_time;
            (started.is_none(), started, job.metadata.name.clone())
        });
        let too_many = kept.len().saturating_sub(limit);
        surplus.extend(kept.iter().take(too_many).map(|job| job.metadata.uid.clone()));
    }
    surplus
}
