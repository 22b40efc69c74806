//! Validation of a Job's failure and success policies (upstream: pkg/apis/batch/validation).

use std::collections::BTreeSet;

use serde::Deserialize;
use windlass_core::kube::{
    CompletionMode, JobSpec, OnExitCodes, OnExitCodesOperator, OnPodCondition, PodFailurePolicyAction,
    PodFailurePolicyRule, Str, SuccessPolicyRule,
};

use super::indexes;
use super::job::shown;
use crate::field::Faults;
use crate::names::key_faults;

/// Most rules of a policy, and most patterns of a rule.
const MAX_RULES: usize = 20;
/// Most exit codes of a rule.
const MAX_EXIT_CODES: usize = 255;
/// Most bytes of a rule's indexes.
const MAX_SUCCEEDED_INDEXES: usize = 64 * 1024;

pub(super) fn check(spec: &JobSpec, faults: &mut Faults) {
    if let Some(policy) = &spec.pod_failure_policy {
        let path = "spec.podFailurePolicy.rules";
        if policy.rules.len() > MAX_RULES {
            faults.too_many(path, policy.rules.len(), MAX_RULES);
        }
        let containers = container_names(spec);
        for (index, rule) in policy.rules.iter().enumerate() {
            failure_rule(spec, rule, &format!("{path}[{index}]"), &containers, faults);
        }
    }
    let Some(policy) = &spec.success_policy else { return };
    if spec.completion_mode != Some(CompletionMode::Indexed) {
        faults.invalid("spec.successPolicy", shown(policy), "requires indexed completion mode");
        return;
    }
    let path = "spec.successPolicy.rules";
    if policy.rules.is_empty() {
        faults.required(path, "at least one rules must be specified when the successPolicy is specified");
    }
    if policy.rules.len() > MAX_RULES {
        faults.too_many(path, policy.rules.len(), MAX_RULES);
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        success_rule(rule, spec.completions.unwrap_or(0), &format!("{path}[{index}]"), faults);
    }
}

fn container_names(spec: &JobSpec) -> Vec<Str> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Head {
        containers: Vec<Named>,
        init_containers: Vec<Named>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Named {
        name: Str,
    }
    let text = spec.template.spec.as_ref().map_or("{}", |text| text.get());
    let head: Head = serde_json::from_str(text).unwrap_or_default();
    head.containers.into_iter().chain(head.init_containers).map(|container| container.name).collect()
}

fn failure_rule(
    spec: &JobSpec,
    rule: &PodFailurePolicyRule,
    path: &str,
    containers: &[Str],
    faults: &mut Faults,
) {
    match &rule.action {
        PodFailurePolicyAction::FailIndex if spec.backoff_limit_per_index.is_none() => {
            let detail = "requires the backoffLimitPerIndex to be set";
            faults.invalid_text(format_args!("{path}.action"), "FailIndex", detail);
        }
        PodFailurePolicyAction::Other(action) if action.is_empty() => {
            let detail = "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]";
            faults.required(format_args!("{path}.action"), detail);
        }
        PodFailurePolicyAction::Other(action) => {
            let supported = ["Count", "FailIndex", "FailJob", "Ignore"];
            faults.not_supported(format_args!("{path}.action"), action, &supported);
        }
        PodFailurePolicyAction::FailIndex
        | PodFailurePolicyAction::FailJob
        | PodFailurePolicyAction::Ignore
        | PodFailurePolicyAction::Count => {}
    }
    if let Some(codes) = &rule.on_exit_codes {
        exit_codes(codes, &format!("{path}.onExitCodes"), containers, faults);
    }
    conditions(&rule.on_pod_conditions, &format!("{path}.onPodConditions"), faults);
    match (&rule.on_exit_codes, rule.on_pod_conditions.is_empty()) {
        (Some(_), false) => {
            faults.invalid_unshown(path, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (None, true) => {
            faults.invalid_unshown(path, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        (Some(_), true) | (None, false) => {}
    }
}

fn exit_codes(codes: &OnExitCodes, path: &str, containers: &[Str], faults: &mut Faults) {
    if let OnExitCodesOperator::Other(operator) = &codes.operator {
        let path = format_args!("{path}.operator");
        if operator.is_empty() {
            faults.required(path, "valid values: [\"In\" \"NotIn\"]");
        } else {
            faults.not_supported(path, operator, &["In", "NotIn"]);
        }
    }
    if let Some(name) = codes.container_name.as_ref().filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        faults.invalid_text(format_args!("{path}.containerName"), name, detail);
    }
    let values = &codes.values;
    let path = format!("{path}.values");
    if values.is_empty() {
        faults.invalid(&path, "[]", "at least one value is required");
    } else if values.len() > MAX_EXIT_CODES {
        faults.too_many(&path, values.len(), MAX_EXIT_CODES);
    }
    let mut seen = BTreeSet::new();
    for (index, value) in values.iter().enumerate() {
        if codes.operator == OnExitCodesOperator::In && *value == 0 {
            faults.invalid(format_args!("{path}[{index}]"), value, "must not be 0 for the In operator");
        }
        if !seen.insert(value) {
            faults.duplicate(format_args!("{path}[{index}]"), value);
        }
    }
    if !values.is_sorted() {
        faults.invalid(&path, shown(values), "must be ordered");
    }
}

fn conditions(patterns: &[OnPodCondition], path: &str, faults: &mut Faults) {
    if patterns.len() > MAX_RULES {
        faults.too_many(path, patterns.len(), MAX_RULES);
    }
    for (index, pattern) in patterns.iter().enumerate() {
        for fault in key_faults(&pattern.kind) {
            faults.invalid_text(format_args!("{path}[{index}].type"), &pattern.kind, &fault);
        }
    }
}

fn success_rule(rule: &SuccessPolicyRule, completions: i32, path: &str, faults: &mut Faults) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        faults.required(path, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = None;
    if let Some(text) = &rule.succeeded_indexes {
        let path = format_args!("{path}.succeededIndexes");
        if text.len() > MAX_SUCCEEDED_INDEXES {
            faults.too_long(path, MAX_SUCCEEDED_INDEXES);
        }
        let counted = indexes::count(text, completions);
        total = Some(counted.as_ref().copied().unwrap_or(0));
        if let Err(fault) = counted {
            faults.invalid_text(path, text, &format!("error parsing succeededIndexes: {fault}"));
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = format!("{path}.succeededCount");
    faults.not_negative(&path, i64::from(count));
    if count > completions {
        let of = "the number of specified completions";
        faults.invalid(&path, count, &format!("must be less than or equal to {completions} ({of})"));
    }
    if let Some(total) = total.filter(|total| count > *total) {
        let of = "the number of indexes in the specified succeededIndexes field";
        faults.invalid(&path, count, &format!("must be less than or equal to {total} ({of})"));
    }
}
