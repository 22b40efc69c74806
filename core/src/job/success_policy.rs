//! spec.successPolicy: which successes are enough; the first rule that matches decides.

use alloc::format;
use alloc::string::String;

use crate::kube::SuccessPolicyRule;

use super::facts::Facts;
use super::indexes::CompletionIndexes;

/// The message that says which rule is met, if one is.
pub(super) fn met(facts: &Facts<'_>, succeeded: &CompletionIndexes) -> Option<String> {
    let policy = facts.job.success_policy.as_ref()?;
    let bound = facts.index_bound?;
    if succeeded.is_empty() {
        return None;
    }
    let number = policy.rules.iter().position(|rule| is_met(rule, succeeded, bound))?;
    Some(format!("Matched rules at index {number}"))
}

fn is_met(rule: &SuccessPolicyRule, succeeded: &CompletionIndexes, bound: u32) -> bool {
    let count = rule.succeeded_count.map(|count| u32::try_from(count).unwrap_or(0));
    match &rule.succeeded_indexes {
        Some(text) => {
            let (wanted, _) = CompletionIndexes::parse(text, bound);
            let common = wanted.overlap(succeeded);
            !wanted.is_empty() && (common == wanted.total() || count.is_some_and(|count| common >= count))
        }
        None => count.is_some_and(|count| succeeded.total() >= count),
    }
}
