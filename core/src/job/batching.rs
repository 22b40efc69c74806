//! When a changed status is written: at once if someone waits for it, else gathered with what follows.
//!
//! A Job of 10,000 short Pods would otherwise cost a status write for each of them. Upstream delays every
//! reconcile by a second; here Pods are replaced at once and only the status waits, and only if one was
//! written less than a window ago: for the ends of Pods the window that the server's speed allows, for all else
//! the longest. With enough ends it does not wait at all. Without a memo nothing waits, so that nothing hangs
//! on it.

use crate::view::{JobSnapshot, UncountedPods};

use super::facts::Facts;
use super::status::Draft;

/// Ends of Pods with which a status write does not wait for more. Besides its create and the removal of its
/// finalizer, a Pod then costs three hundredths of a write at most; to wait for more would save little and delay
/// the count.
const ENOUGH_ENDS: usize = 34;

/// How a new status differs from the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// Not at all.
    Nothing,
    /// In `ready` alone: Pods come and go ready without anybody's doing.
    Readiness,
    /// In counters, lists or indexes.
    Progress,
    /// In conditions or times: what others act on.
    Decision,
}

/// When a status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// With this plan.
    Now,
    /// Not before so many milliseconds, at least 1.
    InMs(u64),
}

impl Difference {
    /// How `draft` differs from the status in `snapshot`.
    pub(super) fn between(snapshot: &JobSnapshot, draft: &Draft) -> Self {
        let stored = &snapshot.job.status;
        let new = &draft.write;
        if new.conditions != stored.conditions
            || new.start_time != stored.start_time
            || new.completion_time != stored.completion_time
        {
            return Self::Decision;
        }
        let counters = (new.active, new.succeeded, new.failed, new.terminating);
        if counters != (stored.active, stored.succeeded, stored.failed, stored.terminating)
            || new.completed_indexes != stored.completed_indexes
            || new.failed_indexes != stored.failed_indexes
            || is_different(&new.uncounted, &snapshot.uncounted)
        {
            return Self::Progress;
        }
        if new.ready == stored.ready { Self::Nothing } else { Self::Readiness }
    }
}

/// What of the ends of Pods is in a status that differs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// How many Pods it records that have ended.
    pub(super) recorded: usize,
    /// Whether Pods enter the counters whose finalizer is gone.
    pub(super) settles: bool,
}

/// When a status that differs is written.
pub(super) fn due(facts: &Facts<'_>, difference: Difference, ends: Ends) -> Due {
    let now_ms = facts.snapshot.now_ms;
    let Some(memo) = facts.memo else { return Due::Now };
    let since_ms = match difference {
        Difference::Decision => return Due::Now,
        Difference::Readiness => memo.last_write_ms.max(readiness_since_ms(facts, difference)),
        Difference::Progress | Difference::Nothing => memo.last_write_ms,
    };
    if since_ms > now_ms {
        // The clock went back: what the memo says of time is void.
        return Due::Now;
    }
    let flags = &facts.snapshot.flags;
    if difference == Difference::Progress && ends.recorded >= ENOUGH_ENDS {
        return Due::Now;
    }
    let is_awaited = difference == Difference::Progress && (ends.recorded > 0 || ends.settles);
    let window_ms = i64::from(if is_awaited { flags.progress_window_ms } else { flags.sync_batch_ms });
    match facts.until_ms(since_ms.saturating_add(window_ms)) {
        0 => Due::Now,
        left_ms => Due::InMs(left_ms),
    }
}

/// Since when readiness alone differs, for the next memo; 0 if it does not.
pub(super) fn readiness_since_ms(facts: &Facts<'_>, difference: Difference) -> i64 {
    if difference != Difference::Readiness {
        return 0;
    }
    let before = facts.memo.map_or(0, |memo| memo.readiness_since_ms);
    if before == 0 { facts.snapshot.now_ms } else { before }
}

fn is_different(new: &UncountedPods, stored: &UncountedPods) -> bool {
    new.succeeded != stored.succeeded || new.failed != stored.failed
}
