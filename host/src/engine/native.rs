//! The core compiled into this program: no boundary, no limits; for tests, simulation, and machines
//! without a wasm toolchain.

use windlass_core::plan::Plan;
use windlass_core::{cron_job, daemon_set, job};

use super::{Engine, EngineFault, SharedPolicy, Snapshot};

/// Runs the core by calling it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeEngine;

impl Engine for NativeEngine {
    fn reconcile(&self, snapshot: &Snapshot, policy: &SharedPolicy) -> Result<Plan, EngineFault> {
        match snapshot {
            Snapshot::Job(snapshot) => job::reconcile(snapshot, &**policy).map_err(EngineFault::Refused),
            Snapshot::CronJob(snapshot) => {
                cron_job::reconcile(snapshot, &**policy).map_err(EngineFault::Refused)
            }
            Snapshot::DaemonSet(snapshot) => {
                daemon_set::reconcile(snapshot, &**policy).map_err(EngineFault::Refused)
            }
            Snapshot::Orphan(snapshot) => Ok(job::reconcile_orphan(snapshot)),
        }
    }
}
