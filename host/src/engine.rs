//! What runs the core: as wasm, or compiled in; one trait, and the same plans byte for byte.

use std::sync::Arc;

use windlass_core::fault::Fault;
use windlass_core::plan::Plan;
use windlass_core::policy::Policy;
use windlass_core::view::{CronJobSnapshot, DaemonSetSnapshot, JobSnapshot, OrphanSnapshot};

pub mod native;
#[cfg(feature = "wasm")]
pub mod wasm;

/// A snapshot of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Snapshot {
    /// A Job with its Pods.
    Job(JobSnapshot),
    /// A CronJob with its Jobs.
    CronJob(CronJobSnapshot),
    /// A DaemonSet with its Pods and revisions, and all nodes.
    DaemonSet(DaemonSetSnapshot),
    /// A Pod that may have lost its Job.
    Orphan(OrphanSnapshot),
}

/// Who answers the core's questions during one call; shared, since a guest's store outlives no borrow.
pub type SharedPolicy = Arc<dyn Policy + Send + Sync>;

/// Why an engine gave no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineFault {
    /// The core refused the snapshot: the host's mistake.
    Refused(Fault),
    /// The guest trapped: the core's mistake; costs one key one retry.
    Trapped(String),
    /// The guest went past a limit of time, memory or output.
    LimitExceeded(String),
}

/// Something that runs the core.
pub trait Engine: Send + Sync {
    /// The core's plan for `snapshot`, its questions answered by `policy`.
    ///
    /// # Errors
    /// An [`EngineFault`] that says whose mistake it is.
    fn reconcile(&self, snapshot: &Snapshot, policy: &SharedPolicy) -> Result<Plan, EngineFault>;
}

impl std::fmt::Display for EngineFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(fault) => write!(formatter, "the core refused the snapshot: {fault}"),
            Self::Trapped(reason) => write!(formatter, "the core trapped: {reason}"),
            Self::LimitExceeded(limit) => write!(formatter, "the core went past a limit: {limit}"),
        }
    }
}

impl std::error::Error for EngineFault {}
