//! Defects of the host where plugins decide.

use std::sync::Arc;

use windlass_core::kube::Labels;
use windlass_core::policy::{BuiltIn, Policy, backoff, missed_runs, rollout, schedule};
use windlass_host::engine::SharedPolicy;
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::set::{Loaded, PolicySet};

use super::Mutant;
use crate::simulation::plugins::{Answers, Calls, Questions};
use crate::simulation::workload::plugins::PREFIX;

/// How often [`Mutant::AsksTooOften`] asks besides.
const TOO_OFTEN: usize = 6;

/// A run whose object has plugins.
pub struct Asking<'run> {
    /// Who answers where nothing is amiss.
    pub policy: &'run SharedPolicy,
    /// Annotations of the object.
    pub annotations: Option<Arc<Labels>>,
    /// Calls of plugins that nobody has looked at yet.
    pub calls: &'run Calls,
    /// The plugins that are loaded by now.
    pub loaded: PolicySet,
    /// Whether they were loaded since the run began.
    pub is_swapped: bool,
}

/// Who answers the questions of a run instead.
struct Defective {
    mutant: Mutant,
    policy: SharedPolicy,
    annotations: Option<Arc<Labels>>,
    calls: Calls,
    loaded: PolicySet,
    is_swapped: bool,
}

/// Who answers the core's questions; whoever did, where the defect is another.
pub(super) fn corrupt_answers(mutant: Mutant, asking: Asking<'_>) -> SharedPolicy {
    let Asking { policy, annotations, calls, loaded, is_swapped } = asking;
    if (mutant as usize) < Mutant::SharesTheLane as usize {
        return policy.clone();
    }
    let (policy, calls) = (policy.clone(), calls.clone());
    Arc::new(Defective { mutant, policy, annotations, calls, loaded, is_swapped })
}

impl Defective {
    fn answer(&self, questions: &Questions) -> Answers {
        let route = self.route(questions.decision());
        let before = self.calls.number();
        match (self.mutant, route) {
            (Mutant::RereadsTheSet, Some(plugin)) if self.is_swapped => {
                if let Ok(answers) = questions.put_to_plugin(plugin.plugin()) {
                    return answers;
                }
            }
            (Mutant::NeverTriesAgain, Some(plugin))
                if self.calls.has_failed(&plugin.plugin().identity().digest) =>
            {
                return questions.put_to(&BuiltIn::default());
            }
            (Mutant::AsksForAnybody, None) => {
                if let Some(plugin) = self.loaded.plugins().next() {
                    let _ = questions.put_to_plugin(plugin.plugin());
                }
            }
            _ => {}
        }
        let told = questions.put_to(&*self.policy);
        let Some(plugin) = route else { return told };
        let gave = self
            .calls
            .last()
            .filter(|_| self.calls.number() > before)
            .and_then(|call| call.gave.ok())
            .flatten();
        match (self.mutant, gave) {
            (Mutant::ChecksNoBounds, Some(gave)) => gave,
            (Mutant::TakesPartly, Some(Answers::Backoff(gave))) => partly(questions, gave).unwrap_or(told),
            (Mutant::IgnoresOnFailure, gave) if gave.as_ref() != Some(&told) => {
                questions.put_to(&BuiltIn::default())
            }
            (Mutant::NeverQuarantines, _) if self.calls.number() == before => {
                let _ = questions.put_to_plugin(plugin.plugin());
                told
            }
            (Mutant::AsksTooOften, _) => {
                for _ in 0..TOO_OFTEN {
                    let _ = questions.put_to_plugin(plugin.plugin());
                }
                told
            }
            _ => told,
        }
    }

    fn route(&self, decision: Decision) -> Option<&Arc<Loaded>> {
        let plugin = self.annotations.as_ref()?.get(&*format!("{PREFIX}{decision}"))?;
        self.loaded.plugin(plugin)
    }
}

/// Those answers that are no longer than a delay may be, and built-in ones for the rest.
fn partly(questions: &Questions, gave: Vec<backoff::Answer>) -> Option<Answers> {
    let Answers::Backoff(built_in) = questions.put_to(&BuiltIn::default()) else { return None };
    if built_in.len() != gave.len() {
        return None;
    }
    let take =
        |(gave, built_in)| if gave == backoff::Answer::RetryAfterMs(u32::MAX) { built_in } else { gave };
    Some(Answers::Backoff(gave.into_iter().zip(built_in).map(take).collect()))
}

impl Policy for Defective {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        match self.answer(&Questions::Backoff(questions.to_vec())) {
            Answers::Backoff(answers) => answers,
            Answers::Schedule(_) | Answers::MissedRuns(_) | Answers::Rollout(_) => Vec::new(),
        }
    }

    fn schedule(&self, questions: &[schedule::Question]) -> Vec<schedule::Answer> {
        match self.answer(&Questions::Schedule(questions.to_vec())) {
            Answers::Schedule(answers) => answers,
            Answers::Backoff(_) | Answers::MissedRuns(_) | Answers::Rollout(_) => Vec::new(),
        }
    }

    fn missed_runs(&self, questions: &[missed_runs::Question]) -> Vec<missed_runs::Answer> {
        match self.answer(&Questions::MissedRuns(questions.to_vec())) {
            Answers::MissedRuns(answers) => answers,
            Answers::Backoff(_) | Answers::Schedule(_) | Answers::Rollout(_) => Vec::new(),
        }
    }

    fn rollout(&self, questions: &[rollout::Question]) -> Vec<rollout::Answer> {
        match self.answer(&Questions::Rollout(questions.to_vec())) {
            Answers::Rollout(answers) => answers,
            Answers::Backoff(_) | Answers::Schedule(_) | Answers::MissedRuns(_) => Vec::new(),
        }
    }
}
