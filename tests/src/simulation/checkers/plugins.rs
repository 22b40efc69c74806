//! Policy plugins hurt nobody: P1, P2, P3, P6, P7 and V10, judged by what objects are bound to, by what each plugin knows
//! of its calls, and by what the core was told.

mod bounds;
mod circuit;

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::kube::{Labels, Str};
use windlass_core::policy::{backoff, missed_runs, rollout, schedule};
use windlass_host::controller::{Lane, Run, RunId};
use windlass_host::key::Key;
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::{Digest, PluginFault};

use super::Violation;
use super::backoff::delay_ms;
use super::observer::Observer;
use crate::simulation::plugins::{Answers, Asked, PluginCall, Questions};
use crate::simulation::workload::plugins::{PREFIX, Version};
use bounds::is_allowed;
use circuit::{Circuits, May};

/// Most calls of plugins in one run: at ten milliseconds each, it takes fifty at most.
const MAX_CALLS: usize = 5;

/// What is known of the plugins of one process since it started.
#[derive(Debug, Default)]
pub(super) struct Plugins {
    /// What of each name is loaded.
    loaded: BTreeMap<Str, Digest>,
    circuits: Circuits,
    /// Plugins that refused their settings, which are asked no more.
    refused: BTreeSet<(Digest, Decision)>,
    runs: BTreeMap<RunId, Vec<Route>>,
}

/// Who decides for an object, as its annotations say.
#[derive(Clone, Debug)]
struct Route {
    decision: Decision,
    plugin: Str,
    on_failure: OnFailure,
    /// What may be called, or why nothing may.
    target: Result<Digest, Why>,
    /// How the calls of it went.
    outcomes: Vec<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnFailure {
    BuiltIn,
    Hold,
    Fail,
}

impl OnFailure {
    /// What is meant where the plugin may well answer a moment later.
    fn in_passing(self) -> Self {
        if self == Self::Fail { Self::Hold } else { self }
    }
}

/// Why a plugin may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    NotLoaded,
    UnknownWord,
    Quarantined,
}

/// How a call went, as far as trust goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Well,
    Badly,
    /// Nothing is known: the host had no room.
    Unknown,
}

impl Plugins {
    /// Other plugins are loaded.
    pub(super) fn swapped(&mut self, set: &[Version]) {
        self.loaded = set.iter().map(|version| (version.name.clone(), version.digest())).collect();
        self.circuits.keep(&self.loaded);
    }

    /// A term ended: none of its runs will report.
    pub(super) fn forget_runs(&mut self) {
        self.runs.clear();
        self.circuits.forget_trials();
    }

    /// P1: a process takes a run out of a lane; whoever decides for its object does so to its end.
    pub(super) fn begins(
        &mut self,
        observer: &Observer,
        (run, lane): (&Run, Lane),
        now_ms: u64,
    ) -> Result<(), Violation> {
        let bindings = bindings_of(observer, &run.key);
        if lane == Lane::BuiltIn && !bindings.is_empty() {
            let why = format!("{} is bound to plugins, and runs among the keys that are not", run.key);
            return Err(Violation::new("P1", why));
        }
        let mut admitted = BTreeMap::new();
        let mut routes = Vec::new();
        for (decision, plugin, word) in bindings {
            let target = match (word, self.loaded.get(&plugin)) {
                (None, _) => Err(Why::UnknownWord),
                (_, None) => Err(Why::NotLoaded),
                (_, Some(digest)) => {
                    let circuits = &mut self.circuits;
                    let may = *admitted
                        .entry(plugin.clone())
                        .or_insert_with(|| circuits.admit(now_ms, &plugin, run.id));
                    if may == May::NotBeAsked { Err(Why::Quarantined) } else { Ok(*digest) }
                }
            };
            let on_failure = word.unwrap_or(OnFailure::Hold);
            routes.push(Route { decision, plugin, on_failure, target, outcomes: Vec::new() });
        }
        self.runs.insert(run.id, routes);
        Ok(())
    }

    /// P2, P3, P6, P7 and V10: what the core was told, and what that took.
    pub(super) fn asked(&mut self, run: &Run, now_s: i64, asked: &[Asked]) -> Result<(), Violation> {
        let made: usize = asked.iter().map(|batch| batch.calls.len()).sum();
        if made > MAX_CALLS {
            return Err(Violation::new("P7", format!("{}: {made} calls of plugins in one run", run.key)));
        }
        let mut before = 0;
        for batch in asked {
            let decision = batch.questions.decision();
            let routes = self.runs.entry(run.id).or_default();
            let route = routes.iter_mut().find(|route| route.decision == decision);
            let judged = match route {
                Some(route) => route.judge(batch, now_s, before, &mut self.refused),
                None => unbound(batch),
            };
            before += batch.calls.len();
            if let Err((predicate, why)) = judged {
                return Err(Violation::new(predicate, format!("{} ({decision}): {why}", run.key)));
            }
        }
        Ok(())
    }

    /// A process hears what came of a run: from now on it trusts its plugins more or less.
    pub(super) fn ended(&mut self, run: RunId, now_ms: u64) {
        let Some(routes) = self.runs.remove(&run) else { return };
        for route in &routes {
            let Ok(digest) = route.target else { continue };
            if self.loaded.get(&route.plugin) == Some(&digest) {
                for outcome in &route.outcomes {
                    self.circuits.ended(now_ms, &route.plugin, (run, digest), *outcome);
                }
            }
        }
        self.circuits.unused(run);
    }
}

impl Route {
    fn judge(
        &mut self,
        batch: &Asked,
        now_s: i64,
        before: usize,
        refused: &mut BTreeSet<(Digest, Decision)>,
    ) -> Result<(), (&'static str, String)> {
        let name = &self.plugin;
        let digest = match self.target {
            Ok(digest) => digest,
            Err(why) => {
                return match batch.calls.first() {
                    Some(call) if why == Why::Quarantined => {
                        Err(("P7", format!("{} is called in its quarantine", call.plugin)))
                    }
                    Some(call) => Err(("P3", format!("{} is called: {why:?}", call.plugin))),
                    None => self.stands_in(batch, now_s, self.on_failure),
                };
            }
        };
        if let Some(call) = batch.calls.iter().find(|call| call.plugin != *name || call.digest != digest) {
            let PluginCall { plugin, digest: other, .. } = call;
            return Err(("P6", format!("it began with {name} {digest}, and {plugin} {other} was called")));
        }
        let (looked, decided): (Vec<_>, Vec<_>) =
            batch.calls.iter().partition(|call| matches!(call.gave, Ok(None)) || is_refusal(call));
        if decided.len() > 1 || looked.len() > 1 {
            return Err(("P7", format!("{name} is called {} times for one batch", batch.calls.len())));
        }
        let Some(last) = batch.calls.last() else {
            // Nobody looks twice at settings that were refused.
            return if refused.contains(&(digest, self.decision)) {
                self.stands_in(batch, now_s, self.on_failure)
            } else if before + 2 > MAX_CALLS {
                self.stands_in(batch, now_s, self.on_failure.in_passing())
            } else {
                Err(("V10", format!("{name} is not asked, and nothing is known against it")))
            };
        };
        if last.gave == Ok(None) {
            return Err(("V10", format!("{name} has good settings, and is not asked")));
        }
        if is_refusal(last) {
            refused.insert((digest, self.decision));
        }
        let usable = match &last.gave {
            Ok(Some(answers)) if is_allowed(&batch.questions, answers) => Some(answers),
            Ok(_) | Err(_) => None,
        };
        self.outcomes.push(match &last.gave {
            Ok(Some(_)) if usable.is_none() => Outcome::Badly,
            Err(PluginFault::Busy) => Outcome::Unknown,
            Err(fault) if !matches!(fault, PluginFault::Refused(_) | PluginFault::SettingsRefused(_)) => {
                Outcome::Badly
            }
            Ok(_) | Err(_) => Outcome::Well,
        });
        match usable {
            Some(answers) if *answers == batch.told => Ok(()),
            Some(answers) => {
                Err(("P3", format!("{name} said {answers:?}, and the core heard {:?}", batch.told)))
            }
            None if matches!(&last.gave, Ok(Some(answers)) if *answers == batch.told) => {
                Err(("P2", format!("{name} said {:?}, which it may not, and the core heard it", batch.told)))
            }
            None if last.gave == Err(PluginFault::Busy) => {
                self.stands_in(batch, now_s, self.on_failure.in_passing())
            }
            None => self.stands_in(batch, now_s, self.on_failure),
        }
    }

    /// P3: the core was told what the binding says of failures, and nothing of what the plugin said.
    fn stands_in(
        &self,
        batch: &Asked,
        now_s: i64,
        on_failure: OnFailure,
    ) -> Result<(), (&'static str, String)> {
        let is_told = |text: &str| {
            text.starts_with(&format!("policy plugin {} ({}) failed: ", self.plugin, self.decision))
        };
        let holds = match (on_failure, &batch.questions, &batch.told) {
            (OnFailure::BuiltIn, questions, told) => *told == built_in(questions),
            (OnFailure::Hold, Questions::Backoff(asked), Answers::Backoff(told)) => {
                asked.len() == told.len()
                    && told.iter().all(|answer| {
                        matches!(answer, backoff::Answer::Hold(hold) if is_told(&hold.reason) && hold.ask_again_ms >= 1_000)
                    })
            }
            (OnFailure::Fail, Questions::Backoff(asked), Answers::Backoff(told)) => {
                asked.len() == told.len()
                    && told.iter().all(|answer| matches!(answer, backoff::Answer::Stop(text) if is_told(text)))
            }
            (OnFailure::Hold, Questions::Schedule(asked), Answers::Schedule(told)) => {
                let is_yet_to_come = |at_s: &u32| i64::from(*at_s) > now_s;
                asked.len() == told.len()
                    && told.iter().all(|answer| {
                        matches!(answer, schedule::Answer::Fires(firing) if firing.at_s.iter().all(is_yet_to_come))
                    })
            }
            (OnFailure::Fail, Questions::Schedule(asked), Answers::Schedule(told)) => {
                asked.len() == told.len()
                    && told.iter().all(|answer| matches!(answer, schedule::Answer::Refused(text) if is_told(text)))
            }
            (OnFailure::Hold | OnFailure::Fail, Questions::MissedRuns(asked), Answers::MissedRuns(told)) => {
                let nothing = missed_runs::Answer::Run(Vec::new());
                asked.len() == told.len() && told.iter().all(|answer| *answer == nothing)
            }
            (OnFailure::Hold | OnFailure::Fail, Questions::Rollout(asked), Answers::Rollout(told)) => {
                let pauses = |answer: &rollout::Answer| {
                    matches!(answer, rollout::Answer::Pause(hold) if is_told(&hold.reason) && hold.ask_again_ms >= 1_000)
                };
                asked.len() == told.len() && told.iter().all(pauses)
            }
            (OnFailure::Hold | OnFailure::Fail, _, _) => false,
        };
        if holds {
            return Ok(());
        }
        let what =
            format!("{} gave nothing of use, {on_failure:?} is declared, and the core heard", self.plugin);
        Err(("P3", format!("{what} {:?}", batch.told)))
    }
}

/// P1: who is bound to no plugin has the built-in answers, and nobody is called for them.
fn unbound(batch: &Asked) -> Result<(), (&'static str, String)> {
    if let Some(call) = batch.calls.first() {
        return Err(("P1", format!("{} is called, to which it is not bound", call.plugin)));
    }
    if batch.told == built_in(&batch.questions) {
        Ok(())
    } else {
        Err(("P1", format!("it is bound to no plugin, and heard {:?}", batch.told)))
    }
}

fn is_refusal(call: &PluginCall) -> bool {
    matches!(call.gave, Err(PluginFault::SettingsRefused(_)))
}

fn built_in(questions: &Questions) -> Answers {
    match questions {
        Questions::Backoff(questions) => {
            let delay_ms = |failures: u32| u32::try_from(delay_ms(i64::from(failures))).unwrap_or(u32::MAX);
            let answer =
                |question: &backoff::Question| backoff::Answer::RetryAfterMs(delay_ms(question.failures));
            Answers::Backoff(questions.iter().map(answer).collect())
        }
        Questions::Schedule(questions) => {
            Answers::Schedule(questions.iter().map(schedule::built_in).collect())
        }
        Questions::MissedRuns(questions) => {
            Answers::MissedRuns(questions.iter().map(missed_runs::built_in).collect())
        }
        Questions::Rollout(questions) => Answers::Rollout(questions.iter().map(rollout::built_in).collect()),
    }
}

/// What the annotations of the object of a key say, as the process could see it: decision, plugin, and the word about
/// failures, if it is one.
fn bindings_of(observer: &Observer, key: &Key) -> Vec<(Decision, Str, Option<OnFailure>)> {
    let (annotations, decisions): (_, &[Decision]) = match key {
        Key::Job(name) => {
            (observer.view.job(&name.name).map(|job| &job.metadata.annotations), &[Decision::Backoff])
        }
        Key::CronJob(name) => (
            observer.view.cron_job(&name.name).map(|known| &known.cron_job.metadata.annotations),
            &[Decision::Schedule, Decision::MissedRuns],
        ),
        Key::DaemonSet(name) => {
            (observer.view.daemon_set(&name.name).map(|set| &set.metadata.annotations), &[Decision::Rollout])
        }
        Key::TimeToLive(_) | Key::OrphanPod(_) => return Vec::new(),
    };
    let Some(annotations) = annotations else { return Vec::new() };
    decisions.iter().filter_map(|decision| binding(annotations, *decision)).collect()
}

fn binding(annotations: &Labels, decision: Decision) -> Option<(Decision, Str, Option<OnFailure>)> {
    let plugin = plugin_of(annotations, decision)?;
    let word = match annotations.get(&*format!("{PREFIX}{decision}-on-failure")).map(|word| &**word) {
        None | Some("BuiltIn") => Some(OnFailure::BuiltIn),
        Some("Hold") => Some(OnFailure::Hold),
        Some("Fail") => Some(OnFailure::Fail),
        Some(_) => None,
    };
    Some((decision, plugin, word))
}

/// Whether these annotations say of failures what there is no meaning of: that is a failure which nobody but their author
/// ends, and means a wait.
pub(super) fn waits_for_ever(annotations: &Labels) -> bool {
    let decisions = [Decision::Backoff, Decision::Schedule, Decision::MissedRuns, Decision::Rollout];
    decisions.iter().filter_map(|decision| binding(annotations, *decision)).any(|(_, _, word)| word.is_none())
}

/// The plugin that decides for whoever has these annotations, if one does.
pub(super) fn plugin_of(annotations: &Labels, decision: Decision) -> Option<Str> {
    annotations.get(&*format!("{PREFIX}{decision}")).filter(|plugin| !plugin.is_empty()).cloned()
}
