//! What happens at moments that are named, where a run is to tell one certain story rather than whatever its
//! seed brings.
//!
//! A rule waits for its moment (a request that is sent, a commit, an instant) and does its deed then, so many
//! times. A rule that never did its deed says that the story was another one.

use std::fmt;

use windlass_core::kube::Kind;
use windlass_host::request::Operation;
use windlass_sandbox::{Commit, Store};

use super::faults::Fault;

/// The rules of a run.
#[derive(Debug, Default)]
pub struct Script {
    rules: Vec<Rule>,
}

/// Something to be done at a moment.
pub struct Rule {
    what: &'static str,
    moment: Moment,
    deed: ScriptDeed,
    skips: u32,
    left: u32,
    done: u32,
}

/// When a rule does its deed.
pub enum Moment {
    /// A request is sent for which this holds.
    Sent(Box<dyn Fn(&Operation) -> bool>),
    /// Something is committed for which this holds.
    Committed(Box<dyn Fn(&Commit) -> bool>),
    /// So many milliseconds after the start.
    At(u64),
}

/// What a rule does.
pub enum ScriptDeed {
    /// The request meets a fault; only at [`Moment::Sent`].
    Meet(Fault),
    /// Somebody changes something, so many milliseconds after the moment.
    Change(u64, Box<ChangeFn>),
    /// The watch of one kind says nothing to one process for so many milliseconds.
    HoldWatch {
        /// Position of the process.
        process: usize,
        /// Kind that is watched.
        kind: Kind,
        /// Milliseconds.
        for_ms: u64,
    },
    /// A process dies and is started again after so many milliseconds.
    Crash {
        /// Position of the process.
        process: usize,
        /// Milliseconds.
        down_ms: u64,
    },
    /// The wall clock of a process is set.
    SetClock {
        /// Position of the process.
        process: usize,
        /// How far it is off from then on, milliseconds.
        off_ms: i64,
    },
    /// A process is told to end; it is started again once it has.
    Terminate {
        /// Position of the process.
        process: usize,
    },
}

/// A change, made in view of the commit that called for it, if one did.
pub type ChangeFn = dyn Fn(&mut Store, Option<&Commit>);

/// How often a rule did its deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The rule.
    pub what: &'static str,
    /// How often.
    pub times: u32,
}

impl Script {
    /// Adds a rule that does its deed the first `times` times that its moment comes.
    pub fn add(&mut self, what: &'static str, times: u32, moment: Moment, deed: ScriptDeed) {
        self.rules.push(Rule { what, moment, deed, skips: 0, left: times, done: 0 });
    }

    /// Adds a rule that lets the moment pass `skips` times and does its deed the next `times` times.
    pub fn add_after(
        &mut self,
        what: &'static str,
        (skips, times): (u32, u32),
        moment: Moment,
        deed: ScriptDeed,
    ) {
        self.rules.push(Rule { what, moment, deed, skips, left: times, done: 0 });
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule at this position.
    #[must_use]
    pub fn rule(&self, position: usize) -> &Rule {
        &self.rules[position]
    }

    /// Rules that wait for an instant, and when.
    pub(super) fn at_instants(&mut self) -> Vec<(u64, usize)> {
        let mut due = Vec::new();
        for (position, rule) in self.rules.iter_mut().enumerate() {
            if let Moment::At(at_ms) = rule.moment {
                rule.done += 1;
                due.push((at_ms, position));
            }
        }
        due
    }

    /// The faults that a request meets.
    pub(super) fn sent(&mut self, operation: &Operation) -> Vec<Fault> {
        let mut faults = Vec::new();
        for rule in &mut self.rules {
            if let (Moment::Sent(holds), ScriptDeed::Meet(fault)) = (&rule.moment, &rule.deed)
                && rule.left > 0
                && holds(operation)
            {
                let fault = *fault;
                if rule.strikes() {
                    faults.push(fault);
                }
            }
        }
        faults
    }

    /// Rules whose deed a commit calls for.
    pub(super) fn committed(&mut self, commit: &Commit) -> Vec<usize> {
        let mut due = Vec::new();
        for (position, rule) in self.rules.iter_mut().enumerate() {
            if let Moment::Committed(holds) = &rule.moment
                && rule.left > 0
                && holds(commit)
                && rule.strikes()
            {
                due.push(position);
            }
        }
        due
    }

    /// How often each rule did its deed.
    #[must_use]
    pub fn done(&self) -> Vec<Done> {
        self.rules.iter().map(|rule| Done { what: rule.what, times: rule.done }).collect()
    }
}

impl Rule {
    /// What it does.
    #[must_use]
    pub fn deed(&self) -> &ScriptDeed {
        &self.deed
    }

    /// What it is called.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    fn strikes(&mut self) -> bool {
        if self.skips > 0 {
            self.skips -= 1;
            return false;
        }
        self.left -= 1;
        self.done += 1;
        true
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} done, {} left", self.what, self.done, self.left)
    }
}
