//! The snapshot of a CronJob with its Jobs.

use std::sync::Arc;

use windlass_core::kube::{Job, Uid, active_rows, cron_job_row};
use windlass_core::view::{CronJobFlags, CronJobSnapshot, LiveOwner};

use super::{Carried, Gathered, KnownPods, Subject};
use crate::Now;
use crate::cache::{Cache, CronJobEntry};
use crate::engine::Snapshot;
use crate::key::{KeyKind, Name};

/// The snapshot of a CronJob, or `None` if it is not cached; `edited_s` is when its schedule or zone was seen to
/// change, seconds since the Unix epoch.
#[must_use]
pub fn cron_job(
    cache: &Cache,
    name: &Name,
    flags: &CronJobFlags,
    now: Now,
    edited_s: Option<i64>,
    carried: &Carried,
) -> Option<Gathered> {
    let entry = cache.cron_job(name)?;
    let uid = &entry.cron_job.metadata.uid;
    let mut jobs: Vec<Arc<Job>> = cache.jobs_of(uid).cloned().collect();
    jobs.extend(cache.jobs_named_after(name).filter(|job| !is_owned(job, entry)).cloned());
    jobs.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let live = |uid: &Uid| {
        let seen = cache.has_seen_go(uid).then_some(LiveOwner::Gone);
        seen.or_else(|| carried.live_jobs.get(uid).copied())
    };
    let snapshot = CronJobSnapshot {
        now_ms: now.unix_ms,
        flags: flags.clone(),
        cron_job: entry.view.clone(),
        edited_s,
        newest_run_s: cache.newest_run_s(uid),
        jobs: jobs.iter().map(|job| cron_job_row(job, uid)).collect(),
        active: active_rows(&entry.cron_job.status, jobs.iter().map(|job| &**job), live),
        memo: carried.memo.clone(),
    };
    Some(Gathered {
        snapshot: Arc::new(Snapshot::CronJob(snapshot)),
        children: Vec::new(),
        jobs,
        daemon: None,
        subject: Subject::CronJob(entry.cron_job.clone()),
        scope: KeyKind::CronJob,
        known: KnownPods::default(),
    })
}

fn is_owned(job: &Job, entry: &CronJobEntry) -> bool {
    job.metadata.controller().is_some_and(|owner| owner.uid == entry.cron_job.metadata.uid)
}
