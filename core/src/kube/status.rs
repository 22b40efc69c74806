//! A refusal of the API server, as metav1.Status words it.

use alloc::string::String;
use core::fmt;

use super::Str;

/// A refusal of the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiStatus {
    /// HTTP status code.
    pub code: u16,
    /// Why, in CamelCase: NotFound, AlreadyExists, Conflict, Invalid, Forbidden, Expired, ...
    pub reason: Str,
    /// For people.
    pub message: String,
    /// How long to stay away, milliseconds, where the server asked for it.
    pub retry_after_ms: Option<u64>,
    /// Whether one of the causes says that the namespace is ending.
    pub namespace_terminating: bool,
}

impl ApiStatus {
    /// A refusal with `code`, `reason` and `message`.
    #[must_use]
    pub fn new(code: u16, reason: &str, message: String) -> Self {
        Self { code, reason: reason.into(), message, ..Self::default() }
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Whether an object of that name exists already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.code == 409 && &*self.reason == "AlreadyExists"
    }

    /// Whether a precondition (uid or resourceVersion) did not hold.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code == 409 && &*self.reason == "Conflict"
    }

    /// Whether the history that was asked for is gone, so that a new list is needed.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.code == 410
    }
}

impl fmt::Display for ApiStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.reason, self.code, self.message)
    }
}

impl core::error::Error for ApiStatus {}
