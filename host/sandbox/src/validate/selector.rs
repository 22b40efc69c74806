//! Validation of label selectors (upstream: apimachinery, pkg/apis/meta/v1/validation), and of whether one selects the
//! labels of the template beside it.

use windlass_core::kube::{LabelSelector, Labels, SelectorOperator};

use super::job::shown;
use super::metadata;
use crate::field::Faults;
use crate::names::{key_faults, label_value_faults};

/// What is wrong with the selector of a workload whose template has `labels`.
pub(super) fn check(selector: &LabelSelector, labels: &Labels, faults: &mut Faults) {
    metadata::labels(&selector.match_labels, "spec.selector.matchLabels", faults);
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let path = format!("spec.selector.matchExpressions[{index}]");
        match &requirement.operator {
            SelectorOperator::In | SelectorOperator::NotIn => {
                if requirement.values.is_empty() {
                    let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                    faults.required(format_args!("{path}.values"), detail);
                }
            }
            SelectorOperator::Exists | SelectorOperator::DoesNotExist => {
                if !requirement.values.is_empty() {
                    let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    faults.forbidden(format_args!("{path}.values"), detail);
                }
            }
            SelectorOperator::Other(operator) => {
                let detail = "not a valid selector operator";
                faults.invalid_text(format_args!("{path}.operator"), operator, detail);
            }
        }
        for fault in key_faults(&requirement.key) {
            faults.invalid_text(format_args!("{path}.key"), &requirement.key, &fault);
        }
        for (value_index, value) in requirement.values.iter().enumerate() {
            for fault in label_value_faults(value) {
                faults.invalid_text(format_args!("{path}.values[{value_index}]"), value, &fault);
            }
        }
    }
    if is_usable(selector) && !selector.matches(labels) {
        absent(labels, faults);
    }
}

/// What is wrong where no selector matches the template's `labels`: upstream's absent selector matches nothing.
pub(super) fn absent(labels: &Labels, faults: &mut Faults) {
    faults.invalid(
        "spec.template.metadata.labels",
        shown_labels(labels),
        "`selector` does not match template `labels`",
    );
}

/// Labels as refusals show them: upstream's absent map is null.
pub(super) fn shown_labels(labels: &Labels) -> String {
    if labels.is_empty() { "null".to_owned() } else { shown(labels) }
}

/// Whether upstream could match by the selector at all.
pub(super) fn is_usable(selector: &LabelSelector) -> bool {
    let names = selector.match_labels.iter();
    let mut names_are_valid =
        names.map(|(key, value)| key_faults(key).is_empty() && label_value_faults(value).is_empty());
    let mut requirements_are_valid = selector.match_expressions.iter().map(|requirement| {
        let counted = match &requirement.operator {
            SelectorOperator::In | SelectorOperator::NotIn => !requirement.values.is_empty(),
            SelectorOperator::Exists | SelectorOperator::DoesNotExist => requirement.values.is_empty(),
            SelectorOperator::Other(_) => false,
        };
        counted
            && key_faults(&requirement.key).is_empty()
            && requirement.values.iter().all(|value| label_value_faults(value).is_empty())
    });
    names_are_valid.all(|valid| valid) && requirements_are_valid.all(|valid| valid)
}
