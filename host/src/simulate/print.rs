//! What `kubectl get` and `kubectl describe` show of Jobs, CronJobs and DaemonSets, from objects instead of a server.
//!
//! The layout is kubectl's (k8s.io/kubectl pkg/describe, k8s.io/kubernetes pkg/printers/internalversion); tests
//! compare it with what kubectl wrote on a real control plane.

mod columns;
mod describe;
mod duration;
mod event;
mod get;
mod quantity;
mod template;
mod time;

pub use describe::{describe_cron_job, describe_daemon_set, describe_job};
pub use duration::{human_duration, seconds};
pub use event::{PrintedEvent, Regarding, Series};
pub use get::{get_cron_jobs, get_daemon_sets, get_jobs, job_state};
