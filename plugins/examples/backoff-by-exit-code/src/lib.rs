//! Backoff that doubles, with jitter, and that knows what exit codes mean.

use std::collections::BTreeMap;

use windlass_plugin::backoff::{Answer, Backoff, Question};
use windlass_plugin::{MAX_DELAY_MS, jitter, settings};

settings! {
    /// How to back off.
    pub struct Settings {
        /// Delay after the first failure, milliseconds.
        base_ms: u32 = 10_000,
        /// Longest delay, jitter aside, milliseconds.
        max_ms: u32 = 600_000,
        /// How far a delay is moved at random, up or down, in hundredths of it.
        jitter_percent: u32 = 20,
        /// Exit codes after which another try is of no use.
        fatal: Vec<i32> = Vec::new(),
        /// Exit codes that are not the program's fault: answered with `not-counted`, for which this version takes the
        /// built-in delay.
        not_counted: Vec<i32> = Vec::new(),
        /// Another first delay for some exit codes, milliseconds.
        base_ms_by_exit_code: BTreeMap<String, u32> = BTreeMap::new(),
    }
}

struct ByExitCode;

impl Backoff for ByExitCode {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        if settings.jitter_percent > 100 {
            return Err("jitterPercent is at most 100".to_owned());
        }
        match settings.base_ms_by_exit_code.keys().find(|code| code.parse::<i32>().is_err()) {
            Some(code) => Err(format!("baseMsByExitCode: {code:?} is no exit code")),
            None => Ok(()),
        }
    }

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        if let Some(code) = question.exit_code {
            if settings.fatal.contains(&code) {
                return Ok(Answer::Stop(format!("exit code {code} will not get better by trying again")));
            }
            if settings.not_counted.contains(&code) {
                return Ok(Answer::NotCounted);
            }
        }
        let delay_ms = doubled(base_ms(settings, question), question.failures).min(settings.max_ms);
        let moved_ms = jitter(question.seed).around(delay_ms, settings.jitter_percent);
        Ok(Answer::RetryAfterMs(moved_ms.min(MAX_DELAY_MS)))
    }
}

windlass_plugin::export!(ByExitCode: Backoff);

fn base_ms(settings: &Settings, question: &Question) -> u32 {
    let special = question.exit_code.and_then(|code| settings.base_ms_by_exit_code.get(&code.to_string()));
    special.copied().unwrap_or(settings.base_ms)
}

/// `base_ms` doubled for every failure but the first, saturating.
fn doubled(base_ms: u32, failures: u32) -> u32 {
    base_ms.saturating_mul(1 << failures.saturating_sub(1).min(31))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(settings: &Settings, failures: u32, exit_code: i32) -> Answer {
        let question = Question { failures, exit_code: Some(exit_code), seed: 7, ..Question::default() };
        ByExitCode::decide(settings, &question).expect("it has an answer for everything")
    }

    #[test]
    fn without_jitter_the_delay_doubles_up_to_its_limit() {
        let settings = Settings { jitter_percent: 0, ..Settings::default() };
        let delays = [1, 2, 3, 7, 8, u32::MAX].map(|failures| asked(&settings, failures, 1));
        let expected = [10_000, 20_000, 40_000, 600_000, 600_000, 600_000].map(Answer::RetryAfterMs);
        assert_eq!(delays, expected);
    }

    #[test]
    fn jitter_stays_within_its_share_and_differs_by_seed() {
        let delay = |seed| match ByExitCode::decide(
            &Settings::default(),
            &Question { seed, ..Question::default() },
        ) {
            Ok(Answer::RetryAfterMs(delay_ms)) => delay_ms,
            other => panic!("no delay but {other:?}"),
        };
        assert!((0..100).all(|seed| (8_000..=12_000).contains(&delay(seed))));
        assert_ne!(delay(1), delay(2));
        assert_eq!(delay(1), delay(1));
    }

    #[test]
    fn no_delay_is_longer_than_a_day_jitter_included() {
        let day_ms = 86_400_000;
        let settings = Settings { base_ms: day_ms, max_ms: day_ms, ..Settings::default() };
        for seed in 0..50 {
            let answer = ByExitCode::decide(&settings, &Question { seed, ..Question::default() });
            assert!(matches!(answer, Ok(Answer::RetryAfterMs(delay_ms)) if delay_ms <= day_ms), "{answer:?}");
        }
    }

    #[test]
    fn exit_codes_say_what_is_of_use() {
        let settings = Settings {
            fatal: vec![2],
            not_counted: vec![143],
            base_ms_by_exit_code: BTreeMap::from([("137".to_owned(), 60_000)]),
            jitter_percent: 0,
            ..Settings::default()
        };
        assert!(matches!(asked(&settings, 1, 2), Answer::Stop(_)));
        assert_eq!(asked(&settings, 1, 143), Answer::NotCounted);
        assert_eq!(asked(&settings, 2, 137), Answer::RetryAfterMs(120_000));
        assert_eq!(asked(&settings, 2, 1), Answer::RetryAfterMs(20_000));
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        let refused = |settings: Settings| ByExitCode::check(&settings).expect_err("a refusal");
        assert_eq!(
            refused(Settings { jitter_percent: 101, ..Settings::default() }),
            "jitterPercent is at most 100"
        );
        let codes = BTreeMap::from([("KILL".to_owned(), 1)]);
        let told = refused(Settings { base_ms_by_exit_code: codes, ..Settings::default() });
        assert_eq!(told, "baseMsByExitCode: \"KILL\" is no exit code");
    }
}
