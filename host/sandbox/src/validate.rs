//! What upstream's validation finds wrong, for the fields that the sandbox knows.

pub(crate) mod job;
pub(crate) mod job_status;
pub(crate) mod metadata;
pub(crate) mod pod;
