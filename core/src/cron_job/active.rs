//! status.active: the Jobs of the schedule that have not ended.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use crate::plan::{ActiveJob, EventRecord};
use crate::view::{ActiveRow, JobState, LiveOwner};

use super::complaints::Complaints;
use super::facts::{Facts, Known};

/// Most Jobs that leave the list in one plan, each with an Event; the rest follow in the next.
const MAX_LEAVING: usize = 20;
/// Most Jobs that nobody expected of which one plan tells people.
const MAX_UNEXPECTED: usize = 8;

/// What the list is to be before anything is created, and what its changes mean for people.
#[derive(Default)]
pub(super) struct Active {
    /// The Jobs to list.
    pub(super) listed: Vec<ActiveJob>,
    /// Of these, the Jobs that the CronJob controls, by their position among the snapshot's, and not about to go.
    pub(super) replaceable: Vec<u32>,
    /// Whether the status does not tell yet that one of these had its instant: were it gone and the write lost, the
    /// instant would count as missed.
    pub(super) has_unrecorded: bool,
    /// Whether one that is not listed is about to go and has not ended.
    pub(super) has_leaving: bool,
    /// Events about those that left it.
    pub(super) left: Vec<EventRecord>,
}

impl Active {
    /// The list as `facts` show it; `complaints` gains the Jobs that nobody expected.
    pub(super) fn of(facts: &Facts<'_>, complaints: &mut Complaints) -> Self {
        let (mut active, mut seen) = (Self::default(), BTreeSet::new());
        for (place, row) in facts.snapshot.active.iter().enumerate() {
            let listed = ActiveJob::Listed(to_u32(place));
            let may_leave = active.left.len() < MAX_LEAVING;
            let known = row.job.and_then(|position| Some((position, facts.jobs.get(position as usize)?)));
            match known {
                // Somebody listed it twice.
                Some((position, _)) if !seen.insert(position) => {}
                Some((_, job)) if may_leave && job.row.state != JobState::Unfinished => {
                    let message = format!("Saw completed job: {}, condition: {}", row.name, condition(job));
                    active.left.push(EventRecord::new(false, "SawCompletedJob", message));
                }
                Some((position, job)) => {
                    active.listed.push(listed);
                    if job.row.state == JobState::Unfinished && job.row.owned && !job.row.terminating {
                        active.replaceable.push(position);
                    }
                }
                None if may_leave && row.live == Some(LiveOwner::Gone) => {
                    let message = format!("Active job went missing: {}", row.name);
                    active.left.push(EventRecord::new(false, "MissingJob", message));
                }
                // It exists, and is not among the Jobs that are watched as this CronJob's: somebody took its owner
                // reference away. It counts until it is gone.
                None => active.listed.push(listed),
            }
        }
        active.adopt(facts, complaints);
        let stored_s = facts.cron_job.last_schedule_time.map(|time| time.unix_seconds);
        let made_for_s = |position: &u32| facts.jobs.get(*position as usize).and_then(|job| job.made_for_s);
        active.has_unrecorded = active.replaceable.iter().any(|position| made_for_s(position) > stored_s);
        active
    }

    /// Adds the unfinished Jobs that the schedule made and whose creation the status does not know: the process
    /// ended in between, or the write was refused.
    fn adopt(&mut self, facts: &Facts<'_>, complaints: &mut Complaints) {
        let mut unexpected: usize = 0;
        for (position, job) in facts.jobs.iter().enumerate() {
            let is_unlisted = job.row.owned && !job.is_listed && job.row.state == JobState::Unfinished;
            if !is_unlisted {
                continue;
            }
            if job.row.terminating {
                self.has_leaving |= job.is_scheduled;
            } else if job.is_scheduled {
                self.listed.push(ActiveJob::Known(to_u32(position)));
                self.replaceable.push(to_u32(position));
            } else if unexpected < MAX_UNEXPECTED {
                unexpected = unexpected.saturating_add(1);
                let message =
                    format!("Saw a job that the controller did not create or forgot: {}", job.row.name);
                complaints.warn("UnexpectedJob", message);
            }
        }
    }
}

/// Whether a live read is to say what became of a listed Job of which nothing is known.
pub(super) fn wants_read(facts: &Facts<'_>) -> bool {
    facts.snapshot.active.iter().any(ActiveRow::is_open)
}

fn condition(job: &Known<'_>) -> &'static str {
    match job.row.state {
        JobState::Complete => "Complete",
        JobState::Failed => "Failed",
        JobState::Unfinished => "",
    }
}

fn to_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
