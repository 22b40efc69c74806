//! The state machine that ties cache, queue, engine and executor together, without I/O.
//!
//! Inputs are values: watch events, finished runs, answers, commands, time. Outputs are values that a driver
//! pulls while it has a free slot: runs, requests, watch commands, notices, the next wake-up. The same
//! machine runs in production, in `windlass simulate`, and under every fault of the simulator.
//!
//! A key is busy from the moment its snapshot is taken until every step of its plan has settled; so no two
//! reconciles of a key overlap, and each sees all that this process had acknowledged before.

mod admission;
mod answers;
mod attention;
mod correlate;
mod daemon_sets;
mod enqueue;
mod events;
mod failures;
mod hold;
mod notice;
mod pace;
mod plans;
mod policies;
mod report;
mod runs;
#[cfg(test)]
mod tests;
mod wall_clock;
mod watches;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use windlass_core::kube::Kind;
use windlass_core::policy::BuiltIn;
use windlass_core::view::{CronJobFlags, DaemonSetFlags, JobFlags};

use crate::Now;
use crate::apply::{Execution, SyncStart};
use crate::cache::{Cache, Change};
use crate::engine::{SharedPolicy, Snapshot};
use crate::key::{Key, Name};
use crate::plugin::set::{BoundPolicy, PolicySet};
use crate::queue::Queue;
use crate::request::{Flow, Operation, Request, RequestId, Term};
use crate::snapshot::{Carried, Gathered};
use crate::watch::WatchCommand;

pub use admission::StartQuestion;
use admission::{Admissions, Asked};
use answers::{Pending, ReadDue};
use attention::Attention;
use events::Events;
pub use events::{EventLoss, MAX_PENDING_EVENTS};
use failures::Failures;
pub use notice::{JobSync, MAX_NOTICES, Notice};
use pace::Pace;
use policies::Policies;
use wall_clock::WallClock;
use watches::Watches;

/// Most runs of a key in a row that end in a stale view before its backoff sets in.
pub const MAX_STALE_RUNS: u32 = 8;

/// Settings of the state machine.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Which controllers run.
    pub controllers: Controllers,
    /// What the Job logic reads.
    pub job: JobFlags,
    /// What the CronJob logic reads.
    pub cron_job: CronJobFlags,
    /// What the DaemonSet logic reads.
    pub daemon_set: DaemonSetFlags,
    /// Seed of the jitter in retries.
    pub seed: u64,
}

/// The controllers that run in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controllers {
    /// Jobs, their Pods, and their time to live.
    pub job: bool,
    /// CronJobs.
    pub cron_job: bool,
    /// DaemonSets, their Pods and revisions.
    pub daemon_set: bool,
}

impl Default for Controllers {
    /// Jobs and CronJobs: DaemonSets are run where they are asked for.
    fn default() -> Self {
        Self { job: true, cron_job: true, daemon_set: false }
    }
}

impl Controllers {
    /// All of them.
    pub const ALL: Self = Self { job: true, cron_job: true, daemon_set: true };

    /// The kinds that they have to see.
    #[must_use]
    pub fn kinds(self) -> Vec<Kind> {
        let is_needed = |kind: &Kind| match kind {
            Kind::CronJob => self.cron_job,
            Kind::Job => self.job || self.cron_job,
            Kind::Pod => self.job || self.daemon_set,
            Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => self.daemon_set,
        };
        Kind::ALL.into_iter().filter(is_needed).collect()
    }
}

/// Identity of one run of the core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// A run of the core that is due; it owns what it needs, so that a worker borrows nothing.
#[derive(Clone)]
pub struct Run {
    /// Identity, for the result.
    pub id: RunId,
    /// Key that is reconciled.
    pub key: Key,
    /// What reconcile sees, once [`Run::asked`] has the answer about a start.
    pub snapshot: Arc<Snapshot>,
    /// Who answers the core's questions.
    pub policy: SharedPolicy,
    /// What is to be asked before the Job starts; until then its snapshot says that it waits.
    pub start: Option<StartQuestion>,
}

/// Which keys a worker takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Keys without plugins.
    #[default]
    BuiltIn,
    /// Keys of objects that are bound to plugins, whose runs take as long as plugins do.
    Plugins,
}

impl Lane {
    /// Every lane, in the order in which they are to be asked: the first one finds what belongs to the second.
    pub const ALL: [Self; 2] = [Self::BuiltIn, Self::Plugins];
}

/// An order from outside.
#[derive(Clone)]
pub enum Command {
    /// This process may act from now on: everything is listed anew before anything is written.
    Lead(Term),
    /// This process may not act any more.
    Follow,
    /// Let these plugins decide from the next key on.
    Policies(Arc<PolicySet>),
    /// Take no more keys and send no more writes; what is in flight is awaited.
    Shutdown,
}

/// Numbers since the start, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Inputs handled.
    pub inputs: u64,
    /// Runs handed out.
    pub runs: u64,
    /// Requests handed out.
    pub requests: u64,
    /// Events that are not recorded, by why.
    pub events_lost: BTreeMap<EventLoss, u64>,
    /// Pods that were seen to have ended with the tracking finalizer on, and those that were seen without it since.
    pub held_pods_added: u64,
    /// See [`Stats::held_pods_added`].
    pub held_pods_deleted: u64,
    /// Times that a Job was passed over because its Pods might be older than itself.
    pub held_runs: u64,
    /// Notices that were dropped because nobody took them in time.
    pub notices_dropped: u64,
    /// Plans that the check refused, and runs that the engine did not finish.
    pub core_faults: u64,
}

/// The state machine.
pub struct Controller {
    config: Config,
    cache: Cache,
    queue: Queue,
    watches: Watches,
    built_in: SharedPolicy,
    policies: Policies,
    admissions: Admissions,
    failures: Failures,
    leading: Option<Term>,
    shutting_down: bool,
    carried: BTreeMap<Key, KeyState>,
    /// How each Job and DaemonSet went so far, for when and how much is done for it.
    paces: BTreeMap<Key, Pace>,
    /// Which nodes of each DaemonSet its next snapshot shows.
    attention: BTreeMap<Name, Attention>,
    running: BTreeMap<RunId, RunningKey>,
    executing: BTreeMap<Key, Execution>,
    turn: VecDeque<Key>,
    pending: BTreeMap<RequestId, Pending>,
    held: BTreeMap<Key, u64>,
    /// When CronJobs were seen to get another schedule or zone, seconds since the Unix epoch.
    rescheduled: BTreeMap<Name, i64>,
    wall_clock: WallClock,
    reads: VecDeque<ReadDue>,
    reads_later: BTreeMap<(u64, u64), ReadDue>,
    events: Events,
    paused: BTreeMap<Flow, u64>,
    notices: VecDeque<Notice>,
    stats: Stats,
    sequence: u64,
}

#[derive(Debug, Default, PartialEq)]
struct KeyState {
    carried: Carried,
    stale_runs: u32,
}

struct RunningKey {
    key: Key,
    term: Term,
    gathered: Gathered,
    superseded: bool,
    sync: Option<SyncStart>,
    /// Who answers the core's questions, where plugins are bound to the object.
    bound: Option<Arc<BoundPolicy>>,
    /// What was asked about the Job's start, until there is an answer.
    asked: Option<Asked>,
}

impl Controller {
    /// A machine that waits for a [`Command::Lead`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let built_in = BuiltIn {
            backoff_base_ms: config.job.backoff_base_ms,
            backoff_max_ms: config.job.backoff_max_ms,
        };
        Self {
            watches: Watches::new(config.controllers.kinds(), config.seed),
            config,
            cache: Cache::default(),
            queue: Queue::default(),
            built_in: Arc::new(built_in),
            policies: Policies::default(),
            admissions: Admissions::default(),
            failures: Failures::default(),
            leading: None,
            shutting_down: false,
            carried: BTreeMap::new(),
            paces: BTreeMap::new(),
            attention: BTreeMap::new(),
            running: BTreeMap::new(),
            executing: BTreeMap::new(),
            turn: VecDeque::new(),
            pending: BTreeMap::new(),
            held: BTreeMap::new(),
            rescheduled: BTreeMap::new(),
            wall_clock: WallClock::default(),
            reads: VecDeque::new(),
            reads_later: BTreeMap::new(),
            events: Events::default(),
            paused: BTreeMap::new(),
            notices: VecDeque::new(),
            stats: Stats::default(),
            sequence: 0,
        }
    }

    /// Takes in an order.
    pub fn handle_command(&mut self, now: Now, command: Command) {
        self.stats.inputs += 1;
        match command {
            Command::Lead(term) => {
                self.follow();
                self.leading = Some(term);
                self.watches.restart();
            }
            Command::Follow => self.follow(),
            Command::Policies(set) => self.take_policies(now, set),
            Command::Shutdown => {
                self.shutting_down = true;
                self.queue.clear();
                self.leave_plugin_lane();
                self.drop_unsent(now);
                self.drop_late_events();
            }
        }
    }

    /// Notes that time has passed; what became due is pulled by the polls.
    pub fn handle_timeout(&mut self, now: Now) {
        self.stats.inputs += 1;
        self.resume_watches(now);
        for key in self.wall_clock.due(now) {
            self.queue.wake(&key, now.monotonic_ms);
        }
        self.paused.retain(|_, until| *until > now.monotonic_ms);
        self.events.resume(now);
        while let Some(entry) = self.reads_later.first_entry()
            && entry.key().0 <= now.monotonic_ms
        {
            self.reads.push_back(entry.remove());
        }
    }

    /// The next request of `flow` that is due.
    pub fn poll_request(&mut self, now: Now, flow: Flow) -> Option<Request> {
        let term = self.leading?;
        if self.paused.get(&flow).is_some_and(|until| *until > now.monotonic_ms) {
            return None;
        }
        let (pending, operation) = match flow {
            Flow::Read => {
                let read = self.reads.pop_front()?;
                let operation = read.operation();
                (Pending::Read(read), operation)
            }
            Flow::Write => self.next_write(now)?,
            Flow::Event => {
                let waiting = self.events.pop()?;
                let operation = Operation::RecordEvent(waiting.event.clone());
                (Pending::Event(waiting), operation)
            }
        };
        self.sequence += 1;
        let id = RequestId(self.sequence);
        self.stats.requests += 1;
        self.pending.insert(id, pending);
        Some(Request { id, flow, term, operation })
    }

    /// The next order for a lister or watcher.
    pub fn poll_watch(&mut self) -> Option<WatchCommand> {
        self.watches.poll_command()
    }

    /// The next notice, oldest first.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Monotonic instant, milliseconds, at which [`Controller::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let keys =
            if self.leading.is_some() && self.watches.are_synced() { self.queue.next_due() } else { None };
        let reads = self.reads_later.first_key_value().map(|((due, _), _)| *due);
        let pauses = self.paused.values().copied();
        [keys, reads, self.events.next_due(), self.watches.next_due(), self.wall_clock.next_look()]
            .into_iter()
            .flatten()
            .chain(pauses)
            .min()
    }

    /// Whether every cache holds a list that was begun in this term.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.leading.is_some() && self.watches.are_synced()
    }

    /// Whether nothing runs, nothing is in flight, and no Event waits.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.running.is_empty()
            && self.executing.is_empty()
            && self.pending.is_empty()
            && self.events.is_empty()
    }

    /// The cache, for readers.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The workqueue, for readers.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Numbers since the start.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Ends the term: nothing more of it is sent, and nothing of the cache is trusted.
    fn follow(&mut self) {
        self.leading = None;
        self.carried.clear();
        self.paces.clear();
        self.attention.clear();
        self.turn.clear();
        self.executing.clear();
        self.running.clear();
        self.policies.follow();
        self.admissions = Admissions::default();
        self.failures = Failures::default();
        self.pending.clear();
        self.held.clear();
        self.rescheduled.clear();
        self.wall_clock = WallClock::default();
        self.reads.clear();
        self.reads_later.clear();
        self.events = Events::default();
        self.paused.clear();
        self.queue.reset();
        self.cache = Cache::default();
        self.watches.stop();
    }

    fn drop_unsent(&mut self, now: Now) {
        let later = std::mem::take(&mut self.reads_later).into_values();
        let dropped: Vec<ReadDue> = self.reads.drain(..).chain(later).collect();
        for read in dropped {
            self.give_up_read(now, read);
        }
        let keys: Vec<Key> = self.executing.keys().cloned().collect();
        for key in keys {
            if let Some(execution) = self.executing.get_mut(&key) {
                execution.abandon();
            }
            self.finish_if_complete(now, &key);
        }
    }

    /// Takes in what a watch, a list or a read brought, which may be another's doing.
    fn noticed(&mut self, now: Now, changes: Vec<Change>) {
        for change in &changes {
            if let Change::Job { name, counts: true, .. } = change {
                self.hold_if_counted_by_another(name);
            }
        }
        self.changed(now, changes);
    }

    fn changed(&mut self, now: Now, changes: Vec<Change>) {
        for change in changes {
            self.enqueue(now, &change);
        }
    }

    fn supersede(&mut self, key: &Key) {
        if let Some(execution) = self.executing.get_mut(key) {
            execution.stop();
        }
        for run in self.running.values_mut().filter(|run| run.key == *key) {
            run.superseded = true;
        }
    }

    fn forget_job(&mut self, name: &Name) {
        self.carried.remove(&Key::Job(name.clone()));
        self.carried.remove(&Key::TimeToLive(name.clone()));
        self.paces.remove(&Key::Job(name.clone()));
        self.held.remove(&Key::Job(name.clone()));
        self.policies.forget(&Key::Job(name.clone()));
        self.supersede(&Key::Job(name.clone()));
    }

    fn forget_daemon_set(&mut self, name: &Name) {
        let key = Key::DaemonSet(name.clone());
        self.carried.remove(&key);
        self.paces.remove(&key);
        self.attention.remove(name);
        self.policies.forget(&key);
        self.supersede(&key);
    }

    fn forget_cron_job(&mut self, name: &Name) {
        let key = Key::CronJob(name.clone());
        self.carried.remove(&key);
        self.rescheduled.remove(name);
        self.policies.forget(&key);
        self.wall_clock.forget(&key);
        self.supersede(&key);
    }
}
