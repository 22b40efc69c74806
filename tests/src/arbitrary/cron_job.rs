//! Generators of CronJobs, their Jobs, and snapshots of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use windlass_core::kube::{
    CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, ConcurrencyPolicy, ConditionStatus, CronJob, Job, JobCondition,
    JobManifest, ObjectReference, OwnerReference, ResourceVersion, Str, Time, Uid, cron_job_row,
    cron_job_view,
};
use windlass_core::view::{ActiveRow, CronJobFlags, CronJobSnapshot, LiveOwner};

use super::{NOW_S, live_owner, memo, now_ms, text};

/// Most Jobs of a generated CronJob.
const MOST_JOBS: usize = 16;
/// Schedules that fire often, seldom, never, and such as are none.
const SCHEDULES: [&str; 12] = [
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "30 6-16/4 * * 1-5",
    "0 0 29 2 *",
    "0 0 31 2 *",
    "@hourly",
    "@every 10s",
    "@every 90m",
    "TZ=Asia/Tokyo 0 9 * * *",
    "61 * * * *",
    "",
];
const ZONES: [&str; 4] = ["Europe/Vienna", "Australia/Lord_Howe", "Europe/Wien", ""];

/// A CronJob, its Jobs and others', and what a live read would find of Jobs that it lists and that are not there.
#[derive(Clone, Debug)]
pub struct CronJobScene {
    /// The CronJob.
    pub cron_job: CronJob,
    /// Jobs, each under a name of its own.
    pub jobs: Vec<Job>,
    /// What became of Jobs, by uid.
    pub live: BTreeMap<Uid, LiveOwner>,
}

/// CronJobs with Jobs, as the API server would hold them; instants lie near [`NOW_S`].
pub fn cron_job_scene() -> impl Strategy<Value = CronJobScene> {
    let whole = (cron_job(), vec(job_seed(), 0..MOST_JOBS), vec((0..2 * MOST_JOBS, live_owner()), 0..6));
    whole.prop_map(|(mut cron_job, seeds, listed)| {
        let jobs: BTreeMap<Str, Job> = seeds.iter().map(|seed| job(&cron_job, seed)).collect();
        let jobs: Vec<Job> = jobs.into_values().collect();
        let mut live = BTreeMap::new();
        for (number, found) in listed {
            let gone = || (format!("gone-{number}").into(), format!("uid-of-gone-{number}").into());
            let (name, uid): (Str, Uid) = jobs
                .get(number)
                .map_or_else(gone, |job| (job.metadata.name.clone(), job.metadata.uid.clone()));
            if number % 3 != 0 {
                live.insert(uid.clone(), found);
            }
            cron_job.status.active.push(ObjectReference { name, uid, ..ObjectReference::default() });
        }
        CronJobScene { cron_job, jobs, live }
    })
}

/// Snapshots of CronJobs; about one in ten contradicts itself.
pub fn cron_job_snapshot() -> impl Strategy<Value = CronJobSnapshot> {
    let settings = (option::weighted(0.2, Just("Europe/Paris")), any::<bool>());
    let damage = option::weighted(0.1, 0..40_u32);
    (now_ms(), settings, cron_job_scene(), option::weighted(0.2, near_s()), memo(), damage).prop_map(
        |(now_ms, (zone, edits_run_the_past), scene, edited_s, memo, damage)| {
            let uid = &scene.cron_job.metadata.uid;
            let position = |uid: &Uid| scene.jobs.iter().position(|job| job.metadata.uid == *uid);
            let mut active: Vec<ActiveRow> = scene
                .cron_job
                .status
                .active
                .iter()
                .map(|reference| ActiveRow {
                    name: reference.name.clone(),
                    job: position(&reference.uid).and_then(|position| u32::try_from(position).ok()),
                    live: scene.live.get(&reference.uid).copied(),
                })
                .collect();
            active.extend(damage.map(|job| ActiveRow { job: Some(job), ..ActiveRow::default() }));
            let default = CronJobFlags::default();
            CronJobSnapshot {
                now_ms,
                flags: CronJobFlags {
                    default_zone: zone.map_or(default.default_zone, Into::into),
                    edits_run_the_past,
                },
                cron_job: Arc::new(cron_job_view(&scene.cron_job)),
                edited_s,
                newest_run_s: None,
                jobs: scene.jobs.iter().map(|job| cron_job_row(job, uid)).collect(),
                active,
                memo,
            }
        },
    )
}

fn cron_job() -> impl Strategy<Value = CronJob> {
    let when = (
        prop_oneof![8 => prop::sample::select(&SCHEDULES[..]).prop_map(Str::from), 1 => text()],
        option::weighted(0.4, prop::sample::select(&ZONES[..])),
        option::weighted(0.4, prop_oneof![8 => 0..7_200_i64, 1 => any::<i64>()]),
    );
    let how = (
        prop_oneof![
            Just(ConcurrencyPolicy::Allow),
            Just(ConcurrencyPolicy::Forbid),
            Just(ConcurrencyPolicy::Replace),
            text().prop_map(ConcurrencyPolicy::Other),
        ],
        option::of(prop::bool::weighted(0.2)),
        (option::of(-1..4_i32), option::of(0..4_i32)),
    );
    let times = (near_s(), option::weighted(0.7, near_s()), option::weighted(0.5, near_s()));
    let terminating = prop::bool::weighted(0.1);
    (when, how, times, terminating).prop_map(|(when, how, times, terminating)| {
        let mut cron_job = CronJob::default();
        cron_job.metadata.name = "cron".into();
        cron_job.metadata.namespace = "default".into();
        cron_job.metadata.uid = "uid-of-cron".into();
        cron_job.metadata.resource_version = ResourceVersion(7);
        cron_job.metadata.creation_timestamp = Some(Time::from_unix_seconds(times.0 - 3_600));
        cron_job.metadata.deletion_timestamp = terminating.then_some(Time::from_unix_seconds(NOW_S));
        cron_job.status.last_schedule_time = times.1.map(Time::from_unix_seconds);
        cron_job.status.last_successful_time = times.2.map(Time::from_unix_seconds);
        let spec = Arc::make_mut(&mut cron_job.spec);
        spec.schedule = when.0;
        spec.time_zone = when.1.map(Into::into);
        spec.starting_deadline_seconds = when.2;
        spec.concurrency_policy = how.0;
        spec.suspend = how.1;
        spec.successful_jobs_history_limit = how.2.0;
        spec.failed_jobs_history_limit = how.2.1;
        cron_job
    })
}

/// What a Job is made of.
#[derive(Clone, Debug)]
struct JobSeed {
    /// Minutes around [`NOW_S`].
    minute: i64,
    /// Who gave the name: the schedule, or people.
    name: u8,
    annotated: bool,
    owner: u8,
    /// Unfinished, complete or failed.
    end: u8,
    terminating: bool,
    started: Option<i64>,
    completed: Option<i64>,
}

fn job_seed() -> impl Strategy<Value = JobSeed> {
    let name = (-90..20_i64, 0..6_u8, prop::bool::weighted(0.8), 0..6_u8);
    let state = (0..3_u8, prop::bool::weighted(0.2), option::of(near_s()), option::of(near_s()));
    (name, state).prop_map(|((minute, name, annotated, owner), (end, terminating, started, completed))| {
        JobSeed { minute, name, annotated, owner, end, terminating, started, completed }
    })
}

fn job(cron_job: &CronJob, seed: &JobSeed) -> (Str, Job) {
    let at_s = NOW_S + seed.minute * 60;
    let name: Str = match seed.name {
        0 => format!("by-hand{}", seed.minute).into(),
        1 => format!("cron-{at_s}").into(),
        _ => JobManifest::name_at("cron", at_s),
    };
    let mut job = Job::default();
    job.metadata.name = name.clone();
    job.metadata.namespace = cron_job.metadata.namespace.clone();
    job.metadata.uid = format!("uid-of-{name}").into();
    job.metadata.resource_version = ResourceVersion(9);
    job.metadata.deletion_timestamp = seed.terminating.then_some(Time::from_unix_seconds(NOW_S));
    let owner = cron_job.controller_reference();
    job.metadata.owner_references = Arc::new(match seed.owner {
        0 => Vec::new(),
        1 => vec![OwnerReference { uid: "uid-of-another".into(), ..owner }],
        _ => vec![owner],
    });
    if seed.annotated {
        let notes = Arc::make_mut(&mut job.metadata.annotations);
        let timestamp = Time::from_unix_seconds(at_s).to_string();
        notes.insert(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION.into(), timestamp.into());
    }
    let condition = |kind: &str| JobCondition {
        kind: kind.into(),
        status: ConditionStatus::True,
        ..JobCondition::default()
    };
    job.status.conditions = match seed.end {
        0 => Vec::new(),
        1 => vec![condition("Complete")],
        _ => vec![condition("Failed")],
    };
    job.status.start_time = seed.started.map(Time::from_unix_seconds);
    job.status.completion_time = seed.completed.map(Time::from_unix_seconds);
    (name, job)
}

/// Seconds since the Unix epoch, up to two hours from [`NOW_S`].
fn near_s() -> impl Strategy<Value = i64> {
    NOW_S - 7_200..NOW_S + 600
}
