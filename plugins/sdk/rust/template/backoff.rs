//! __NAME__: doubles the delay after each failure, with jitter.

use windlass_plugin::backoff::{Answer, Backoff, Question};
use windlass_plugin::{jitter, log, settings};

settings! {
    /// What a binding may set, in JSON `{"baseMs": 10000}`.
    pub struct Settings {
        /// Delay after the first failure, milliseconds.
        base_ms: u32 = 10_000,
    }
}

/// Longest delay, milliseconds.
const MAX_MS: u32 = 600_000;

struct Plugin;

impl Backoff for Plugin {
    type Settings = Settings;

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        if question.exit_code == Some(2) {
            return Ok(Answer::Stop("exit code 2 means wrong usage".to_owned()));
        }
        let doubled = settings.base_ms.saturating_mul(1 << question.failures.saturating_sub(1).min(20));
        let longest_ms = doubled.min(MAX_MS);
        let delay_ms = jitter(question.seed).between(longest_ms / 2, longest_ms);
        log::detail(&format!("failure {}: {delay_ms} ms of {longest_ms}", question.failures));
        Ok(Answer::RetryAfterMs(delay_ms))
    }
}

windlass_plugin::export!(Plugin: Backoff);
