//! `windlass run` on a real control plane: what users see of Jobs and CronJobs is what the built-in controllers show,
//! and no crash makes it miscount or run anything twice.
//!
//! Needs the binary, which `cargo build -p windlass-host` makes; a machine without a control plane's binaries
//! skips the tests that need one, and says so.

#[path = "real_cluster/compare.rs"]
mod compare;
#[path = "real_cluster/crash.rs"]
mod crash;
#[path = "real_cluster/cron_jobs.rs"]
mod cron_jobs;
#[path = "real_cluster/daemon_sets.rs"]
mod daemon_sets;
#[path = "real_cluster/outage.rs"]
mod outage;
#[cfg(feature = "wasm")]
#[path = "real_cluster/policies.rs"]
mod policies;
#[path = "real_cluster/process.rs"]
mod process;
#[path = "real_cluster/revisions.rs"]
mod revisions;
#[path = "real_cluster/usage.rs"]
mod usage;
