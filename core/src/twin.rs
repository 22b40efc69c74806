//! The contract in JSON: one request document in, one plan document out.

use alloc::boxed::Box;
use alloc::string::String;

use crate::policy::Policy;
use crate::view::JobFlags;

/// The plan document for a request document.
///
/// # Errors
/// A document of kind Fault; so far always, since this version reads no request yet.
pub fn reconcile(_request: &str, _policy: &dyn Fn(&JobFlags) -> Box<dyn Policy>) -> Result<String, String> {
    Err(r#"{"apiVersion":"windlass.dev/v1alpha1","kind":"Fault","category":"unsupported_kind"}"#.into())
}
