//! What may change in a Job's Pod template (upstream: validatePodTemplateUpdate): nothing, unless the Job is
//! suspended and no Pod of it runs.

use serde_json::{Map, Value, json};
use windlass_core::kube::{ConditionStatus, Job, PodTemplate};

use crate::field::Faults;

pub(super) fn on_update(job: &Job, old: &Job, faults: &mut Faults) {
    let (new, before) = (&job.spec.template, &old.spec.template);
    if new == before {
        return;
    }
    let (mut new_value, mut old_value) = (whole(new), whole(before));
    if !may_change(old) {
        if new_value != old_value {
            faults.invalid("spec.template", new_value, "field is immutable");
        }
        return;
    }
    // What decides where Pods go may change, and so may what their containers ask for; metadata and all else of
    // the spec are compared as upstream does.
    for field in ["nodeSelector", "tolerations", "schedulingGates"] {
        forget(&mut new_value["spec"], field);
        forget(&mut old_value["spec"], field);
    }
    let shown = new_value["spec"].clone();
    for value in [&mut new_value, &mut old_value] {
        forget_node_affinity(&mut value["spec"]);
        forget_resources(&mut value["spec"]);
    }
    if new_value["spec"] != old_value["spec"] {
        faults.invalid("spec.template.spec", shown, "field is immutable");
    }
}

/// Whether the Job is suspended, and has not begun or has come to rest.
fn may_change(job: &Job) -> bool {
    let at_rest = job
        .status
        .conditions
        .iter()
        .any(|condition| &*condition.kind == "Suspended" && condition.status == ConditionStatus::True);
    job.is_suspended() && (job.status.start_time.is_none() || at_rest) && job.status.active == 0
}

fn whole(template: &PodTemplate) -> Value {
    let spec = template.spec.as_ref().map_or("{}", |text| text.get());
    let metadata = &template.metadata;
    json!({
        "metadata": {
            "name": metadata.name,
            "labels": *metadata.labels,
            "annotations": *metadata.annotations,
            "finalizers": *metadata.finalizers,
        },
        "spec": serde_json::from_str::<Map<String, Value>>(spec).unwrap_or_default(),
    })
}

fn forget(spec: &mut Value, field: &str) {
    if let Some(fields) = spec.as_object_mut() {
        fields.remove(field);
    }
}

fn forget_node_affinity(spec: &mut Value) {
    let Some(affinity) = spec.get_mut("affinity") else { return };
    forget(affinity, "nodeAffinity");
    if affinity.as_object().is_none_or(Map::is_empty) {
        forget(spec, "affinity");
    }
}

fn forget_resources(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            forget(container, "resources");
        }
    }
}
