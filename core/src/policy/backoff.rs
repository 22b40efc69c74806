//! P1, backoff: when a Pod that failed may be tried again.

use alloc::string::String;
use alloc::vec::Vec;

use super::BuiltIn;

/// One failure, or run of failures, to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the Job, joined by a slash.
    pub owner: String,
    /// Completion index, where retries are counted for each index.
    pub index: Option<u32>,
    /// Failures in a row, at least 1.
    pub failures: u32,
    /// Exit code of the last failure, if a container reported one.
    pub exit_code: Option<i32>,
    /// Reason of the last failure, or empty.
    pub reason: String,
    /// Time since the Job started, milliseconds, saturating.
    pub age_ms: u32,
    /// For jitter: the same for the same question.
    pub seed: u32,
    /// Facts that the policy asked for.
    pub facts: Vec<(String, String)>,
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Try again so many milliseconds after the failure.
    RetryAfterMs(u32),
    /// Try again at once, and do not count the failure.
    NotCounted,
    /// Do not try again: the Job fails, with this message.
    Stop(String),
    /// Wait, and ask again later.
    Hold(Hold),
    /// An answer that this version does not know; the built-in answer stands in for it.
    Other(String),
}

/// A wait without a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, for people.
    pub reason: String,
    /// When to ask again, milliseconds.
    pub ask_again_ms: u32,
}

/// The built-in answer: [`exponential_ms`].
#[must_use]
pub fn exponential(settings: BuiltIn, failures: u32) -> Answer {
    Answer::RetryAfterMs(exponential_ms(settings, failures))
}

/// The delay after so many failures in a row, milliseconds: `base * 2^(failures - 1)`, at most `max`
/// (upstream: backoff_utils.go).
pub(crate) fn exponential_ms(settings: BuiltIn, failures: u32) -> u32 {
    if failures == 0 {
        return 0;
    }
    let doublings = failures.saturating_sub(1).min(31);
    let delay = u64::from(settings.backoff_base_ms).saturating_mul(1_u64 << doublings);
    let delay = delay.min(u64::from(settings.backoff_max_ms));
    u32::try_from(delay).unwrap_or(u32::MAX)
}
