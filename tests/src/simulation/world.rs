//! One run: a store, the cluster around it, one or two processes with the state machine, and what goes wrong
//! between them, all in virtual time.

mod network;
mod process;
mod watches;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use windlass_core::kube::{Kind, Object, ResourceVersion};
use windlass_core::plan::Plan;
use windlass_host::Now;
use windlass_host::controller::{Config, Controllers, Lane, RunId};
use windlass_host::engine::{Engine, EngineFault};
use windlass_host::plugin::Digest;
use windlass_host::plugin::set::PolicySet;
use windlass_host::request::{Outcome, RequestId};
use windlass_host::watch::StreamId;
use windlass_sandbox::{Actor, Commit, Store, StoreOptions};

use super::agenda::Agenda;
use super::checkers::{Cause, Checkers, Violation};
use super::cluster::{Cluster, Turn};
use super::faults::{Coverage, Fault, Faults};
use super::gate;
use super::history::{History, Trace};
use super::mutants::Mutant;
use super::plugins::Calls;
use super::random::Random;
use super::record::Record;
use super::script::{Done, Script, ScriptDeed};
use super::workload::Workload;
use super::workload::plugins::Version;
use network::Sent;
use process::Process;

/// Most things that happen in one run; one that goes on beyond does not come to rest.
const MAX_HAPPENINGS: u64 = 600_000;
/// Latest instant of a run after the last deed, milliseconds; whatever still happens then never ends.
const MAX_RUN_MS: u64 = 12 * 3_600_000;
/// Longest time for which the wall clock of a process is wrong, milliseconds.
const WRONG_CLOCK_MS: u64 = 3_600_000;
/// The most that it is wrong by, milliseconds.
const MOST_WRONG_MS: u64 = 6 * 3_600_000;
/// Longest time from other plugins being there to a process being told, milliseconds.
const SWAPPED_WITHIN_MS: u64 = 2_000;
/// The processes that may act, as the store's history names them.
const ACTORS: [Actor; 2] = [Actor("windlass-0"), Actor("windlass-1")];

/// What a run is to be.
#[derive(Debug)]
pub struct Plot {
    /// Decides everything that is not given here.
    pub seed: u64,
    /// Jobs, CronJobs and DaemonSets, and what is done to them.
    pub workload: Workload,
    /// What goes wrong.
    pub faults: Faults,
    /// A defect that the checkers are to find.
    pub mutant: Option<Mutant>,
    /// A crash at this write of ours, counted from 1, and whether before or after it is carried out.
    pub cuts: Vec<Cut>,
    /// Whether a text of everything that happens, every commit and every request are kept.
    pub is_traced: bool,
    /// What happens at named moments.
    pub script: Script,
}

/// A crash at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which write of ours, counted from 1.
    pub write: u64,
    /// Whether the write is carried out before the crash.
    pub is_after: bool,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Hash of the whole history.
    pub hash: u64,
    /// Inputs that the machines handled.
    pub steps: u64,
    /// Revisions that were committed.
    pub commits: u64,
    /// Writes of ours that reached the server.
    pub writes: u64,
    /// Virtual time, milliseconds.
    pub virtual_ms: u64,
    /// Faults that struck.
    pub struck: Coverage,
    /// The first predicate that did not hold.
    pub violation: Option<Violation>,
    /// What happened last, or everything if the run is traced.
    pub trace: Vec<String>,
    /// The objects at rest, without what is declared to differ from run to run.
    pub end_state: Vec<String>,
    /// How many objects we made for each slot.
    pub made: BTreeMap<String, u64>,
    /// How often each rule of the script did its deed.
    pub done: Vec<Done>,
    /// Every commit and every request, if the run is traced.
    pub record: Record,
    /// Times that a process was told of other plugins.
    pub swaps: u64,
    /// Runs in which a version of a plugin was called, by that.
    pub asked: BTreeMap<Digest, u64>,
}

/// A run under way.
pub(super) struct World<'engine> {
    seed: u64,
    engine: &'engine dyn Engine,
    now_ms: u64,
    agenda: Agenda<Happening>,
    store: Store,
    cluster: Cluster,
    processes: Vec<Process>,
    sent: Vec<Sent>,
    random: Random,
    faults: Faults,
    checkers: Checkers,
    history: History,
    trace: Trace,
    record: Record,
    script: Script,
    plot_mutant: Option<Mutant>,
    /// The plugin that lets Jobs share places, in a run with queues.
    gate: Option<Arc<PolicySet>>,
    controllers: Controllers,
    policies: Option<Plugins>,
    swaps: u64,
    asked: BTreeMap<Digest, u64>,
    cuts: Vec<Cut>,
    writes: u64,
    steps: u64,
    happenings: u64,
    /// Latest instant of the run, milliseconds.
    latest_ms: u64,
    violation: Option<Violation>,
    commits: VecDeque<Commit>,
    turns: Vec<(u64, Turn)>,
}

/// The plugins of a run.
struct Plugins {
    /// What is loaded from which instant on, milliseconds.
    sets: Vec<(u64, Vec<Version>)>,
    calls: Calls,
}

/// Something that happens at an instant. Whatever concerns a process names its incarnation, so that it does
/// not concern the next one.
enum Happening {
    Start {
        process: usize,
    },
    Lead {
        process: usize,
        incarnation: u32,
    },
    Wake {
        process: usize,
        incarnation: u32,
    },
    RunEnded {
        process: usize,
        incarnation: u32,
        run: (RunId, Lane),
        result: Result<Plan, EngineFault>,
    },
    Arrives {
        sent: usize,
    },
    Answered {
        process: usize,
        incarnation: u32,
        id: RequestId,
        outcome: Outcome,
    },
    ListRead {
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
        page: watches::NextPage,
    },
    Listed {
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
        page: Box<windlass_sandbox::Page>,
        is_lagging: bool,
    },
    Watched {
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
    },
    WatchEnds {
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
    },
    Stale {
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
        object: Object,
    },
    Turn(Turn),
    DrainEnds {
        process: usize,
        incarnation: u32,
    },
    ClockIsRight {
        process: usize,
    },
    Swapped {
        process: usize,
        set: usize,
    },
    Scripted {
        rule: usize,
        commit: Option<Box<Commit>>,
    },
}

impl Plot {
    /// A run of `workload` in which nothing goes wrong.
    #[must_use]
    pub fn quiet(seed: u64, workload: Workload) -> Self {
        Self {
            seed,
            workload,
            faults: Faults::none(seed),
            mutant: None,
            cuts: Vec::new(),
            is_traced: false,
            script: Script::default(),
        }
    }
}

/// Runs `plot` to rest, or to the first violation.
#[must_use]
pub fn run(plot: Plot, engine: &dyn Engine) -> Report {
    let seed = plot.seed;
    let mut world = World::new(plot, engine);
    world.begin();
    world.go_on();
    if world.violation.is_none() {
        world.prove_rest();
    }
    world.into_report(seed)
}

impl<'engine> World<'engine> {
    fn new(plot: Plot, engine: &'engine dyn Engine) -> Self {
        let seed = plot.seed;
        let start_unix_ms = plot.workload.start_unix_ms;
        let options = StoreOptions { seed, start_unix_ms, record_commits: true, ..StoreOptions::default() };
        let last_deed_ms = plot.workload.deeds.last().map_or(0, |(at_ms, _)| *at_ms);
        let gate = plot.workload.has_queues().then(gate::policies);
        let mut random = Random::new(seed, 6);
        let mut faults = plot.faults;
        let controllers =
            Controllers { daemon_set: !plot.workload.sets.is_empty(), ..Controllers::default() };
        let policies = plot.workload.plugins.clone();
        let policies = policies.map(|plan| Plugins { sets: plan.sets, calls: Calls::default() });
        let count = if faults.strikes(Fault::SecondProcess, 0) { 2 } else { 1 };
        let processes = ACTORS[..count].iter().map(|actor| Process::new(*actor, &mut random)).collect();
        Self {
            seed,
            engine,
            now_ms: 0,
            agenda: Agenda::default(),
            store: Store::new(options),
            cluster: Cluster::new(plot.workload, seed),
            processes,
            sent: Vec::new(),
            random,
            faults,
            checkers: Checkers::new(count, start_unix_ms, &controllers.kinds()),
            history: History::default(),
            trace: Trace::new(plot.is_traced),
            record: Record::new(plot.is_traced),
            script: plot.script,
            plot_mutant: plot.mutant,
            gate,
            controllers,
            policies,
            swaps: 0,
            asked: BTreeMap::new(),
            cuts: plot.cuts,
            writes: 0,
            steps: 0,
            happenings: 0,
            latest_ms: last_deed_ms + MAX_RUN_MS,
            violation: None,
            commits: VecDeque::new(),
            turns: Vec::new(),
        }
    }

    fn begin(&mut self) {
        for (at_ms, turn) in self.cluster.first_turns() {
            self.agenda.add(at_ms, Happening::Turn(turn));
        }
        for (at_ms, rule) in self.script.at_instants() {
            self.agenda.add(at_ms, Happening::Scripted { rule, commit: None });
        }
        for process in 0..self.processes.len() {
            let at_ms = if process == 0 { self.random.below(2_000) } else { self.random.spread(1, 60_000) };
            self.agenda.add(at_ms, Happening::Start { process });
        }
        self.begin_swaps();
        self.digest(None);
    }

    /// Puts down when each process is told of other plugins: in their order, each a while after they are there.
    fn begin_swaps(&mut self) {
        let Some(plugins) = &self.policies else { return };
        let instants: Vec<u64> = plugins.sets.iter().map(|(at_ms, _)| *at_ms).collect();
        let random = &mut Random::new(self.seed, 12);
        for process in 0..self.processes.len() {
            let mut told_ms = 0;
            for (set, at_ms) in instants.iter().enumerate().skip(1) {
                told_ms = (at_ms + random.spread(1, SWAPPED_WITHIN_MS)).max(told_ms);
                self.agenda.add(told_ms, Happening::Swapped { process, set });
            }
        }
    }

    /// Goes on until nothing more is to happen.
    fn go_on(&mut self) {
        while self.violation.is_none() {
            let Some((at_ms, happening)) = self.agenda.take() else { return };
            self.now_ms = at_ms;
            self.store.set_time(at_ms);
            self.happenings += 1;
            self.happen(happening);
            if self.happenings > MAX_HAPPENINGS || at_ms > self.latest_ms {
                self.violated(Violation::new(
                    "V1",
                    format!("no rest after {} happenings and {} s", self.happenings, at_ms / 1000),
                ));
            }
        }
    }

    /// At rest: everything is as it should be, and looking at it again changes nothing.
    fn prove_rest(&mut self) {
        let calm_ms = self.faults.last_ms();
        if let Err(violation) = self.checkers.at_rest(&self.store, &self.cluster, calm_ms) {
            return self.violated(violation);
        }
        self.checkers.expect_quiet(true);
        self.faults.end();
        let last_ms = self.now_ms;
        for process in 0..self.processes.len() {
            if self.random.chance(500) {
                self.crash(process);
                self.agenda.add(last_ms + 1_000, Happening::Start { process });
            } else {
                self.expire_watches(process);
            }
        }
        self.go_on();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start { process } => self.start(process),
            Happening::Lead { process, incarnation } => self.lead_again(process, incarnation),
            Happening::Wake { process, incarnation } => self.wake(process, incarnation),
            Happening::RunEnded { process, incarnation, run, result } => {
                self.run_ended(process, incarnation, run, result);
            }
            Happening::Arrives { sent } => self.arrive(sent),
            Happening::Answered { process, incarnation, id, outcome } => {
                self.answered(process, incarnation, id, outcome);
            }
            Happening::ListRead { process, incarnation, kind, stream, page } => {
                self.read_list(process, incarnation, kind, stream, page);
            }
            Happening::Listed { process, incarnation, kind, stream, page, is_lagging } => {
                self.listed(process, incarnation, kind, stream, *page, is_lagging);
            }
            Happening::Watched { process, incarnation, kind, stream } => {
                self.watched(process, incarnation, kind, stream);
            }
            Happening::WatchEnds { process, incarnation, kind, stream } => {
                self.silence_ends(process, incarnation, kind, stream);
            }
            Happening::Stale { process, incarnation, kind, stream, object } => {
                self.stale(process, incarnation, kind, stream, object);
            }
            Happening::DrainEnds { process, incarnation } => self.drain_ends(process, incarnation),
            Happening::ClockIsRight { process } => self.set_clock(process, 0),
            Happening::Swapped { process, set } => self.swap(process, set),
            Happening::Scripted { rule, commit } => self.follow_script(rule, commit.as_deref()),
            Happening::Turn(turn) => {
                let mut turns = std::mem::take(&mut self.turns);
                self.cluster.take(&mut self.store, &turn, &mut turns);
                self.schedule(&mut turns);
                self.turns = turns;
                self.digest(None);
            }
        }
    }

    fn schedule(&mut self, turns: &mut Vec<(u64, Turn)>) {
        for (after_ms, turn) in turns.drain(..) {
            self.agenda.add(self.now_ms + after_ms, Happening::Turn(turn));
        }
    }

    /// Takes in what was committed since the last call, by `cause` if that is a request of ours.
    fn digest(&mut self, cause: Option<&Cause>) {
        let mut commits = std::mem::take(&mut self.commits);
        commits.extend(self.store.drain_commits());
        let mut kinds = [false; Kind::ALL.len()];
        let mut turns = std::mem::take(&mut self.turns);
        for commit in commits.drain(..) {
            self.history.add(&commit);
            self.trace.commit(&commit);
            self.record.commit(&commit);
            self.consult_script(&commit);
            if let Err(violation) = self.checkers.commit(&commit, cause) {
                self.violated(violation);
            }
            if let Some(object) = commit.after.as_ref().or(commit.before.as_ref()) {
                kinds[object.kind() as usize] = true;
            }
            self.cluster.react(&commit, &mut turns);
        }
        self.schedule(&mut turns);
        self.turns = turns;
        self.commits = commits;
        for kind in
            [Kind::CronJob, Kind::Job, Kind::Pod, Kind::Node, Kind::DaemonSet, Kind::ControllerRevision]
        {
            if kinds[kind as usize] {
                self.rouse_watches(kind);
            }
        }
    }

    /// Lets the script's rules for a commit do their deeds: what concerns watches at once, the rest by itself.
    fn consult_script(&mut self, commit: &Commit) {
        if self.script.is_empty() {
            return;
        }
        for rule in self.script.committed(commit) {
            let after_ms = match self.script.rule(rule).deed() {
                ScriptDeed::HoldWatch { process, kind, for_ms } => {
                    let (process, kind, for_ms) = (*process, *kind, *for_ms);
                    self.hold_watch(process, kind, for_ms);
                    continue;
                }
                ScriptDeed::Change(after_ms, _) => *after_ms,
                ScriptDeed::Meet(_)
                | ScriptDeed::Crash { .. }
                | ScriptDeed::Terminate { .. }
                | ScriptDeed::SetClock { .. } => 0,
            };
            let commit = Some(Box::new(commit.clone()));
            self.agenda.add(self.now_ms + after_ms, Happening::Scripted { rule, commit });
        }
    }

    fn follow_script(&mut self, rule: usize, commit: Option<&Commit>) {
        let script = std::mem::take(&mut self.script);
        let rule = script.rule(rule);
        self.trace.say(self.now_ms, || format!("the script: {}", rule.what()));
        match rule.deed() {
            ScriptDeed::Change(_, change) => change(&mut self.store, commit),
            ScriptDeed::HoldWatch { process, kind, for_ms } => self.hold_watch(*process, *kind, *for_ms),
            ScriptDeed::Crash { process, down_ms } => {
                if self.processes[*process].is_alive() {
                    self.crash(*process);
                    self.agenda.add(self.now_ms + down_ms, Happening::Start { process: *process });
                }
            }
            ScriptDeed::Terminate { process } => self.terminate(*process),
            ScriptDeed::SetClock { process, off_ms } => self.set_clock(*process, *off_ms),
            ScriptDeed::Meet(_) => {}
        }
        self.script = script;
        self.digest(None);
    }

    /// What the clocks of a process show.
    fn now(&self, process: usize) -> Now {
        let unix_ms = self.store.unix_ms().saturating_add(self.processes[process].clock_off_ms);
        Now { monotonic_ms: self.now_ms, unix_ms }
    }

    /// Sets the wall clock of a process so many milliseconds off.
    fn set_clock(&mut self, process: usize, off_ms: i64) {
        self.trace.say(self.now_ms, || format!("the clock of process {process} is {off_ms} ms off"));
        self.processes[process].clock_off_ms = off_ms;
        self.checkers.disturbed(self.now_ms);
    }

    /// Sets the wall clock of a process wrong for a while, if that is to be.
    fn disturb_clock(&mut self, process: usize) {
        for (fault, sign) in [(Fault::ClockForward, 1), (Fault::ClockBack, -1)] {
            if self.faults.strikes(fault, self.now_ms) {
                let off_ms = i64::try_from(self.faults.random().spread(500, MOST_WRONG_MS)).unwrap_or(0);
                self.set_clock(process, sign * off_ms);
                let right_ms = self.now_ms + self.faults.random().spread(1_000, WRONG_CLOCK_MS);
                self.agenda.add(right_ms, Happening::ClockIsRight { process });
            }
        }
    }

    fn violated(&mut self, mut violation: Violation) {
        if self.violation.is_none() {
            violation.at_ms = self.now_ms;
            violation.revision = self.store.revision();
            self.violation = Some(violation);
        }
    }

    fn check(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violated(violation);
        }
    }

    fn into_report(self, seed: u64) -> Report {
        let end_state = self.history.end_state(&self.store);
        Report {
            seed,
            hash: self.history.hash(),
            steps: self.steps,
            commits: self.history.commits(),
            writes: self.writes,
            virtual_ms: self.now_ms,
            struck: self.faults.struck().clone(),
            violation: self.violation,
            trace: self.trace.into_lines(),
            end_state,
            made: self.history.made().clone(),
            done: self.script.done(),
            record: self.record,
            swaps: self.swaps,
            asked: self.asked,
        }
    }
}

/// Settings of the machine in a run.
fn config(seed: u64, controllers: Controllers) -> Config {
    Config { controllers, seed, ..Config::default() }
}

/// What stands for "no revision yet".
const NOTHING: ResourceVersion = ResourceVersion(0);

/// An `Arc` of something that is often copied.
type Shared<T> = Arc<T>;
