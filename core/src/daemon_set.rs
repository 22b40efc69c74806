//! The decisions of the DaemonSet controller, as functions of plain values.

mod canonical_json;
pub mod history;
pub mod naming;
pub mod placement;
pub mod revision;
