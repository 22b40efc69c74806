//! A process with the state machine: it starts, works, loses and regains the leadership, and dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{Job, Kind};
use windlass_core::plan::Plan;
use windlass_host::controller::{Command, Controller, Lane, Run, RunId};
use windlass_host::engine::{EngineFault, SharedPolicy};
use windlass_host::key::Key;
use windlass_host::plugin::admission::queue_of;
use windlass_host::plugin::set::{Loaded, PolicySet};
use windlass_host::request::{Flow, RequestId, Term};
use windlass_sandbox::Actor;

use super::watches::Stream;
use super::{Happening, Plugins, World, config};
use crate::simulation::checkers::Violation;
use crate::simulation::faults::Fault;
use crate::simulation::mutants::{self, Asking, Mutant};
use crate::simulation::plugins::{Native, Recorder};
use crate::simulation::random::Random;
use crate::simulation::workload::plugins::Version;

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
    /// Runs under way, by lane.
    pub(super) running: BTreeMap<Lane, usize>,
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
    /// Which of the run's sets of plugins it was told of, and which it is to be told of in the middle of a run.
    plugins: usize,
    plugins_due: Option<usize>,
    /// The plugins that it has loaded.
    loaded: BTreeMap<Version, Arc<Loaded>>,
}

/// Longest time that a process which is told to end waits for what is in flight, milliseconds (the shell's own
/// limit).
const DRAIN_LIMIT_MS: u64 = 20_000;
/// Runs of keys with plugins at once.
const PLUGIN_WORKERS: usize = 2;

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
            running: BTreeMap::new(),
            watch_ms: random.pick(&[1, 1, 3, 20]),
            way_ms: random.pick(&[1, 1, 2, 10]),
            listed: BTreeSet::new(),
            lagging_lists: BTreeMap::new(),
            is_stopping: false,
            clock_off_ms: 0,
            armed_ms: None,
            plugins: 0,
            plugins_due: None,
            loaded: BTreeMap::new(),
        }
    }

    fn has_worker(&self, lane: Lane) -> bool {
        let workers = match lane {
            Lane::BuiltIn => self.workers,
            Lane::Plugins => PLUGIN_WORKERS,
        };
        self.running.get(&lane).is_none_or(|running| *running < workers)
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
        self.load_gate(process);
        self.processes[process].loaded.clear();
        let set = self.processes[process].plugins;
        self.load(process, set);
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
        this.running.clear();
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
        this.running.clear();
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
        this.running.clear();
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
        (run, lane): (RunId, Lane),
        result: Result<Plan, EngineFault>,
    ) {
        if !self.is_current(process, incarnation) {
            return;
        }
        let now = self.now(process);
        let this = &mut self.processes[process];
        this.running.entry(lane).and_modify(|running| *running = running.saturating_sub(1));
        if let Some(controller) = &mut this.controller {
            controller.handle_run(now, run, result);
            self.steps += 1;
        }
        self.checkers.run_ended(process, run, self.now_ms);
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
        for lane in Lane::ALL {
            let this = &mut self.processes[process];
            // One lane for all is a defect that others have to wait for.
            let taken = if self.plot_mutant == Some(Mutant::SharesTheLane) { Lane::BuiltIn } else { lane };
            if !this.has_worker(taken) {
                continue;
            }
            if let Some(run) = this.controller.as_mut().and_then(|machine| machine.poll_run(now, lane)) {
                *this.running.entry(taken).or_default() += 1;
                let checked = self.checkers.begins(process, &run, taken, self.now_ms);
                self.check(checked);
                self.reconcile(process, run, taken);
                return true;
            }
        }
        false
    }

    fn reconcile(&mut self, process: usize, run: Run, lane: Lane) {
        let run = self.ask_about_start(process, run);
        let incarnation = self.processes[process].incarnation;
        // Whoever decides was chosen as the run began: what is loaded now is for the next one.
        let due = self.processes[process].plugins_due.take_if(|_| lane == Lane::Plugins);
        if let Some(set) = due {
            self.load(process, set);
        }
        let recorder = self.policies.as_ref().map(|plugins| {
            let policy = self.policy_of(process, &run, plugins, due.is_some());
            Arc::new(Recorder::new(policy, &plugins.calls))
        });
        let mut result = if self.faults.strikes(Fault::CoreTrapped, self.now_ms) {
            Err(EngineFault::Trapped("simulated".to_owned()))
        } else {
            let policy = recorder.clone().map(|recorder| -> SharedPolicy { recorder });
            self.ask_core(&run, policy)
        };
        let asked = recorder.map(|recorder| recorder.take()).unwrap_or_default();
        if let (Some(mutant), Ok(plan)) = (self.plot_mutant, &mut result) {
            mutants::corrupt_plan(mutant, &run.snapshot, plan);
        }
        self.trace.say(self.now_ms, || format!("process {process} reconciles {}: {result:?}", run.key));
        let heard = self.checkers.asked(process, &run, self.now(process), &asked);
        self.check(heard);
        let checked = self.checkers.runs(process, &run, (result.as_ref().ok(), &asked));
        self.check(checked);
        let slow = self.faults.strikes(Fault::WorkerSlow, self.now_ms);
        let took_ms = if slow { self.faults.random().spread(20, 8_000) } else { self.random.below(2) };
        let calls = || asked.iter().flat_map(|batch| &batch.calls);
        let plugins_ms: u64 = calls().map(|call| call.took_ms).sum();
        for digest in calls().map(|call| call.digest).collect::<BTreeSet<_>>() {
            *self.asked.entry(digest).or_default() += 1;
        }
        let ended = Happening::RunEnded { process, incarnation, run: (run.id, lane), result };
        self.agenda.add(self.now_ms + took_ms + plugins_ms, ended);
    }

    /// Lets Jobs share places, in a run with queues.
    fn load_gate(&mut self, process: usize) {
        let now = self.now(process);
        if let (Some(gate), Some(machine)) = (&self.gate, &mut self.processes[process].controller) {
            machine.handle_command(now, Command::Policies(gate.clone()));
            self.steps += 1;
        }
    }

    /// The run with the answer about its Job's start.
    fn ask_about_start(&self, process: usize, mut run: Run) -> Run {
        let machine = self.processes[process].controller.as_ref();
        if self.plot_mutant == Some(Mutant::ForgetsGrants)
            && let (Some(start), Some(machine)) = (&mut run.start, machine)
        {
            let of_queue = |job: &Job| *queue_of(job) == start.question.queue;
            let runs = |job: &Job| job.is_started() && !job.is_finished();
            let on_record =
                machine.cache().jobs().filter(|(_, entry)| of_queue(&entry.job) && runs(&entry.job));
            start.question.in_queue.running = u32::try_from(on_record.count()).unwrap_or(u32::MAX);
        }
        run.asked()
    }

    fn ask_core(&self, run: &Run, recorded: Option<SharedPolicy>) -> Result<Plan, EngineFault> {
        let asked = recorded.as_ref().unwrap_or(&run.policy);
        let Some(mutant) = self.plot_mutant else {
            return self.engine.reconcile(&run.snapshot, asked);
        };
        let snapshot = mutants::corrupt_snapshot(mutant, &run.snapshot).map(Arc::new);
        let policy = mutants::corrupt_policy(mutant).map(|policy| -> SharedPolicy { Arc::new(policy) });
        self.engine.reconcile(snapshot.as_ref().unwrap_or(&run.snapshot), policy.as_ref().unwrap_or(asked))
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

    /// Other plugins are there for a process: it is told at once, or in the middle of its next run with plugins.
    pub(super) fn swap(&mut self, process: usize, set: usize) {
        let is_last = self.policies.as_ref().is_none_or(|plugins| set + 1 == plugins.sets.len());
        if let Some(before) = self.processes[process].plugins_due.take() {
            self.load(process, before);
        }
        let this = &mut self.processes[process];
        if !this.is_alive() {
            this.plugins = set;
        } else if is_last || self.random.chance(500) {
            self.load(process, set);
            self.pump(process);
        } else {
            this.plugins_due = Some(set);
        }
    }

    /// Lets these plugins decide for a process.
    fn load(&mut self, process: usize, set: usize) {
        let now = self.now(process);
        let Some(Plugins { sets, calls }) = &self.policies else { return };
        let Some((_, versions)) = sets.get(set) else { return };
        let this = &mut self.processes[process];
        this.plugins = set;
        let loaded = versions.iter().map(|version| {
            let load = || Loaded::new(Arc::new(Native::new(version, calls)));
            this.loaded.entry(version.clone()).or_insert_with(load).clone()
        });
        let set = Arc::new(PolicySet::new(loaded));
        let Some(controller) = &mut this.controller else { return };
        controller.handle_command(now, Command::Policies(set));
        self.steps += 1;
        self.swaps += 1;
        self.trace.say(self.now_ms, || format!("process {process} has plugins {versions:?}"));
        self.checkers.swapped(process, versions, self.now_ms);
    }

    /// Who answers the questions of a run.
    fn policy_of(&self, process: usize, run: &Run, plugins: &Plugins, is_swapped: bool) -> SharedPolicy {
        let Some(mutant) = self.plot_mutant else { return run.policy.clone() };
        let this = &self.processes[process];
        let versions = plugins.sets.get(this.plugins).map_or(&[][..], |(_, versions)| versions);
        let loaded = versions.iter().filter_map(|version| this.loaded.get(version)).cloned();
        let object = match &run.key {
            Key::Job(name) => self.store.get(Kind::Job, &name.namespace, &name.name).ok(),
            Key::CronJob(name) => self.store.get(Kind::CronJob, &name.namespace, &name.name).ok(),
            Key::DaemonSet(name) => self.store.get(Kind::DaemonSet, &name.namespace, &name.name).ok(),
            Key::TimeToLive(_) | Key::OrphanPod(_) => None,
        };
        let asking = Asking {
            policy: &run.policy,
            annotations: object.map(|object| object.metadata().annotations.clone()),
            calls: &plugins.calls,
            loaded: PolicySet::new(loaded),
            is_swapped,
        };
        mutants::corrupt_answers(mutant, asking)
    }

    /// Puts down the next moment at which the machine wants to be called.
    fn arm(&mut self, process: usize) {
        let this = &mut self.processes[process];
        let Some(due_ms) = this.controller.as_ref().and_then(|machine| machine.poll_timeout()) else {
            return;
        };
        // What is due now waits for a worker or a slot, which comes with the next input.
        let waits_for_slot = due_ms <= self.now_ms;
        let is_busy = this.running.values().any(|running| *running > 0);
        if waits_for_slot && (is_busy || !this.requests.is_empty()) {
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
