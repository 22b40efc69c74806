//! Predicates that must hold whatever goes wrong, judged from the history of commits, from the requests that
//! were sent, and from what each process could see: never from the machine's own memory.
//!
//! Their names are those of the project's list of invariants: C for every controller, J for Jobs, K for CronJobs, D for
//! DaemonSets, A for admission, P for policy plugins, V for what must happen in the end. One file a group.

mod backoff;
mod counting;
mod creation;
mod cron;
mod cron_ledger;
mod cron_rest;
mod daemon;
mod daemon_ledger;
mod daemon_rest;
mod ending;
mod honesty;
mod ledger;
mod observer;
mod ownership;
mod places;
mod plugins;
mod policy;
mod preconditions;
mod rest;
mod sight;

use std::collections::BTreeSet;

use windlass_core::kube::{Kind, Object, ResourceVersion, Str};
use windlass_core::plan::Plan;
use windlass_host::Now;
use windlass_host::controller::{Lane, Run, RunId};
use windlass_host::key::Key;
use windlass_host::request::{Operation, Outcome, Propagation, Request, RequestId};
use windlass_host::watch::{StreamId, WatchBody, WatchCommand};
use windlass_sandbox::{Commit, Store, Verb};

use super::cluster::Cluster;
use super::history::is_ours;
use super::plugins::Asked;
use super::workload::plugins::Version;
use cron_ledger::CronLedger;
use daemon_ledger::DaemonLedger;
use ledger::Ledger;
use observer::Observer;
use places::Places;
use plugins::Plugins;

/// A predicate that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the predicate.
    pub predicate: &'static str,
    /// What was seen.
    pub message: String,
    /// When, milliseconds since the start.
    pub at_ms: u64,
    /// The newest revision then.
    pub revision: ResourceVersion,
}

/// The request of ours that led to a commit.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Position of the process.
    pub process: usize,
    /// Its incarnation when it sent the request.
    pub incarnation: u32,
    /// The request.
    pub id: RequestId,
    /// What it asked for.
    pub operation: Operation,
}

/// All checkers of a run.
pub struct Checkers {
    ledger: Ledger,
    crons: CronLedger,
    sets: DaemonLedger,
    places: Places,
    /// Kinds that a process has to see.
    kinds: Vec<Kind>,
    start_unix_ms: i64,
    observers: Vec<Observer>,
    preconditions: preconditions::Preconditions,
    is_quiet: bool,
    /// Complaints that processes made at rest which were started then.
    complaints: BTreeSet<(usize, u32, Str, Str)>,
    /// Processes that were started at rest: they have yet to say what stands in the way of a CronJob.
    newcomers: BTreeSet<usize>,
    /// When a clock was set or a process started again for the last time, milliseconds.
    disturbed_ms: u64,
    /// What is known of the plugins of each process.
    plugins: Vec<Plugins>,
    /// When other plugins were loaded for the last time, milliseconds.
    swapped_ms: u64,
}

impl Violation {
    /// A violation of `predicate`; when it was is filled in by whoever runs the checkers.
    #[must_use]
    pub fn new(predicate: &'static str, message: String) -> Self {
        Self { predicate, message, at_ms: 0, revision: ResourceVersion(0) }
    }
}

impl Checkers {
    /// Checkers of a run with so many processes that begins at `start_unix_ms`; they have to see these kinds.
    #[must_use]
    pub fn new(processes: usize, start_unix_ms: i64, kinds: &[Kind]) -> Self {
        Self {
            start_unix_ms,
            ledger: Ledger::default(),
            crons: CronLedger::default(),
            sets: DaemonLedger::default(),
            places: Places::default(),
            kinds: kinds.to_vec(),
            observers: (0..processes).map(|_| Observer::of_kinds(kinds)).collect(),
            preconditions: preconditions::Preconditions::default(),
            is_quiet: false,
            complaints: BTreeSet::new(),
            newcomers: BTreeSet::new(),
            disturbed_ms: 0,
            plugins: (0..processes).map(|_| Plugins::default()).collect(),
            swapped_ms: 0,
        }
    }

    /// A process starts with an empty memory.
    pub fn started(&mut self, process: usize) {
        self.observers[process] = Observer::of_kinds(&self.kinds);
        self.plugins[process] = Plugins::default();
        if self.is_quiet {
            self.newcomers.insert(process);
        }
    }

    /// A process may act from now on.
    pub fn leads(&mut self, process: usize, incarnation: u32) {
        let identity = (process, incarnation);
        self.plugins[process].forget_runs();
        self.observers[process] = Observer { is_leading: true, identity, ..Observer::of_kinds(&self.kinds) };
    }

    /// A process may not act any more.
    pub fn follows(&mut self, process: usize) {
        self.plugins[process].forget_runs();
        self.observers[process] = Observer::of_kinds(&self.kinds);
    }

    /// A process is told to end.
    pub fn stops(&mut self, process: usize) {
        self.observers[process].is_stopping = true;
    }

    /// A process that was told to end exits.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn exits(&self, process: usize) -> Result<(), Violation> {
        let in_flight = self.observers[process].in_flight.len();
        if in_flight == 0 {
            return Ok(());
        }
        Err(Violation::new("L1", format!("the process exits while {in_flight} writes of it are in flight")))
    }

    /// A process was told to list or watch.
    pub fn watch_command(&mut self, process: usize, command: WatchCommand) {
        self.observers[process].view.command(command);
    }

    /// A process hears from a list or watch.
    pub fn hears(&mut self, process: usize, kind: Kind, stream: StreamId, body: &WatchBody, now: Now) {
        self.observers[process].view.look_at_clock(now.unix_ms.div_euclid(1_000));
        self.observers[process].view.hears(kind, stream, body);
    }

    /// A process is told to let these plugins decide.
    pub fn swapped(&mut self, process: usize, set: &[Version], now_ms: u64) {
        self.plugins[process].swapped(set);
        self.swapped_ms = now_ms;
    }

    /// A process takes a key out of a lane.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn begins(&mut self, process: usize, run: &Run, lane: Lane, now_ms: u64) -> Result<(), Violation> {
        self.plugins[process].begins(&self.observers[process], (run, lane), now_ms)
    }

    /// The core asked all this in a run.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn asked(&mut self, process: usize, run: &Run, now: Now, asked: &[Asked]) -> Result<(), Violation> {
        self.plugins[process].asked(run, now.unix_ms.div_euclid(1_000), asked)
    }

    /// A process takes up a key; `plan` is what the core makes of it, having been told all this.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn runs(
        &mut self,
        process: usize,
        run: &Run,
        (plan, asked): (Option<&Plan>, &[Asked]),
    ) -> Result<(), Violation> {
        let observer = &mut self.observers[process];
        sight::runs(observer, run)?;
        cron::runs(observer, run, (plan, asked))?;
        daemon::runs(observer, run, plan)?;
        creation::runs(observer, run, plan);
        honesty::runs(observer, run, plan);
        backoff::runs(observer, run, (plan, asked), &self.ledger)
    }

    /// A process has a plan.
    pub fn run_ended(&mut self, process: usize, run: RunId, now_ms: u64) {
        self.plugins[process].ended(run, now_ms);
        self.observers[process].running.remove(&run);
    }

    /// A process sends a request; `key` is what it says that it is for.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn sends(
        &mut self,
        process: usize,
        request: &Request,
        key: Option<&Key>,
        now_ms: u64,
    ) -> Result<(), Violation> {
        let observer = &mut self.observers[process];
        observer.keys.extend(key.map(|key| (request.id, key.clone())));
        sight::sends(observer, request, (&self.ledger, &self.sets), now_ms)?;
        creation::sends(observer, request)?;
        cron::sends(observer, request)?;
        daemon::sends(observer, request)?;
        if let Operation::CreateJob(manifest) = &request.operation {
            let reached = cron::reached(observer, manifest);
            self.crons.sends(observer.identity, request.id, now_ms, reached);
        }
        honesty::sends(observer, request)
    }

    /// A process hears how a request ended.
    pub fn answered(&mut self, process: usize, request: &Request, outcome: &Outcome, now: Now) {
        self.observers[process].view.look_at_clock(now.unix_ms.div_euclid(1_000));
        self.observers[process].answered(request, outcome, now.monotonic_ms);
    }

    /// The server has made something of a request of ours.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn served(&self, operation: &Operation, outcome: &Outcome) -> Result<(), Violation> {
        honesty::served(operation, outcome)
    }

    /// Something was committed.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn commit(&mut self, commit: &Commit, cause: Option<&Cause>) -> Result<(), Violation> {
        let mut result = Ok(());
        if is_ours(commit) {
            result = self.own_commit(commit, cause);
        }
        let is_late = cause.is_some_and(|cause| self.is_late(cause));
        let placed = self.places.add(commit, is_late);
        self.ledger.add(commit);
        self.crons.add(commit, cause);
        self.sets.add(commit);
        result.and(placed)
    }

    /// Whether a request arrives whose sender is gone, or has given it up.
    fn is_late(&self, cause: &Cause) -> bool {
        let Some(observer) = self.observers.get(cause.process) else { return true };
        observer.identity != (cause.process, cause.incarnation) || !observer.in_flight.contains_key(&cause.id)
    }

    /// The clock of a process was set, or one was started again.
    pub fn disturbed(&mut self, now_ms: u64) {
        self.disturbed_ms = now_ms;
    }

    /// Nothing more is to happen; after `calm_ms` no fault struck.
    ///
    /// # Errors
    /// The predicate that does not hold.
    pub fn at_rest(&self, store: &Store, cluster: &Cluster, calm_ms: u64) -> Result<(), Violation> {
        rest::check(store, cluster, &self.ledger)?;
        daemon_rest::check(store)?;
        let calm_ms = calm_ms.max(self.disturbed_ms);
        cron_rest::check(store, cluster, &self.crons, (calm_ms, self.swapped_ms))
    }

    /// Whether any further write of ours is one too many.
    pub fn expect_quiet(&mut self, is_quiet: bool) {
        self.is_quiet = is_quiet;
    }

    /// Whether this is an Event in which a process that was started at rest says, once, what stands in the way of a
    /// CronJob, or of a plugin.
    fn may_complain(&mut self, cause: Option<&Cause>) -> bool {
        let Some(Cause { process, incarnation, operation: Operation::RecordEvent(event), .. }) = cause else {
            return false;
        };
        let text = (event.reason.clone(), Str::from(format!("{} {}", event.regarding.uid, event.message)));
        self.newcomers.contains(process)
            && (event.kind == Kind::CronJob || &*event.reason == "PolicyFailed")
            && self.complaints.insert((*process, *incarnation, text.0, text.1))
    }

    /// The wall clock at an instant of the run, milliseconds since the Unix epoch.
    fn unix_ms(&self, ms: u64) -> i64 {
        self.start_unix_ms.saturating_add_unsigned(ms)
    }

    fn own_commit(&mut self, commit: &Commit, cause: Option<&Cause>) -> Result<(), Violation> {
        if self.is_quiet && !self.may_complain(cause) {
            let object = commit.after.as_ref().or(commit.before.as_ref()).map(super::history::sketch);
            return Err(Violation::new(
                "C9",
                format!("at rest, and yet a write: {:?} of {object:?}", commit.verb),
            ));
        }
        ownership::check(commit, &self.ledger, &self.crons, &self.sets)?;
        self.crons.check(commit, cause)?;
        self.preconditions.check(commit, cause, &self.ledger)?;
        if let (Some(Object::Job(before)), Some(Object::Job(after))) = (&commit.before, &commit.after) {
            ending::check(before, after, self.unix_ms(commit.time_ms), &self.ledger)?;
            let author = cause.map(|cause| (cause.process, cause.incarnation, cause.id));
            counting::check_status(before, after, author, &mut self.ledger)?;
        }
        if let (Some(Object::DaemonSet(before)), Some(Object::DaemonSet(after))) =
            (&commit.before, &commit.after)
        {
            DaemonLedger::check_status(before, after)?;
        }
        if let (Some(Object::Job(before)), Verb::Delete) = (&commit.before, commit.verb) {
            // Whose time is not over may go for its CronJob's sake: see K8.
            let is_for_cron_job = cause.is_some_and(|cause| {
                matches!(cause.operation, Operation::DeleteJob { pods: Propagation::Background, .. })
            });
            if !is_for_cron_job {
                ending::check_deletion(before, self.unix_ms(commit.time_ms))?;
            }
        }
        if let Some(Object::Pod(before)) = &commit.before {
            let after = match &commit.after {
                Some(Object::Pod(after)) => Some(after),
                _ => None,
            };
            counting::check_pod(before, after, &self.ledger)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} does not hold at {} ms, revision {}: {}",
            self.predicate, self.at_ms, self.revision, self.message
        )
    }
}
