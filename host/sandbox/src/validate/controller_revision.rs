//! Validation of ControllerRevisions (upstream: pkg/apis/apps/validation).

use serde_json::Value;
use windlass_core::kube::ControllerRevision;

use super::metadata;
use crate::field::Faults;

/// What is wrong with a new ControllerRevision.
pub(crate) fn on_create(revision: &ControllerRevision, faults: &mut Faults) {
    metadata::on_create(&revision.metadata, true, faults);
    faults.not_negative("revision", revision.revision);
    let data = revision.data.as_deref().map(|data| serde_json::from_str(data.get()).unwrap_or(Value::Null));
    match data {
        Some(Value::Object(_)) => {}
        None | Some(Value::Null) => faults.required("data", "data is mandatory"),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            faults.required("data", "data must be a valid JSON object");
        }
    }
}

/// What is wrong with changing a ControllerRevision's number and data from those of `old`.
pub(crate) fn on_update(revision: &ControllerRevision, old: &ControllerRevision, faults: &mut Faults) {
    faults.not_negative("revision", revision.revision);
    let text = revision.data.as_ref().map_or("null", |data| data.get());
    if revision.data.is_some() != old.data.is_some() || !old.data.as_ref().is_none_or(|_| old.holds(text)) {
        faults.invalid("data", text, "field is immutable");
    }
}
