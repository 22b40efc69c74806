//! What may change in a Pod's spec (upstream: ValidatePodUpdate): images, deadline, and more tolerations.

use serde_json::{Map, Value};

use crate::field::Faults;

/// Upstream's list of what may change.
const MAY_CHANGE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with changing a Pod's whole spec, defaults filled in, from `old` to `new`.
pub(crate) fn spec(new: &Map<String, Value>, old: &Map<String, Value>, faults: &mut Faults) {
    if new == old {
        return;
    }
    for list in ["containers", "initContainers"] {
        let (new, old) = (containers(new, list), containers(old, list));
        if new.len() != old.len() {
            faults.forbidden(format_args!("spec.{list}"), "pod updates may not add or remove containers");
            return;
        }
        for (index, container) in new.iter().enumerate() {
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            if image.is_empty() {
                faults.required(format_args!("spec.{list}[{index}].image"), "");
            } else if image.trim() != image {
                let detail = "must not have leading or trailing whitespace";
                faults.invalid_text(format_args!("spec.{list}[{index}].image"), image, detail);
            }
        }
    }
    if !deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"), faults) {
        return;
    }
    let kept = |spec: &Map<String, Value>| spec.get("tolerations").and_then(Value::as_array).cloned();
    let (tolerations, before) = (kept(new).unwrap_or_default(), kept(old).unwrap_or_default());
    if before.iter().any(|toleration| !tolerations.contains(toleration)) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        faults.forbidden("spec.tolerations", detail);
    }
    if comparable(new) != comparable(old) {
        faults.forbidden("spec", &format!("pod updates may not change fields other than {MAY_CHANGE}\n"));
    }
}

/// Whether the deadline leaves the rest worth looking at.
fn deadline(new: Option<&Value>, old: Option<&Value>, faults: &mut Faults) -> bool {
    let path = "spec.activeDeadlineSeconds";
    match (new.and_then(Value::as_i64), old.and_then(Value::as_i64)) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            faults.invalid(path, new, &format!("must be between 0 and {}, inclusive", i32::MAX));
            false
        }
        (Some(new), Some(old)) if old < new => {
            faults.invalid(path, new, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            faults.invalid(path, "null", "must not update from a positive integer to nil value");
            true
        }
        (Some(_) | None, _) => true,
    }
}

fn containers<'a>(spec: &'a Map<String, Value>, list: &str) -> &'a [Value] {
    spec.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The spec without what may change.
fn comparable(spec: &Map<String, Value>) -> Map<String, Value> {
    let mut spec = spec.clone();
    spec.remove("activeDeadlineSeconds");
    spec.remove("tolerations");
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            container.remove("image");
        }
    }
    spec
}
