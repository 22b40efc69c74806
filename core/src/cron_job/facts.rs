//! What the reconcile of a CronJob knows before it decides: the snapshot, and each Job's instant.

use alloc::vec::Vec;

use crate::fault::Fault;
use crate::kube::{JobManifest, Time};
use crate::view::{CronJobSnapshot, CronJobView, JobRow, JobState};

/// Seconds of the unit in which the name of a Job tells its instant.
pub(super) const SECONDS_PER_MINUTE: i64 = 60;

/// A snapshot, with each Job's instant.
pub(super) struct Facts<'snapshot> {
    /// The snapshot.
    pub(super) snapshot: &'snapshot CronJobSnapshot,
    /// The CronJob in it.
    pub(super) cron_job: &'snapshot CronJobView,
    /// Its Jobs, and those of others that have a name which it would give.
    pub(super) jobs: Vec<Known<'snapshot>>,
    /// The newest instant that has a Job or had one, if there was any.
    pub(super) last_scheduled_s: Option<i64>,
}

/// A Job of the snapshot, and what its name says.
pub(super) struct Known<'snapshot> {
    /// The Job.
    pub(super) row: &'snapshot JobRow,
    /// Whether a schedule made it, as its name and its annotation say; else people did.
    pub(super) is_scheduled: bool,
    /// The instant of the schedule for which it was made, seconds since the Unix epoch; absent: people made it, or
    /// the instant is none of this CronJob's.
    pub(super) made_for_s: Option<i64>,
    /// Whether the status lists it as active.
    pub(super) is_listed: bool,
}

impl Known<'_> {
    /// Whether it is the CronJob's and has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.row.owned && self.row.state != JobState::Unfinished
    }
}

impl<'snapshot> Facts<'snapshot> {
    /// The facts of `snapshot`.
    ///
    /// # Errors
    /// A [`Fault`] if the status lists a Job at a position that the snapshot does not have.
    pub(super) fn read(snapshot: &'snapshot CronJobSnapshot) -> Result<Self, Fault> {
        let cron_job = &*snapshot.cron_job;
        let stored = cron_job.last_schedule_time.map(|time| time.unix_seconds);
        // A Job that people made may have the name of an instant before the schedule's first; a status from a backup
        // knows of one before the creation.
        let beginning_s = stored.map_or(cron_job.created_s, |stored| stored.min(cron_job.created_s));
        let is_ours = |at_s: &i64| *at_s >= beginning_s;
        let known = |row| {
            let at_s = made_for_s(snapshot, row);
            Known { row, is_scheduled: at_s.is_some(), made_for_s: at_s.filter(is_ours), is_listed: false }
        };
        let mut jobs: Vec<Known<'_>> = snapshot.jobs.iter().map(known).collect();
        for position in snapshot.active.iter().filter_map(|active| active.job) {
            let job = jobs.get_mut(position as usize).ok_or(Fault::PositionOutOfRange)?;
            job.is_listed = true;
        }
        let owned = jobs.iter().filter(|job| job.row.owned);
        let newest = owned.filter_map(|job| job.made_for_s).max();
        let last_scheduled_s = newest.max(stored).max(snapshot.newest_run_s.filter(is_ours));
        Ok(Self { snapshot, cron_job, jobs, last_scheduled_s })
    }

    /// Wall clock, whole seconds since the Unix epoch.
    pub(super) fn now_s(&self) -> i64 {
        Time::from_unix_ms(self.snapshot.now_ms).unix_seconds
    }

    /// The Job that stands in the way of another one for the instant: its name is taken.
    pub(super) fn job_named_for(&self, scheduled_s: i64) -> Option<&Known<'snapshot>> {
        let name = JobManifest::name_at(self.name(), scheduled_s);
        self.jobs.iter().find(|job| job.row.name == name)
    }

    /// Name of the CronJob.
    pub(super) fn name(&self) -> &str {
        name_of(self.cron_job)
    }
}

fn name_of(cron_job: &CronJobView) -> &str {
    cron_job.owner.rsplit_once('/').map_or(&*cron_job.owner, |(_, name)| name)
}

/// The instant for which the schedule made a Job, by its name, which tells the minute, and by its annotation, which
/// tells the second.
///
/// People give such names, too: `cron-1`, or `cron-$(date +%s)`. Their Jobs have no annotation, and the minute that
/// the name tells is one in which the schedule cannot have made a Job: before the CronJob was there, or to come.
fn made_for_s(snapshot: &CronJobSnapshot, row: &JobRow) -> Option<i64> {
    let start_s = JobManifest::minute_of(name_of(&snapshot.cron_job), &row.name)?;
    match row.scheduled_s {
        Some(at_s) => Some(at_s).filter(|at_s| JobManifest::is_in_minute(start_s, *at_s)),
        None => {
            let now_s = Time::from_unix_ms(snapshot.now_ms).unix_seconds;
            let end_s = start_s.saturating_add(SECONDS_PER_MINUTE);
            Some(start_s).filter(|start_s| snapshot.cron_job.created_s < end_s && *start_s <= now_s)
        }
    }
}
