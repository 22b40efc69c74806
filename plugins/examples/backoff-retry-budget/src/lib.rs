//! Backoff that spends a budget of retries for each namespace and hour.

use std::collections::BTreeMap;

use windlass_plugin::backoff::{Answer, Backoff, Hold, Question};
use windlass_plugin::{Facts as _, MAX_DELAY_MS, ask_again, jitter, settings};

/// Failures of Pods of the namespace's Jobs in the last hour, each of which meant a retry.
const SPENT: &str = "job.namespace-failures-last-hour";

settings! {
    /// How many retries there are.
    pub struct Settings {
        /// Retries of a namespace in an hour.
        retries_per_hour: u32 = 100,
        /// Another number for some namespaces.
        retries_per_hour_by_namespace: BTreeMap<String, u32> = BTreeMap::new(),
        /// Delay after the first failure, milliseconds; it doubles with each.
        base_ms: u32 = 10_000,
        /// Longest delay, milliseconds.
        max_ms: u32 = 600_000,
        /// How long a Job is held at least when the budget is spent, milliseconds; at most twice as long.
        hold_ms: u32 = 300_000,
    }
}

struct RetryBudget;

impl Backoff for RetryBudget {
    type Settings = Settings;

    const WANTS: &'static [&'static str] = &[SPENT];

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let namespace = question.owner.split('/').next().unwrap_or_default();
        let budgets = &settings.retries_per_hour_by_namespace;
        let budget = budgets.get(namespace).copied().unwrap_or(settings.retries_per_hour);
        let spent = question.fact(SPENT).ok_or_else(|| format!("the host does not tell {SPENT}"))?;
        let spent: u32 = spent.parse().map_err(|_| format!("{SPENT} is {spent:?}, not a number"))?;
        if spent > budget {
            // Apart from one another, so that held Jobs do not all come back at once.
            let latest_ms = settings.hold_ms.saturating_mul(2);
            return Ok(Answer::Hold(Hold {
                reason: format!(
                    "namespace {namespace} had {spent} failures in the last hour, and {budget} retries"
                ),
                ask_again_ms: ask_again(jitter(question.seed).between(settings.hold_ms, latest_ms)),
            }));
        }
        let doubled = settings.base_ms.saturating_mul(1 << question.failures.saturating_sub(1).min(31));
        Ok(Answer::RetryAfterMs(doubled.min(settings.max_ms).min(MAX_DELAY_MS)))
    }
}

windlass_plugin::export!(RetryBudget: Backoff);

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(settings: &Settings, owner: &str, spent: &str) -> Result<Answer, String> {
        let facts = vec![(SPENT.to_owned(), spent.to_owned())];
        RetryBudget::decide(settings, &Question { owner: owner.to_owned(), facts, ..Question::default() })
    }

    #[test]
    fn within_the_budget_it_backs_off() {
        assert_eq!(asked(&Settings::default(), "shop/report", "100"), Ok(Answer::RetryAfterMs(10_000)));
    }

    #[test]
    fn past_the_budget_a_job_is_held_for_one_to_two_spans() {
        let settings = Settings { hold_ms: 1_000, ..Settings::default() };
        let Ok(Answer::Hold(hold)) = asked(&settings, "shop/report", "101") else { panic!("no hold") };
        assert_eq!(hold.reason, "namespace shop had 101 failures in the last hour, and 100 retries");
        assert!((1_000..=2_000).contains(&hold.ask_again_ms));
    }

    #[test]
    fn a_hold_is_from_a_second_to_a_day_and_a_delay_a_day_at_most() {
        for (hold_ms, expected_ms) in [(0, 1_000), (86_400_000, 86_400_000), (u32::MAX, 86_400_000)] {
            let settings = Settings { hold_ms, ..Settings::default() };
            let answer = asked(&settings, "shop/report", "101");
            assert!(
                matches!(&answer, Ok(Answer::Hold(hold)) if hold.ask_again_ms == expected_ms),
                "{answer:?}"
            );
        }
        let settings = Settings { base_ms: u32::MAX, max_ms: u32::MAX, ..Settings::default() };
        assert_eq!(asked(&settings, "shop/report", "0"), Ok(Answer::RetryAfterMs(86_400_000)));
    }

    #[test]
    fn a_namespace_may_have_a_budget_of_its_own() {
        let own = BTreeMap::from([("shop".to_owned(), 5)]);
        let settings = Settings { retries_per_hour_by_namespace: own, ..Settings::default() };
        assert!(matches!(asked(&settings, "shop/report", "6"), Ok(Answer::Hold(_))));
        assert!(matches!(asked(&settings, "bank/report", "6"), Ok(Answer::RetryAfterMs(_))));
    }

    #[test]
    fn what_is_not_told_is_not_guessed() {
        let refusal = RetryBudget::decide(&Settings::default(), &Question::default());
        assert_eq!(refusal, Err(format!("the host does not tell {SPENT}")));
        assert!(asked(&Settings::default(), "shop/report", "many").is_err());
    }
}
