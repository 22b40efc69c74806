//! Counting with finalizers: each Pod's end is recorded in the status before its finalizer goes, and enters
//! the counters only after, so that no crash in between loses it or counts it twice.

use alloc::vec;
use alloc::vec::Vec;

use crate::view::{NO_INDEX, UncountedPods};

use super::backoff;
use super::ending::Ending;
use super::facts::Facts;
use super::memo::Failures;
use super::pods::Pod;
use super::progress::Progress;

/// How many Pods succeeded and failed, those included that the status does not know yet.
pub(super) struct Tally {
    /// Successes; of an Indexed Job: indexes.
    pub(super) succeeded: u32,
    /// Failures that count.
    pub(super) failed: u32,
    /// The failures since the last success.
    pub(super) failures: Failures,
}

impl Tally {
    /// The counts as of now.
    pub(super) fn of(facts: &Facts<'_>, progress: Option<&Progress>) -> Self {
        let new = |is_chosen: &dyn Fn(Pod<'_>) -> bool| -> Vec<u32> {
            let pods = facts
                .pods
                .iter()
                .filter(|pod| pod.is_tracked() && facts.is_countable(pod.row.index) && is_chosen(*pod));
            pods.map(|pod| pod.position).collect()
        };
        // A stale view may show a recorded Pod as it was before: what was recorded first stays.
        let succeeded = new(&|pod| pod.is_succeeded() && !pod.is_recorded());
        let failed = new(&|pod| pod.is_failed(facts.job) && !pod.is_recorded());
        let counted = failed.iter().filter(|position| facts.matches.counts(**position)).count();
        let (status, uncounted) = (&facts.job.status, &facts.snapshot.uncounted);
        Self {
            succeeded: match progress {
                Some(progress) => progress.succeeded.total(),
                None => sum(&[status.succeeded, count(&succeeded), count(&uncounted.succeeded)]),
            },
            failed: sum(&[
                status.failed,
                u32::try_from(counted).unwrap_or(u32::MAX),
                count(&uncounted.failed),
            ]),
            failures: backoff::failures_after(facts, &succeeded, &failed),
        }
    }
}

/// What one status write records, and whose finalizer goes once it is stored.
pub(super) struct Record {
    /// Successes that are settled: their finalizer is gone. Without meaning for an Indexed Job.
    pub(super) succeeded: u32,
    /// Failures that are settled.
    pub(super) failed: u32,
    /// Pods that are recorded and still have the finalizer.
    pub(super) uncounted: UncountedPods,
    /// Pods whose finalizer goes.
    pub(super) untrack: Vec<u32>,
    /// Whether the limit of uncounted Pods left some for later.
    pub(super) is_full: bool,
}

impl Record {
    /// The record when the Job ends with `ending`, if it does, and the Pods in `untracked` lose the finalizer
    /// another way (upstream: trackJobStatusAndRemoveFinalizers).
    pub(super) fn of(
        facts: &Facts<'_>,
        progress: Option<&Progress>,
        ending: Option<&Ending>,
        untracked: &[u32],
    ) -> Self {
        let mut record = Self::settled(facts);
        let limit = facts.snapshot.flags.max_uncounted_pods.max(1);
        let mut new_indexes = 0_u32;
        for position in removable(facts, progress, ending, untracked) {
            let Some(pod) = facts.pods.get(position) else { continue };
            record.untrack.push(position);
            match outcome(facts, pod, ending) {
                Outcome::Succeeded => match progress {
                    // The index is enough to know the success again; the uid need not be kept.
                    Some(progress) if progress.recorded.contains(pod.row.index) => {}
                    Some(_) => new_indexes = new_indexes.saturating_add(1),
                    None => record.uncounted.succeeded.push(position),
                },
                Outcome::Failed => record.uncounted.failed.push(position),
                Outcome::Nothing => {}
            }
            let uncounted = &record.uncounted;
            if sum(&[new_indexes, count(&uncounted.succeeded), count(&uncounted.failed)]) >= limit {
                record.is_full = true;
                break;
            }
        }
        record
    }

    /// The record after the finalizers that it removes are gone: everything is settled.
    pub(super) fn after_untracking(&self) -> Self {
        Self {
            succeeded: sum(&[self.succeeded, count(&self.uncounted.succeeded)]),
            failed: sum(&[self.failed, count(&self.uncounted.failed)]),
            uncounted: UncountedPods::default(),
            untrack: Vec::new(),
            is_full: false,
        }
    }

    /// Whether Pods are recorded that still have the finalizer.
    pub(super) fn has_uncounted(&self) -> bool {
        !self.uncounted.succeeded.is_empty() || !self.uncounted.failed.is_empty()
    }

    /// The stored lists, less the Pods that have lost the finalizer since; these enter the counters.
    fn settled(facts: &Facts<'_>) -> Self {
        let is_left = |position: &u32| facts.pods.get(*position).is_some_and(Pod::is_tracked);
        let keep = |list: &[u32]| list.iter().copied().filter(is_left).collect::<Vec<_>>();
        let stored = &facts.snapshot.uncounted;
        let uncounted = UncountedPods { succeeded: keep(&stored.succeeded), failed: keep(&stored.failed) };
        let gone = |before: &[u32], after: &[u32]| count(before).saturating_sub(count(after));
        let status = &facts.job.status;
        Self {
            succeeded: sum(&[status.succeeded, gone(&stored.succeeded, &uncounted.succeeded)]),
            failed: sum(&[status.failed, gone(&stored.failed, &uncounted.failed)]),
            uncounted,
            untrack: Vec::new(),
            is_full: false,
        }
    }
}

/// What the end of a Pod adds.
enum Outcome {
    /// A success that is not among the recorded ones.
    Succeeded,
    /// A failure that is not among the recorded ones.
    Failed,
    /// Nothing, or nothing more.
    Nothing,
}

fn outcome(facts: &Facts<'_>, pod: Pod<'_>, ending: Option<&Ending>) -> Outcome {
    if !facts.is_countable(pod.row.index) || pod.is_recorded() {
        return Outcome::Nothing;
    }
    if pod.is_succeeded() {
        return Outcome::Succeeded;
    }
    // When the Job fails, every Pod that has not ended is a failure.
    let is_failed = pod.is_failed(facts.job) || ending.is_some_and(|ending| !ending.success);
    if is_failed && facts.matches.counts(pod.position) { Outcome::Failed } else { Outcome::Nothing }
}

/// The Pods whose finalizer may go (upstream: canRemoveFinalizer): by index for an Indexed Job, so that
/// indexes enter the status in order, else by position.
fn removable(
    facts: &Facts<'_>,
    progress: Option<&Progress>,
    ending: Option<&Ending>,
    untracked: &[u32],
) -> Vec<u32> {
    let awaiting = progress.and_then(|progress| progress.per_index.as_ref());
    let is_removable = |pod: &Pod<'_>| {
        let is_awaiting = || {
            awaiting.is_some_and(|per_index| per_index.replaced_by_next(pod.row.index) == Some(pod.position))
        };
        pod.is_tracked()
            && (facts.deleting
                || ending.is_some()
                || pod.is_succeeded()
                || (pod.is_failed(facts.job) && !is_awaiting()))
    };
    let mut skipped = vec![false; if untracked.is_empty() { 0 } else { facts.pods.len() }];
    for position in untracked {
        if let Some(place) = usize::try_from(*position).ok().and_then(|offset| skipped.get_mut(offset)) {
            *place = true;
        }
    }
    let is_skipped = |position: u32| {
        usize::try_from(position).ok().and_then(|offset| skipped.get(offset)).is_some_and(|skip| *skip)
    };
    let chosen = facts.pods.iter().filter(|pod| is_removable(pod) && !is_skipped(pod.position));
    if progress.is_none() {
        return chosen.map(|pod| pod.position).collect();
    }
    // Index and position in one number each: half the time of sorting pairs.
    let mut by_index: Vec<u64> =
        chosen.map(|pod| (u64::from(order(pod.row.index)) << 32) | u64::from(pod.position)).collect();
    by_index.sort_unstable();
    by_index.into_iter().filter_map(|key| u32::try_from(key & u64::from(u32::MAX)).ok()).collect()
}

/// Where an index comes in an order: Pods without one come first, as upstream's -1 does.
pub(super) fn order(index: u32) -> u32 {
    if index == NO_INDEX { 0 } else { index.saturating_add(1) }
}

fn count(positions: &[u32]) -> u32 {
    u32::try_from(positions.len()).unwrap_or(u32::MAX)
}

fn sum(numbers: &[u32]) -> u32 {
    numbers.iter().fold(0, |sum, number| sum.saturating_add(*number))
}
