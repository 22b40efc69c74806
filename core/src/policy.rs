//! The questions on which users disagree, and the built-in answers.
//!
//! The core asks in batches and gets as many answers; whether a plugin or the built-in logic answered is
//! the host's business.

pub mod backoff;
pub mod missed_runs;
pub mod rollout;
pub mod schedule;

use alloc::vec::Vec;

/// Who answers the core's questions; what is not overridden has the built-in answers.
pub trait Policy {
    /// One answer a question: when a Pod that failed may be tried again.
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer>;

    /// One answer a question: at which instants a schedule fires.
    fn schedule(&self, questions: &[schedule::Question]) -> Vec<schedule::Answer> {
        questions.iter().map(schedule::built_in).collect()
    }

    /// One answer a question: which of the runs that were missed are to be made.
    fn missed_runs(&self, questions: &[missed_runs::Question]) -> Vec<missed_runs::Answer> {
        questions.iter().map(missed_runs::built_in).collect()
    }

    /// One answer a question: which nodes of a DaemonSet get the new revision next.
    fn rollout(&self, questions: &[rollout::Question]) -> Vec<rollout::Answer> {
        questions.iter().map(rollout::built_in).collect()
    }
}

/// The built-in answers, which are upstream's behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// First retry delay, milliseconds.
    pub backoff_base_ms: u32,
    /// Longest retry delay, milliseconds.
    pub backoff_max_ms: u32,
}

impl Default for BuiltIn {
    /// Upstream's constants: 10 s, doubling, at most 10 min.
    fn default() -> Self {
        Self { backoff_base_ms: 10_000, backoff_max_ms: 600_000 }
    }
}

impl Policy for BuiltIn {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        questions.iter().map(|question| backoff::exponential(*self, question.failures)).collect()
    }
}
