//! spec.managedBy: which Jobs are ours to act on.

use crate::kube::BUILT_IN_JOB_CONTROLLER;

/// Whether a Job is ours whose `spec.managedBy` is `managed_by`, where `ours` is the value that we go by.
///
/// Without a value of our own, those that the built-in controller would take; with one, those that name it. The
/// built-in controller's name and no value mean the same on either side.
#[must_use]
pub fn is_ours(managed_by: Option<&str>, ours: Option<&str>) -> bool {
    managed_by.unwrap_or(BUILT_IN_JOB_CONTROLLER) == ours.unwrap_or(BUILT_IN_JOB_CONTROLLER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_and_the_built_in_controllers_name_mean_the_same_on_either_side() {
        let (built_in, other) = (Some(BUILT_IN_JOB_CONTROLLER), Some("example.com/windlass"));
        for ours in [None, built_in] {
            assert!(is_ours(None, ours) && is_ours(built_in, ours) && !is_ours(other, ours));
        }
        assert!(is_ours(other, other) && !is_ours(None, other) && !is_ours(built_in, other));
    }
}
