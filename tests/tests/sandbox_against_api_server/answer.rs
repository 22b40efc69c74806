//! What a server answers, in one form for both.

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// HTTP status code.
    pub(crate) code: u16,
    /// The object, or the Status.
    pub(crate) body: Value,
}
