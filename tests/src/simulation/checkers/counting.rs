//! Each Pod is counted once and before it is let go: J3, J4, J5 and J10.

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass_core::kube::{Job, Pod, PodPhase, PodReplacementPolicy, Uid};

use super::Violation;
use super::ledger::{Author, Ledger, Recorded};
use super::policy::{self, Verdict};
use crate::simulation::view::Sight;

/// A Job's status was written by us.
pub(super) fn check_status(
    before: &Job,
    after: &Job,
    author: Option<Author>,
    ledger: &mut Ledger,
) -> Result<(), Violation> {
    let (old, new) = (&before.status, &after.status);
    let wrong =
        |predicate, why: String| Err(Violation::new(predicate, format!("{}: {why}", after.metadata.name)));
    if new.succeeded < old.succeeded && !after.is_indexed() || new.failed < old.failed {
        return wrong(
            "J5",
            format!(
                "{} succeeded and {} failed became {} and {}",
                old.succeeded, old.failed, new.succeeded, new.failed
            ),
        );
    }
    if new.ready.unwrap_or(0) > new.active || new.ready.unwrap_or(0) < 0 {
        return wrong("J5", format!("{:?} ready of {} active", new.ready, new.active));
    }
    let none = windlass_core::kube::UncountedTerminatedPods::default();
    let before_lists = old.uncounted_terminated_pods.as_ref().unwrap_or(&none);
    let after_lists = new.uncounted_terminated_pods.as_ref().unwrap_or(&none);
    let successes = record(
        after,
        (&before_lists.succeeded, &after_lists.succeeded),
        Recorded::Succeeded,
        author,
        ledger,
    )?;
    let failures =
        record(after, (&before_lists.failed, &after_lists.failed), Recorded::Failed, author, ledger)?;
    if i64::from(new.failed) - i64::from(old.failed) != failures {
        return wrong(
            "J3",
            format!("failed went from {} to {} while {failures} left the list", old.failed, new.failed),
        );
    }
    if after.is_indexed() {
        check_indexes(before, after, ledger)
    } else if i64::from(new.succeeded) - i64::from(old.succeeded) != successes {
        wrong(
            "J3",
            format!(
                "succeeded went from {} to {} while {successes} left the list",
                old.succeeded, new.succeeded
            ),
        )
    } else {
        Ok(())
    }
}

/// Notes who entered a list of uncounted Pods; gives how many left it.
fn record(
    job: &Job,
    (before, after): (&[Uid], &[Uid]),
    outcome: Recorded,
    author: Option<Author>,
    ledger: &mut Ledger,
) -> Result<i64, Violation> {
    if before == after {
        return Ok(0);
    }
    let wrong = |predicate, uid: &str, why: &str| {
        Err(Violation::new(predicate, format!("{}: Pod {uid} {why}", job.metadata.name)))
    };
    let old: BTreeSet<&Uid> = before.iter().collect();
    let new: BTreeSet<&Uid> = after.iter().collect();
    if new.len() != after.len() {
        return wrong("J3", "", "is listed twice");
    }
    let waits = job.spec.pod_replacement_policy == Some(PodReplacementPolicy::Failed);
    let is_failing = job.status.conditions.iter().any(|condition| &*condition.kind == "FailureTarget");
    for uid in new.difference(&old) {
        let Some(record) = ledger.pod_mut(uid) else { return wrong("J3", uid, "was counted and never was") };
        if record.recorded.is_some() {
            return wrong("J3", uid, "is counted a second time");
        }
        let sight = record.sight();
        let has_ended = match outcome {
            Recorded::Succeeded => record.ever_succeeded,
            Recorded::Failed => {
                record.ever_failed || sight.is_terminating && !waits || is_failing || !record.exists
            }
        };
        if !has_ended {
            return wrong("J3", uid, "is counted as what it is not");
        }
        record.recorded = Some(outcome);
        record.recorded_by = author;
    }
    let mut left = 0;
    for uid in old.difference(&new) {
        left += 1;
        if ledger.pod(uid).is_some_and(|record| record.exists && record.sight().is_tracked) {
            return wrong("J4", uid, "left the list with its finalizer on");
        }
    }
    Ok(left)
}

/// Completed indexes only grow, each by a Pod that succeeded, and are what is counted.
fn check_indexes(before: &Job, after: &Job, ledger: &Ledger) -> Result<(), Violation> {
    let (old, new) = (&before.status, &after.status);
    let wrong =
        |predicate, why: String| Err(Violation::new(predicate, format!("{}: {why}", after.metadata.name)));
    if old.completed_indexes == new.completed_indexes && old.failed_indexes == new.failed_indexes {
        return if old.succeeded == new.succeeded {
            Ok(())
        } else {
            wrong("J3", format!("{} became {} succeeded without an index", old.succeeded, new.succeeded))
        };
    }
    // What fell out of range with a change of completions is forgotten.
    let bound = after.spec.completions.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let in_range = |text: &str| -> BTreeSet<u32> {
        let mut indexes = parse_indexes(text);
        indexes.split_off(&bound);
        indexes
    };
    let (old_set, new_set) = (in_range(&old.completed_indexes), parse_indexes(&new.completed_indexes));
    if new_set.last().is_some_and(|last| *last >= bound) {
        return wrong("J3", format!("{:?} goes beyond {bound} completions", new.completed_indexes));
    }
    if !old_set.is_subset(&new_set) {
        return wrong("J5", format!("{:?} became {:?}", old.completed_indexes, new.completed_indexes));
    }
    if new_set.len() as i64 != i64::from(new.succeeded) {
        return wrong("J3", format!("{} succeeded with indexes {:?}", new.succeeded, new.completed_indexes));
    }
    let ended = |index: u32, phase: PodPhase| {
        ledger.pods_of(&after.metadata.uid).any(|record| {
            let sight = record.sight();
            let has_ended = match phase {
                PodPhase::Failed => record.ever_failed || sight.is_terminating,
                _ => record.ever_succeeded,
            };
            sight.index == index && has_ended
        })
    };
    if let Some(index) = new_set.difference(&old_set).find(|index| !ended(**index, PodPhase::Succeeded)) {
        return wrong("J3", format!("index {index} is completed though no Pod of it succeeded"));
    }
    let old_failed = in_range(old.failed_indexes.as_deref().unwrap_or(""));
    let new_failed = parse_indexes(new.failed_indexes.as_deref().unwrap_or(""));
    if !old_failed.is_subset(&new_failed) || !new_failed.is_disjoint(&new_set) {
        return wrong(
            "J5",
            format!("failed indexes {:?} became {:?}", old.failed_indexes, new.failed_indexes),
        );
    }
    match new_failed.difference(&old_failed).find(|index| !ended(**index, PodPhase::Failed)) {
        Some(index) => wrong("J3", format!("index {index} failed though no Pod of it did")),
        None => Ok(()),
    }
}

/// A Pod was changed by us.
pub(super) fn check_pod(before: &Pod, after: Option<&Arc<Pod>>, ledger: &Ledger) -> Result<(), Violation> {
    let loses_finalizer = before.is_tracked() && after.is_none_or(|after| !after.is_tracked());
    if !loses_finalizer || !before.is_terminal() {
        return Ok(());
    }
    let Some(job) = before.metadata.controller().and_then(|owner| ledger.job(&owner.uid)) else {
        return Ok(());
    };
    let sight = Sight::of(before);
    let bound = job.job.spec.completions.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let is_indexed = job.job.is_indexed();
    let selects =
        job.job.spec.selector.as_ref().is_some_and(|selector| selector.matches(&before.metadata.labels));
    let record = ledger.pod(&before.metadata.uid);
    let is_listed = record.is_some_and(|record| record.recorded.is_some());
    let has_flipped = record.is_some_and(|record| record.ever_succeeded && record.ever_failed);
    let is_failed_now = sight.phase == PodPhase::Failed && !has_flipped;
    let verdict = policy::verdict(&job.job, before);
    let counts = selects && !(is_indexed && sight.index >= bound) && !job.is_past_counting();
    if counts && is_failed_now && verdict == Verdict::FailsJob && !is_decided(&job.job) {
        let why =
            format!("{} fails its Job and lost its finalizer before that was said", before.metadata.name);
        return Err(Violation::new("J10", why));
    }
    let is_recorded = is_listed
        || sight.phase == PodPhase::Failed && verdict == Verdict::Ignored
        || is_indexed
            && (sight.index >= bound
                || record.is_some_and(|record| record.ever_succeeded)
                    && parse_indexes(&job.job.status.completed_indexes).contains(&sight.index));
    // Upstream leaves out, too, what ends after the success of the Job is said.
    if is_recorded || job.is_past_counting() || !selects || job.job.has_met_success_criteria() {
        return Ok(());
    }
    // Where an index has both failed and succeeded, what was recorded first stays.
    let failed = parse_indexes(job.job.status.failed_indexes.as_deref().unwrap_or(""));
    if is_indexed && record.is_some_and(|record| record.ever_succeeded) && failed.contains(&sight.index) {
        return Ok(());
    }
    Err(Violation::new("J4", format!("{} lost its finalizer before it was recorded", before.metadata.name)))
}

/// Whether how the Job is to end has been said.
fn is_decided(job: &Job) -> bool {
    ["FailureTarget", "SuccessCriteriaMet"].iter().any(|kind| super::ending::condition(job, kind).is_some())
}

/// The indexes in compact text.
pub(super) fn parse_indexes(text: &str) -> BTreeSet<u32> {
    let mut indexes = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            indexes.extend(first..=last);
        }
    }
    indexes
}
