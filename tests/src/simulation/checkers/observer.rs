//! What one process does and could see, from outside.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::kube::{Job, Kind, Object, ObjectMeta, Str, Uid};
use windlass_host::controller::RunId;
use windlass_host::key::Key;
use windlass_host::request::{DaemonSetOperation, Flow, Operation, Outcome, Request, RequestId};

use super::backoff::Failures;
use super::creation::Seen;
use super::cron;
use super::daemon;
use super::honesty::Living;
use crate::simulation::view::View;

/// Rest of a flow after a 429 that names none, milliseconds.
const DEFAULT_PAUSE_MS: u64 = 1_000;

/// A write that a read has to settle: the key that it is for, and the object that it is about.
pub(super) type Doubtful = (Option<Key>, Kind, Str);

/// What one process does and could see.
#[derive(Debug, Default)]
pub(super) struct Observer {
    pub(super) is_leading: bool,
    /// It was told to end.
    pub(super) is_stopping: bool,
    /// Position of the process, and its incarnation.
    pub(super) identity: (usize, u32),
    pub(super) view: View,
    /// Keys whose plan is awaited.
    pub(super) running: BTreeMap<RunId, Key>,
    /// Pods that are looked after by themselves, not by their Job.
    pub(super) alone: BTreeSet<Str>,
    /// Writes in flight, and the Job or CronJob that they are for.
    pub(super) in_flight: BTreeMap<RequestId, Option<Key>>,
    /// What each request in flight is for, as the process says: two keys may write to one object, and each reads what
    /// became of its own write.
    pub(super) keys: BTreeMap<RequestId, Key>,
    /// Writes whose outcome the process does not know, and the object that they are for.
    pub(super) unsettled: BTreeMap<Doubtful, Option<Key>>,
    /// The last write to each object that was not carried out for sure.
    pub(super) asked: BTreeMap<Doubtful, Operation>,
    /// What the last reconcile of a Job that creates Pods saw.
    pub(super) seen: BTreeMap<Str, Seen>,
    /// What the last reconcile of a Job that writes a status saw.
    pub(super) living: BTreeMap<Str, Living>,
    /// What the last reconcile of a CronJob saw.
    pub(super) crons: BTreeMap<Str, cron::Seen>,
    /// Instants of each CronJob that a reconcile saw a Job for, or that the process made one for.
    pub(super) looked: BTreeMap<Uid, BTreeSet<i64>>,
    /// Jobs that a status listed and a read did not find.
    pub(super) read_gone: BTreeSet<Uid>,
    /// Status writes that were answered as done.
    pub(super) statuses: BTreeSet<RequestId>,
    /// What the last reconcile of a DaemonSet saw.
    pub(super) sets: BTreeMap<Str, daemon::Seen>,
    /// Failed Pods that were replaced, by DaemonSet, generation and node: how many, and when the last was, by the
    /// process' wall clock.
    pub(super) replaced: BTreeMap<(Uid, i64, Str), (u32, i64)>,
    /// Failures of each Job since its last success.
    pub(super) failures: BTreeMap<Uid, Failures>,
    /// Flows that the server asked to rest, and until when.
    pub(super) paused: BTreeMap<Flow, u64>,
}

impl Observer {
    /// The observer of a process that has to see these kinds.
    pub(super) fn of_kinds(kinds: &[Kind]) -> Self {
        Self { view: View::of_kinds(kinds), ..Self::default() }
    }

    /// Takes in how a request of the process ended, as far as the process is told.
    pub(super) fn answered(&mut self, request: &Request, outcome: &Outcome, now_ms: u64) {
        let key = self.in_flight.remove(&request.id).flatten();
        let reader = self.keys.remove(&request.id);
        if let Outcome::Rejected(status) = outcome
            && status.code == 429
        {
            let until_ms = now_ms + status.retry_after_ms.unwrap_or(DEFAULT_PAUSE_MS);
            let paused = self.paused.entry(request.flow).or_default();
            *paused = (*paused).max(until_ms);
        }
        match request.flow {
            Flow::Read => self.read(reader, &request.operation, outcome),
            Flow::Write => {
                if matches!((&request.operation, outcome), (Operation::WriteJobStatus(_), Outcome::Done(_))) {
                    self.statuses.insert(request.id);
                }
                self.wrote(&request.operation, (reader, key), outcome);
            }
            Flow::Event => {}
        }
    }

    fn read(&mut self, reader: Option<Key>, operation: &Operation, outcome: &Outcome) {
        let Operation::Get { kind, name, .. } = operation else { return };
        let target = (reader, *kind, name.clone());
        let found = match outcome {
            Outcome::Done(Some(object)) => Some(&object.metadata().uid),
            Outcome::Rejected(status) if status.is_not_found() => None,
            _ => return,
        };
        if *kind == Kind::Job {
            let listed = self.view.listed_as_active(name);
            self.read_gone.extend(listed.filter(|uid| Some(*uid) != found).cloned());
        }
        match outcome {
            Outcome::Done(Some(object)) => {
                self.view.acknowledge(object);
                daemon::hears_of(self, object);
            }
            Outcome::Rejected(status) if status.is_not_found() => {
                // The read settles a write that would have removed the object, or found it gone.
                if let Some(operation) = self.asked.get(&target) {
                    let uid = match operation {
                        Operation::UntrackPod { pod, .. }
                        | Operation::ReleasePod { pod, .. }
                        | Operation::DeletePod(pod) => Some(pod.uid.clone()),
                        Operation::DeleteJob { job, .. } => Some(job.uid.clone()),
                        Operation::WriteJobStatus(job) => Some(job.metadata.uid.clone()),
                        Operation::WriteCronJobStatus(cron_job) => Some(cron_job.metadata.uid.clone()),
                        Operation::DaemonSet(DaemonSetOperation::WriteStatus(set)) => {
                            Some(set.metadata.uid.clone())
                        }
                        Operation::DaemonSet(operation) => {
                            operation.ends().map(|(_, object)| object.uid.clone())
                        }
                        _ => None,
                    };
                    if let Some(uid) = uid {
                        self.view.learn_removed(*kind, name, &uid);
                    }
                }
            }
            _ => return,
        }
        self.unsettled.remove(&target);
        self.asked.remove(&target);
    }

    fn wrote(&mut self, operation: &Operation, (writer, key): (Option<Key>, Option<Key>), outcome: &Outcome) {
        let Some((kind, name)) = target(operation) else { return };
        match outcome {
            Outcome::Done(object) => self.done(operation, object.as_ref()),
            Outcome::Rejected(status) if status.is_not_found() && removes(operation).is_some() => {
                if let Some(uid) = removes(operation) {
                    self.view.learn_removed(kind, &name, &uid);
                }
            }
            Outcome::Unknown => {
                self.asked.insert((writer.clone(), kind, name.clone()), operation.clone());
                self.unsettled.insert((writer, kind, name), key);
            }
            // These say for sure that nothing happened, and nothing is read for them.
            Outcome::Rejected(status) if matches!(status.code, 403 | 429) => {}
            Outcome::Rejected(status) => {
                self.asked.insert((writer.clone(), kind, name.clone()), operation.clone());
                if status.code >= 500 {
                    self.unsettled.insert((writer, kind, name), key);
                }
            }
            Outcome::NotSent => {}
        }
    }

    fn done(&mut self, operation: &Operation, object: Option<&Object>) {
        let Some(object) = object else {
            if let (Some(uid), Some(target)) = (removes(operation), target(operation)) {
                self.view.learn_removed(target.0, &target.1, &uid);
            }
            return;
        };
        let metadata = object.metadata();
        if is_gone(metadata) {
            self.view.learn_removed(object.kind(), &metadata.name, &metadata.uid);
        } else {
            self.view.acknowledge(object);
        }
        daemon::hears_of(self, object);
        if let (Operation::CreateJob(_), Object::Job(job)) = (operation, object) {
            self.made(job);
        }
    }

    /// Notes a Job that the process made.
    fn made(&mut self, job: &Job) {
        let Some(owner) = job.metadata.controller() else { return };
        let Some(known) = self.view.cron_job(&owner.name) else { return };
        if let Some(at_s) = cron::instant_of(&known.cron_job, &job.metadata) {
            self.looked.entry(owner.uid.clone()).or_default().insert(at_s);
        }
    }

    /// Whether the Job of that uid is known to be gone.
    pub(super) fn knows_gone(&self, uid: &Uid) -> bool {
        self.read_gone.contains(uid) || self.view.has_seen_go(uid) || self.view.has_removed(uid)
    }
}

/// Whether an answer shows an object that nothing keeps any more: the server has removed it.
fn is_gone(metadata: &ObjectMeta) -> bool {
    metadata.is_terminating()
        && metadata.finalizers.is_empty()
        && metadata.deletion_grace_period_seconds.unwrap_or(0) == 0
}

/// The object that a write is about.
pub(super) fn target(operation: &Operation) -> Option<(Kind, Str)> {
    Some(match operation {
        Operation::CreatePod(manifest) => (Kind::Pod, manifest.metadata.name.clone()),
        Operation::UntrackPod { pod, .. }
        | Operation::AdoptPod { pod, .. }
        | Operation::ReleasePod { pod, .. }
        | Operation::DeletePod(pod) => (Kind::Pod, pod.name.clone()),
        Operation::WriteJobStatus(job) => (Kind::Job, job.metadata.name.clone()),
        Operation::CreateJob(manifest) => (Kind::Job, manifest.metadata.name.clone()),
        Operation::WriteCronJobStatus(cron_job) => (Kind::CronJob, cron_job.metadata.name.clone()),
        Operation::DeleteJob { job, .. } => (Kind::Job, job.name.clone()),
        Operation::DaemonSet(operation) => {
            let (kind, name) = operation.target();
            (kind, name.name)
        }
        Operation::Get { .. } | Operation::RecordEvent(_) => return None,
    })
}

/// The uid that is gone if the server does not know the object of this write.
fn removes(operation: &Operation) -> Option<Str> {
    match operation {
        Operation::UntrackPod { pod, .. } | Operation::ReleasePod { pod, .. } | Operation::DeletePod(pod) => {
            Some(pod.uid.clone())
        }
        Operation::DeleteJob { job, .. } => Some(job.uid.clone()),
        Operation::DaemonSet(operation) => operation.ends().map(|(_, object)| object.uid.clone()),
        _ => None,
    }
}
