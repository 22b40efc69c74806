//! What the history says so far of every Job and Pod that ever was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{Job, Object, Pod, PodPhase, Str, Uid};
use windlass_host::request::RequestId;
use windlass_sandbox::Commit;

use crate::simulation::view::Sight;

/// Every Job and Pod that ever was.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    jobs: BTreeMap<Uid, JobRecord>,
    pods: BTreeMap<Uid, PodRecord>,
    pods_of: BTreeMap<Uid, BTreeSet<Uid>>,
}

/// A Job.
#[derive(Debug)]
pub(super) struct JobRecord {
    /// Its last state.
    pub(super) job: Arc<Job>,
    /// Whether it is there.
    pub(super) exists: bool,
    /// The largest parallelism it ever had.
    pub(super) widest: i32,
}

/// A Pod.
#[derive(Debug)]
pub(super) struct PodRecord {
    /// Its last state.
    pub(super) pod: Arc<Pod>,
    /// Whether it is there.
    pub(super) exists: bool,
    /// Whether a Job was ever its controller.
    pub(super) was_owned: bool,
    /// Whether it ever was in phase Succeeded.
    pub(super) ever_succeeded: bool,
    /// Whether it ever was in phase Failed.
    pub(super) ever_failed: bool,
    /// Whether a status of its Job ever listed it as uncounted, and as what.
    pub(super) recorded: Option<Recorded>,
    /// The request that did so.
    pub(super) recorded_by: Option<Author>,
}

/// A request of a process, by its position, its incarnation and the request's identity.
pub(super) type Author = (usize, u32, RequestId);

/// As what a Pod was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// As a success.
    Succeeded,
    /// As a failure.
    Failed,
}

impl Ledger {
    pub(super) fn add(&mut self, commit: &Commit) {
        let exists = commit.after.is_some();
        match commit.after.as_ref().or(commit.before.as_ref()) {
            Some(Object::Job(job)) => {
                let widest = job.spec.parallelism.unwrap_or(1);
                let record = self.jobs.entry(job.metadata.uid.clone()).or_insert_with(|| JobRecord {
                    job: job.clone(),
                    exists,
                    widest,
                });
                record.job = job.clone();
                record.exists = exists;
                record.widest = record.widest.max(widest);
            }
            Some(Object::Pod(pod)) => {
                let uid = &pod.metadata.uid;
                if let Some(owner) = pod.metadata.controller() {
                    let pods = self.pods_of.entry(owner.uid.clone()).or_default();
                    if !pods.contains(uid) {
                        pods.insert(uid.clone());
                    }
                }
                match self.pods.get_mut(uid) {
                    Some(record) => {
                        record.pod = pod.clone();
                        record.exists = exists;
                        record.was_owned |= pod.metadata.controller().is_some();
                        record.ever_succeeded |= pod.status.phase == PodPhase::Succeeded;
                        record.ever_failed |= pod.status.phase == PodPhase::Failed;
                    }
                    None => {
                        let was_owned = pod.metadata.controller().is_some();
                        let record = PodRecord {
                            pod: pod.clone(),
                            exists,
                            was_owned,
                            ever_succeeded: pod.status.phase == PodPhase::Succeeded,
                            ever_failed: pod.status.phase == PodPhase::Failed,
                            recorded: None,
                            recorded_by: None,
                        };
                        self.pods.insert(uid.clone(), record);
                    }
                }
            }
            Some(
                Object::CronJob(_) | Object::Node(_) | Object::DaemonSet(_) | Object::ControllerRevision(_),
            )
            | None => {}
        }
    }

    pub(super) fn job(&self, uid: &str) -> Option<&JobRecord> {
        self.jobs.get(uid)
    }

    pub(super) fn pod(&self, uid: &str) -> Option<&PodRecord> {
        self.pods.get(uid)
    }

    pub(super) fn pod_mut(&mut self, uid: &str) -> Option<&mut PodRecord> {
        self.pods.get_mut(uid)
    }

    /// Whether a Job was ever the Pod's controller.
    pub(super) fn was_owned(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|record| record.was_owned)
    }

    /// Every Pod that ever had the Job of that uid as its controller.
    pub(super) fn pods_of(&self, uid: &Uid) -> impl Iterator<Item = &PodRecord> {
        self.pods_of.get(uid).into_iter().flatten().filter_map(|pod| self.pods.get(pod))
    }

    /// Uid of a Pod's controller, as it was last.
    pub(super) fn controller_of_pod(&self, uid: &str) -> Option<&Uid> {
        self.pods.get(uid)?.pod.metadata.controller().map(|owner| &owner.uid)
    }

    /// Name of the Job that a Pod's controller is, if it is one.
    pub(super) fn job_name_of_pod(&self, uid: &str) -> Option<&Str> {
        let owner = self.pods.get(uid)?.pod.metadata.controller()?;
        Some(&self.jobs.get(&owner.uid)?.job.metadata.name)
    }
}

impl JobRecord {
    /// Whether the Job needs no counting any more: gone, about to go, or ended.
    pub(super) fn is_past_counting(&self) -> bool {
        !self.exists || self.job.metadata.is_terminating() || self.job.is_finished()
    }
}

impl PodRecord {
    pub(super) fn sight(&self) -> Sight {
        Sight::of(&self.pod)
    }
}
