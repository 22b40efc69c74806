//! Carrying out a checked plan: which request is due next, and what its outcome means for the steps.
//!
//! One executor for every controller. It sends nothing itself: the state machine pulls requests from it
//! while there is room, and tells it how they ended.

mod daemon_set;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::job::action_on;
use windlass_core::kube::{
    ApiStatus, Job, Object, ObjectReference, PodFailurePolicyAction, PodPhase, PodReplacementPolicy,
    PreparedTemplate, Uid, failed_pod,
};
use windlass_core::plan::{Action, DaemonSetAction, EventRecord, Needs, Plan, Read, SyncAction};
use windlass_core::view::{OrphanOwner, OrphanSnapshot};

use crate::cache::{Cache, PodEntry};
use crate::check::CheckedPlan;
use crate::engine::Snapshot;
use crate::key::{Key, KeyKind};
use crate::request::{DaemonSetOperation, Flow, Operation, Term};
use crate::snapshot::{DaemonScene, Gathered, KnownPods, Subject};

/// Most writes of one key in flight: all that a process has.
const MAX_WRITES: usize = Flow::Write.limit();

/// A plan under way.
#[derive(Debug)]
pub struct Execution {
    /// Key that it is for.
    pub key: Key,
    /// Term in which it was planned.
    pub term: Term,
    /// The object, with the resourceVersion that the next status write needs.
    pub subject: Subject,
    /// Memo to keep if what it tells of is stored; see [`Execution::stores_memo`].
    pub memo: Vec<u8>,
    /// When the key wants to run again, milliseconds from the end of the plan.
    pub requeue_after_ms: Option<u64>,
    /// When the key wants to run again by the wall clock, milliseconds since the Unix epoch.
    pub wake_at_ms: Option<i64>,
    /// Live read that the plan asked for.
    pub read: Option<Read>,
    /// Reads that settle outcomes and are not answered yet.
    pub reads_pending: usize,
    /// Requests that changed something.
    pub writes: u64,
    /// Whether creates need not start slowly: the last ones of the Job all succeeded.
    pub start_creates_fast: bool,
    /// Why Pods are created, as upstream's metrics label it.
    pub creation: Creation,
    /// Whether the key waits for its turn to send.
    pub in_turn: bool,
    /// What the plan mainly does, as upstream's metrics label it.
    pub action: SyncAction,
    /// The sync that it belongs to, where it is one that upstream would count.
    pub sync: Option<SyncStart>,
    children: Vec<Arc<PodEntry>>,
    jobs: Vec<Arc<Job>>,
    /// Nodes, revisions and template of a DaemonSet.
    daemon: Option<DaemonScene>,
    /// Jobs that this plan created, or found created, by the position of their slot.
    created_jobs: BTreeMap<usize, Arc<Job>>,
    /// Positions of the Pods that the Job's status lists as uncounted, as far as is known; sorted.
    recorded: Vec<u32>,
    /// The same, as the snapshot showed it.
    recorded_before: Vec<u32>,
    /// Whether a status write was carried out.
    stored_status: bool,
    template: Option<PreparedTemplate>,
    steps: Vec<StepRun>,
    next_attempt: u32,
    known: KnownPods,
    /// The Job as the last status write would have it.
    written: Option<Arc<Job>>,
    /// Generation of the object that the plan was made for.
    generation: i64,
    stopped: bool,
    failure: Option<Failure>,
}

/// A sync of a Job that upstream would count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncStart {
    /// Whether the Job is Indexed.
    pub indexed: bool,
    /// When its snapshot was taken, milliseconds of the monotonic clock.
    pub began_ms: u64,
}

/// Why Pods are created (upstream: recordJobPodsCreationTotal).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Creation {
    /// None has failed or terminates.
    #[default]
    New,
    /// Some have failed or terminate.
    AfterTerminatingOrFailed,
    /// Some have failed, and a Pod is replaced only once it has.
    AfterFailed,
}

impl Creation {
    fn of(gathered: &Gathered) -> Self {
        let Some(job) = gathered.subject.job() else { return Self::New };
        let replaces_only_failed = job.spec.pod_replacement_policy == Some(PodReplacementPolicy::Failed);
        let uncounted = job.status.uncounted_terminated_pods.as_ref();
        let any =
            |is_meant: &dyn Fn(&PodEntry) -> bool| gathered.children.iter().any(|entry| is_meant(entry));
        let has_failed = job.status.failed > 0
            || uncounted.is_some_and(|uncounted| !uncounted.failed.is_empty())
            || any(&|entry| entry.pod.status.phase == PodPhase::Failed);
        let has_terminating = any(&|entry| entry.pod.metadata.is_terminating() && !entry.pod.is_terminal());
        match (has_failed, has_terminating) {
            (true, _) if replaces_only_failed => Self::AfterFailed,
            (true, _) | (_, true) => Self::AfterTerminatingOrFailed,
            (false, false) => Self::New,
        }
    }
}

/// How badly a plan failed; the greatest of its failures counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The namespace is ending: nothing is ever created in it again, so that there is nothing to try.
    NamespaceEnding,
    /// The view was stale; the cache knows better now, and the key runs again at once.
    Stale,
    /// The server refused or could not be reached; the key runs again after its backoff.
    Refused,
}

/// One request of a step, for its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Position of the step.
    pub step: usize,
    /// Position within the step.
    pub item: usize,
    /// Whether the Pod's finalizer has been removed and its deletion is meant.
    pub deleting: bool,
}

/// How one request ended, once an unknown outcome has been settled.
#[derive(Clone, Debug)]
pub enum Settled {
    /// It happened; the object as it is now, where the server told.
    Done(Option<Object>),
    /// It did not.
    Failed(Failure),
}

/// What the executor wants besides requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Record an Event on the object.
    Event(EventRecord),
    /// The Pod failure policy decided with this action what a Pod means whose finalizer goes now.
    FailureHandled(&'static str),
}

#[derive(Debug)]
struct StepRun {
    needs: Vec<(usize, Needs)>,
    action: Action,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running(Progress),
    Succeeded,
    Failed,
    Skipped,
}

/// Where a running step stands: items are sent in order, a few at a time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Progress {
    next: usize,
    in_flight: usize,
    window: usize,
    failed: bool,
    /// Items whose finalizer is off and whose deletion is due.
    to_delete: Vec<usize>,
}

impl Execution {
    /// An execution of `plan`, nothing of which has been sent.
    #[must_use]
    pub fn new(key: Key, term: Term, plan: CheckedPlan, gathered: Gathered) -> Self {
        let Plan { steps, requeue_after_ms, wake_at_ms, read, memo, action, settled: _ } = plan.into_inner();
        let creates = steps.iter().any(|step| matches!(step.action, Action::CreatePods(_)));
        let template =
            gathered.subject.job().filter(|_| creates).and_then(|job| PreparedTemplate::new(job).ok());
        let recorded = requests::recorded(&gathered);
        let creation = Creation::of(&gathered);
        let generation = gathered.subject.generation();
        let steps = steps.into_iter().map(|step| StepRun {
            needs: step.after.iter().map(|after| (after.step as usize, after.needs)).collect(),
            action: step.action,
            state: State::Waiting,
        });
        Self {
            key,
            term,
            subject: gathered.subject,
            memo,
            requeue_after_ms,
            wake_at_ms,
            read,
            reads_pending: 0,
            writes: 0,
            start_creates_fast: false,
            creation,
            in_turn: false,
            action,
            sync: None,
            children: gathered.children,
            jobs: gathered.jobs,
            daemon: gathered.daemon,
            created_jobs: BTreeMap::new(),
            recorded_before: recorded.clone(),
            recorded,
            stored_status: false,
            template,
            steps: steps.collect(),
            next_attempt: 0,
            known: gathered.known,
            written: None,
            generation,
            stopped: false,
            failure: None,
        }
    }

    /// An execution that only waits for a live read.
    #[must_use]
    pub fn waiting_for_read(key: Key, term: Term) -> Self {
        let empty = Gathered {
            snapshot: Arc::new(Snapshot::Orphan(OrphanSnapshot {
                tracked: false,
                owner: OrphanOwner::Unfinished,
            })),
            children: Vec::new(),
            jobs: Vec::new(),
            daemon: None,
            subject: Subject::Orphan,
            scope: KeyKind::OrphanPod,
            known: KnownPods::default(),
        };
        let plan = Plan { read: Some(Read::Owner), ..Plan::default() };
        Self::new(key, term, CheckedPlan::unchecked(plan), empty)
    }

    /// Jobs that the CronJob's status lists and that the snapshot has not.
    pub fn unseen_active_jobs(&self) -> impl Iterator<Item = &ObjectReference> {
        let listed = self.subject.cron_job().map(|cron_job| &cron_job.status.active).into_iter().flatten();
        let known: BTreeSet<&Uid> = self.jobs.iter().map(|job| &job.metadata.uid).collect();
        listed.filter(move |reference| !known.contains(&reference.uid))
    }

    /// Creates and deletes that were not sent are given up: the owner's spec has changed.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Nothing more is sent: the term is over.
    pub fn abandon(&mut self) {
        for step in &mut self.steps {
            let length = step.action_len();
            match &mut step.state {
                State::Waiting => step.state = State::Skipped,
                State::Running(progress) => {
                    progress.next = length;
                    progress.to_delete.clear();
                    progress.failed = true;
                }
                State::Succeeded | State::Failed | State::Skipped => {}
            }
        }
        self.fail(Failure::Refused);
        self.settle_steps();
    }

    /// The next request that is due, if there is one and room for it; `effects` gains what needs no request.
    pub fn next_request(&mut self, cache: &Cache, effects: &mut Vec<Effect>) -> Option<(Ticket, Operation)> {
        loop {
            self.start_steps(effects);
            let in_flight: usize = self.steps.iter().map(StepRun::in_flight).sum();
            if in_flight >= MAX_WRITES {
                return None;
            }
            let mut skipped = false;
            for position in 0..self.steps.len() {
                match self.next_of_step(position, cache) {
                    Next::Request(ticket, operation) => return Some((ticket, operation)),
                    Next::Skipped => skipped = true,
                    Next::Nothing => {}
                }
            }
            if !skipped {
                return None;
            }
            self.settle_steps();
        }
    }

    /// Starts what can start, so that steps without requests settle; `effects` gains what they want.
    pub fn advance(&mut self, effects: &mut Vec<Effect>) {
        self.start_steps(effects);
    }

    /// Whether every step has settled and no read is pending.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.reads_pending == 0
            && self.steps.iter().all(|step| !matches!(step.state, State::Waiting | State::Running(_)))
    }

    /// Whether the memo holds from now on: the failures that it counts are in the stored status, where the plan
    /// had one to write. Whatever else failed, a retry then waits as long as it must. A CronJob's says what people
    /// were told, which nothing takes back.
    #[must_use]
    pub fn stores_memo(&self) -> bool {
        let writes = |action: &Action| matches!(action, Action::WriteJobStatus(_));
        self.stored_status || !self.steps.iter().any(|step| writes(&step.action))
    }

    /// The worst failure so far.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Whether every Pod was created that was to be; `None` if there was none, or they are not all settled.
    #[must_use]
    pub fn creates_succeeded(&self) -> Option<bool> {
        let creates = self.steps.iter().find(|step| {
            matches!(
                step.action,
                Action::CreatePods(_) | Action::DaemonSet(DaemonSetAction::CreatePods { .. })
            )
        })?;
        match creates.state {
            State::Succeeded => Some(true),
            State::Failed => Some(false),
            State::Waiting | State::Running(_) | State::Skipped => None,
        }
    }

    /// Takes in how one request ended.
    pub fn settle(&mut self, ticket: Ticket, settled: &Settled) {
        if let Settled::Done(Some(object)) = settled {
            self.take_in(ticket, object);
        }
        if let Settled::Failed(failure) = settled {
            self.fail(*failure);
        } else {
            self.writes += 1;
        }
        let Some(step) = self.steps.get_mut(ticket.step) else { return };
        if let (Action::WriteJobStatus(status), Settled::Done(_)) = (&step.action, settled) {
            self.recorded.extend(status.uncounted.succeeded.iter().chain(&status.uncounted.failed));
            self.recorded.sort_unstable();
            self.stored_status = true;
        }
        if let (Action::WriteCronJobStatus(_), Settled::Done(_)) = (&step.action, settled) {
            self.stored_status = true;
        }
        let untracks_first = matches!(step.action, Action::DeletePods { untrack: true, .. });
        let creates = matches!(
            step.action,
            Action::CreatePods(_) | Action::DaemonSet(DaemonSetAction::CreatePods { .. })
        );
        let length = step.action_len();
        let State::Running(progress) = &mut step.state else { return };
        progress.in_flight = progress.in_flight.saturating_sub(1);
        match settled {
            Settled::Done(_) if untracks_first && !ticket.deleting => progress.to_delete.push(ticket.item),
            Settled::Done(_) => progress.window = progress.window.saturating_add(1),
            Settled::Failed(_) => {
                progress.failed = true;
                // Slow start: creates that were not sent would most likely be refused for the same reason.
                if creates {
                    progress.next = length;
                }
            }
        }
        self.settle_steps();
    }

    /// Takes in the object of an answer: the subject as it is now, or a Job that was created.
    fn take_in(&mut self, ticket: Ticket, object: &Object) {
        let creates =
            matches!(self.steps.get(ticket.step).map(|step| &step.action), Some(Action::CreateJobs(_)));
        match (object, &mut self.subject) {
            (Object::Job(created), _) if creates => {
                self.created_jobs.insert(ticket.item, created.clone());
            }
            (Object::Job(now), Subject::Job(job)) => *job = now.clone(),
            (Object::CronJob(now), Subject::CronJob(cron_job)) => *cron_job = now.clone(),
            (Object::DaemonSet(now), Subject::DaemonSet(set)) => *set = now.clone(),
            _ => {}
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure = self.failure.max(Some(failure));
    }

    /// Starts the steps whose needs are met and skips those whose needs cannot be met any more.
    fn start_steps(&mut self, effects: &mut Vec<Effect>) {
        for position in 0..self.steps.len() {
            let Some(step) = self.steps.get(position) else { return };
            if step.state != State::Waiting {
                continue;
            }
            let state = match self.readiness(&step.needs) {
                Readiness::Wait => continue,
                Readiness::Never => State::Skipped,
                Readiness::Now => self.first_state(position, effects),
            };
            if let Some(step) = self.steps.get_mut(position) {
                step.state = state;
            }
        }
        self.settle_steps();
    }

    fn first_state(&self, position: usize, effects: &mut Vec<Effect>) -> State {
        let Some(step) = self.steps.get(position) else { return State::Skipped };
        match &step.action {
            Action::RecordEvent(event) => {
                effects.push(Effect::Event(event.clone()));
                State::Succeeded
            }
            Action::WriteJobStatus(status) if self.is_current(status) => State::Succeeded,
            _ if step.action_len() == 0 => State::Succeeded,
            Action::CreatePods(_) | Action::DaemonSet(DaemonSetAction::CreatePods { .. })
                if !self.start_creates_fast =>
            {
                State::Running(Progress { window: 1, ..Progress::default() })
            }
            Action::UntrackPods(pods) => {
                self.tell_handled(pods, effects);
                State::Running(Progress { window: MAX_WRITES, ..Progress::default() })
            }
            _ => State::Running(Progress { window: MAX_WRITES, ..Progress::default() }),
        }
    }

    /// Tells of the Pods that failed and were not recorded before what the Pod failure policy made of them.
    fn tell_handled(&self, pods: &[u32], effects: &mut Vec<Effect>) {
        let policy = self.subject.job().and_then(|job| job.spec.pod_failure_policy.as_ref());
        let Some(policy) = policy else { return };
        for position in pods {
            let Some(entry) = self.children.get(*position as usize) else { continue };
            let pod = &entry.pod;
            if pod.status.phase != PodPhase::Failed || self.recorded_before.binary_search(position).is_ok() {
                continue;
            }
            let failed = failed_pod(pod, *position, policy);
            match failed.as_ref().and_then(|failed| action_on(&policy.rules, failed)) {
                Some(PodFailurePolicyAction::FailJob) => effects.push(Effect::FailureHandled("FailJob")),
                Some(PodFailurePolicyAction::FailIndex) => effects.push(Effect::FailureHandled("FailIndex")),
                Some(PodFailurePolicyAction::Ignore) => effects.push(Effect::FailureHandled("Ignore")),
                Some(PodFailurePolicyAction::Count) => effects.push(Effect::FailureHandled("Count")),
                Some(PodFailurePolicyAction::Other(_)) | None => {}
            }
        }
    }

    fn readiness(&self, needs: &[(usize, Needs)]) -> Readiness {
        let mut readiness = Readiness::Now;
        for (position, need) in needs {
            let state = self.steps.get(*position).map(|step| &step.state);
            let met = match (state, need) {
                (Some(State::Waiting | State::Running(_)), _) => {
                    readiness = Readiness::Wait;
                    continue;
                }
                (Some(State::Succeeded), Needs::Succeeded | Needs::Settled) => true,
                (Some(State::Failed | State::Skipped), Needs::Settled | Needs::Failed) => true,
                _ => false,
            };
            if !met {
                return Readiness::Never;
            }
        }
        readiness
    }

    /// Ends the running steps that have nothing left to send or to wait for.
    fn settle_steps(&mut self) {
        for step in &mut self.steps {
            let length = step.action_len();
            let State::Running(progress) = &step.state else { continue };
            if progress.in_flight == 0 && progress.next >= length && progress.to_delete.is_empty() {
                step.state = if progress.failed { State::Failed } else { State::Succeeded };
            }
        }
    }

    fn next_of_step(&mut self, position: usize, cache: &Cache) -> Next {
        let stopped = self.stopped;
        // A read that settled a write may have brought another spec than the one that the status is for.
        let outdated = self.subject.generation() != self.generation;
        let Some(step) = self.steps.get_mut(position) else { return Next::Nothing };
        let length = step.action_len();
        let must_stop = match step.action {
            Action::CreatePods(_)
            | Action::DeletePods { .. }
            | Action::CreateJobs(_)
            | Action::DeleteJobs(_) => stopped,
            Action::WriteJobStatus(_) | Action::WriteCronJobStatus(_) => outdated,
            Action::DaemonSet(ref action) => match action {
                DaemonSetAction::CreatePods { .. }
                | DaemonSetAction::DeletePods(_)
                | DaemonSetAction::CreateRevision { .. }
                | DaemonSetAction::RenumberRevision { .. } => stopped,
                DaemonSetAction::WriteStatus(_) => outdated,
                DaemonSetAction::AdoptPods(_)
                | DaemonSetAction::ReleasePods(_)
                | DaemonSetAction::RelabelPods { .. }
                | DaemonSetAction::AdoptRevisions(_)
                | DaemonSetAction::ReleaseRevisions(_)
                | DaemonSetAction::LabelRevision { .. }
                | DaemonSetAction::DeleteRevisions(_) => false,
            },
            Action::UntrackPods(_)
            | Action::AdoptPods(_)
            | Action::ReleasePods(_)
            | Action::DeleteJob
            | Action::RecordEvent(_) => false,
        };
        let State::Running(progress) = &mut step.state else { return Next::Nothing };
        if must_stop && (progress.next < length || !progress.to_delete.is_empty()) {
            progress.next = length;
            progress.to_delete.clear();
            progress.failed = true;
            self.fail(Failure::Stale);
            return Next::Skipped;
        }
        if progress.in_flight >= progress.window {
            return Next::Nothing;
        }
        let (item, deleting) = match progress.to_delete.pop() {
            Some(item) => (item, true),
            None if progress.next < length => (progress.next, false),
            None => return Next::Nothing,
        };
        if !deleting {
            progress.next += 1;
        }
        progress.in_flight += 1;
        let ticket = Ticket { step: position, item, deleting };
        match self.operation(ticket, cache) {
            Some(operation) => Next::Request(ticket, operation),
            None => {
                self.skip(ticket);
                Next::Skipped
            }
        }
    }

    /// An item that needs no request counts as done, but for a Pod that cannot be made from its template.
    fn skip(&mut self, ticket: Ticket) {
        let impossible = self.template.is_none()
            && matches!(self.steps.get(ticket.step).map(|step| &step.action), Some(Action::CreatePods(_)));
        let writes = self.writes;
        let settled = if impossible { Settled::Failed(Failure::Refused) } else { Settled::Done(None) };
        self.settle(ticket, &settled);
        self.writes = writes;
    }
}

enum Next {
    Request(Ticket, Operation),
    Skipped,
    Nothing,
}

enum Readiness {
    Now,
    Wait,
    Never,
}

impl StepRun {
    fn in_flight(&self) -> usize {
        match &self.state {
            State::Running(progress) => progress.in_flight,
            State::Waiting | State::Succeeded | State::Failed | State::Skipped => 0,
        }
    }

    fn action_len(&self) -> usize {
        match &self.action {
            Action::CreatePods(slots) => slots.len(),
            Action::DeletePods { pods, .. }
            | Action::UntrackPods(pods)
            | Action::AdoptPods(pods)
            | Action::ReleasePods(pods) => pods.len(),
            Action::CreateJobs(slots) => slots.len(),
            Action::DeleteJobs(jobs) => jobs.len(),
            Action::DaemonSet(action) => daemon_set::action_len(action),
            Action::WriteJobStatus(_)
            | Action::WriteCronJobStatus(_)
            | Action::DeleteJob
            | Action::RecordEvent(_) => 1,
        }
    }
}

/// What a refusal means for the request that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What was wanted is so already.
    AlreadySo,
    /// The view was stale, or the outcome is not known: a read settles it.
    ReadFirst,
    /// It will not happen for now.
    Refused,
}

/// What `status` means for `operation`; a server error leaves the outcome unknown.
///
/// A patch whose uid is not the object's is refused as Invalid, since the uid of an object never changes.
#[must_use]
pub fn refusal(operation: &Operation, status: &ApiStatus) -> Refusal {
    let (patches, ends) = match operation {
        Operation::UntrackPod { .. } | Operation::ReleasePod { .. } => (true, true),
        Operation::AdoptPod { .. } => (true, false),
        Operation::DeletePod(_) | Operation::DeleteJob { .. } => (false, true),
        Operation::DaemonSet(operation) => (operation.patches(), operation.ends().is_some()),
        Operation::CreatePod(_)
        | Operation::CreateJob(_)
        | Operation::WriteJobStatus(_)
        | Operation::WriteCronJobStatus(_)
        | Operation::Get { .. }
        | Operation::RecordEvent(_) => (false, false),
    };
    let creates = matches!(
        operation,
        Operation::CreatePod(_)
            | Operation::CreateJob(_)
            | Operation::DaemonSet(DaemonSetOperation::CreateRevision(_))
    );
    if status.is_not_found() && ends {
        Refusal::AlreadySo
    } else if status.code == 409
        || status.code >= 500
        || status.is_not_found() && !creates
        || status.code == 422 && patches
    {
        Refusal::ReadFirst
    } else {
        Refusal::Refused
    }
}
