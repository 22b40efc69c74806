//! CronJobs of a run: their schedules, what people do to them, and when it all ends.

pub mod small;

use std::sync::Arc;

use serde_json::json;
use serde_json::value::RawValue;
use windlass_core::kube::{ConcurrencyPolicy, CronJob, CronJobSpec, JobTemplate, Labels, ObjectMeta, Str};
use windlass_sandbox::Propagation;

use super::{Deed, EDITION_ANNOTATION, NAMESPACE, PodFate, Workload};
use crate::simulation::random::{Random, mix};

/// A seed that this divides has CronJobs in its run, and no Jobs but theirs.
const EVERY: u64 = 3;
/// Where the wall clock of a run starts that no clock change is near: 2026-01-05T09:00:00Z, a Monday.
pub const PLAIN_START_S: i64 = 1_767_603_600;

/// The field of a Job's spec that says how long it stays once it has ended.
const TTL_FIELD: &str = "ttlSecondsAfterFinished";

/// How the spec of a Job says that it is not tried again.
const NO_RETRY: &str = r#""backoffLimit":0"#;

/// One CronJob of a run.
#[derive(Clone, Debug)]
pub struct CronPlan {
    /// Name.
    pub name: Str,
    /// Its spec.
    pub spec: Arc<CronJobSpec>,
    /// When it is created, milliseconds.
    pub created_ms: u64,
    /// Whether an older server took it, which did not look at its schedule.
    pub is_old: bool,
    /// How the Pods of its Jobs fare.
    pub fate: PodFate,
    /// Its annotations.
    pub annotations: Labels,
}

/// Something that people do to a CronJob, or in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronDeed {
    /// `spec.schedule` is set.
    SetSchedule(&'static str),
    /// `spec.timeZone` is set.
    SetZone(Option<&'static str>),
    /// `spec.suspend` is set.
    SetSuspend(bool),
    /// `spec.concurrencyPolicy` is set.
    SetPolicy(Policy),
    /// `spec.startingDeadlineSeconds` is set.
    SetDeadline(Option<i64>),
    /// Both history limits are set.
    SetLimits(i32, i32),
    /// The Job template gets another annotation.
    EditTemplate(u64),
    /// The CronJob gets another annotation.
    Touch(u64),
    /// It is deleted.
    Delete(Propagation),
    /// It is deleted and made anew under the same name.
    Replace,
    /// One of its Jobs is deleted.
    DeleteJob(u64),
    /// The Pods of one of its Jobs end with success.
    FinishJob(u64),
    /// Somebody makes a Job by hand that has its controller reference.
    MakeJob(u64),
    /// Somebody makes a Job of their own by the name of the instant so many minutes from now.
    TakeName(i64),
    /// A quota lets the namespace hold so many Jobs, or as many as there may be.
    Limit(Option<usize>),
    /// The namespace is deleted, and all that is in it.
    EndNamespace,
}

/// What becomes of a run while an earlier one has not ended, as a word that can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Both run.
    Allow,
    /// The new one is skipped.
    Forbid,
    /// The earlier one is deleted.
    Replace,
}

/// How close together the instants of a run's schedules are.
struct Pace {
    /// Schedules to choose from.
    schedules: &'static [&'static str],
    /// Shortest and longest time until it all ends, minutes.
    minutes: (u64, u64),
    /// How long Pods run, milliseconds, from quick to longer than the time between two instants.
    run_ms: &'static [(u64, u64)],
}

const BY_THE_MINUTE: Pace = Pace {
    schedules: &[
        "* * * * *",
        "* * * * *",
        "*/2 * * * *",
        "1-59/3 * * * *",
        "@every 40s",
        "@every 90s",
        "@every 2m",
    ],
    minutes: (6, 40),
    run_ms: &[(10, 500), (10, 500), (1_000, 20_000), (20_000, 150_000)],
};
const BY_THE_HOUR: Pace = Pace {
    schedules: &[
        "@hourly",
        "*/30 * * * *",
        "15 */2 * * *",
        "@every 1h",
        "@every 1h30m7s",
        "30 6-16/4 * * 1-5",
    ],
    minutes: (240, 900),
    run_ms: &[(10, 500), (60_000, 600_000), (600_000, 7_200_000)],
};
const BY_THE_DAY: Pace = Pace {
    schedules: &["30 2 * * *", "0 2 * * *", "*/30 1-3 * * *", "@daily", "0 */3 * * *", "@every 6h"],
    minutes: (1_440, 2_900),
    run_ms: &[(10, 500), (600_000, 7_200_000)],
};
/// A schedule that never fires.
const NEVER: &str = "0 0 30 2 *";
/// Texts that no server takes any more.
const ODD_SCHEDULES: [&str; 5] = ["every day", "61 * * * *", "@every 1 m", "", "TZ=No/Where @hourly"];
/// Zones, and the instant of a clock change in them, seconds since the Unix epoch.
const CLOCK_CHANGES: [(&str, i64); 5] = [
    ("Europe/Vienna", 1_774_746_000),
    ("Europe/Vienna", 1_792_890_000),
    ("America/New_York", 1_772_953_200),
    ("America/New_York", 1_793_512_800),
    ("Australia/Lord_Howe", 1_775_314_800),
];

/// The workload of `seed`, if it is one with CronJobs.
#[must_use]
pub fn of(seed: u64) -> Option<Workload> {
    if !seed.is_multiple_of(EVERY) {
        return None;
    }
    let random = &mut Random::new(seed, 7);
    let (pace, zone, start_s) = match random.below(10) {
        0..6 => (&BY_THE_MINUTE, None, PLAIN_START_S),
        6..8 => (&BY_THE_HOUR, None, PLAIN_START_S),
        _ => {
            let (zone, changes_s) = random.pick(&CLOCK_CHANGES);
            let before_s = random.between(3_600, 20 * 3_600);
            (&BY_THE_DAY, Some(zone), changes_s.saturating_sub_unsigned(before_s))
        }
    };
    let end_ms = random.between(pace.minutes.0, pace.minutes.1) * 60_000 + random.below(60_000);
    let count = random.pick(&[1, 1, 2, 3]);
    let crons: Vec<CronPlan> = (0..count).map(|position| plan(seed, random, pace, zone, position)).collect();
    let mut workload = Workload {
        start_unix_ms: start_s * 1_000 + random.below(60_000) as i64,
        deeds: deeds(random, pace, crons.len() as u64, end_ms),
        crons,
        ..Workload::default()
    };
    workload.end_all(end_ms);
    Some(workload)
}

impl Workload {
    /// Lets every CronJob be suspended at `end_ms`, and no quota be left.
    pub fn end_all(&mut self, end_ms: u64) {
        self.deeds.push((end_ms, Deed::Cron(0, CronDeed::Limit(None))));
        for position in 0..self.crons.len() {
            self.deeds.push((end_ms, Deed::Cron(position, CronDeed::SetSuspend(true))));
        }
        self.deeds.sort_by_key(|(at_ms, _)| *at_ms);
    }

    /// Whether Jobs of a CronJob wait for a clock: they have a time to live, or are tried again.
    #[must_use]
    pub fn has_waiting_jobs(&self) -> bool {
        let waits = |text: &str| text.contains(TTL_FIELD) || !text.contains(NO_RETRY);
        let template = |plan: &CronPlan| plan.spec.job_template.spec.clone();
        self.crons.iter().any(|plan| template(plan).is_some_and(|spec| waits(spec.get())))
    }

    /// The CronJob of the run that gave a Job of that name its name.
    #[must_use]
    pub fn cron_of(&self, job: &str) -> Option<&CronPlan> {
        self.crons.iter().find(|plan| job.strip_prefix(&*plan.name).is_some_and(|rest| rest.starts_with('-')))
    }
}

impl From<Policy> for ConcurrencyPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Allow => Self::Allow,
            Policy::Forbid => Self::Forbid,
            Policy::Replace => Self::Replace,
        }
    }
}

/// A spec that fires by `schedule`, whose Jobs have one Pod each.
#[must_use]
pub fn spec(schedule: &str) -> CronJobSpec {
    CronJobSpec {
        schedule: schedule.into(),
        job_template: template(0, None),
        successful_jobs_history_limit: Some(3),
        failed_jobs_history_limit: Some(1),
        ..CronJobSpec::default()
    }
}

/// A template of a Job with one Pod.
#[must_use]
pub fn template(backoff_limit: u64, ttl_seconds: Option<u64>) -> JobTemplate {
    let mut spec = json!({
        "backoffLimit": backoff_limit,
        "template": {"spec": {
            "nodeName": "node-1",
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "registry.example/work:1"}],
        }},
    });
    if let Some(seconds) = ttl_seconds {
        spec[TTL_FIELD] = seconds.into();
    }
    let spec = RawValue::from_string(spec.to_string()).ok().map(Into::into);
    JobTemplate { metadata: ObjectMeta::default(), spec }
}

/// Sets the edition that a template says it is.
pub fn set_edition(spec: &mut CronJobSpec, edition: u64) {
    let annotations = &mut spec.job_template.metadata.annotations;
    Arc::make_mut(annotations).insert(EDITION_ANNOTATION.into(), edition.to_string().into());
}

/// The CronJob of a plan, as whoever applies its manifest sends it.
#[must_use]
pub fn manifest(plan: &CronPlan) -> CronJob {
    let metadata = ObjectMeta {
        name: plan.name.clone(),
        namespace: NAMESPACE.into(),
        annotations: Arc::new(plan.annotations.clone()),
        ..ObjectMeta::default()
    };
    CronJob { metadata, spec: plan.spec.clone(), ..CronJob::default() }
}

fn plan(seed: u64, random: &mut Random, pace: &Pace, zone: Option<&str>, position: u64) -> CronPlan {
    let mut spec = spec(schedule(random, pace));
    let is_old = random.chance(60);
    if is_old {
        spec.schedule = random.pick(&ODD_SCHEDULES).into();
    }
    spec.job_template =
        template(random.pick(&[0, 0, 0, 1]), random.chance(100).then(|| random.pick(&[0, 5, 60])));
    spec.time_zone = zone.filter(|_| random.chance(900)).map(Into::into);
    if random.chance(30) {
        spec.time_zone = Some("Mars/Olympus".into());
    }
    spec.concurrency_policy = policy(random).into();
    spec.starting_deadline_seconds = deadline(random);
    spec.suspend = random.chance(60).then_some(true);
    let (successful, failed) = limits(random);
    (spec.successful_jobs_history_limit, spec.failed_jobs_history_limit) = (Some(successful), Some(failed));
    let fate = PodFate {
        seed: mix(seed.wrapping_add(position)),
        failing_per_mille: random.pick(&[0, 0, 100, 500]),
        start_ms: (1, 60),
        run_ms: random.pick(pace.run_ms),
        endless: random.chance(30),
        lots: None,
    };
    let created_ms = random.below(90_000);
    CronPlan {
        name: format!("cron-{position}").into(),
        spec: Arc::new(spec),
        created_ms,
        is_old,
        fate,
        annotations: Labels::new(),
    }
}

fn schedule(random: &mut Random, pace: &Pace) -> &'static str {
    if random.chance(30) { NEVER } else { random.pick(pace.schedules) }
}

fn policy(random: &mut Random) -> Policy {
    random.pick(&[Policy::Allow, Policy::Forbid, Policy::Replace])
}

fn deadline(random: &mut Random) -> Option<i64> {
    random.pick(&[None, None, Some(20), Some(90), Some(200), Some(3_600)])
}

fn limits(random: &mut Random) -> (i32, i32) {
    (random.pick(&[3, 3, 1, 0]), random.pick(&[1, 1, 3, 0]))
}

fn deeds(random: &mut Random, pace: &Pace, crons: u64, end_ms: u64) -> Vec<(u64, Deed)> {
    let count = random.pick(&[0, 1, 3, 6, 12]);
    let mut deeds = Vec::new();
    for _ in 0..count {
        let at_ms = random.between(100, end_ms - 1);
        let cron = random.below(crons) as usize;
        let deed = deed(random, pace);
        deeds.push((at_ms, Deed::Cron(cron, deed)));
        let undone = match deed {
            CronDeed::SetSuspend(true) => CronDeed::SetSuspend(false),
            CronDeed::Limit(Some(_)) => CronDeed::Limit(None),
            _ => continue,
        };
        let until_ms = random.spread(1_000, end_ms);
        if at_ms + until_ms < end_ms {
            deeds.push((at_ms + until_ms, Deed::Cron(cron, undone)));
        }
    }
    deeds
}

fn deed(random: &mut Random, pace: &Pace) -> CronDeed {
    let place = random.number();
    match random.below(32) {
        0..4 => CronDeed::SetSchedule(schedule(random, pace)),
        4..6 => CronDeed::SetZone(random.pick(&[
            None,
            Some("Europe/Vienna"),
            Some("Asia/Kolkata"),
            Some("No/Where"),
        ])),
        6..9 => CronDeed::SetSuspend(true),
        9..12 => CronDeed::SetPolicy(policy(random)),
        12 => CronDeed::SetDeadline(deadline(random)),
        13 => {
            let (successful, failed) = limits(random);
            CronDeed::SetLimits(successful, failed)
        }
        14..16 => CronDeed::EditTemplate(place % 1_000),
        16 => CronDeed::Touch(place),
        17 => CronDeed::Delete(random.pick(&[
            Propagation::Background,
            Propagation::Foreground,
            Propagation::Orphan,
        ])),
        18 => CronDeed::Replace,
        19..23 => CronDeed::DeleteJob(place),
        23..25 => CronDeed::FinishJob(place),
        25..28 => CronDeed::MakeJob(place % 100),
        28..30 => CronDeed::TakeName(random.between(0, 3) as i64),
        30 => CronDeed::Limit(Some(random.pick(&[0, 1, 3]))),
        _ => {
            if random.chance(150) {
                CronDeed::EndNamespace
            } else {
                CronDeed::Limit(Some(0))
            }
        }
    }
}
