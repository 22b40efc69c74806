//! Validation of metadata (upstream: apimachinery, pkg/api/validation/objectmeta.go).

use windlass_core::kube::{Labels, ObjectMeta, OwnerReference, Str};

use crate::field::Faults;
use crate::names::{
    dns_label_faults, dns_subdomain_faults, key_faults, label_value_faults, name_prefix_faults,
};

/// Finalizer that lets dependents go first.
pub(crate) const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// Finalizer that cuts dependents loose first.
pub(crate) const ORPHAN_FINALIZER: &str = "orphan";
/// Finalizers that need no prefix (upstream: pkg/apis/core/helper, standardFinalizers).
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", ORPHAN_FINALIZER, FOREGROUND_FINALIZER];
/// Most bytes of all annotations together.
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// What is wrong with the metadata of a new object.
pub(crate) fn on_create(metadata: &ObjectMeta, namespaced: bool, faults: &mut Faults) {
    if let Some(prefix) = metadata.generate_name.as_ref().filter(|prefix| !prefix.is_empty()) {
        for fault in name_prefix_faults(prefix) {
            faults.invalid_text("metadata.generateName", prefix, &fault);
        }
    }
    if metadata.name.is_empty() {
        faults.required("metadata.name", "name or generateName is required");
    } else {
        for fault in dns_subdomain_faults(&metadata.name) {
            faults.invalid_text("metadata.name", &metadata.name, &fault);
        }
    }
    common(metadata, namespaced, faults);
}

/// What is wrong with changing metadata from `old` to `new`, whose system fields were settled before.
pub(crate) fn on_update(new: &ObjectMeta, old: &ObjectMeta, namespaced: bool, faults: &mut Faults) {
    // What is the same as before was checked when it was stored.
    if new.labels != old.labels {
        labels(&new.labels, "metadata.labels", faults);
    }
    if new.annotations != old.annotations {
        annotations(&new.annotations, "metadata.annotations", faults);
    }
    if new.owner_references != old.owner_references {
        owner_references(&new.owner_references, faults);
    }
    if new.finalizers != old.finalizers {
        finalizers(&new.finalizers, "metadata.finalizers", faults);
    }
    if new.namespace != old.namespace {
        namespace(new, namespaced, faults);
    }
    if old.is_terminating() {
        let mut added: Vec<&Str> =
            new.finalizers.iter().filter(|finalizer| !old.finalizers.contains(finalizer)).collect();
        added.sort();
        added.dedup();
        if !added.is_empty() {
            let list: Vec<String> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
            faults.forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    list.join(", ")
                ),
            );
        }
    }
    if new.uid != old.uid {
        faults.invalid_text("metadata.uid", &new.uid, "field is immutable");
    }
    if new.deletion_grace_period_seconds != old.deletion_grace_period_seconds {
        let value = new.deletion_grace_period_seconds.unwrap_or(0);
        faults.invalid("metadata.deletionGracePeriodSeconds", value, "field is immutable");
    }
    if new.deletion_timestamp != old.deletion_timestamp {
        let value = new.deletion_timestamp.map_or_else(|| "null".to_owned(), |time| format!("\"{time}\""));
        faults.invalid("metadata.deletionTimestamp", value, "field is immutable");
    }
}

/// What is wrong with labels at `path`.
pub(crate) fn labels(labels: &Labels, path: &str, faults: &mut Faults) {
    for (key, value) in labels {
        for fault in key_faults(key) {
            faults.invalid_text(path, key, &fault);
        }
        for fault in label_value_faults(value) {
            faults.invalid_text(path, value, &fault);
        }
    }
}

/// What is wrong with annotations at `path`.
pub(crate) fn annotations(annotations: &Labels, path: &str, faults: &mut Faults) {
    let mut bytes = 0;
    for (key, value) in annotations {
        bytes += key.len() + value.len();
        // Case does not matter here; an allocation is made only where there is any.
        let found = if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            key_faults(&key.to_lowercase())
        } else {
            key_faults(key)
        };
        for fault in found {
            faults.invalid_text(path, key, &fault);
        }
    }
    if bytes > MAX_ANNOTATIONS_BYTES {
        faults.too_long(path, MAX_ANNOTATIONS_BYTES);
    }
}

fn common(metadata: &ObjectMeta, namespaced: bool, faults: &mut Faults) {
    namespace(metadata, namespaced, faults);
    labels(&metadata.labels, "metadata.labels", faults);
    annotations(&metadata.annotations, "metadata.annotations", faults);
    owner_references(&metadata.owner_references, faults);
    finalizers(&metadata.finalizers, "metadata.finalizers", faults);
}

fn namespace(metadata: &ObjectMeta, namespaced: bool, faults: &mut Faults) {
    if namespaced {
        if metadata.namespace.is_empty() {
            faults.required("metadata.namespace", "");
        }
        for fault in dns_label_faults(&metadata.namespace) {
            faults.invalid_text("metadata.namespace", &metadata.namespace, &fault);
        }
    } else if !metadata.namespace.is_empty() {
        faults.forbidden("metadata.namespace", "not allowed on this type");
    }
}

fn owner_references(references: &[OwnerReference], faults: &mut Faults) {
    let path = "metadata.ownerReferences";
    let mut first: Option<&OwnerReference> = None;
    for (index, reference) in references.iter().enumerate() {
        let fields = [
            ("apiVersion", &reference.api_version),
            ("kind", &reference.kind),
            ("name", &reference.name),
            ("uid", &reference.uid),
        ];
        for (field, value) in fields {
            if value.is_empty() {
                faults.required(format_args!("{path}[{index}].{field}"), "must not be empty");
            }
        }
        if reference.controller == Some(true) {
            if let Some(first) = first {
                faults.invalid(
                    path,
                    serde_json::to_string(references).unwrap_or_default(),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for \
                         {}/{} and {}/{}",
                        first.kind, first.name, reference.kind, reference.name
                    ),
                );
            } else {
                first = Some(reference);
            }
        }
    }
}

fn finalizers(finalizers: &[Str], path: &str, faults: &mut Faults) {
    let has = |name: &str| finalizers.iter().any(|finalizer| &**finalizer == name);
    for finalizer in finalizers {
        for fault in key_faults(finalizer) {
            faults.invalid_text(path, finalizer, &fault);
        }
    }
    if has(FOREGROUND_FINALIZER) && has(ORPHAN_FINALIZER) {
        let list: Vec<String> = finalizers.iter().map(|finalizer| format!("{finalizer:?}")).collect();
        faults.invalid(
            path,
            format_args!("[{}]", list.join(",")),
            &format!("finalizer {ORPHAN_FINALIZER} and {FOREGROUND_FINALIZER} cannot be both set"),
        );
    }
    for (index, finalizer) in finalizers.iter().enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&&**finalizer) {
            faults.invalid_text(
                format_args!("{path}[{index}]"),
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
}
