//! Starts a real Kubernetes control plane on loopback for tests and benchmarks.
//!
//! [`ControlPlane::start`] runs etcd and kube-apiserver and, as [`Options`] say, kube-controller-manager,
//! kube-scheduler and kwok, whose nodes are plain Node objects and whose pods do what their annotations tell them
//! (`tests/cluster/stages`). The binaries come from `tests/cluster/build`, which builds them when they are absent.
//! Whatever was started is ended with SIGKILL when the value is dropped, or when this process dies.
//!
//! The modules, in the order of a start: [`options`] what is wanted, [`binaries`] where the programs are, `turn`
//! whose turn it is, `files` what the programs are given, `programs` their command lines, `process` how they are run
//! and ended, [`control_plane`] the start itself, [`kubectl`] its use, [`recorded`] how it is ended by others.

pub mod binaries;
pub mod control_plane;
mod deadline;
mod files;
pub mod kubectl;
pub mod options;
mod process;
mod programs;
pub mod recorded;
mod turn;

pub use binaries::{Binaries, Unavailable};
pub use control_plane::{ControlPlane, or_skip, start_or_skip};
pub use kubectl::Kubectl;
pub use options::{Audit, BuiltInControllers, Options, User};
pub use turn::Turn;
