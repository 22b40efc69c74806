//! What the reconcile of a CronJob may see.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::LiveOwner;
use crate::kube::{ConcurrencyPolicy, Str, Time, Uid};

/// Everything that one reconcile of a CronJob sees.
#[derive(Clone, Debug, PartialEq)]
pub struct CronJobSnapshot {
    /// Wall clock of the reconcile, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Settings of the host that the logic reads.
    pub flags: CronJobFlags,
    /// The CronJob.
    pub cron_job: Arc<CronJobView>,
    /// When this process saw its schedule or time zone change, seconds since the Unix epoch.
    pub edited_s: Option<i64>,
    /// The newest instant for which this process has seen a Job, gone or not, seconds since the Unix epoch: the status
    /// may not tell of it yet.
    pub newest_run_s: Option<i64>,
    /// Jobs that it controls, and those of others that have a name which it would give; by name.
    pub jobs: Vec<JobRow>,
    /// `status.active`, in the order stored.
    pub active: Vec<ActiveRow>,
    /// What the last plan for this key returned; empty at first.
    pub memo: Vec<u8>,
}

/// Settings of the host that the CronJob logic reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronJobFlags {
    /// Name of the zone that stands for "no zone" (upstream: that of the process).
    pub default_zone: Str,
    /// Whether a new schedule or zone also fires for the time before it was given, as upstream's does.
    pub edits_run_the_past: bool,
}

impl Default for CronJobFlags {
    fn default() -> Self {
        Self { default_zone: "UTC".into(), edits_run_the_past: false }
    }
}

/// A CronJob, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronJobView {
    /// Namespace and name, joined by a slash.
    pub owner: Str,
    /// Uid of the CronJob.
    pub uid: Uid,
    /// Whether deletion was asked for.
    pub terminating: bool,
    /// Creation, seconds since the Unix epoch.
    pub created_s: i64,
    /// The schedule's text.
    pub schedule: Str,
    /// Name of its time zone; absent: see [`CronJobFlags::default_zone`].
    pub time_zone: Option<Str>,
    /// Seconds after its instant at which a run is too late; absent: never.
    pub starting_deadline_seconds: Option<i64>,
    /// What becomes of a run while an earlier one has not ended.
    pub concurrency_policy: ConcurrencyPolicy,
    /// Whether no run is to start for now.
    pub suspended: bool,
    /// Most completed Jobs kept; absent: all of them.
    pub successful_jobs_history_limit: Option<u32>,
    /// Most failed Jobs kept; absent: all of them.
    pub failed_jobs_history_limit: Option<u32>,
    /// The newest instant of the schedule that got a Job, as the status has it.
    pub last_schedule_time: Option<Time>,
    /// When a Job completed last, as the status has it.
    pub last_successful_time: Option<Time>,
}

/// How a Job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobState {
    /// It has not ended.
    #[default]
    Unfinished,
    /// It completed.
    Complete,
    /// It failed.
    Failed,
}

/// A Job that the CronJob controls, or whose name is in its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRow {
    /// Name.
    pub name: Str,
    /// Whether its controller is this CronJob, by uid.
    pub owned: bool,
    /// Whether deletion was asked for.
    pub terminating: bool,
    /// How it stands.
    pub state: JobState,
    /// The instant that its annotation names, seconds since the Unix epoch.
    pub scheduled_s: Option<i64>,
    /// When it started.
    pub started: Option<Time>,
    /// When it completed.
    pub completed: Option<Time>,
}

/// A Job that the CronJob's status lists as active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveRow {
    /// Name that the status gives it.
    pub name: Str,
    /// Position in [`CronJobSnapshot::jobs`] of the Job with that uid; absent: it is not there.
    pub job: Option<u32>,
    /// What is known of one that is not there: from a live read, or because its removal was seen.
    pub live: Option<LiveOwner>,
}

impl ActiveRow {
    /// Whether nothing is known of the Job, so that a live read has to say what became of it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.job.is_none() && self.live.is_none()
    }
}
