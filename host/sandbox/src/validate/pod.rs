//! Validation of Pods' specs (upstream: pkg/apis/core/validation), as far as Jobs meet it.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::{Map, Value};
use windlass_core::kube::{Pod, Str};

use super::metadata;
use crate::field::Faults;
use crate::names::dns_label_faults;

/// Largest deadline, seconds.
const MAX_DEADLINE_SECONDS: i64 = 0x7fff_ffff;

/// What is wrong with the spec of a Pod or of a template, as JSON text with its defaults; gives its restart policy.
pub(crate) fn spec(text: &str, path: &str, faults: &mut Faults) -> String {
    let Ok(spec) = serde_json::from_str::<Map<String, Value>>(text) else {
        faults.required(format_args!("{path}.containers"), "");
        return String::new();
    };
    if list(&spec, "containers").is_empty() {
        faults.required(format_args!("{path}.containers"), "");
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for field in ["containers", "initContainers"] {
        for (index, container) in list(&spec, field).iter().enumerate() {
            let path = format!("{path}.{field}[{index}]");
            check_container(container, &path, faults);
            let name = text_of(container, "name");
            if !seen.insert(name) {
                faults.duplicate(format_args!("{path}.name"), format_args!("{name:?}"));
            }
        }
    }
    let policy = spec.get("restartPolicy").and_then(Value::as_str).unwrap_or_default();
    one_of(policy, &["Always", "OnFailure", "Never"], format_args!("{path}.restartPolicy"), faults);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    let dns_policy = spec.get("dnsPolicy").and_then(Value::as_str).unwrap_or_default();
    one_of(dns_policy, &policies, format_args!("{path}.dnsPolicy"), faults);
    if let Some(selector) = spec.get("nodeSelector").and_then(Value::as_object) {
        let selector =
            selector.iter().map(|(key, value)| (Str::from(&**key), value.as_str().unwrap_or("").into()));
        metadata::labels(&selector.collect(), &format!("{path}.nodeSelector"), faults);
    }
    for field in ["hostname", "subdomain"] {
        let text = spec.get(field).and_then(Value::as_str).unwrap_or_default();
        if !text.is_empty() {
            for fault in dns_label_faults(text) {
                faults.invalid_text(format_args!("{path}.{field}"), text, &fault);
            }
        }
    }
    let seconds = spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
    if let Some(seconds) = seconds.filter(|seconds| !(1..=MAX_DEADLINE_SECONDS).contains(seconds)) {
        let detail = format!("must be between 1 and {MAX_DEADLINE_SECONDS}, inclusive");
        faults.invalid(format_args!("{path}.activeDeadlineSeconds"), seconds, &detail);
    }
    policy.to_owned()
}

fn check_container(container: &Value, path: &str, faults: &mut Faults) {
    let name = text_of(container, "name");
    if name.is_empty() {
        faults.required(format_args!("{path}.name"), "");
    } else {
        for fault in dns_label_faults(name) {
            faults.invalid_text(format_args!("{path}.name"), name, &fault);
        }
    }
    if text_of(container, "image").is_empty() {
        faults.required(format_args!("{path}.image"), "");
    }
    let policies = ["File", "FallbackToLogsOnError"];
    one_of(
        text_of(container, "terminationMessagePolicy"),
        &policies,
        format_args!("{path}.terminationMessagePolicy"),
        faults,
    );
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(text_of(container, "imagePullPolicy"), &policies, format_args!("{path}.imagePullPolicy"), faults);
    let variables = container.get("env").and_then(Value::as_array);
    for (index, variable) in variables.into_iter().flatten().enumerate() {
        if text_of(variable, "name").is_empty() {
            faults.required(format_args!("{path}.env[{index}].name"), "");
        }
    }
}

fn one_of(value: &str, supported: &[&str], path: impl Display, faults: &mut Faults) {
    if value.is_empty() {
        faults.required(path, "");
    } else if !supported.contains(&value) {
        faults.not_supported(path, value, supported);
    }
}

fn list<'a>(spec: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    spec.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_of<'a>(holder: &'a Value, field: &str) -> &'a str {
    holder.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What is wrong with changing a Pod's status from that of `old`: a container that ended for good stays ended.
pub(crate) fn status_update(pod: &Pod, old: &Pod, faults: &mut Faults) {
    let groups = [
        ("containerStatuses", &pod.status.container_statuses, &old.status.container_statuses),
        ("initContainerStatuses", &pod.status.init_container_statuses, &old.status.init_container_statuses),
    ];
    for (field, new, before) in groups {
        for (index, status) in before.iter().enumerate() {
            let Some(ended) = &status.state.terminated else { continue };
            let starts_again = match old.spec.restart_policy.as_deref() {
                Some("Never") => false,
                Some("OnFailure") => ended.exit_code != 0,
                Some(_) | None => true,
            };
            let runs = new.iter().any(|new| new.name == status.name && new.state.terminated.is_none());
            if runs && !starts_again {
                let detail = "may not be transitioned to non-terminated state";
                faults.forbidden(format_args!("status.{field}[{index}].state"), detail);
            }
        }
    }
}
