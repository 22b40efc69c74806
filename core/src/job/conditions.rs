//! Conditions of a Job: their types, their reasons, and how they enter the list.

use alloc::vec::Vec;

use crate::kube::{ConditionStatus, JobCondition, Str, Time};

/// The Job ended with success.
pub(super) const COMPLETE: &str = "Complete";
/// The Job ended without success.
pub(super) const FAILED: &str = "Failed";
/// The Job is about to be Failed: its Pods go.
pub(super) const FAILURE_TARGET: &str = "FailureTarget";
/// The Job is about to be Complete: its Pods go.
pub(super) const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
/// No Pod of the Job is to run for now.
pub(super) const SUSPENDED: &str = "Suspended";

/// A condition as of `now`.
pub(super) fn condition(kind: &str, status: ConditionStatus, why: &Why, now: Time) -> JobCondition {
    JobCondition {
        kind: kind.into(),
        status,
        last_probe_time: Some(now),
        last_transition_time: Some(now),
        reason: why.reason.clone(),
        message: why.message.clone(),
    }
}

/// Why a condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    /// In CamelCase.
    pub(super) reason: Str,
    /// For people.
    pub(super) message: Str,
}

impl Why {
    /// `reason` and `message`.
    pub(super) fn new(reason: &str, message: &str) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }

    /// What `condition` says.
    pub(super) fn of(condition: &JobCondition) -> Self {
        Self { reason: condition.reason.clone(), message: condition.message.clone() }
    }
}

/// The condition of type `kind`, if it holds.
pub(super) fn find_true<'list>(list: &'list [JobCondition], kind: &str) -> Option<&'list JobCondition> {
    list.iter().find(|c| *c.kind == *kind).filter(|c| c.status == ConditionStatus::True)
}

/// Puts a condition into the list, and returns whether the list changed (upstream: ensureJobConditionStatus).
///
/// One of the same type is replaced if status, reason or message differ; a new one is not added as False,
/// since from nothing to False nothing changes.
pub(super) fn ensure(list: &mut Vec<JobCondition>, new: JobCondition) -> bool {
    match list.iter_mut().find(|old| old.kind == new.kind) {
        Some(old) if old.status == new.status && old.reason == new.reason && old.message == new.message => {
            false
        }
        Some(old) => {
            *old = new;
            true
        }
        None if new.status == ConditionStatus::False => false,
        None => {
            list.push(new);
            true
        }
    }
}
