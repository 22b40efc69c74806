//! The status as it is to be, in two writes where the Job ends: what is recorded before the finalizers go,
//! and the end after.

use alloc::vec::Vec;

use crate::kube::{ConditionStatus, Time};
use crate::plan::{EventRecord, JobStatusWrite};

use super::conditions::{
    self, COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED, Why, condition,
};
use super::counting::Record;
use super::ending::Ending;
use super::facts::Facts;
use super::progress::Progress;

/// A status to be written, and the Events that follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    /// The status.
    pub(super) write: JobStatusWrite,
    /// What is told once it is stored.
    pub(super) events: Vec<EventRecord>,
}

/// Pods that live, as they will be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Living {
    /// Neither ended nor terminating.
    pub(super) active: u32,
    /// Ready ones among the active.
    pub(super) ready: u32,
    /// Terminating and not ended.
    pub(super) terminating: u32,
}

impl Draft {
    /// The status with `record` and `living` in it, and the conditions as they are.
    pub(super) fn new(
        facts: &Facts<'_>,
        progress: Option<&Progress>,
        record: &Record,
        living: Living,
    ) -> Self {
        let stored = &facts.job.status;
        // Of a Job that waits and has no Pods there is nothing to tell.
        let told =
            |before: Option<u32>, now: u32| (now > 0 || before.is_some() || !facts.is_held()).then_some(now);
        let write = JobStatusWrite {
            conditions: stored.conditions.clone(),
            // A Job starts when it is first seen and may run.
            start_time: stored.start_time.or(facts.starts().then_some(facts.now)),
            completion_time: stored.completion_time,
            active: living.active,
            succeeded: progress.map_or(record.succeeded, |progress| progress.succeeded.total()),
            failed: record.failed,
            terminating: told(stored.terminating, living.terminating),
            ready: told(stored.ready, living.ready),
            completed_indexes: progress
                .map_or_else(|| stored.completed_indexes.clone(), |progress| progress.succeeded_text.clone()),
            failed_indexes: match progress {
                Some(progress) => progress.per_index.as_ref().map(|per_index| per_index.failed_text.clone()),
                None => stored.failed_indexes.clone(),
            },
            uncounted: record.uncounted.clone(),
        };
        Self { write, events: Vec::new() }
    }

    /// Says that the Job is suspended, or that it is not any more.
    pub(super) fn set_suspended(&mut self, facts: &Facts<'_>) {
        let (status, why, event) = if facts.job.suspended {
            (ConditionStatus::True, Why::new("JobSuspended", "Job suspended"), "Suspended")
        } else {
            (ConditionStatus::False, Why::new("JobResumed", "Job resumed"), "Resumed")
        };
        let new = condition(SUSPENDED, status, &why, facts.now);
        if conditions::ensure(&mut self.write.conditions, new) {
            // The deadline counts from the resumption.
            self.write.start_time = (!facts.job.suspended).then_some(facts.now);
            self.events.push(EventRecord::new(false, event, &*why.message));
        }
    }

    /// Says how the Job is about to end, before any finalizer goes.
    pub(super) fn announce(&mut self, facts: &Facts<'_>, ending: &Ending) {
        let kind = if ending.success { SUCCESS_CRITERIA_MET } else { FAILURE_TARGET };
        if conditions::find_true(&self.write.conditions, kind).is_none() {
            conditions::ensure(
                &mut self.write.conditions,
                condition(kind, ConditionStatus::True, &ending.why, facts.now),
            );
        }
    }

    /// Says that the Job ended (upstream: enactJobFinished, recordJobFinished).
    pub(super) fn finish(&mut self, facts: &Facts<'_>, ending: &Ending) {
        let write = &mut self.write;
        // The API refuses a finished Job that never started, but for one that is suspended and wants nothing.
        let may_lack_start = facts.job.suspended && facts.job.completions == Some(0);
        if write.start_time.is_none() && !may_lack_start {
            write.start_time = Some(facts.now);
        }
        // Nothing was told of a Job that waited and had no Pods.
        write.terminating.get_or_insert(0);
        write.ready.get_or_insert(0);
        let kind = if ending.success { COMPLETE } else { FAILED };
        let ended = condition(kind, ConditionStatus::True, &ending.why, facts.now);
        conditions::ensure(&mut write.conditions, ended);
        if !ending.success {
            self.events.push(EventRecord::new(true, &ending.why.reason, &*ending.why.message));
            return;
        }
        // The API refuses a completion before the start, which a clock that went back would give.
        write.completion_time = Some(write.start_time.map_or(facts.now, |start: Time| start.max(facts.now)));
        if facts.job.completions.is_some_and(|completions| write.succeeded > completions) {
            self.events.push(EventRecord::new(
                true,
                "TooManySucceededPods",
                "Too many succeeded pods running after completion count reached",
            ));
        }
        self.events.push(EventRecord::new(false, "Completed", "Job completed"));
    }
}
