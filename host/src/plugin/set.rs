//! The plugins that are loaded at one moment, what they are bound to, and who answers the questions of one run.
//!
//! A set never changes: a run that began with one ends with it, whatever is loaded meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windlass_core::kube::{Kind, ObjectMeta, Str, Time};
use windlass_core::policy::{Policy, backoff, missed_runs, rollout, schedule};

use super::binding::{Binding, OnFailure, Rules};
use super::circuit::{Admission, Circuits};
use super::decision::{Decision, Question};
use super::{Called, Cost, Identity, LogLine, Plugin, PluginFault, admission, bounds, facts};
use crate::Now;
use crate::engine::SharedPolicy;
use crate::key::Name;
use crate::snapshot::Subject;

/// Most calls of plugins in one run, looks at settings among them: at ten milliseconds each, a run waits at most 50 ms.
pub const MAX_CALLS: usize = 5;
/// Time of plugins in one run after which no other call begins, microseconds: what has no plugin is behind it, however long
/// one call may take.
pub const MAX_TIME_US: u64 = 50_000;
/// Most settings of a plugin whose validity is remembered, and most bytes of them.
const MAX_KNOWN_SETTINGS: usize = 1_024;
const MAX_KNOWN_SETTINGS_BYTES: usize = 1 << 20;
/// Seconds after which a plugin that failed is asked again about settings for which nobody waits.
const ASK_AGAIN_S: i64 = 60;

/// The plugins that are loaded, by name, and what PolicyBindings say of them.
#[derive(Clone, Default)]
pub struct PolicySet {
    plugins: BTreeMap<Str, Arc<Loaded>>,
    rules: Arc<Rules>,
}

/// A plugin that is loaded, for whom, and which settings it takes.
pub struct Loaded {
    plugin: Arc<dyn Plugin>,
    namespaces: Option<BTreeSet<Str>>,
    settings: Mutex<Verdicts>,
}

/// What is known of settings that may be bound for a decision.
#[derive(Default)]
struct Verdicts {
    said: BTreeMap<(Decision, Str), Result<(), PluginFault>>,
    /// Settings of which the plugin said nothing, since it failed, and when it is asked again.
    unsaid: BTreeMap<(Decision, Str), (PluginFault, Time)>,
    /// Bytes of all these settings.
    bytes: usize,
}

/// Who answers the questions of one run about an object that a plugin decides for.
pub struct BoundPolicy {
    built_in: SharedPolicy,
    routes: Vec<Route>,
    now_s: u32,
    calls: Mutex<Calls>,
    /// What was decided about the start of the Job.
    verdict: Mutex<Option<admission::Verdict>>,
}

/// The calls of one run.
#[derive(Default)]
struct Calls {
    /// What was asked and is not told yet.
    told: Vec<Call>,
    /// How often a plugin was called, looks at settings among them.
    made: usize,
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
    /// The PolicyBinding that binds it; absent: the object's annotations.
    pub rule: Option<Name>,
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
        Self { plugins: named.collect(), rules: Arc::default() }
    }

    /// The same plugins, bound by these rules as well as by annotations.
    #[must_use]
    pub fn with_rules(self, rules: Arc<Rules>) -> Self {
        Self { rules, ..self }
    }

    /// The plugins that decide for an object, loaded or not: one a decision.
    #[must_use]
    pub fn bindings_of(&self, kind: Kind, metadata: &ObjectMeta) -> Vec<Binding> {
        self.rules.of(kind, metadata)
    }

    /// Whether a plugin decides for an object, loaded or not, in something that `is_meant`.
    pub fn binds(&self, kind: Kind, metadata: &ObjectMeta, is_meant: impl Fn(Decision) -> bool) -> bool {
        self.rules.binds(kind, metadata, is_meant)
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

    /// Keys of the node labels that the plugin wants to see which decides about the rollouts of a DaemonSet; `None` where
    /// none is bound to it.
    #[must_use]
    pub fn rollout_labels(&self, set: &ObjectMeta) -> Option<Vec<Str>> {
        let bindings = self.bindings_of(Kind::DaemonSet, set);
        let binding = bindings.into_iter().find(|binding| binding.decision == Decision::Rollout)?;
        let loaded = self.plugins.get(&binding.plugin);
        Some(loaded.map_or_else(Vec::new, |loaded| facts::node_labels(loaded.plugin.description())))
    }

    /// Who answers the questions about `subject`, or `None` where no plugin is bound to it.
    ///
    /// `known` tells what plugins want to know beyond the object. A plugin that `circuits` admits on trial must be settled with what [`BoundPolicy::take_calls`] says.
    pub fn bind(
        &self,
        subject: &Subject,
        built_in: &SharedPolicy,
        now: Now,
        circuits: &mut Circuits,
        known: &facts::Known<'_>,
    ) -> Option<Arc<BoundPolicy>> {
        let (kind, metadata) = subject.regarding()?;
        let mut bindings = self.bindings_of(kind, metadata);
        bindings.retain(|binding| may_be_asked(binding.decision, subject));
        if bindings.is_empty() {
            return None;
        }
        let mut admitted = BTreeMap::new();
        let route = |binding: Binding| {
            let loaded = self.plugins.get(&binding.plugin);
            let identity = loaded.map(|loaded| Arc::new(loaded.plugin.identity().clone()));
            let target = target(&binding, loaded, (&metadata.namespace, subject, known), |identity| {
                *admitted
                    .entry(identity.name.clone())
                    .or_insert_with(|| circuits.admit(now.monotonic_ms, identity))
            });
            Route { binding, target, identity }
        };
        let routes = bindings.into_iter().map(route).collect();
        let now_s = u32::try_from(now.unix_ms.div_euclid(1_000)).unwrap_or(0);
        let (calls, verdict) = (Mutex::default(), Mutex::default());
        Some(Arc::new(BoundPolicy { built_in: built_in.clone(), routes, now_s, calls, verdict }))
    }
}

/// Whether somebody may ask about `subject`: of a Job that has started nobody asks whether it may.
fn may_be_asked(decision: Decision, subject: &Subject) -> bool {
    decision != Decision::Admission || subject.job().is_some_and(|job| admission::is_ahead_of(job))
}

/// The plugin that a binding means, if it may be asked.
fn target(
    binding: &Binding,
    loaded: Option<&Arc<Loaded>>,
    (namespace, subject, known): (&Str, &Subject, &facts::Known<'_>),
    admit: impl FnOnce(&Identity) -> Admission,
) -> Result<Target, PluginFault> {
    if let Some(fault) = &binding.fault {
        return Err(fault.clone());
    }
    let loaded = loaded.ok_or(PluginFault::NotLoaded)?;
    if !loaded.serves(namespace) {
        return Err(PluginFault::NotForNamespace);
    }
    let identity = loaded.plugin.identity();
    if !identity.decisions.contains(&binding.decision) {
        return Err(PluginFault::DoesNotDecide);
    }
    let trial = match admit(identity) {
        Admission::Free => false,
        Admission::Trial => true,
        Admission::Quarantined { for_ms } => return Err(PluginFault::Quarantined { for_ms }),
    };
    let facts = facts::wanted(loaded.plugin.description(), binding.decision, subject, known);
    Ok(Target { plugin: loaded.clone(), facts, trial })
}

impl Loaded {
    /// A plugin of whose settings nothing is known yet.
    #[must_use]
    pub fn new(plugin: Arc<dyn Plugin>) -> Arc<Self> {
        Self::for_namespaces(plugin, None)
    }

    /// The same, for the objects of these namespaces alone; `None`: of all.
    #[must_use]
    pub fn for_namespaces(plugin: Arc<dyn Plugin>, namespaces: Option<BTreeSet<Str>>) -> Arc<Self> {
        Arc::new(Self { plugin, namespaces, settings: Mutex::default() })
    }

    /// Whether it may decide for the objects of a namespace.
    #[must_use]
    pub fn serves(&self, namespace: &Str) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
    }

    /// Whether these settings may be bound for a decision: asked once, and remembered.
    ///
    /// # Errors
    /// What the plugin says of them, or why it says nothing.
    pub fn check_settings(&self, decision: Decision, settings: &Str) -> Result<(), PluginFault> {
        if let Some(verdict) = self.known(decision, settings) {
            return verdict;
        }
        let verdict = self.plugin.validate_settings(decision, settings).result;
        self.learn(decision, settings, &verdict);
        verdict
    }

    /// The same for a report, at `now` of the wall clock: a plugin that failed to say is not asked again at once.
    ///
    /// # Errors
    /// What the plugin says of them, or why it said nothing.
    pub fn look_at_settings(&self, now: Time, decision: Decision, settings: &Str) -> Result<(), PluginFault> {
        let key = (decision, settings.clone());
        let unsaid = self.verdicts().unsaid.get(&key).cloned();
        let failed = unsaid.filter(|(_, again)| now < *again && self.known(decision, settings).is_none());
        if let Some((fault, _)) = failed {
            return Err(fault);
        }
        let verdict = self.check_settings(decision, settings);
        let mut verdicts = self.verdicts();
        match &verdict {
            Ok(()) | Err(PluginFault::SettingsRefused(_)) => {
                verdicts.unsaid.remove(&key);
            }
            Err(fault) => {
                if verdicts.unsaid.len() >= MAX_KNOWN_SETTINGS {
                    verdicts.unsaid.clear();
                }
                let again = Time::from_unix_seconds(now.unix_seconds.saturating_add(ASK_AGAIN_S));
                verdicts.unsaid.insert(key, (fault.clone(), again));
            }
        }
        verdict
    }

    /// The plugin.
    #[must_use]
    pub fn plugin(&self) -> &dyn Plugin {
        &*self.plugin
    }

    /// What was found out earlier about settings.
    fn known(&self, decision: Decision, settings: &Str) -> Option<Result<(), PluginFault>> {
        self.verdicts().said.get(&(decision, settings.clone())).cloned()
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the plugin said of settings; that it said nothing is no verdict.
    fn learn(&self, decision: Decision, settings: &Str, verdict: &Result<(), PluginFault>) {
        if !matches!(verdict, Ok(()) | Err(PluginFault::SettingsRefused(_))) {
            return;
        }
        let mut verdicts = self.verdicts();
        if verdicts.said.len() >= MAX_KNOWN_SETTINGS
            || verdicts.bytes.saturating_add(settings.len()) > MAX_KNOWN_SETTINGS_BYTES
        {
            verdicts.said.clear();
            verdicts.bytes = 0;
        }
        if verdicts.said.insert((decision, settings.clone()), verdict.clone()).is_none() {
            verdicts.bytes += settings.len();
        }
    }
}

impl BoundPolicy {
    /// What was asked of plugins so far, in order; each is told once.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner).told)
    }

    /// What becomes of a Job that is about to start; [`BoundPolicy::take_verdict`] gives it once more.
    pub fn admit(&self, question: admission::Question) -> admission::Verdict {
        let answer = self.answer(&[question]).pop();
        let fails = {
            let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let call = calls.told.last().filter(|call| call.decision == Decision::Admission);
            let failed = call.filter(|call| call.fault.is_some());
            failed.is_some_and(|call| call.on_failure == OnFailure::Fail)
        };
        let verdict = match answer {
            Some(admission::Answer::Hold(hold)) if fails => admission::Verdict::Fail(hold.reason),
            Some(admission::Answer::Hold(hold)) => admission::Verdict::Hold(hold),
            Some(admission::Answer::Start | admission::Answer::Other(_)) | None => admission::Verdict::Start,
        };
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict.clone());
        verdict
    }

    /// What was decided about the start of the Job, if somebody asked; told once.
    pub fn take_verdict(&self) -> Option<admission::Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).take()
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
                | PluginFault::NotForNamespace
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
            rule: route.binding.rule.clone(),
            fault: None,
            on_failure: route.binding.on_failure,
            held: None,
            trial: false,
            ran: false,
            cost: Cost::default(),
            log: Vec::new(),
        };
        let answers = self.ask(route, questions, &mut call).unwrap_or_else(|fault| {
            if fault.is_passing() && call.on_failure == OnFailure::Fail {
                call.on_failure = OnFailure::Hold;
            }
            let answers = self.stand_in(&call, questions, &fault);
            call.fault = Some(fault);
            answers
        });
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).told.push(call);
        answers
    }

    fn ask<Q: Question>(
        &self,
        route: &Route,
        questions: &[Q],
        call: &mut Call,
    ) -> Result<Vec<Q::Answer>, PluginFault> {
        let target = route.target.as_ref().map_err(Clone::clone)?;
        let (plugin, settings) = (&*target.plugin, &route.binding.settings);
        match plugin.known(Q::DECISION, settings) {
            Some(verdict) => verdict?,
            None => {
                self.begin(target, call)?;
                let called = plugin.plugin.validate_settings(Q::DECISION, settings);
                let verdict = taken(called, call);
                plugin.learn(Q::DECISION, settings, &verdict);
                verdict?;
            }
        }
        self.begin(target, call)?;
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

    /// Notes that a plugin is called, if the run may make one more call.
    fn begin(&self, target: &Target, call: &mut Call) -> Result<(), PluginFault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let costs = calls.told.iter().map(|call| call.cost).chain([call.cost]);
        let took_us: u64 = costs.filter_map(|cost| cost.took_us).sum();
        if calls.made >= MAX_CALLS {
            return Err(PluginFault::TooManyCalls);
        }
        if took_us >= MAX_TIME_US {
            return Err(PluginFault::NoTimeLeft);
        }
        calls.made += 1;
        (call.trial, call.ran) = (target.trial, true);
        Ok(())
    }

    /// The answers for a plugin that gave none: all by the same rule.
    fn stand_in<Q: Question>(&self, call: &Call, questions: &[Q], fault: &PluginFault) -> Vec<Q::Answer> {
        let Call { decision, plugin, on_failure, .. } = call;
        let why = bounds::cut(format!("policy plugin {plugin} ({decision}) failed: {fault}"));
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

    fn rollout(&self, questions: &[rollout::Question]) -> Vec<rollout::Answer> {
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
