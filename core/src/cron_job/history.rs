//! History: which of the Jobs that ended are more than the CronJob keeps.

use alloc::vec::Vec;

use crate::view::JobState;

use super::facts::{Facts, Known};

/// Most Jobs that one plan deletes; the rest follow in the next.
const MAX_DELETED: usize = 500;

/// Positions of the Jobs to delete: the oldest beyond the limits, by their start (upstream: removeOldestJobs).
///
/// One that tells something which the status does not have yet stays until it does: were it gone and the write
/// lost, its instant would be run again.
pub(super) fn surplus(facts: &Facts<'_>) -> Vec<u32> {
    let cron_job = facts.cron_job;
    let mut positions = beyond(facts, JobState::Complete, cron_job.successful_jobs_history_limit);
    positions.extend(beyond(facts, JobState::Failed, cron_job.failed_jobs_history_limit));
    positions.truncate(MAX_DELETED);
    positions.sort_unstable();
    positions
}

fn beyond(facts: &Facts<'_>, state: JobState, limit: Option<u32>) -> Vec<u32> {
    let Some(limit) = limit else { return Vec::new() };
    let ended = facts.jobs.iter().enumerate();
    let mut ended: Vec<(usize, &Known<'_>)> =
        ended.filter(|(_, job)| job.has_ended() && job.row.state == state && !job.row.terminating).collect();
    let surplus = ended.len().saturating_sub(limit as usize);
    // Those that never started come last, as upstream sorts them.
    ended.sort_by_key(|(_, job)| (job.row.started.is_none(), job.row.started, job.row.name.clone()));
    ended
        .into_iter()
        .take(surplus)
        .filter(|(_, job)| is_recorded(facts, job))
        .filter_map(|(position, _)| u32::try_from(position).ok())
        .collect()
}

/// Whether the status has what the Job tells: that its instant was run, and when it completed.
fn is_recorded(facts: &Facts<'_>, job: &Known<'_>) -> bool {
    let cron_job = facts.cron_job;
    let stored_s = cron_job.last_schedule_time.map(|time| time.unix_seconds);
    let completed = job.row.completed.filter(|_| job.row.state == JobState::Complete);
    !job.is_listed && job.made_for_s <= stored_s && completed <= cron_job.last_successful_time
}
