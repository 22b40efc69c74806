//! The plugins that are loaded at one moment, and who answers the questions of one run.
//!
//! A set never changes: a run that began with one ends with it, whatever is loaded meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use windlass_core::kube::Str;
use windlass_core::policy::{Policy, backoff, missed_runs, schedule};

use super::binding::{Binding, OnFailure, of_annotations};
use super::circuit::{Admission, Circuits};
use super::decision::{Decision, Question};
use super::{Called, Cost, Identity, LogLine, Plugin, PluginFault, bounds, facts};
use crate::Now;
use crate::engine::SharedPolicy;
use crate::snapshot::Subject;

/// Most calls of plugins in one run; at ten milliseconds each, a run waits at most 50 ms for them.
pub const MAX_CALLS: usize = 5;
/// Most settings of a plugin whose validity is remembered.
const MAX_KNOWN_SETTINGS: usize = 1_024;

/// The plugins that are loaded, by name.
#[derive(Clone, Default)]
pub struct PolicySet {
    plugins: BTreeMap<Str, Arc<Loaded>>,
}

/// A plugin that is loaded, and which settings it takes.
pub struct Loaded {
    plugin: Arc<dyn Plugin>,
    settings: Mutex<BTreeMap<(Decision, Str), Result<(), PluginFault>>>,
}

/// Who answers the questions of one run about an object that a plugin decides for.
pub struct BoundPolicy {
    built_in: SharedPolicy,
    routes: Vec<Route>,
    now_s: u32,
    calls: Mutex<Vec<Call>>,
}

/// A batch of questions that went to a plugin, or was to go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub decision: Decision,
    /// Name of the plugin.
    pub plugin: Str,
    /// What of that name was loaded, if anything was.
    pub identity: Option<Arc<Identity>>,
    /// Why the plugin's answers were not used, where they were not.
    pub fault: Option<PluginFault>,
    /// What the binding says of that.
    pub on_failure: OnFailure,
    /// Reason of an answer that is a wait, if one is.
    pub held: Option<String>,
    /// Whether the plugin was called on trial.
    pub trial: bool,
    /// Whether the plugin ran at all.
    pub ran: bool,
    /// What it cost.
    pub cost: Cost,
    /// What the plugin said meanwhile.
    pub log: Vec<LogLine>,
}

struct Route {
    binding: Binding,
    target: Result<Target, PluginFault>,
    identity: Option<Arc<Identity>>,
}

struct Target {
    plugin: Arc<Loaded>,
    facts: Vec<(String, String)>,
    trial: bool,
}

impl PolicySet {
    /// A set of these plugins; of two of one name the later one is taken.
    #[must_use]
    pub fn new(plugins: impl IntoIterator<Item = Arc<Loaded>>) -> Self {
        let named = plugins.into_iter().map(|loaded| (loaded.plugin.identity().name.clone(), loaded));
        Self { plugins: named.collect() }
    }

    /// The plugins, by name.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.plugins.values()
    }

    /// The plugin of that name.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&Arc<Loaded>> {
        self.plugins.get(name)
    }

    /// Who answers the questions about `subject`, or `None` where no plugin is bound to it.
    ///
    /// A plugin that `circuits` admits on trial must be settled with what [`BoundPolicy::take_calls`] says.
    pub fn bind(
        &self,
        subject: &Subject,
        built_in: &SharedPolicy,
        now: Now,
        circuits: &mut Circuits,
    ) -> Option<Arc<BoundPolicy>> {
        let (kind, metadata) = subject.regarding()?;
        let bindings = of_annotations(kind, &metadata.annotations);
        if bindings.is_empty() {
            return None;
        }
        let mut admitted = BTreeMap::new();
        let route = |binding: Binding| {
            let loaded = self.plugins.get(&binding.plugin);
            let identity = loaded.map(|loaded| Arc::new(loaded.plugin.identity().clone()));
            let target = target(&binding, loaded, subject, |identity| {
                *admitted
                    .entry(identity.name.clone())
                    .or_insert_with(|| circuits.admit(now.monotonic_ms, identity))
            });
            Route { binding, target, identity }
        };
        let routes = bindings.into_iter().map(route).collect();
        let now_s = u32::try_from(now.unix_ms.div_euclid(1_000)).unwrap_or(0);
        Some(Arc::new(BoundPolicy { built_in: built_in.clone(), routes, now_s, calls: Mutex::default() }))
    }
}

/// The plugin that a binding means, if it may be asked.
fn target(
    binding: &Binding,
    loaded: Option<&Arc<Loaded>>,
    subject: &Subject,
    admit: impl FnOnce(&Identity) -> Admission,
) -> Result<Target, PluginFault> {
    if let Some(fault) = &binding.fault {
        return Err(fault.clone());
    }
    let loaded = loaded.ok_or(PluginFault::NotLoaded)?;
    let identity = loaded.plugin.identity();
    if !identity.decisions.contains(&binding.decision) {
        return Err(PluginFault::DoesNotDecide);
    }
    let trial = match admit(identity) {
        Admission::Free => false,
        Admission::Trial => true,
        Admission::Quarantined { for_ms } => return Err(PluginFault::Quarantined { for_ms }),
    };
    let facts = facts::wanted(loaded.plugin.description(), binding.decision, subject);
    Ok(Target { plugin: loaded.clone(), facts, trial })
}

impl Loaded {
    /// A plugin of whose settings nothing is known yet.
    #[must_use]
    pub fn new(plugin: Arc<dyn Plugin>) -> Arc<Self> {
        Arc::new(Self { plugin, settings: Mutex::default() })
    }

    /// The plugin.
    #[must_use]
    pub fn plugin(&self) -> &dyn Plugin {
        &*self.plugin
    }

    /// What was found out earlier about settings.
    fn known(&self, decision: Decision, settings: &Str) -> Option<Result<(), PluginFault>> {
        let known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(decision, settings.clone())).cloned()
    }

    fn learn(&self, decision: Decision, settings: &Str, verdict: Result<(), PluginFault>) {
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN_SETTINGS {
            known.clear();
        }
        known.insert((decision, settings.clone()), verdict);
    }
}

impl BoundPolicy {
    /// What was asked of plugins so far, in order; each is told once.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The plugins that were admitted on trial.
    pub fn trials(&self) -> impl Iterator<Item = &Arc<Identity>> {
        let on_trial = |route: &&Route| route.target.as_ref().is_ok_and(|target| target.trial);
        self.routes.iter().filter(on_trial).filter_map(|route| route.identity.as_ref())
    }

    /// What is wrong with the bindings themselves, whether or not anything is asked: a plugin that is not there,
    /// or a word that says nothing.
    pub fn defects(&self) -> impl Iterator<Item = (&Binding, &PluginFault)> {
        self.routes.iter().filter_map(|route| match &route.target {
            Err(
                fault @ (PluginFault::NotLoaded
                | PluginFault::DoesNotDecide
                | PluginFault::UnknownOnFailure(_)),
            ) => Some((&route.binding, fault)),
            Err(_) | Ok(_) => None,
        })
    }

    fn answer<Q: Question>(&self, questions: &[Q]) -> Vec<Q::Answer> {
        let Some(route) = self.routes.iter().find(|route| route.binding.decision == Q::DECISION) else {
            return Q::built_in(&*self.built_in, questions);
        };
        if questions.is_empty() {
            return Vec::new();
        }
        let mut call = Call {
            decision: Q::DECISION,
            plugin: route.binding.plugin.clone(),
            identity: route.identity.clone(),
            fault: None,
            on_failure: route.binding.on_failure,
            held: None,
            trial: false,
            ran: false,
            cost: Cost::default(),
            log: Vec::new(),
        };
        let answers = self.ask(route, questions, &mut call).unwrap_or_else(|fault| {
            let answers = self.stand_in(route, questions, &fault);
            call.fault = Some(fault);
            answers
        });
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        answers
    }

    fn ask<Q: Question>(
        &self,
        route: &Route,
        questions: &[Q],
        call: &mut Call,
    ) -> Result<Vec<Q::Answer>, PluginFault> {
        let target = route.target.as_ref().map_err(Clone::clone)?;
        let asked = self.calls.lock().unwrap_or_else(PoisonError::into_inner).len();
        if asked >= MAX_CALLS {
            return Err(PluginFault::TooManyCalls);
        }
        (call.trial, call.ran) = (target.trial, true);
        let (plugin, settings) = (&*target.plugin, &route.binding.settings);
        match plugin.known(Q::DECISION, settings) {
            Some(verdict) => verdict?,
            None => {
                let called = plugin.plugin.validate_settings(Q::DECISION, settings);
                let verdict = taken(called, call);
                if matches!(verdict, Ok(()) | Err(PluginFault::SettingsRefused(_))) {
                    plugin.learn(Q::DECISION, settings, verdict.clone());
                }
                verdict?;
            }
        }
        let called = if target.facts.is_empty() {
            Q::decide(&*plugin.plugin, settings, questions)
        } else {
            let mut questions = questions.to_vec();
            questions.iter_mut().for_each(|question| question.add_facts(&target.facts));
            Q::decide(&*plugin.plugin, settings, &questions)
        };
        let answers = taken(called, call)?;
        let answers = Q::check_all(questions, answers)?;
        call.held = answers.iter().find_map(Q::hold_reason).map(ToOwned::to_owned);
        Ok(answers)
    }

    /// The answers for a plugin that gave none: all by the same rule.
    fn stand_in<Q: Question>(&self, route: &Route, questions: &[Q], fault: &PluginFault) -> Vec<Q::Answer> {
        let Binding { decision, plugin, on_failure, .. } = &route.binding;
        let mut why = format!("policy plugin {plugin} ({decision}) failed: {fault}");
        why.truncate(why.floor_char_boundary(bounds::MAX_TEXT_BYTES));
        let answers: Option<Vec<_>> =
            questions.iter().map(|question| question.stand_in(*on_failure, self.now_s, &why)).collect();
        answers.unwrap_or_else(|| Q::built_in(&*self.built_in, questions))
    }
}

impl Policy for BoundPolicy {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        self.answer(questions)
    }

    fn schedule(&self, questions: &[schedule::Question]) -> Vec<schedule::Answer> {
        self.answer(questions)
    }

    fn missed_runs(&self, questions: &[missed_runs::Question]) -> Vec<missed_runs::Answer> {
        self.answer(questions)
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.plugins.values().map(|loaded| loaded.plugin.identity())).finish()
    }
}

/// What a call came to; what it cost and said is added to the record.
fn taken<A>(called: Called<A>, call: &mut Call) -> Result<A, PluginFault> {
    let Called { result, cost, log } = called;
    let add = |before: Option<u64>, more: Option<u64>| match (before, more) {
        (Some(before), Some(more)) => Some(before.saturating_add(more)),
        (before, more) => before.or(more),
    };
    call.cost = Cost {
        fuel: add(call.cost.fuel, cost.fuel),
        took_us: add(call.cost.took_us, cost.took_us),
        memory_bytes: call.cost.memory_bytes.max(cost.memory_bytes),
    };
    call.log.extend(log);
    result
}

#[cfg(test)]
mod tests;
