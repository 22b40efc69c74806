//! The loop that owns the state machine: it moves values in and out, and decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use windlass_core::kube::{Kind, Time};
use windlass_core::plan::Plan;

use super::client::Client;
use super::clock::Clock;
use super::fault::ShellFault;
use super::health::Health;
use super::limiter::Limiter;
use super::log;
use super::policies::Policies;
use super::send::{self, Answered};
use super::watcher::{self, Outlet};
use super::workers::Workers;
use crate::Now;
use crate::controller::{Command, Controller, Lane, Run, RunId};
use crate::engine::{Engine, EngineFault};
use crate::metrics::Metrics;
use crate::plugin::report::Reports;
use crate::plugin::set::PolicySet;
use crate::request::{Flow, Request, Term};
use crate::watch::{WatchCommand, WatchEvent};

/// Inputs that wait for the driver; watchers, workers and requests wait while it is full.
const MAX_INPUTS: usize = 1_024;
/// Inputs that are taken in before outputs are pulled again.
const MAX_BATCH: usize = 256;
/// Threads that run the core for objects with plugins: a plugin that takes its time makes only others like it wait.
const PLUGIN_WORKERS: usize = 1;
/// Longest sleep, so that /livez and the gauges are never older.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long to wait for input where something is due and no slot is free for it.
const NO_SLOT_WAIT: Duration = Duration::from_millis(20);
/// How long a shutdown waits for what is in flight.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Something for the state machine.
#[derive(Debug)]
pub(super) enum Input {
    /// What a list or watch said.
    Watch(WatchEvent),
    /// What the core made of a snapshot.
    Run { id: RunId, lane: Lane, result: Result<Plan, EngineFault> },
    /// How a request ended.
    Answer(Answered),
    /// Other plugins decide from now on.
    Policies(Arc<PolicySet>),
}

/// What the driver works with.
pub(super) struct Tools {
    /// The way to the API server.
    pub(super) client: Client,
    /// Bound on requests a second, if there is one.
    pub(super) limiter: Option<Arc<Limiter>>,
    /// Where numbers go.
    pub(super) metrics: Arc<Metrics>,
    /// Where the endpoint reads how the driver is.
    pub(super) health: Arc<Health>,
    /// Where time comes from.
    pub(super) clock: Clock,
    /// Name of this process in Events.
    pub(super) instance: Arc<str>,
}

/// The loop and what it holds.
pub(super) struct Driver {
    tools: Tools,
    controller: Controller,
    workers: BTreeMap<Lane, Workers>,
    inputs: Receiver<Input>,
    sender: Sender<Input>,
    watchers: BTreeMap<Kind, AbortHandle>,
    in_flight: BTreeMap<Flow, usize>,
    running: BTreeMap<Lane, usize>,
    /// Who hears of the answers of plugins.
    reports: Option<Arc<Mutex<Reports>>>,
    drain_until_ms: Option<u64>,
}

impl Driver {
    /// A driver of `controller` with `workers` threads for the core, and one more for objects with plugins.
    pub(super) fn new(
        controller: Controller,
        engine: &Arc<dyn Engine>,
        workers: usize,
        tools: Tools,
    ) -> Result<Self, ShellFault> {
        let (sender, inputs) = channel(MAX_INPUTS);
        let number = |lane| match lane {
            Lane::BuiltIn => workers,
            Lane::Plugins => PLUGIN_WORKERS,
        };
        let start = |lane| Ok((lane, Workers::start(lane, number(lane), engine, &sender)?));
        let workers = Lane::ALL.into_iter().map(start).collect::<Result<_, ShellFault>>()?;
        Ok(Self {
            tools,
            controller,
            workers,
            inputs,
            sender,
            watchers: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            running: BTreeMap::new(),
            reports: None,
            drain_until_ms: None,
        })
    }

    /// Drives the state machine until `stop` says so and what was in flight has ended.
    ///
    /// `policies` are what looks for plugins, and those of the start.
    pub(super) async fn run(
        mut self,
        (policies, set): (Policies, Arc<PolicySet>),
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), ShellFault> {
        let now = self.tools.clock.now();
        self.reports = Some(policies.reports());
        self.controller.handle_command(now, Command::Policies(set));
        // It ends by itself once nobody takes what it finds.
        tokio::spawn(policies.watch(self.sender.clone()));
        self.controller.handle_command(now, Command::Lead(Term(1)));
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            let now = self.tools.clock.now();
            let wake = self.turn(now);
            if let Some(outcome) = self.drained(now) {
                self.watchers.values().for_each(AbortHandle::abort);
                return outcome;
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if self.drain_until_ms.is_none() => self.shut_down(),
                _ = self.inputs.recv_many(&mut batch, MAX_BATCH) => {}
                () = tokio::time::sleep(wake) => {}
            }
            let now = self.tools.clock.now();
            for input in batch.drain(..) {
                self.take_in(now, input);
            }
        }
    }

    /// Pulls everything for which there is room, and returns how long nothing will be due.
    fn turn(&mut self, now: Now) -> Duration {
        if self.controller.poll_timeout().is_some_and(|due| due <= now.monotonic_ms) {
            self.controller.handle_timeout(now);
        }
        while let Some(command) = self.controller.poll_watch() {
            self.watch(command);
        }
        for lane in Lane::ALL {
            while self.has_slot(lane)
                && let Some(run) = self.controller.poll_run(now, lane)
            {
                self.start(lane, run);
            }
        }
        for flow in Flow::ALL {
            while self.in_flight.get(&flow).copied().unwrap_or(0) < flow.limit()
                && let Some(request) = self.controller.poll_request(now, flow)
            {
                self.send(request);
            }
        }
        self.report_all();
        let synced = self.controller.is_synced();
        self.tools.metrics.state(
            self.controller.stats(),
            self.controller.cache(),
            self.controller.queue(),
            synced,
        );
        self.tools.health.beat(now.monotonic_ms, synced);
        match self.controller.poll_timeout() {
            Some(due) if due <= now.monotonic_ms => NO_SLOT_WAIT,
            Some(due) => Duration::from_millis(due - now.monotonic_ms).min(HEARTBEAT),
            None => HEARTBEAT,
        }
    }

    fn take_in(&mut self, now: Now, input: Input) {
        match input {
            Input::Watch(event) => self.controller.handle_watch(now, event),
            Input::Policies(set) => self.controller.handle_command(now, Command::Policies(set)),
            Input::Run { id, lane, result } => {
                let running = self.running.entry(lane).or_default();
                *running = running.saturating_sub(1);
                self.controller.handle_run(now, id, result);
            }
            Input::Answer(answered) => {
                let in_flight = self.in_flight.entry(answered.flow).or_default();
                *in_flight = in_flight.saturating_sub(1);
                self.tools.metrics.in_flight(answered.flow, *in_flight);
                self.count(&answered);
                self.controller.handle_answer(now, answered.id, answered.outcome);
            }
        }
    }

    fn watch(&mut self, command: WatchCommand) {
        let (WatchCommand::List { kind, .. }
        | WatchCommand::Watch { kind, .. }
        | WatchCommand::Stop { kind }) = command;
        if let Some(former) = self.watchers.remove(&kind) {
            former.abort();
        }
        let (client, inputs) = (self.tools.client.clone(), self.sender.clone());
        let task = match command {
            WatchCommand::List { kind, stream } => {
                tokio::spawn(watcher::list(client, Outlet { kind, stream, inputs }))
            }
            WatchCommand::Watch { kind, stream, from } => {
                tokio::spawn(watcher::watch(client, Outlet { kind, stream, inputs }, from))
            }
            WatchCommand::Stop { .. } => return,
        };
        self.watchers.insert(kind, task.abort_handle());
    }

    fn has_slot(&self, lane: Lane) -> bool {
        let running = self.running.get(&lane).copied().unwrap_or(0);
        self.workers.get(&lane).is_some_and(|workers| running < workers.slots())
    }

    fn start(&mut self, lane: Lane, run: Run) {
        let Some(workers) = self.workers.get(&lane) else { return };
        *self.running.entry(lane).or_default() += 1;
        workers.submit(run);
    }

    fn send(&mut self, request: Request) {
        let in_flight = self.in_flight.entry(request.flow).or_default();
        *in_flight += 1;
        self.tools.metrics.in_flight(request.flow, *in_flight);
        let sender = send::Sender {
            client: self.tools.client.clone(),
            limiter: self.tools.limiter.clone(),
            clock: self.tools.clock,
            instance: self.tools.instance.clone(),
            inputs: self.sender.clone(),
        };
        tokio::spawn(sender.carry_out(request));
    }

    fn count(&self, answered: &Answered) {
        let metrics = &self.tools.metrics;
        metrics.request(answered.operation.describe(), answered.code, answered.seconds);
    }

    fn report_all(&mut self) {
        while let Some(notice) = self.controller.poll_notice() {
            if let Some(reports) = &self.reports {
                let now = Time::from_unix_ms(self.tools.clock.now().unix_ms);
                reports.lock().unwrap_or_else(PoisonError::into_inner).notice(now, &notice);
            }
            log::notice(&notice);
            self.tools.metrics.notice(&notice);
        }
    }

    fn shut_down(&mut self) {
        let now = self.tools.clock.now();
        tracing::info!("shutting down: no more keys are taken, and what is in flight is awaited");
        self.tools.health.shut_down();
        self.drain_until_ms =
            Some(now.monotonic_ms + u64::try_from(DRAIN_LIMIT.as_millis()).unwrap_or(u64::MAX));
        self.controller.handle_command(now, Command::Shutdown);
    }

    /// How a shutdown ended, if it has.
    fn drained(&self, now: Now) -> Option<Result<(), ShellFault>> {
        let until = self.drain_until_ms?;
        if self.controller.is_drained() {
            return Some(Ok(()));
        }
        (now.monotonic_ms >= until).then_some(Err(ShellFault::NotDrained { limit: DRAIN_LIMIT }))
    }
}
