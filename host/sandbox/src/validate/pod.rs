//! Validation of Pods' specs (upstream: pkg/apis/core/validation), as far as Jobs meet it.

use serde_json::{Map, Value};
use windlass_core::kube::Pod;

use crate::field::Faults;
use crate::names::dns_label_faults;

/// What is wrong with the spec of a Pod or of a template, as JSON text with its defaults.
pub(crate) fn spec(text: &str, path: &str, faults: &mut Faults) {
    let Ok(spec) = serde_json::from_str::<Map<String, Value>>(text) else {
        faults.required(format_args!("{path}.containers"), "");
        return;
    };
    let containers = list(&spec, "containers");
    let init_containers = list(&spec, "initContainers");
    if containers.is_empty() {
        faults.required(format_args!("{path}.containers"), "");
    }
    let mut seen: Vec<&str> = Vec::new();
    for (field, containers) in [("containers", containers), ("initContainers", init_containers)] {
        for (index, container) in containers.iter().enumerate() {
            let path = format!("{path}.{field}[{index}]");
            let name = text_of(container, "name");
            if name.is_empty() {
                faults.required(format_args!("{path}.name"), "");
            } else {
                for fault in dns_label_faults(name) {
                    faults.invalid_text(format_args!("{path}.name"), name, &fault);
                }
            }
            if seen.contains(&name) && !name.is_empty() {
                faults.duplicate(format_args!("{path}.name"), format_args!("{name:?}"));
            }
            seen.push(name);
            let image = text_of(container, "image");
            if image.is_empty() {
                faults.required(format_args!("{path}.image"), "");
            } else if image.trim() != image {
                faults.invalid_text(
                    format_args!("{path}.image"),
                    image,
                    "must not have leading or trailing whitespace",
                );
            }
        }
    }
    let policy = spec.get("restartPolicy").and_then(Value::as_str).unwrap_or_default();
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        faults.not_supported(format_args!("{path}.restartPolicy"), policy, &["Always", "OnFailure", "Never"]);
    }
    if let Some(seconds) = spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64) {
        faults.not_negative(format_args!("{path}.terminationGracePeriodSeconds"), seconds);
    }
}

fn list<'a>(spec: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    spec.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_of<'a>(holder: &'a Value, field: &str) -> &'a str {
    holder.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What is wrong with changing a Pod's status from that of `old`.
pub(crate) fn status_update(pod: &Pod, old: &Pod, faults: &mut Faults) {
    if old.spec.restart_policy.as_deref() != Some("Never") {
        return;
    }
    let groups = [
        ("containerStatuses", &pod.status.container_statuses, &old.status.container_statuses),
        ("initContainerStatuses", &pod.status.init_container_statuses, &old.status.init_container_statuses),
    ];
    for (field, new, old) in groups {
        for (index, status) in new.iter().enumerate() {
            let ended = old.iter().any(|old| old.name == status.name && old.state.terminated.is_some());
            if ended && status.state.terminated.is_none() {
                faults.forbidden(
                    format_args!("status.{field}[{index}].state"),
                    "may not be transitioned to non-terminated state",
                );
            }
        }
    }
}
