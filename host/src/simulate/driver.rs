//! Runs the state machine on the sandbox in virtual time, without faults.
//!
//! Requests take [`REQUEST_MS`], watches deliver [`WATCH_MS`] after the commit; between two instants at which
//! something is due, time jumps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use windlass_core::kube::{Kind, Object, ResourceVersion, Str, Time};
use windlass_sandbox::cluster::Cluster;
use windlass_sandbox::{Actor, ListOptions};

use super::adapter;
use crate::Now;
use crate::controller::{Command, Config, Controller, Lane, Notice, Run};
use crate::engine::Engine;
use crate::plugin::LogLine;
use crate::plugin::decision::Decision;
use crate::plugin::report::Reports;
use crate::plugin::set::{Call, PolicySet};
use crate::request::{Flow, Operation, RequestId, Term};
use crate::watch::{StreamId, WatchBody, WatchCommand, WatchEnd, WatchEvent};

/// Time from sending a request to its answer, milliseconds (measured on an idle server: 2 to 3 ms).
pub const REQUEST_MS: u64 = 2;
/// Time from a commit to its delivery by a watch, milliseconds.
pub const WATCH_MS: u64 = 1;
/// Who acts, in the sandbox's history.
pub const ACTOR: Actor = Actor("windlass");

/// How far a simulation has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Virtual time since the start, milliseconds.
    pub virtual_ms: u64,
    /// Steps so far: inputs that the state machine handled.
    pub steps: u64,
    /// Requests by what they were, such as `create pods`.
    pub requests: BTreeMap<&'static str, u64>,
    /// Whether nothing more will happen.
    pub at_rest: bool,
}

/// What plugins did, by the name of the plugin and what it decided.
pub type PluginCalls = BTreeMap<(Str, Decision), PluginTally>;

/// What one plugin did about one decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginTally {
    /// How often it was asked.
    pub calls: u64,
    /// How often its answers were used.
    pub answered: u64,
    /// How often they were not, by why.
    pub faults: BTreeMap<&'static str, u64>,
    /// Fuel that the calls took, where fuel is the budget.
    pub fuel: u64,
    /// What it said, with the virtual time in milliseconds, the oldest first; only so much is kept.
    pub log: Vec<(u64, LogLine)>,
}

/// Most lines that are kept of what one plugin says.
const MAX_KEPT_LOG: usize = 1_000;

/// The state machine on a sandbox.
pub struct Driver {
    cluster: Cluster,
    controller: Controller,
    engine: Arc<dyn Engine>,
    watches: BTreeMap<Kind, Following>,
    answers: BTreeMap<(u64, RequestId), Operation>,
    in_flight: BTreeMap<Flow, usize>,
    lists: Vec<(u64, Kind, StreamId)>,
    notices: Vec<Notice>,
    plugin_calls: PluginCalls,
    /// Who hears of the answers of plugins.
    reports: Option<Arc<Mutex<Reports>>>,
    progress: Progress,
}

/// A watch: the stream, and how far it has delivered.
#[derive(Clone, Copy, Debug)]
struct Following {
    stream: StreamId,
    delivered: ResourceVersion,
}

impl Driver {
    /// A state machine that leads on `cluster` and runs the core by `engine`.
    #[must_use]
    pub fn new(cluster: Cluster, engine: Arc<dyn Engine>, config: Config) -> Self {
        let mut driver = Self {
            cluster,
            controller: Controller::new(config),
            engine,
            watches: BTreeMap::new(),
            answers: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            lists: Vec::new(),
            notices: Vec::new(),
            plugin_calls: PluginCalls::new(),
            reports: None,
            progress: Progress::default(),
        };
        let now = driver.now();
        driver.controller.handle_command(now, Command::Lead(Term(1)));
        driver
    }

    /// Lets `policies` decide from now on.
    pub fn set_policies(&mut self, policies: Arc<PolicySet>) {
        let now = self.now();
        self.controller.handle_command(now, Command::Policies(policies));
    }

    /// Lets `reports` hear of the answers of plugins.
    pub fn set_reports(&mut self, reports: Arc<Mutex<Reports>>) {
        self.reports = Some(reports);
    }

    /// What each plugin did so far.
    #[must_use]
    pub fn plugin_calls(&self) -> &PluginCalls {
        &self.plugin_calls
    }

    /// The cluster, for readers and for whoever changes it from outside.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What the state machine had to tell since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// How far the simulation has got.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Goes on until nothing more will happen or virtual time reaches `until_ms`; `report` hears of every
    /// instant at which something happened.
    pub fn run_until(&mut self, until_ms: u64, report: &mut dyn FnMut(&Progress, &Cluster)) {
        loop {
            self.settle_instant();
            report(&self.progress, &self.cluster);
            let Some(next) = self.next_instant() else {
                self.progress.at_rest = true;
                return;
            };
            if next > until_ms {
                self.go_to(until_ms);
                return;
            }
            self.go_to(next);
        }
    }

    /// Lets time pass to `instant`, milliseconds from the start, though nothing will happen by then.
    pub fn rest_until(&mut self, instant: u64) {
        if instant > self.progress.virtual_ms {
            self.go_to(instant);
        }
        self.progress.at_rest = false;
    }

    /// Does all that is due now, outputs of the state machine included.
    fn settle_instant(&mut self) {
        let now = self.now();
        while let Some(command) = self.controller.poll_watch() {
            self.obey(now, command);
        }
        while let Some(run) = self.next_run(now).map(Run::asked) {
            let plan = self.engine.reconcile(&run.snapshot, &run.policy);
            self.controller.handle_run(now, run.id, plan);
        }
        for flow in Flow::ALL {
            while self.in_flight.get(&flow).copied().unwrap_or(0) < flow.limit() {
                let Some(request) = self.controller.poll_request(now, flow) else { break };
                *self.in_flight.entry(flow).or_default() += 1;
                *self.progress.requests.entry(request.operation.describe()).or_default() += 1;
                self.answers.insert((now.monotonic_ms + REQUEST_MS, request.id), request.operation);
            }
        }
        while let Some(notice) = self.controller.poll_notice() {
            if let Some(reports) = &self.reports {
                let now = Time::from_unix_ms(now.unix_ms);
                reports.lock().unwrap_or_else(PoisonError::into_inner).notice(now, &notice);
            }
            match notice {
                Notice::PolicyAsked { call, .. } => self.tally(*call),
                notice => self.notices.push(notice),
            }
        }
        self.progress.steps = self.controller.stats().inputs;
    }

    fn next_run(&mut self, now: Now) -> Option<Run> {
        Lane::ALL.into_iter().find_map(|lane| self.controller.poll_run(now, lane))
    }

    fn tally(&mut self, call: Call) {
        let tally = self.plugin_calls.entry((call.plugin, call.decision)).or_default();
        tally.calls += 1;
        match call.fault {
            None => tally.answered += 1,
            Some(fault) => *tally.faults.entry(fault.category()).or_default() += 1,
        }
        tally.fuel = tally.fuel.saturating_add(call.cost.fuel.unwrap_or(0));
        let room = MAX_KEPT_LOG.saturating_sub(tally.log.len());
        let now_ms = self.progress.virtual_ms;
        tally.log.extend(call.log.into_iter().take(room).map(|line| (now_ms, line)));
    }

    fn next_instant(&self) -> Option<u64> {
        let now = self.progress.virtual_ms;
        let answers = self.answers.first_key_value().map(|((due, _), _)| *due);
        let lists = self.lists.iter().map(|(due, _, _)| *due).min();
        let revision = self.cluster.store().revision();
        let behind = self.watches.iter().any(|(kind, following)| {
            following.delivered < revision
                && self
                    .cluster
                    .store()
                    .events_after(*kind, following.delivered)
                    .is_ok_and(|mut e| e.next().is_some())
        });
        let watches = behind.then_some(now + WATCH_MS);
        let machine = self.controller.poll_timeout().map(|due| due.max(now + 1));
        [answers, lists, watches, machine, self.cluster.next_wake()].into_iter().flatten().min()
    }

    fn go_to(&mut self, instant: u64) {
        self.cluster.advance(instant);
        self.progress.virtual_ms = instant;
        let now = self.now();
        self.answer_due(now);
        self.list_due(now);
        self.deliver(now);
        self.controller.handle_timeout(now);
    }

    fn answer_due(&mut self, now: Now) {
        while let Some(entry) = self.answers.first_entry()
            && entry.key().0 <= now.monotonic_ms
        {
            let (_, id) = *entry.key();
            let operation = entry.remove();
            let outcome =
                self.cluster.request(now.monotonic_ms, |store| adapter::perform(store, ACTOR, &operation));
            let flow = match operation {
                Operation::Get { .. } => Flow::Read,
                Operation::RecordEvent(_) => Flow::Event,
                _ => Flow::Write,
            };
            self.in_flight.entry(flow).and_modify(|count| *count = count.saturating_sub(1));
            self.controller.handle_answer(now, id, outcome);
        }
    }

    fn obey(&mut self, now: Now, command: WatchCommand) {
        match command {
            WatchCommand::List { kind, stream } => {
                self.watches.remove(&kind);
                self.lists.push((now.monotonic_ms + REQUEST_MS, kind, stream));
            }
            WatchCommand::Watch { kind, stream, from } => {
                self.watches.insert(kind, Following { stream, delivered: from });
            }
            WatchCommand::Stop { kind } => {
                self.watches.remove(&kind);
            }
        }
    }

    fn list_due(&mut self, now: Now) {
        let due: Vec<_> = self.lists.extract_if(.., |(due, _, _)| *due <= now.monotonic_ms).collect();
        for (_, kind, stream) in due {
            let body = match self.cluster.store().list(kind, &ListOptions::default()) {
                Ok(page) => {
                    let body = WatchBody::Page(page.items);
                    self.controller.handle_watch(now, WatchEvent { kind, stream, body });
                    WatchBody::ListDone(page.revision)
                }
                Err(status) => WatchBody::Ended(WatchEnd::Refused(status)),
            };
            self.controller.handle_watch(now, WatchEvent { kind, stream, body });
        }
    }

    fn deliver(&mut self, now: Now) {
        let revision = self.cluster.store().revision();
        let following: Vec<(Kind, Following)> = self.watches.iter().map(|(kind, f)| (*kind, *f)).collect();
        for (kind, Following { stream, delivered }) in following {
            if delivered >= revision {
                continue;
            }
            let events: Result<Vec<WatchBody>, _> = self
                .cluster
                .store()
                .events_after(kind, delivered)
                .map(|events| events.map(adapter::watch_body).collect());
            let bodies = events.unwrap_or_else(|status| vec![WatchBody::Ended(WatchEnd::Refused(status))]);
            for body in bodies {
                self.controller.handle_watch(now, WatchEvent { kind, stream, body });
            }
            if let Some(following) = self.watches.get_mut(&kind) {
                following.delivered = revision;
            }
        }
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.progress.virtual_ms, unix_ms: self.cluster.store().unix_ms() }
    }
}

/// Jobs of a cluster that have ended, and all of them.
#[must_use]
pub fn ended_jobs(cluster: &Cluster) -> (usize, usize) {
    let jobs = cluster.store().objects(Kind::Job);
    jobs.fold((0, 0), |(ended, all), object| match object {
        Object::Job(job) if job.is_finished() => (ended + 1, all + 1),
        Object::CronJob(_)
        | Object::Job(_)
        | Object::Pod(_)
        | Object::Node(_)
        | Object::DaemonSet(_)
        | Object::ControllerRevision(_) => (ended, all + 1),
    })
}
