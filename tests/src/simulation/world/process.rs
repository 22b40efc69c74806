//! A process with the state machine: it starts, works, loses and regains the leadership, and dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::Kind;
use windlass_core::plan::Plan;
use windlass_host::controller::{Command, Controller, Lane, Run, RunId};
use windlass_host::engine::{EngineFault, SharedPolicy};
use windlass_host::request::{Flow, RequestId, Term};
use windlass_sandbox::Actor;

use super::watches::Stream;
use super::{Happening, World, config};
use crate::simulation::checkers::Violation;
use crate::simulation::faults::Fault;
use crate::simulation::mutants::{self, Mutant};
use crate::simulation::random::Random;

/// A process, alive or dead.
pub(in crate::simulation) struct Process {
    pub(super) actor: Actor,
    pub(super) incarnation: u32,
    pub(super) term: u64,
    pub(super) controller: Option<Controller>,
    pub(super) streams: BTreeMap<Kind, Stream>,
    /// Requests in flight, by identity; the position says where the rest of it is.
    pub(super) requests: BTreeMap<RequestId, usize>,
    pub(super) in_flight: BTreeMap<Flow, usize>,
    pub(super) most_in_flight: usize,
    pub(super) workers: usize,
    pub(super) busy_workers: usize,
    /// Typical time from a commit to its delivery, milliseconds.
    pub(super) watch_ms: u64,
    /// Typical time of one way to the server, milliseconds.
    pub(super) way_ms: u64,
    /// Kinds that were listed to the end in this term.
    pub(super) listed: BTreeSet<Kind>,
    /// Lists in a row that were served from an older state.
    pub(super) lagging_lists: BTreeMap<Kind, u32>,
    /// It was told to end, and waits for what is in flight.
    pub(super) is_stopping: bool,
    /// How far its wall clock is off, milliseconds.
    pub(super) clock_off_ms: i64,
    armed_ms: Option<u64>,
}

/// Longest time that a process which is told to end waits for what is in flight, milliseconds (the shell's own
/// limit).
const DRAIN_LIMIT_MS: u64 = 20_000;

impl Process {
    pub(super) fn new(actor: Actor, random: &mut Random) -> Self {
        Self {
            actor,
            incarnation: 0,
            term: 0,
            controller: None,
            streams: BTreeMap::new(),
            requests: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            most_in_flight: random.pick(&[1, 4, 24, 64]),
            workers: random.pick(&[1, 2, 4]),
            busy_workers: 0,
            watch_ms: random.pick(&[1, 1, 3, 20]),
            way_ms: random.pick(&[1, 1, 2, 10]),
            listed: BTreeSet::new(),
            lagging_lists: BTreeMap::new(),
            is_stopping: false,
            clock_off_ms: 0,
            armed_ms: None,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.controller.is_some()
    }
}

impl World<'_> {
    pub(super) fn start(&mut self, process: usize) {
        let seed = self.random.number();
        let this = &mut self.processes[process];
        this.incarnation += 1;
        this.term += 1;
        this.controller = Some(Controller::new(config(seed, self.controllers)));
        if this.incarnation > 1 {
            self.checkers.disturbed(self.now_ms);
        }
        self.trace.say(self.now_ms, || format!("process {process} starts"));
        self.checkers.started(process);
        self.lead(process);
    }

    pub(super) fn lead_again(&mut self, process: usize, incarnation: u32) {
        if self.is_current(process, incarnation) {
            self.processes[process].term += 1;
            self.lead(process);
        }
    }

    fn lead(&mut self, process: usize) {
        let now = self.now(process);
        let this = &mut self.processes[process];
        this.streams.clear();
        this.listed.clear();
        this.busy_workers = 0;
        let (term, incarnation) = (Term(this.term), this.incarnation);
        let Some(controller) = &mut this.controller else { return };
        controller.handle_command(now, Command::Lead(term));
        self.steps += 1;
        self.checkers.leads(process, incarnation);
        self.pump(process);
    }

    /// Ends a process; what it had sent may still arrive.
    pub(super) fn crash(&mut self, process: usize) {
        self.trace.say(self.now_ms, || format!("process {process} dies"));
        let this = &mut self.processes[process];
        this.incarnation += 1;
        this.controller = None;
        this.streams.clear();
        this.in_flight.clear();
        this.busy_workers = 0;
        this.is_stopping = false;
        this.armed_ms = None;
        let in_flight = std::mem::take(&mut this.requests);
        for sent in in_flight.into_values() {
            if self.faults.strikes(Fault::CrashLateDelivery, self.now_ms) {
                self.sent[sent].not_before_ms = self.now_ms + self.faults.random().spread(10, 30_000);
            } else {
                self.sent[sent].is_lost = self.faults.random().chance(500);
            }
        }
    }

    pub(super) fn crash_and_restart(&mut self, process: usize) {
        self.crash(process);
        let after_ms = self.faults.random().spread(1, 20_000);
        self.agenda.add(self.now_ms + after_ms, Happening::Start { process });
    }

    /// Tells a process to end: it takes no more keys, waits for what is in flight, and exits.
    pub(super) fn terminate(&mut self, process: usize) {
        let now = self.now(process);
        self.trace.say(self.now_ms, || format!("process {process} is told to end"));
        let this = &mut self.processes[process];
        let Some(controller) = &mut this.controller else { return };
        controller.handle_command(now, Command::Shutdown);
        this.is_stopping = true;
        let incarnation = this.incarnation;
        self.steps += 1;
        self.checkers.stops(process);
        self.agenda.add(self.now_ms + DRAIN_LIMIT_MS, Happening::DrainEnds { process, incarnation });
        self.pump(process);
    }

    /// A process that was told to end exits once nothing is in flight, and is started again.
    fn exit_if_drained(&mut self, process: usize) {
        let this = &self.processes[process];
        let exits_at_once = self.plot_mutant == Some(Mutant::ExitsAtOnce);
        let is_drained = this.controller.as_ref().is_some_and(Controller::is_drained);
        if this.is_stopping && (is_drained || exits_at_once) {
            let checked = self.checkers.exits(process);
            self.check(checked);
            self.trace.say(self.now_ms, || format!("process {process} exits"));
            self.crash_and_restart(process);
        }
    }

    /// A process that was told to end has waited long enough; no write of its own may be what it waited for.
    pub(super) fn drain_ends(&mut self, process: usize, incarnation: u32) {
        if self.is_current(process, incarnation) && self.processes[process].is_stopping {
            let checked = self.checkers.exits(process);
            self.check(checked);
            self.crash_and_restart(process);
        }
    }

    fn lose_leadership(&mut self, process: usize) {
        let now = self.now(process);
        self.trace.say(self.now_ms, || format!("process {process} loses the leadership"));
        let this = &mut self.processes[process];
        let incarnation = this.incarnation;
        if let Some(controller) = &mut this.controller {
            controller.handle_command(now, Command::Follow);
            self.steps += 1;
        }
        this.in_flight.clear();
        this.requests.clear();
        this.busy_workers = 0;
        self.checkers.follows(process);
        let after_ms = self.faults.random().spread(1, 20_000);
        self.agenda.add(self.now_ms + after_ms, Happening::Lead { process, incarnation });
        self.pump(process);
    }

    pub(super) fn wake(&mut self, process: usize, incarnation: u32) {
        // Another moment may have taken the place of this one since it was put down.
        if !self.is_current(process, incarnation) || self.processes[process].armed_ms != Some(self.now_ms) {
            return;
        }
        self.processes[process].armed_ms = None;
        let now = self.now(process);
        if let Some(controller) = &mut self.processes[process].controller {
            controller.handle_timeout(now);
            self.steps += 1;
        }
        self.pump(process);
    }

    pub(super) fn run_ended(
        &mut self,
        process: usize,
        incarnation: u32,
        run: RunId,
        result: Result<Plan, EngineFault>,
    ) {
        if !self.is_current(process, incarnation) {
            return;
        }
        let now = self.now(process);
        let this = &mut self.processes[process];
        this.busy_workers = this.busy_workers.saturating_sub(1);
        if let Some(controller) = &mut this.controller {
            controller.handle_run(now, run, result);
            self.steps += 1;
        }
        self.checkers.run_ended(process, run);
        self.pump(process);
        self.disturb_clock(process);
        if self.faults.strikes(Fault::Crash, self.now_ms) {
            self.crash_and_restart(process);
        } else if self.faults.strikes(Fault::LeadershipLost, self.now_ms) {
            self.lose_leadership(process);
        } else if self.faults.strikes(Fault::Terminated, self.now_ms) {
            self.terminate(process);
        }
    }

    pub(super) fn is_current(&self, process: usize, incarnation: u32) -> bool {
        let this = &self.processes[process];
        this.incarnation == incarnation && this.controller.is_some()
    }

    /// Takes from the machine whatever it wants done.
    pub(super) fn pump(&mut self, process: usize) {
        loop {
            let mut is_done = true;
            let Some(controller) = &mut self.processes[process].controller else { return };
            if let Some(command) = controller.poll_watch() {
                self.obey(process, command);
                is_done = false;
            }
            if self.pump_run(process) | self.pump_requests(process) {
                is_done = false;
            }
            if is_done {
                break;
            }
        }
        self.pump_notices(process);
        self.arm(process);
        self.exit_if_drained(process);
    }

    fn pump_run(&mut self, process: usize) -> bool {
        let now = self.now(process);
        let this = &mut self.processes[process];
        if this.busy_workers >= this.workers {
            return false;
        }
        let Some(run) = this.controller.as_mut().and_then(|machine| machine.poll_run(now, Lane::BuiltIn))
        else {
            return false;
        };
        this.busy_workers += 1;
        self.reconcile(process, run);
        true
    }

    fn reconcile(&mut self, process: usize, run: Run) {
        let incarnation = self.processes[process].incarnation;
        let mut result = if self.faults.strikes(Fault::CoreTrapped, self.now_ms) {
            Err(EngineFault::Trapped("simulated".to_owned()))
        } else {
            self.ask_core(&run)
        };
        if let (Some(mutant), Ok(plan)) = (self.plot_mutant, &mut result) {
            mutants::corrupt_plan(mutant, &run.snapshot, plan);
        }
        self.trace.say(self.now_ms, || format!("process {process} reconciles {}: {result:?}", run.key));
        let checked = self.checkers.runs(process, &run, result.as_ref().ok());
        self.check(checked);
        let slow = self.faults.strikes(Fault::WorkerSlow, self.now_ms);
        let took_ms = if slow { self.faults.random().spread(20, 8_000) } else { self.random.below(2) };
        let ended = Happening::RunEnded { process, incarnation, run: run.id, result };
        self.agenda.add(self.now_ms + took_ms, ended);
    }

    fn ask_core(&self, run: &Run) -> Result<Plan, EngineFault> {
        let Some(mutant) = self.plot_mutant else {
            return self.engine.reconcile(&run.snapshot, &run.policy);
        };
        let snapshot = mutants::corrupt_snapshot(mutant, &run.snapshot).map(Arc::new);
        let policy = mutants::corrupt_policy(mutant).map(|policy| -> SharedPolicy { Arc::new(policy) });
        self.engine
            .reconcile(snapshot.as_ref().unwrap_or(&run.snapshot), policy.as_ref().unwrap_or(&run.policy))
    }

    fn pump_notices(&mut self, process: usize) {
        use windlass_host::controller::Notice;
        let Some(controller) = &mut self.processes[process].controller else { return };
        let mut refused = None;
        while let Some(notice) = controller.poll_notice() {
            match &notice {
                Notice::PlanRefused { .. } => refused = Some(notice.to_string()),
                Notice::EngineFault { fault: EngineFault::Refused(_), .. } => {
                    refused = Some(notice.to_string());
                }
                _ => {}
            }
        }
        if let Some(text) = refused.filter(|_| self.plot_mutant.is_none()) {
            self.violated(Violation::new("P2", text));
        }
    }

    /// Puts down the next moment at which the machine wants to be called.
    fn arm(&mut self, process: usize) {
        let this = &mut self.processes[process];
        let Some(due_ms) = this.controller.as_ref().and_then(|machine| machine.poll_timeout()) else {
            return;
        };
        // What is due now waits for a worker or a slot, which comes with the next input.
        let waits_for_slot = due_ms <= self.now_ms;
        if waits_for_slot && (this.busy_workers > 0 || !this.requests.is_empty()) {
            return;
        }
        let due_ms = due_ms.max(self.now_ms + 1);
        if this.armed_ms.is_none_or(|armed_ms| armed_ms > due_ms) {
            this.armed_ms = Some(due_ms);
            let incarnation = this.incarnation;
            self.agenda.add(due_ms, Happening::Wake { process, incarnation });
        }
    }
}
