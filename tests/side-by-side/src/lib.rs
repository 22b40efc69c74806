//! Windlass side by side with the built-in controllers, on a real control plane.
//!
//! [`bench`] measures what the same Jobs and CronJobs cost with either; [`compare`] holds what users see of Jobs, CronJobs
//! and DaemonSets with one against what they see with the other. `src/bin` has a program for each.

pub mod bench;
mod client;
mod clock;
pub mod compare;
mod side;
