//! spec.managedBy: which Jobs are ours to act on.

use crate::kube::BUILT_IN_JOB_CONTROLLER;

use super::facts::Facts;

/// Whether the Job is ours.
///
/// Without a value of our own, those that the built-in controller would take; with one, those that name it.
pub(super) fn is_ours(facts: &Facts<'_>) -> bool {
    let ours = facts.snapshot.flags.managed_by.as_deref().unwrap_or(BUILT_IN_JOB_CONTROLLER);
    facts.job.managed_by.as_deref().unwrap_or(BUILT_IN_JOB_CONTROLLER) == ours
}
