//! What upstream's validation finds wrong, for the fields that the sandbox knows.

pub(crate) mod cron_job;
mod indexes;
pub(crate) mod job;
mod job_policies;
pub(crate) mod job_status;
mod job_template;
pub(crate) mod metadata;
pub(crate) mod pod;
pub(crate) mod pod_update;
