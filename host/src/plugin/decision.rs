//! What a plugin may decide, and how a batch of questions about it is handled: the one place that knows all decisions.

use std::fmt;

use windlass_core::policy::{Policy, backoff, missed_runs, rollout, schedule};

use super::binding::OnFailure;
use super::bounds::{self, OutOfBounds};
use super::{Called, Plugin, PluginFault, admission};

/// Wait, milliseconds, after which a plugin is asked again that failed where its failure means a wait.
pub const HOLD_MS: u32 = 30_000;
/// The same in the seconds of schedules.
const HOLD_S: u32 = HOLD_MS / 1_000;

/// A question on which users disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// When a Pod that failed may be tried again.
    Backoff,
    /// When a CronJob fires.
    Schedule,
    /// Which of the runs that a CronJob missed are still to be made.
    MissedRuns,
    /// Which node of a DaemonSet gets the new revision next.
    Rollout,
    /// Whether a Job may start.
    Admission,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 5] =
        [Self::Backoff, Self::Schedule, Self::MissedRuns, Self::Rollout, Self::Admission];

    /// The word for it in annotations, packages and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::Schedule => "schedule",
            Self::MissedRuns => "missed-runs",
            Self::Rollout => "rollout",
            Self::Admission => "admission",
        }
    }

    /// The decision of that word.
    #[must_use]
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.label() == label)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.label())
    }
}

/// A question that a plugin may answer.
pub(super) trait Question: Clone + Sized {
    /// What answers it.
    type Answer;
    /// The decision that it is about.
    const DECISION: Decision;

    /// Adds what the plugin wants to know.
    fn add_facts(&mut self, facts: &[(String, String)]);

    /// Asks a plugin.
    fn decide(plugin: &dyn Plugin, settings: &str, questions: &[Self]) -> Called<Vec<Self::Answer>>;

    /// Whether `answer` may be given.
    fn check(&self, answer: &Self::Answer) -> Result<(), OutOfBounds>;

    /// The answers, if there is one a question, and each may be given.
    fn check_all(questions: &[Self], answers: Vec<Self::Answer>) -> Result<Vec<Self::Answer>, PluginFault> {
        let checked = bounds::count(questions.len(), answers.len()).and_then(|()| {
            questions.iter().zip(&answers).try_for_each(|(question, answer)| question.check(answer))
        });
        checked.map(|()| answers).map_err(PluginFault::OutOfBounds)
    }

    /// The reason of an answer that is a wait.
    fn hold_reason(answer: &Self::Answer) -> Option<&str>;

    /// The built-in answers.
    fn built_in(policy: &dyn Policy, questions: &[Self]) -> Vec<Self::Answer>;

    /// The answer for a plugin that failed where its failure means a wait or a failure; `why` tells people.
    fn stand_in(&self, failure: OnFailure, now_s: u32, why: &str) -> Option<Self::Answer>;
}

impl Question for backoff::Question {
    type Answer = backoff::Answer;
    const DECISION: Decision = Decision::Backoff;

    fn add_facts(&mut self, facts: &[(String, String)]) {
        self.facts.extend_from_slice(facts);
    }

    fn decide(plugin: &dyn Plugin, settings: &str, questions: &[Self]) -> Called<Vec<Self::Answer>> {
        plugin.backoff(settings, questions)
    }

    fn check(&self, answer: &Self::Answer) -> Result<(), OutOfBounds> {
        bounds::backoff(answer)
    }

    fn hold_reason(answer: &Self::Answer) -> Option<&str> {
        match answer {
            backoff::Answer::Hold(hold) => Some(&hold.reason),
            backoff::Answer::RetryAfterMs(_)
            | backoff::Answer::NotCounted
            | backoff::Answer::Stop(_)
            | backoff::Answer::Other(_) => None,
        }
    }

    fn built_in(policy: &dyn Policy, questions: &[Self]) -> Vec<Self::Answer> {
        policy.backoff(questions)
    }

    fn stand_in(&self, failure: OnFailure, _now_s: u32, why: &str) -> Option<Self::Answer> {
        match failure {
            OnFailure::BuiltIn => None,
            OnFailure::Hold => {
                let hold = backoff::Hold { reason: why.to_owned(), ask_again_ms: HOLD_MS };
                Some(backoff::Answer::Hold(hold))
            }
            OnFailure::Fail => Some(backoff::Answer::Stop(why.to_owned())),
        }
    }
}

impl Question for schedule::Question {
    type Answer = schedule::Answer;
    const DECISION: Decision = Decision::Schedule;

    fn add_facts(&mut self, facts: &[(String, String)]) {
        self.facts.extend_from_slice(facts);
    }

    fn decide(plugin: &dyn Plugin, settings: &str, questions: &[Self]) -> Called<Vec<Self::Answer>> {
        plugin.schedule(settings, questions)
    }

    fn check(&self, answer: &Self::Answer) -> Result<(), OutOfBounds> {
        bounds::schedule(self, answer)
    }

    fn hold_reason(_answer: &Self::Answer) -> Option<&str> {
        None
    }

    fn built_in(policy: &dyn Policy, questions: &[Self]) -> Vec<Self::Answer> {
        policy.schedule(questions)
    }

    /// A wait is a schedule that has not fired and fires next when the plugin is asked again; it is asked first then.
    fn stand_in(&self, failure: OnFailure, now_s: u32, why: &str) -> Option<Self::Answer> {
        match failure {
            OnFailure::BuiltIn => None,
            OnFailure::Hold => {
                let next_s = now_s.saturating_add(HOLD_S).max(self.after_s.saturating_add(1));
                let is_asked_for = !self.latest && self.limit > 0 && next_s <= self.until_s;
                let at_s = if is_asked_for { vec![next_s] } else { Vec::new() };
                Some(schedule::Answer::Fires(schedule::Firing { at_s, more: false }))
            }
            OnFailure::Fail => Some(schedule::Answer::Refused(why.to_owned())),
        }
    }
}

impl Question for missed_runs::Question {
    type Answer = missed_runs::Answer;
    const DECISION: Decision = Decision::MissedRuns;

    fn add_facts(&mut self, facts: &[(String, String)]) {
        self.facts.extend_from_slice(facts);
    }

    fn decide(plugin: &dyn Plugin, settings: &str, questions: &[Self]) -> Called<Vec<Self::Answer>> {
        plugin.missed_runs(settings, questions)
    }

    fn check(&self, answer: &Self::Answer) -> Result<(), OutOfBounds> {
        bounds::missed_runs(self, answer)
    }

    fn hold_reason(_answer: &Self::Answer) -> Option<&str> {
        None
    }

    fn built_in(policy: &dyn Policy, questions: &[Self]) -> Vec<Self::Answer> {
        policy.missed_runs(questions)
    }

    /// No run for now, be it a wait or a failure: the instants stay missed, and are asked about again.
    fn stand_in(&self, failure: OnFailure, _now_s: u32, _why: &str) -> Option<Self::Answer> {
        match failure {
            OnFailure::BuiltIn => None,
            OnFailure::Hold | OnFailure::Fail => Some(missed_runs::Answer::Run(Vec::new())),
        }
    }
}

impl Question for rollout::Question {
    type Answer = rollout::Answer;
    const DECISION: Decision = Decision::Rollout;

    fn add_facts(&mut self, facts: &[(String, String)]) {
        self.facts.extend_from_slice(facts);
    }

    fn decide(plugin: &dyn Plugin, settings: &str, questions: &[Self]) -> Called<Vec<Self::Answer>> {
        plugin.rollout(settings, questions)
    }

    fn check(&self, answer: &Self::Answer) -> Result<(), OutOfBounds> {
        bounds::rollout(self, answer)
    }

    fn hold_reason(answer: &Self::Answer) -> Option<&str> {
        match answer {
            rollout::Answer::Pause(hold) => Some(&hold.reason),
            rollout::Answer::Update(_) | rollout::Answer::Other(_) => None,
        }
    }

    fn built_in(policy: &dyn Policy, questions: &[Self]) -> Vec<Self::Answer> {
        policy.rollout(questions)
    }

    /// A DaemonSet cannot fail; its rollout pauses, be it a wait or a failure.
    fn stand_in(&self, failure: OnFailure, _now_s: u32, why: &str) -> Option<Self::Answer> {
        match failure {
            OnFailure::BuiltIn => None,
            OnFailure::Hold | OnFailure::Fail => {
                let hold = rollout::Hold { reason: why.to_owned(), ask_again_ms: HOLD_MS };
                Some(rollout::Answer::Pause(hold))
            }
        }
    }
}

impl Question for admission::Question {
    type Answer = admission::Answer;
    const DECISION: Decision = Decision::Admission;

    fn add_facts(&mut self, facts: &[(String, String)]) {
        self.facts.extend_from_slice(facts);
    }

    fn decide(plugin: &dyn Plugin, settings: &str, questions: &[Self]) -> Called<Vec<Self::Answer>> {
        plugin.admission(settings, questions)
    }

    fn check(&self, answer: &Self::Answer) -> Result<(), OutOfBounds> {
        bounds::admission(answer)
    }

    fn hold_reason(answer: &Self::Answer) -> Option<&str> {
        match answer {
            admission::Answer::Hold(hold) => Some(&hold.reason),
            admission::Answer::Start | admission::Answer::Other(_) => None,
        }
    }

    /// Every Job starts.
    fn built_in(_policy: &dyn Policy, questions: &[Self]) -> Vec<Self::Answer> {
        vec![admission::Answer::Start; questions.len()]
    }

    /// What does not start waits, be it a wait or a failure.
    fn stand_in(&self, failure: OnFailure, _now_s: u32, why: &str) -> Option<Self::Answer> {
        match failure {
            OnFailure::BuiltIn => None,
            OnFailure::Hold | OnFailure::Fail => {
                let hold = admission::Hold { reason: why.to_owned(), ask_again_ms: HOLD_MS };
                Some(admission::Answer::Hold(hold))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_is_known_by_its_word() {
        for decision in Decision::ALL {
            assert_eq!(Decision::of_label(decision.label()), Some(decision));
        }
        assert_eq!(Decision::of_label("Backoff"), None);
    }

    #[test]
    fn a_schedule_that_waits_has_not_fired_and_is_looked_at_again() {
        let question = schedule::Question { after_s: 100, until_s: 1_000, limit: 1, ..Default::default() };
        let fires = |at_s: &[u32]| {
            Some(schedule::Answer::Fires(schedule::Firing { at_s: at_s.to_vec(), more: false }))
        };
        assert_eq!(question.stand_in(OnFailure::Hold, 500, "why"), fires(&[500 + HOLD_S]));
        assert_eq!(question.stand_in(OnFailure::Hold, 990, "why"), fires(&[]), "past the window");
        let passed = schedule::Question { latest: true, ..question };
        assert_eq!(passed.stand_in(OnFailure::Hold, 500, "why"), fires(&[]));
    }
}
