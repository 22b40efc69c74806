//! Starts a real Kubernetes control plane on loopback for tests and benchmarks.
//!
//! [`ControlPlane::start`] runs etcd and kube-apiserver and, as [`Options`] say, kube-controller-manager,
//! kube-scheduler and kwok, whose nodes are plain Node objects and whose pods do what their annotations tell them
//! (`tests/cluster/stages`). The binaries come from `tests/cluster/build`, which builds them when they are absent.
//! Whatever was started is ended with SIGKILL when the value is dropped, or when this process dies.
//!
//! The modules, in the order of a start: [`options`] what is wanted, [`binaries`] where the programs are, `files`
//! what they are given, `process` how they are run and ended, [`control_plane`] the start itself, [`recorded`] a
//! control plane that outlives its starter.

pub mod binaries;
pub mod control_plane;
mod deadline;
mod files;
pub mod kubectl;
pub mod options;
mod process;
pub mod recorded;

pub use binaries::{Binaries, Unavailable};
pub use control_plane::{ControlPlane, Turn, or_skip, start_or_skip};
pub use kubectl::Kubectl;
pub use options::{Audit, BuiltInControllers, Options, User};
