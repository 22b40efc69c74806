//! Refusals with upstream's codes, reasons and messages (apimachinery, pkg/api/errors).

use std::fmt::Display;

use windlass_core::kube::{ApiStatus, ResourceVersion};

use crate::Resource;
use crate::field::Faults;

/// How long a client is asked to stay away after a name collision of the server's making (upstream: 1 s).
const GENERATED_NAME_RETRY_MS: u64 = 1000;

pub(crate) fn not_found(resource: Resource, name: &str) -> ApiStatus {
    ApiStatus::new(404, "NotFound", format!("{} {name:?} not found", resource.plural()))
}

pub(crate) fn already_exists(resource: Resource, name: &str, terminating: bool) -> ApiStatus {
    let prefix = if terminating { "object is being deleted: " } else { "" };
    ApiStatus::new(409, "AlreadyExists", format!("{prefix}{} {name:?} already exists", resource.plural()))
}

pub(crate) fn generated_name_exists(resource: Resource, name: &str, terminating: bool) -> ApiStatus {
    let prefix = if terminating { "object is being deleted: " } else { "" };
    let mut status = ApiStatus::new(
        409,
        "AlreadyExists",
        format!(
            "{prefix}{} {name:?} already exists, the server was not able to generate a unique name for the object",
            resource.plural()
        ),
    );
    status.retry_after_ms = Some(GENERATED_NAME_RETRY_MS);
    status
}

/// The refusal to create what has a version already (upstream: apiserver, pkg/storage/etcd3, which gives no reason).
pub(crate) fn version_on_create() -> ApiStatus {
    ApiStatus::new(500, "", "resourceVersion should not be set on objects to be created".to_owned())
}

pub(crate) fn conflict(named: &str, name: &str, why: impl Display) -> ApiStatus {
    ApiStatus::new(409, "Conflict", format!("Operation cannot be fulfilled on {named} {name:?}: {why}"))
}

/// The refusal of a write whose resourceVersion is not the stored one.
pub(crate) fn modified(resource: Resource, name: &str) -> ApiStatus {
    conflict(
        resource.plural(),
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )
}

pub(crate) fn invalid(resource: Resource, name: &str, faults: &Faults) -> ApiStatus {
    ApiStatus::new(422, "Invalid", format!("{} {name:?} is invalid: {faults}", resource.singular()))
}

pub(crate) fn forbidden(resource: Resource, name: &str, why: impl Display) -> ApiStatus {
    ApiStatus::new(403, "Forbidden", format!("{} {name:?} is forbidden: {why}", resource.plural()))
}

pub(crate) fn bad_request(why: impl Into<String>) -> ApiStatus {
    ApiStatus::new(400, "BadRequest", why.into())
}

/// The refusal to watch from a version that the bounded history no longer reaches back to.
pub(crate) fn watch_expired(from: ResourceVersion, oldest: ResourceVersion) -> ApiStatus {
    ApiStatus::new(410, "Expired", format!("too old resource version: {from} ({oldest})"))
}

pub(crate) fn continue_expired() -> ApiStatus {
    ApiStatus::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new \
         list without the continue parameter."
            .to_owned(),
    )
}

/// The refusal to read a version that the store has not reached yet.
pub(crate) fn too_large_version(asked: ResourceVersion, current: ResourceVersion) -> ApiStatus {
    let mut status = ApiStatus::new(
        504,
        "Timeout",
        format!("Timeout: Too large resource version: {asked}, current: {current}"),
    );
    status.retry_after_ms = Some(GENERATED_NAME_RETRY_MS);
    status
}
