//! What upstream's validation finds wrong, for the fields that the sandbox knows.

pub(crate) mod controller_revision;
pub(crate) mod cron_job;
pub(crate) mod daemon_set;
mod indexes;
pub(crate) mod job;
mod job_policies;
pub(crate) mod job_status;
mod job_template;
pub(crate) mod metadata;
pub(crate) mod pod;
pub(crate) mod pod_update;
mod selector;
