//! What answers mean: into the cache, to the plan that asked, or to a read that settles them.

use windlass_core::kube::{ApiStatus, Kind, Object, ObjectMeta, ObjectReference, Uid};
use windlass_core::view::LiveOwner;

use super::events::Waiting;
use super::{Controller, Notice};
use crate::Now;
use crate::apply::{Execution, Failure, Refusal, Settled, Ticket, refusal};
use crate::backoff::Backoff;
use crate::key::{Key, Name};
use crate::request::{DaemonSetOperation, Flow, Operation, Outcome, RequestId};

/// Wait before a read is tried again that was not answered, or that the server could not answer for now.
pub(super) const READ_BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 10_000 };
/// The same for a read that the server refused: only people can change that.
pub(super) const REFUSED_READ_BACKOFF: Backoff = Backoff { base_ms: 1_000, max_ms: 60_000 };
/// How long a flow rests after a 429 that names no time, milliseconds.
pub(super) const DEFAULT_PAUSE_MS: u64 = 1_000;
/// Longest rest of a flow, milliseconds, however long the server asks for: it may have meant one client of many.
pub(super) const MAX_PAUSE_MS: u64 = 60_000;

/// Most live reads of one plan; what more there is to read, the next one does.
const MAX_ACTIVE_READS: usize = 16;

/// A request that was handed out.
#[derive(Debug)]
pub(super) enum Pending {
    Write { key: Key, ticket: Ticket, operation: Operation },
    Read(ReadDue),
    Event(Waiting),
}

/// A read that is due.
#[derive(Clone, Debug)]
pub(super) struct ReadDue {
    key: Key,
    target: Name,
    kind: Kind,
    purpose: Purpose,
    tries: u32,
}

#[derive(Clone, Debug)]
enum Purpose {
    /// The outcome of a request is not known, or its view was stale.
    Settle { ticket: Ticket, operation: Box<Operation>, doubt: Doubt },
    /// A decision needs the Job as it is now.
    Owner { uid: Uid },
    /// A decision needs to know whether a Job exists which a CronJob lists.
    ActiveJob { uid: Uid },
}

/// Why an outcome has to be read.
#[derive(Clone, Debug)]
enum Doubt {
    /// It was refused because the view was stale.
    Stale,
    /// It may or may not have happened; what the server said, if it said anything.
    Unknown(Option<ApiStatus>),
}

impl ReadDue {
    pub(super) fn operation(&self) -> Operation {
        Operation::Get {
            kind: self.kind,
            namespace: self.target.namespace.clone(),
            name: self.target.name.clone(),
        }
    }
}

impl Controller {
    /// Key that a request in flight is for; `None` for one that records an Event, or that was answered.
    #[must_use]
    pub fn key_of(&self, id: RequestId) -> Option<&Key> {
        match self.pending.get(&id)? {
            Pending::Write { key, .. } => Some(key),
            Pending::Read(read) => Some(&read.key),
            Pending::Event(_) => None,
        }
    }

    /// Takes in how a request ended.
    pub fn handle_answer(&mut self, now: Now, id: RequestId, outcome: Outcome) {
        self.stats.inputs += 1;
        let Some(pending) = self.pending.remove(&id) else { return };
        if let Outcome::Rejected(status) = &outcome
            && let Some(wait_ms) = pause_ms(status)
        {
            let flow = match &pending {
                Pending::Write { .. } => Flow::Write,
                Pending::Read(_) => Flow::Read,
                Pending::Event(_) => Flow::Event,
            };
            let until = now.monotonic_ms.saturating_add(wait_ms);
            let paused = self.paused.entry(flow).or_default();
            *paused = (*paused).max(until);
        }
        let was_event = matches!(pending, Pending::Event(_));
        match pending {
            Pending::Write { key, ticket, operation } => {
                self.write_answered(now, &key, ticket, operation, outcome);
            }
            Pending::Read(read) => self.read_answered(now, read, outcome),
            Pending::Event(waiting) => self.event_answered(now, waiting, outcome),
        }
        if was_event && self.shutting_down {
            self.drop_late_events();
        }
    }

    fn write_answered(
        &mut self,
        now: Now,
        key: &Key,
        ticket: Ticket,
        operation: Operation,
        outcome: Outcome,
    ) {
        match outcome {
            Outcome::Done(object) => self.write_done(now, key, ticket, &operation, object),
            Outcome::NotSent => self.settle(now, key, ticket, &Settled::Failed(Failure::Refused)),
            Outcome::Unknown => self.settle_by_read(key, ticket, operation, Doubt::Unknown(None)),
            Outcome::Rejected(status) => match refusal(&operation, &status) {
                Refusal::AlreadySo => {
                    self.confirm_gone(now, &operation);
                    self.settle(now, key, ticket, &Settled::Done(None));
                }
                Refusal::ReadFirst => {
                    let doubt = if status.code >= 500 { Doubt::Unknown(Some(status)) } else { Doubt::Stale };
                    self.settle_by_read(key, ticket, operation, doubt);
                }
                Refusal::Refused => {
                    let is_ending = status.namespace_terminating;
                    self.report_refusal(now, key, &operation, status);
                    let failure = if is_ending { Failure::NamespaceEnding } else { Failure::Refused };
                    self.settle(now, key, ticket, &Settled::Failed(failure));
                }
            },
        }
    }

    fn write_done(
        &mut self,
        now: Now,
        key: &Key,
        ticket: Ticket,
        operation: &Operation,
        object: Option<Object>,
    ) {
        self.report_done(now, key, operation, object.as_ref());
        let mut changes = Vec::new();
        match (operation, &object) {
            (Operation::DeletePod(_) | Operation::DeleteJob { .. }, Some(answer))
                if is_kept(answer.metadata()) =>
            {
                self.cache.acknowledged(answer.clone(), &mut changes);
            }
            (Operation::DeletePod(_) | Operation::DeleteJob { .. }, _) => self.confirm_gone(now, operation),
            (Operation::DaemonSet(DaemonSetOperation::DeleteRevision(_)), Some(answer))
                if is_kept(answer.metadata()) =>
            {
                self.cache.acknowledged(answer.clone(), &mut changes);
            }
            (Operation::DaemonSet(DaemonSetOperation::DeleteRevision(_)), _) => {
                self.confirm_gone(now, operation);
            }
            // The answer to a patch that removes what kept the object shows it once more.
            (_, Some(object)) if is_ended(object.metadata()) => self.confirm_gone(now, operation),
            (_, Some(object)) => self.cache.acknowledged(object.clone(), &mut changes),
            (_, None) => {}
        }
        self.changed(now, changes);
        self.settle(now, key, ticket, &Settled::Done(object));
    }

    /// Marks the object of a delete, or of a request that found it gone.
    fn confirm_gone(&mut self, now: Now, operation: &Operation) {
        let (kind, target) = match operation {
            Operation::UntrackPod { pod, .. }
            | Operation::DeletePod(pod)
            | Operation::ReleasePod { pod, .. } => (Kind::Pod, pod),
            Operation::DeleteJob { job, .. } => (Kind::Job, job),
            Operation::DaemonSet(operation) => match operation.ends() {
                Some(ended) => ended,
                None => return,
            },
            Operation::CreatePod(_)
            | Operation::CreateJob(_)
            | Operation::AdoptPod { .. }
            | Operation::WriteJobStatus(_)
            | Operation::WriteCronJobStatus(_)
            | Operation::Get { .. }
            | Operation::RecordEvent(_) => return,
        };
        let name = Name { namespace: target.namespace.clone(), name: target.name.clone() };
        if kind == Kind::Job {
            // Whatever is planned for it would come too late.
            self.supersede(&Key::Job(name.clone()));
        }
        let mut changes = Vec::new();
        self.cache.acknowledged_removal(kind, &name, &target.uid, &mut changes);
        self.changed(now, changes);
    }

    fn settle(&mut self, now: Now, key: &Key, ticket: Ticket, settled: &Settled) {
        let Some(execution) = self.executing.get_mut(key) else { return };
        execution.settle(ticket, settled);
        self.take_turn(key);
        self.finish_if_complete(now, key);
    }

    fn settle_by_read(&mut self, key: &Key, ticket: Ticket, operation: Operation, doubt: Doubt) {
        let Some(execution) = self.executing.get_mut(key) else { return };
        let (kind, target) = target_of(&operation);
        execution.reads_pending += 1;
        let purpose = Purpose::Settle { ticket, operation: Box::new(operation), doubt };
        self.reads.push_back(ReadDue { key: key.clone(), target, kind, purpose, tries: 0 });
    }

    /// Starts a plan of nothing but live reads of the Jobs that the CronJob lists and the snapshot does not have.
    pub(super) fn begin_reads_of_active(&mut self, now: Now, mut execution: Execution) {
        let key = execution.key.clone();
        let read = self.carried.get(&key).map(|state| &state.carried.live_jobs);
        let is_open = |reference: &&ObjectReference| {
            let uid = &reference.uid;
            !self.cache.has_seen_go(uid) && !read.is_some_and(|read| read.contains_key(uid))
        };
        let unseen: Vec<ObjectReference> =
            execution.unseen_active_jobs().filter(is_open).take(MAX_ACTIVE_READS).cloned().collect();
        // A status is not validated: what can be no name is none of a Job, and not asked for.
        let (asked, nameless): (Vec<ObjectReference>, Vec<ObjectReference>) =
            unseen.into_iter().partition(|reference| is_object_name(&reference.name));
        let live_jobs = &mut self.carried.entry(key.clone()).or_default().carried.live_jobs;
        live_jobs.extend(nameless.into_iter().map(|reference| (reference.uid, LiveOwner::Gone)));
        execution.reads_pending += asked.len();
        self.executing.insert(key.clone(), execution);
        for reference in asked {
            let target = Name { namespace: key.name().namespace.clone(), name: reference.name };
            let purpose = Purpose::ActiveJob { uid: reference.uid };
            self.reads.push_back(ReadDue { key: key.clone(), target, kind: Kind::Job, purpose, tries: 0 });
        }
        // Where all of them have been seen meanwhile.
        self.run_again_with_reads(now, &key);
    }

    /// Starts a plan of nothing but a live read of the owner of that kind and name, which is to have this uid.
    pub(super) fn begin_read(&mut self, mut execution: Execution, kind: Kind, owner: Name, uid: Uid) {
        let key = execution.key.clone();
        execution.reads_pending += 1;
        self.executing.insert(key.clone(), execution);
        let purpose = Purpose::Owner { uid };
        self.reads.push_back(ReadDue { key, target: owner, kind, purpose, tries: 0 });
    }

    /// Starts a live read of the Job that the Pod at `key` names as its controller.
    pub(super) fn begin_read_of_job(&mut self, execution: Execution, job: Name) {
        let pod = self.cache.pod(execution.key.name());
        let owner = pod.and_then(|entry| entry.pod.metadata.controller());
        let uid = owner.map(|owner| owner.uid.clone()).unwrap_or_default();
        self.begin_read(execution, Kind::Job, job, uid);
    }

    fn read_answered(&mut self, now: Now, mut read: ReadDue, outcome: Outcome) {
        let found = match outcome {
            Outcome::Done(Some(object)) => Some(object),
            Outcome::Rejected(ref status) if status.is_not_found() => None,
            Outcome::Done(None) | Outcome::Rejected(_) | Outcome::NotSent | Outcome::Unknown
                if self.shutting_down =>
            {
                return self.give_up_read(now, read);
            }
            Outcome::Done(None) | Outcome::Rejected(_) | Outcome::NotSent | Outcome::Unknown => {
                // Until it is answered the key waits: nothing may be built on an unknown outcome.
                let wait = self.wait_for_read(&read, outcome);
                read.tries = read.tries.saturating_add(1);
                self.sequence += 1;
                self.reads_later.insert((now.monotonic_ms.saturating_add(wait), self.sequence), read);
                return;
            }
        };
        let mut changes = Vec::new();
        if let Some(object) = &found {
            self.cache.acknowledged(object.clone(), &mut changes);
        }
        self.noticed(now, changes);
        if let Some(execution) = self.executing.get_mut(&read.key) {
            execution.reads_pending = execution.reads_pending.saturating_sub(1);
        }
        match read.purpose {
            Purpose::Settle { ticket, operation, doubt } => {
                self.settled_by_read(now, &read.key, ticket, &operation, doubt, found);
            }
            Purpose::Owner { uid } => {
                let live = live_owner(&uid, found.as_ref());
                self.carried.entry(read.key.clone()).or_default().carried.live_owner = Some(live);
                self.run_again_with_reads(now, &read.key);
            }
            Purpose::ActiveJob { uid } => {
                let live = live_owner(&uid, found.as_ref());
                self.carried.entry(read.key.clone()).or_default().carried.live_jobs.insert(uid, live);
                self.run_again_with_reads(now, &read.key);
            }
        }
    }

    /// Runs a key again whose plan was to read, once every read is answered.
    fn run_again_with_reads(&mut self, now: Now, key: &Key) {
        if self.executing.get(key).is_some_and(|execution| execution.reads_pending > 0) {
            return;
        }
        let Some(execution) = self.executing.remove(key) else { return };
        self.settle_grant(now, key);
        self.carried.entry(key.clone()).or_default().carried.memo = execution.memo;
        self.queue.again(key, now.monotonic_ms);
    }

    /// How long to wait, milliseconds, before a read is tried again that ended so; says once that it was refused.
    fn wait_for_read(&mut self, read: &ReadDue, outcome: Outcome) -> u64 {
        let status = match outcome {
            Outcome::Rejected(status) => status,
            Outcome::Done(_) | Outcome::NotSent | Outcome::Unknown => {
                return READ_BACKOFF.wait_ms(read.tries);
            }
        };
        let is_passing = status.code == 429 || status.code >= 500;
        let backoff = if is_passing { READ_BACKOFF } else { REFUSED_READ_BACKOFF };
        let wait_ms = backoff.wait_ms(read.tries).max(pause_ms(&status).unwrap_or(0));
        self.notice(Notice::ReadRefused {
            key: read.key.clone(),
            what: read.operation().describe(),
            status,
            again: read.tries > 0,
        });
        wait_ms
    }

    /// Ends a read that will not be answered any more: what it was to settle counts as not done.
    pub(super) fn give_up_read(&mut self, now: Now, read: ReadDue) {
        let Some(execution) = self.executing.get_mut(&read.key) else { return };
        execution.reads_pending = execution.reads_pending.saturating_sub(1);
        match read.purpose {
            Purpose::Settle { ticket, .. } => {
                self.settle(now, &read.key, ticket, &Settled::Failed(Failure::Refused));
            }
            Purpose::Owner { .. } | Purpose::ActiveJob { .. } => self.finish_if_complete(now, &read.key),
        }
    }

    fn settled_by_read(
        &mut self,
        now: Now,
        key: &Key,
        ticket: Ticket,
        operation: &Operation,
        doubt: Doubt,
        found: Option<Object>,
    ) {
        let owner = self.executing.get(key).and_then(|execution| execution.subject.regarding());
        let owner = owner.map(|(_, metadata)| metadata.uid.clone());
        let happened = match (operation, &found) {
            (Operation::CreatePod(_), Some(Object::Pod(pod))) => {
                matches!(doubt, Doubt::Unknown(_))
                    && pod.metadata.controller().map(|reference| &reference.uid) == owner.as_ref()
            }
            (Operation::UntrackPod { pod, .. }, Some(Object::Pod(now))) => {
                now.metadata.uid != pod.uid || !now.is_tracked()
            }
            (Operation::DeletePod(pod), Some(Object::Pod(now))) => {
                now.metadata.uid != pod.uid || now.metadata.is_terminating()
            }
            (Operation::UntrackPod { .. } | Operation::DeletePod(_) | Operation::ReleasePod { .. }, None) => {
                true
            }
            // A Job of that name is the one of its instant, whichever request made it.
            (Operation::CreateJob(_), Some(Object::Job(job))) => {
                job.metadata.controller().map(|reference| &reference.uid) == owner.as_ref()
            }
            (Operation::DeleteJob { job, .. }, Some(Object::Job(now))) => {
                now.metadata.uid != job.uid || now.metadata.is_terminating()
            }
            (Operation::DeleteJob { .. }, None) => true,
            (Operation::WriteCronJobStatus(sent), Some(Object::CronJob(now))) => {
                now.metadata.uid == sent.metadata.uid && now.status == sent.status
            }
            (Operation::WriteJobStatus(sent), Some(Object::Job(now))) => {
                now.metadata.uid == sent.metadata.uid && now.status == sent.status
            }
            (Operation::DaemonSet(operation), _) => operation.has_happened(found.as_ref(), owner.as_ref()),
            _ => false,
        };
        if happened && found.is_none() {
            self.confirm_gone(now, operation);
        }
        if !happened && found.is_none() {
            self.forget_removed(now, operation);
        }
        let settled = if happened {
            // One that was there already was reported when it was made.
            if !matches!((operation, &doubt), (Operation::CreateJob(_), Doubt::Stale)) {
                self.report_done(now, key, operation, found.as_ref());
            }
            Settled::Done(found)
        } else if let Doubt::Unknown(Some(status)) = doubt {
            self.report_refusal(now, key, operation, status);
            Settled::Failed(Failure::Refused)
        } else {
            Settled::Failed(Failure::Stale)
        };
        self.settle(now, key, ticket, &settled);
    }

    /// Marks an object whose status could not be written since it is not there.
    fn forget_removed(&mut self, now: Now, operation: &Operation) {
        let (kind, metadata) = match operation {
            Operation::WriteJobStatus(job) => (Kind::Job, &job.metadata),
            Operation::WriteCronJobStatus(cron_job) => (Kind::CronJob, &cron_job.metadata),
            Operation::DaemonSet(DaemonSetOperation::WriteStatus(set)) => (Kind::DaemonSet, &set.metadata),
            _ => return,
        };
        let mut changes = Vec::new();
        self.cache.acknowledged_removal(kind, &Name::of(metadata), &metadata.uid, &mut changes);
        self.changed(now, changes);
    }
}

/// How long, milliseconds, the flow rests whose request was refused with `status`.
fn pause_ms(status: &ApiStatus) -> Option<u64> {
    match status.retry_after_ms {
        Some(wait_ms) => Some(wait_ms.min(MAX_PAUSE_MS)),
        None => (status.code == 429).then_some(DEFAULT_PAUSE_MS),
    }
}

/// Whether an object that is about to go is still there.
fn is_kept(metadata: &ObjectMeta) -> bool {
    metadata.is_terminating() && !is_ended(metadata)
}

/// Whether nothing keeps an object any more that is about to go: the server removes it with the same write.
fn is_ended(metadata: &ObjectMeta) -> bool {
    metadata.is_terminating()
        && metadata.finalizers.is_empty()
        && metadata.deletion_grace_period_seconds.unwrap_or(0) == 0
}

fn live_owner(uid: &Uid, found: Option<&Object>) -> LiveOwner {
    match found {
        Some(object) if object.metadata().uid == *uid => {
            if object.metadata().is_terminating() {
                LiveOwner::Terminating
            } else {
                LiveOwner::Alive
            }
        }
        Some(_) | None => LiveOwner::Gone,
    }
}

/// Whether a text may be the name of a Job, and so a segment of a path (a DNS subdomain, RFC 1123).
fn is_object_name(name: &str) -> bool {
    let is_inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    name.bytes().all(is_inner) && name.bytes().any(|byte| byte != b'.')
}

fn target_of(operation: &Operation) -> (Kind, Name) {
    match operation {
        Operation::CreatePod(manifest) => (Kind::Pod, Name::of(&manifest.metadata)),
        Operation::UntrackPod { pod, .. }
        | Operation::AdoptPod { pod, .. }
        | Operation::ReleasePod { pod, .. }
        | Operation::DeletePod(pod) => {
            (Kind::Pod, Name { namespace: pod.namespace.clone(), name: pod.name.clone() })
        }
        Operation::WriteJobStatus(job) => (Kind::Job, Name::of(&job.metadata)),
        Operation::CreateJob(manifest) => (Kind::Job, Name::of(&manifest.metadata)),
        Operation::WriteCronJobStatus(cron_job) => (Kind::CronJob, Name::of(&cron_job.metadata)),
        Operation::DaemonSet(operation) => operation.target(),
        Operation::DeleteJob { job, .. } => {
            (Kind::Job, Name { namespace: job.namespace.clone(), name: job.name.clone() })
        }
        Operation::Get { kind, namespace, name } => {
            (*kind, Name { namespace: namespace.clone(), name: name.clone() })
        }
        Operation::RecordEvent(event) => (
            event.kind,
            Name { namespace: event.regarding.namespace.clone(), name: event.regarding.name.clone() },
        ),
    }
}
