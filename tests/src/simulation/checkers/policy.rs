//! What a Job's Pod failure policy says of a Pod, found independently of the core.

use windlass_core::kube::{
    Job, OnExitCodesOperator, Pod, PodFailurePolicyAction, PodFailurePolicyRule, PodReplacementPolicy,
};

/// What the failure of a Pod means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts against the limit.
    Counts,
    /// It does not count.
    Ignored,
    /// Its index has failed for good.
    FailsIndex,
    /// The Job is to fail.
    FailsJob,
}

/// What the failure of `pod` means for `job`: what the first rule says that matches.
pub(super) fn verdict(job: &Job, pod: &Pod) -> Verdict {
    let rules = job.spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    for rule in rules.filter(|rule| matches(rule, pod)) {
        match &rule.action {
            PodFailurePolicyAction::FailJob => return Verdict::FailsJob,
            PodFailurePolicyAction::FailIndex => return Verdict::FailsIndex,
            PodFailurePolicyAction::Ignore => return Verdict::Ignored,
            PodFailurePolicyAction::Count => return Verdict::Counts,
            PodFailurePolicyAction::Other(_) => {}
        }
    }
    Verdict::Counts
}

/// Whether a Pod of the Job is replaced only once it has ended.
pub(super) fn replaces_only_ended(job: &Job) -> bool {
    job.spec.pod_replacement_policy == Some(PodReplacementPolicy::Failed)
}

fn matches(rule: &PodFailurePolicyRule, pod: &Pod) -> bool {
    let Some(codes) = &rule.on_exit_codes else {
        return pod.status.conditions.iter().any(|condition| {
            let mut patterns = rule.on_pod_conditions.iter();
            patterns.any(|pattern| (&pattern.kind, pattern.status) == (&condition.kind, condition.status))
        });
    };
    pod.status.container_statuses.iter().any(|container| {
        let is_meant = codes.container_name.as_ref().is_none_or(|name| *name == container.name);
        let code = container.state.terminated.as_ref().map_or(0, |ended| ended.exit_code);
        let is_listed = codes.values.contains(&code);
        is_meant
            && code != 0
            && match codes.operator {
                OnExitCodesOperator::In => is_listed,
                OnExitCodesOperator::NotIn => !is_listed,
                OnExitCodesOperator::Other(_) => false,
            }
    })
}
