//! spec.podFailurePolicy: what a failed Pod means; the first rule that matches decides.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::fault::Fault;
use crate::kube::{OnExitCodes, OnExitCodesOperator, PodFailurePolicyAction, PodFailurePolicyRule};
use crate::view::{FailedPod, JobView, PodColumns};

/// What the policy says of one failed Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// No rule matched, or one that says Count: the failure counts.
    Counts,
    /// The failure does not count.
    Ignored,
    /// The failure counts, and its index fails.
    FailsIndex,
    /// The failure counts, and the Job fails.
    FailsJob,
}

/// What the policy says of each Pod; nothing is kept where the Job has no policy.
pub(super) struct Matches {
    by_position: Vec<Match>,
    /// Message of the first Pod, by position, that fails the Job.
    fails_job: Vec<(u32, String)>,
}

impl Matches {
    /// What the policy of `job` says of the failed Pods in `pods`, which are `length` Pods in all.
    ///
    /// # Errors
    /// [`Fault::PositionOutOfRange`] if the details name a Pod that is not there.
    pub(super) fn find(job: &JobView, pods: &PodColumns, length: usize) -> Result<Self, Fault> {
        let mut matches = Self { by_position: Vec::new(), fails_job: Vec::new() };
        let rules = job.pod_failure_policy.as_ref().map(|policy| &*policy.rules).unwrap_or_default();
        if !rules.is_empty() {
            matches.by_position = vec![Match::Counts; length];
        }
        for failed in &pods.failed_details {
            let offset = usize::try_from(failed.pod).unwrap_or(usize::MAX);
            if offset >= length {
                return Err(Fault::PositionOutOfRange);
            }
            let Some((outcome, message)) = first_match(rules, failed) else { continue };
            if let Some(place) = matches.by_position.get_mut(offset) {
                *place = outcome;
            }
            if let Some(message) = message {
                matches.fails_job.push((failed.pod, message));
            }
        }
        Ok(matches)
    }

    /// What the policy says of the failed Pod at `position`.
    pub(super) fn of(&self, position: u32) -> Match {
        let found = usize::try_from(position).ok().and_then(|offset| self.by_position.get(offset));
        found.copied().unwrap_or(Match::Counts)
    }

    /// Whether the failure of the Pod at `position` counts.
    pub(super) fn counts(&self, position: u32) -> bool {
        self.of(position) != Match::Ignored
    }

    /// Pods for which the Job is to fail, each with the message that says why.
    pub(super) fn failing_job(&self) -> &[(u32, String)] {
        &self.fails_job
    }
}

/// The action of the first rule that matches the failed Pod; `None` if none does.
#[must_use]
pub fn action_on<'rules>(
    rules: &'rules [PodFailurePolicyRule],
    pod: &FailedPod,
) -> Option<&'rules PodFailurePolicyAction> {
    let is_known = |rule: &PodFailurePolicyRule| !matches!(rule.action, PodFailurePolicyAction::Other(_));
    let rule = rules.iter().find(|rule| is_known(rule) && cause(rule, pod).is_some())?;
    Some(&rule.action)
}

/// What the first rule that matches says of the Pod, and the message if the Job is to fail.
fn first_match(rules: &[PodFailurePolicyRule], pod: &FailedPod) -> Option<(Match, Option<String>)> {
    rules.iter().enumerate().find_map(|(number, rule)| {
        let cause = cause(rule, pod)?;
        match &rule.action {
            PodFailurePolicyAction::Ignore => Some((Match::Ignored, None)),
            PodFailurePolicyAction::Count => Some((Match::Counts, None)),
            PodFailurePolicyAction::FailIndex => Some((Match::FailsIndex, None)),
            PodFailurePolicyAction::FailJob => {
                Some((Match::FailsJob, Some(format!("{cause} matching FailJob rule at index {number}"))))
            }
            // Upstream goes on to the next rule when it does not know the action.
            PodFailurePolicyAction::Other(_) => None,
        }
    })
}

/// What about the Pod matches the rule, worded as upstream words it; `None` if it does not match.
fn cause(rule: &PodFailurePolicyRule, pod: &FailedPod) -> Option<String> {
    if let Some(requirement) = &rule.on_exit_codes {
        let (container, code) =
            pod.exits.iter().find(|(name, code)| matches_exit(requirement, name, *code))?;
        return Some(format!("Container {container} for pod {} failed with exit code {code}", pod.name));
    }
    let (kind, _) = pod.conditions.iter().find(|(kind, status)| {
        rule.on_pod_conditions.iter().any(|pattern| pattern.kind == *kind && pattern.status == *status)
    })?;
    Some(format!("Pod {} has condition {kind}", pod.name))
}

fn matches_exit(requirement: &OnExitCodes, container: &str, code: i32) -> bool {
    if code == 0 || requirement.container_name.as_ref().is_some_and(|name| **name != *container) {
        return false;
    }
    match &requirement.operator {
        OnExitCodesOperator::In => requirement.values.contains(&code),
        OnExitCodesOperator::NotIn => !requirement.values.contains(&code),
        OnExitCodesOperator::Other(_) => false,
    }
}
