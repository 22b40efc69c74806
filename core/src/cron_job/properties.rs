//! What must hold for every CronJob: each instant gets one Job at most whatever step fails, and no snapshot makes
//! the core panic or plan what the host would refuse.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{MAX_RUNS, reconcile};
use crate::kube::{ConcurrencyPolicy, JobManifest, Time};
use crate::plan::{Action, ActiveJob, CronJobStatusWrite, MAX_EVENT_MESSAGE_BYTES, Needs, Plan, Read, Step};
use crate::policy::{BuiltIn, Policy, backoff, missed_runs, schedule};
use crate::view::{ActiveRow, CronJobFlags, CronJobSnapshot, CronJobView, JobRow, JobState, LiveOwner};

/// 2026-01-01T10:00:00Z.
const START_S: i64 = 1_767_261_600;
/// What host/src/check.rs allows.
const MAX_STEPS: usize = 128;
const MAX_MEMO_BYTES: usize = 64 * 1024;

const SCHEDULES: [&str; 10] = [
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "30 6-16/4 * * 1-5",
    "@every 10s",
    "@every 90s",
    "@every 1h",
    "59 23 31 2 *",
    "TZ=Europe/Vienna 0 3 * * *",
    "nonsense",
];
const ZONES: [Option<&str>; 4] = [None, Some("America/New_York"), Some("Europe/Wien"), Some("")];

fn concurrency() -> impl Strategy<Value = ConcurrencyPolicy> {
    prop_oneof![
        Just(ConcurrencyPolicy::Allow),
        Just(ConcurrencyPolicy::Forbid),
        Just(ConcurrencyPolicy::Replace),
        Just(ConcurrencyPolicy::Other("Sometimes".into())),
    ]
}

/// Mostly something near the start, sometimes anything.
fn instant_s() -> impl Strategy<Value = i64> {
    prop_oneof![8 => START_S - 7_200..START_S + 7_200, 1 => any::<i64>(), 1 => Just(0)]
}

fn time() -> impl Strategy<Value = Option<Time>> {
    prop::option::of(instant_s().prop_map(Time::from_unix_seconds))
}

prop_compose! {
    fn cron_job()(
        schedule in prop::sample::select(&SCHEDULES[..]),
        time_zone in prop::sample::select(&ZONES[..]),
        created_s in instant_s(),
        starting_deadline_seconds in prop::option::of(prop_oneof![0_i64..10_000, any::<i64>()]),
        concurrency_policy in concurrency(),
        (terminating, suspended) in (prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
        limits in (prop::option::of(0_u32..4), prop::option::of(0_u32..4)),
        times in (time(), time()),
    ) -> CronJobView {
        CronJobView {
            owner: "default/cron".into(),
            uid: "uid-of-cron".into(),
            terminating,
            created_s,
            schedule: schedule.into(),
            time_zone: time_zone.map(Into::into),
            starting_deadline_seconds,
            concurrency_policy,
            suspended,
            successful_jobs_history_limit: limits.0,
            failed_jobs_history_limit: limits.1,
            last_schedule_time: times.0,
            last_successful_time: times.1,
        }
    }
}

prop_compose! {
    fn row()(
        minute in START_S / 60 - 90..START_S / 60 + 90,
        name in 0..5_u8,
        (owned, terminating) in (prop::bool::weighted(0.8), prop::bool::weighted(0.2)),
        state in prop::sample::select(&[JobState::Unfinished, JobState::Complete, JobState::Failed][..]),
        annotation in 0..4_u8,
        second in 0..60_i64,
        times in (time(), time()),
    ) -> JobRow {
        JobRow {
            name: match name {
                0 => format!("by-hand-{minute}").into(),
                1 => format!("cron-{}", minute * 60).into(),
                _ => JobManifest::name_at("cron", minute * 60),
            },
            owned,
            terminating,
            state,
            scheduled_s: match annotation {
                0 => None,
                1 => Some(START_S + second * 1_000),
                _ => Some(minute * 60 + second),
            },
            started: times.0,
            completed: times.1,
        }
    }
}

prop_compose! {
    fn snapshot()(
        (now_ms, view) in (instant_s().prop_map(|at_s| at_s.saturating_mul(1_000)), cron_job()),
        edited_s in prop::option::of(instant_s()),
        edits_run_the_past in any::<bool>(),
        rows in prop::collection::vec(row(), 0..60),
        active in prop::collection::vec((prop::option::of(0_u32..60), 0..4_u8), 0..40),
        memo in prop::collection::vec(any::<u8>(), 0..40),
    ) -> CronJobSnapshot {
        let by_name: BTreeMap<_, _> = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        let jobs: Vec<JobRow> = by_name.into_values().collect();
        let row = |(job, live): (Option<u32>, u8)| ActiveRow {
            name: format!("listed-{job:?}").into(),
            job: job.filter(|position| (*position as usize) < jobs.len()),
            live: match live {
                0 => None,
                1 => Some(LiveOwner::Alive),
                2 => Some(LiveOwner::Terminating),
                _ => Some(LiveOwner::Gone),
            },
        };
        CronJobSnapshot {
            now_ms,
            flags: CronJobFlags { edits_run_the_past, ..CronJobFlags::default() },
            cron_job: Arc::new(view),
            edited_s,
            newest_run_s: None,
            active: active.into_iter().map(row).collect(),
            jobs,
            memo,
        }
    }
}

/// A policy that answers whatever it likes.
#[derive(Clone, Debug)]
struct Wild {
    instants: Vec<u32>,
    positions: Vec<u32>,
    is_missing: bool,
}

impl Policy for Wild {
    fn backoff(&self, _: &[backoff::Question]) -> Vec<backoff::Answer> {
        Vec::new()
    }

    fn schedule(&self, questions: &[schedule::Question]) -> Vec<schedule::Answer> {
        if self.is_missing {
            return Vec::new();
        }
        let firing = schedule::Firing { at_s: self.instants.clone(), more: true };
        questions.iter().map(|_| schedule::Answer::Fires(firing.clone())).collect()
    }

    fn missed_runs(&self, questions: &[missed_runs::Question]) -> Vec<missed_runs::Answer> {
        questions.iter().map(|_| missed_runs::Answer::Run(self.positions.clone())).collect()
    }
}

/// What host/src/check and host/src/check/cron_job.rs ask of a plan, and what the status promises.
fn check(plan: &Plan, snapshot: &CronJobSnapshot) -> Result<(), TestCaseError> {
    prop_assert!(plan.steps.len() <= MAX_STEPS, "{} steps", plan.steps.len());
    prop_assert!(plan.memo.len() <= MAX_MEMO_BYTES);
    prop_assert!(plan.requeue_after_ms.is_none());
    let is_open = snapshot.active.iter().any(|row| row.job.is_none() && row.live.is_none());
    prop_assert_eq!(plan.read == Some(Read::ActiveJobs), is_open);
    prop_assert!(!is_open || plan.steps.is_empty());
    prop_assert!(plan.wake_at_ms.is_none_or(|at_ms| at_ms > snapshot.now_ms));
    let mut slots = 0;
    for (position, step) in plan.steps.iter().enumerate() {
        prop_assert!(step.after.iter().all(|dependency| (dependency.step as usize) < position));
        check_step(step, snapshot, &mut slots)?;
    }
    Ok(())
}

fn check_step(step: &Step, snapshot: &CronJobSnapshot, slots: &mut usize) -> Result<(), TestCaseError> {
    match &step.action {
        Action::CreateJobs(created) => {
            prop_assert_eq!(*slots, 0, "one step creates");
            *slots = created.len();
            prop_assert!(!created.is_empty() && created.len() <= MAX_RUNS);
            let names: BTreeSet<_> =
                created.iter().map(|slot| JobManifest::name_at("cron", slot.scheduled_s)).collect();
            prop_assert_eq!(names.len(), created.len());
            prop_assert!(snapshot.jobs.iter().all(|row| !names.contains(&row.name)), "a name is taken");
            prop_assert!(!snapshot.cron_job.suspended && !snapshot.cron_job.terminating);
            let now_s = snapshot.now_ms.div_euclid(1_000);
            prop_assert!(created.iter().all(|slot| (0..=now_s).contains(&slot.scheduled_s)));
            if let Some(deadline_s) = snapshot.cron_job.starting_deadline_seconds {
                prop_assert!(created.iter().all(|slot| slot.scheduled_s.saturating_add(deadline_s) > now_s));
            }
        }
        Action::DeleteJobs(positions) => {
            let distinct: BTreeSet<_> = positions.iter().collect();
            prop_assert_eq!(distinct.len(), positions.len());
            for position in positions {
                let row = &snapshot.jobs[*position as usize];
                let is_listed = snapshot.active.iter().any(|active| active.job == Some(*position));
                prop_assert!(!row.terminating && (row.owned || is_listed), "{row:?}");
                let may_replace = snapshot.cron_job.concurrency_policy == ConcurrencyPolicy::Replace;
                prop_assert!(row.state != JobState::Unfinished || may_replace);
            }
        }
        Action::WriteCronJobStatus(write) => check_status(write, snapshot, *slots)?,
        Action::RecordEvent(event) => prop_assert!(event.message.len() <= MAX_EVENT_MESSAGE_BYTES),
        Action::CreatePods(_)
        | Action::DeletePods { .. }
        | Action::UntrackPods(_)
        | Action::AdoptPods(_)
        | Action::ReleasePods(_)
        | Action::DaemonSet(_)
        | Action::WriteJobStatus(_)
        | Action::DeleteJob => {
            prop_assert!(false, "{:?}", step.action);
        }
    }
    Ok(())
}

fn check_status(
    write: &CronJobStatusWrite,
    snapshot: &CronJobSnapshot,
    slots: usize,
) -> Result<(), TestCaseError> {
    prop_assert!(write.last_schedule_time >= snapshot.cron_job.last_schedule_time);
    prop_assert!(write.last_successful_time >= snapshot.cron_job.last_successful_time);
    let mut seen = BTreeSet::new();
    for active in &write.active {
        let is_known = match *active {
            ActiveJob::Listed(place) => (place as usize) < snapshot.active.len(),
            ActiveJob::Known(position) => snapshot.jobs[position as usize].owned,
            ActiveJob::Created(slot) => (slot as usize) < slots,
        };
        prop_assert!(is_known && seen.insert(format!("{active:?}")), "{active:?}");
    }
    Ok(())
}

/// What happens to the model between two looks, or a look.
#[derive(Clone, Debug)]
enum Event {
    /// Seconds pass; or are taken back.
    Clock(i64),
    /// An unfinished Job ends, with success or without.
    Finish(usize, bool),
    /// Somebody asks for the deletion of a Job, which takes a while.
    Delete(usize),
    /// A Job that terminates is gone.
    Gone(usize),
    /// Somebody makes a Job under such a name, and lets the CronJob control it.
    ByHand(i64),
    /// Somebody edits the spec.
    Schedule(usize),
    Suspend(bool),
    Concurrency(ConcurrencyPolicy),
    /// A look: how each step ends, bit by bit, after which step the process crashes, if it does, and whether a
    /// create that failed was done all the same.
    Reconcile {
        failing: u8,
        crash: Option<usize>,
        is_lost: bool,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let reconcile = (any::<u8>(), prop::option::weighted(0.2, 0_usize..4), any::<bool>())
        .prop_map(|(failing, crash, is_lost)| Event::Reconcile { failing, crash, is_lost });
    prop_oneof![
        6 => (1_i64..900).prop_map(Event::Clock),
        1 => (-4_000_i64..0).prop_map(Event::Clock),
        3 => (0_usize..8, any::<bool>()).prop_map(|(job, success)| Event::Finish(job, success)),
        1 => (0_usize..8).prop_map(Event::Delete),
        2 => (0_usize..8).prop_map(Event::Gone),
        1 => prop::sample::select(&[1, START_S / 60 + 5_000, START_S][..]).prop_map(Event::ByHand),
        1 => (0_usize..7).prop_map(Event::Schedule),
        1 => any::<bool>().prop_map(Event::Suspend),
        1 => concurrency().prop_map(Event::Concurrency),
        4 => reconcile,
        6 => Just(Event::Reconcile { failing: 0, crash: None, is_lost: false }),
    ]
}

/// A Job of the model.
#[derive(Clone, Debug)]
struct ModelJob {
    id: u32,
    row: JobRow,
    by_hand: bool,
}

/// The API server, and what the host keeps.
struct Model {
    now_ms: i64,
    view: CronJobView,
    edited_s: Option<i64>,
    /// By name.
    jobs: BTreeMap<crate::kube::Str, ModelJob>,
    /// Ids of the Jobs that the status lists.
    active: Vec<u32>,
    memo: Vec<u8>,
    next_id: u32,
    /// Every instant that ever got a Job.
    created: BTreeSet<i64>,
}

impl Model {
    fn new() -> Self {
        let view = CronJobView {
            owner: "default/cron".into(),
            uid: "uid-of-cron".into(),
            created_s: START_S - 30,
            schedule: "* * * * *".into(),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            ..CronJobView::default()
        };
        Self {
            now_ms: START_S * 1_000,
            view,
            edited_s: None,
            jobs: BTreeMap::new(),
            active: Vec::new(),
            memo: Vec::new(),
            next_id: 0,
            created: BTreeSet::new(),
        }
    }

    fn snapshot(&self) -> CronJobSnapshot {
        let position = |id: u32| {
            let position = self.jobs.values().position(|job| job.id == id);
            position.map(|position| u32::try_from(position).unwrap())
        };
        let listed = |id: &u32| ActiveRow {
            name: format!("id-{id}").into(),
            job: position(*id),
            live: position(*id).is_none().then_some(LiveOwner::Gone),
        };
        CronJobSnapshot {
            now_ms: self.now_ms,
            flags: CronJobFlags::default(),
            cron_job: Arc::new(self.view.clone()),
            edited_s: self.edited_s,
            newest_run_s: None,
            jobs: self.jobs.values().map(|job| job.row.clone()).collect(),
            active: self.active.iter().map(listed).collect(),
            memo: self.memo.clone(),
        }
    }

    fn nth(&mut self, number: usize) -> Option<&mut ModelJob> {
        let count = self.jobs.len().max(1);
        self.jobs.values_mut().nth(number % count)
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let now = Time::from_unix_ms(self.now_ms);
        match event {
            Event::Clock(seconds) => self.now_ms += seconds * 1_000 + 137,
            Event::Finish(number, success) => {
                if let Some(job) = self.nth(*number).filter(|job| job.row.state == JobState::Unfinished) {
                    job.row.state = if *success { JobState::Complete } else { JobState::Failed };
                    job.row.completed = success.then_some(now);
                }
            }
            Event::Delete(number) => {
                let last = self.view.last_schedule_time.map(|time| time.unix_seconds);
                // The one exception of the promise: a Job that goes before the status knows of it.
                if let Some(job) = self.nth(*number)
                    && (job.by_hand || job.row.scheduled_s <= last)
                {
                    job.row.terminating = true;
                }
            }
            Event::Gone(number) => {
                let name =
                    self.nth(*number).filter(|job| job.row.terminating).map(|job| job.row.name.clone());
                if let Some(name) = name {
                    self.jobs.remove(&name);
                }
            }
            Event::ByHand(number) => {
                let row = JobRow { name: format!("cron-{number}").into(), owned: true, ..JobRow::default() };
                self.add(row, true);
            }
            Event::Schedule(number) => {
                self.view.schedule = SCHEDULES[*number].into();
                self.edited_s = Some(now.unix_seconds);
            }
            Event::Suspend(suspended) => self.view.suspended = *suspended,
            Event::Concurrency(policy) => self.view.concurrency_policy = policy.clone(),
            Event::Reconcile { failing, crash, is_lost } => {
                let crash = crash.unwrap_or(usize::MAX);
                self.reconcile(*failing, crash, *is_lost)?;
            }
        }
        Ok(())
    }

    /// Adds a Job unless its name is taken.
    fn add(&mut self, row: JobRow, by_hand: bool) {
        let id = self.next_id;
        self.next_id += 1;
        self.jobs.entry(row.name.clone()).or_insert(ModelJob { id, row, by_hand });
    }

    fn reconcile(&mut self, failing: u8, crash: usize, is_lost: bool) -> Result<Plan, TestCaseError> {
        let snapshot = self.snapshot();
        let plan = reconcile(&snapshot, &BuiltIn::default()).unwrap();
        check(&plan, &snapshot)?;
        let mut done: Vec<bool> = Vec::new();
        for (number, step) in plan.steps.iter().enumerate().take_while(|(number, _)| *number <= crash) {
            let runs = step.after.iter().all(|dependency| match dependency.needs {
                Needs::Succeeded => done[dependency.step as usize],
                Needs::Failed => !done[dependency.step as usize],
                Needs::Settled => true,
            });
            let fails = number < 8 && failing & (1 << number) != 0;
            if runs && (!fails || (is_lost && matches!(step.action, Action::CreateJobs(_)))) {
                self.act(&step.action, &snapshot)?;
            }
            done.push(runs && !fails);
        }
        if crash != usize::MAX {
            self.memo.clear();
        } else if failing == 0 {
            self.memo.clone_from(&plan.memo);
        }
        Ok(plan)
    }

    fn act(&mut self, action: &Action, snapshot: &CronJobSnapshot) -> Result<(), TestCaseError> {
        let name_at = |position: u32| snapshot.jobs[position as usize].name.clone();
        match action {
            Action::CreateJobs(slots) => {
                for slot in slots {
                    prop_assert!(self.created.insert(slot.scheduled_s), "{} again", slot.scheduled_s);
                    if self.view.concurrency_policy == ConcurrencyPolicy::Forbid {
                        let is_running = |job: &ModelJob| {
                            !job.by_hand && job.row.owned && job.row.state == JobState::Unfinished
                        };
                        prop_assert!(!self.jobs.values().any(is_running), "two at once: {:?}", self.jobs);
                    }
                    let row = JobRow {
                        name: JobManifest::name_at("cron", slot.scheduled_s),
                        owned: true,
                        scheduled_s: Some(slot.scheduled_s),
                        started: Some(Time::from_unix_ms(self.now_ms)),
                        ..JobRow::default()
                    };
                    self.add(row, false);
                }
            }
            Action::DeleteJobs(positions) => {
                for position in positions {
                    if let Some(job) = self.jobs.get_mut(&name_at(*position)) {
                        job.row.terminating = true;
                    }
                }
            }
            Action::WriteCronJobStatus(write) => {
                let before = self.active.clone();
                let id = |active: &ActiveJob| match *active {
                    ActiveJob::Listed(place) => before[place as usize],
                    ActiveJob::Known(position) => self.jobs[&name_at(position)].id,
                    ActiveJob::Created(_) => self.next_id - 1,
                };
                self.active = write.active.iter().map(id).collect();
                self.view.last_schedule_time = write.last_schedule_time;
                self.view.last_successful_time = write.last_successful_time;
            }
            Action::RecordEvent(_) => {}
            other => panic!("no plan for a CronJob has {other:?}"),
        }
        Ok(())
    }

    /// Looks without any fault until nothing is left to do, and checks what then holds.
    fn rest(&mut self) -> Result<(), TestCaseError> {
        self.view.suspended = true;
        for _ in 0..6 {
            self.jobs.retain(|_, job| !job.row.terminating);
            self.reconcile(0, usize::MAX, false)?;
        }
        let plan = self.reconcile(0, usize::MAX, false)?;
        prop_assert_eq!(&plan.steps, &vec![], "it never rests");
        let unfinished =
            self.jobs.values().filter(|job| !job.by_hand && job.row.state == JobState::Unfinished);
        let unfinished: BTreeSet<u32> = unfinished.map(|job| job.id).collect();
        let active: BTreeSet<u32> = self.active.iter().copied().collect();
        prop_assert_eq!(active.len(), self.active.len());
        prop_assert_eq!(active, unfinished);
        let last_s = self.view.last_schedule_time.map(|time| time.unix_seconds);
        prop_assert_eq!(last_s, self.created.last().copied());
        let ended = |state| self.jobs.values().filter(|job| job.row.state == state).count();
        prop_assert!(ended(JobState::Complete) <= 1 && ended(JobState::Failed) <= 1);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn every_plan_passes_the_hosts_check(snapshot in snapshot()) {
        let plan = reconcile(&snapshot, &BuiltIn::default()).unwrap();
        check(&plan, &snapshot)?;
        prop_assert_eq!(reconcile(&snapshot, &BuiltIn::default()).unwrap(), plan);
    }

    #[test]
    fn no_answer_of_a_policy_makes_a_plan_that_the_host_refuses(
        snapshot in snapshot(),
        instants in prop::collection::vec(
            prop_oneof![any::<u32>(), 1_767_255_000_u32..1_767_268_000], 0..300),
        positions in prop::collection::vec(prop_oneof![any::<u32>(), 0_u32..120], 0..40),
        is_missing in any::<bool>(),
    ) {
        let plan = reconcile(&snapshot, &Wild { instants, positions, is_missing }).unwrap();
        check(&plan, &snapshot)?;
    }

    #[test]
    fn a_position_that_there_is_not_is_refused(mut snapshot in snapshot(), beyond in 0_u32..9) {
        let job = u32::try_from(snapshot.jobs.len()).unwrap() + beyond;
        snapshot.active.push(ActiveRow { job: Some(job), ..ActiveRow::default() });
        let fault = reconcile(&snapshot, &BuiltIn::default()).map_err(|fault| fault.to_string());
        prop_assert!(fault.is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn each_instant_gets_one_job_at_most_whatever_step_fails(
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut model = Model::new();
        for event in &events {
            let before = (model.view.last_schedule_time, model.view.last_successful_time);
            model.happen(event)?;
            prop_assert!(model.view.last_schedule_time >= before.0);
            prop_assert!(model.view.last_successful_time >= before.1);
        }
        model.rest()?;
    }
}
