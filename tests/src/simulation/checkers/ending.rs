//! The end of a Job is final, comes once nothing is left, and at its time: J6, J7, J8 and J12.

use windlass_core::kube::{ConditionStatus, Job, JobCondition};

use super::Violation;
use super::ledger::Ledger;

/// A Job's status was written by us.
pub(super) fn check(before: &Job, after: &Job, now_unix_ms: i64, ledger: &Ledger) -> Result<(), Violation> {
    keeps_deadline(before, after, now_unix_ms)?;
    let wrong = |why: &str| Err(Violation::new("J6", format!("{}: {why}", after.metadata.name)));
    let status = &after.status;
    let holds = |kind: &str| condition(after, kind).is_some();
    if holds("Complete") && holds("Failed") {
        return wrong("is both Complete and Failed");
    }
    if holds("SuccessCriteriaMet") && holds("FailureTarget") {
        return wrong("is to be both Complete and Failed");
    }
    for kind in ["Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"] {
        if let Some(old) = condition(before, kind)
            && condition(after, kind) != Some(old)
        {
            return wrong(&format!("{kind} changed after it was set"));
        }
    }
    if holds("Complete") != status.completion_time.is_some() {
        return wrong("has a completion time without being Complete, or the other way round");
    }
    if before.is_finished() {
        return if before.status == after.status { Ok(()) } else { wrong("changed after its end") };
    }
    if !after.is_finished() {
        return Ok(());
    }
    let uncounted = status.uncounted_terminated_pods.as_ref();
    let is_empty = uncounted.is_none_or(|lists| lists.succeeded.is_empty() && lists.failed.is_empty());
    let left = (status.active, status.ready.unwrap_or(0), status.terminating.unwrap_or(0));
    if left != (0, 0, 0) || !is_empty {
        return wrong(&format!(
            "ended with {left:?} active, ready and terminating, uncounted empty: {is_empty}"
        ));
    }
    within_limit(after, ledger)
}

/// Failures go past the limit by no more than what ran at once.
fn within_limit(job: &Job, ledger: &Ledger) -> Result<(), Violation> {
    let is_limit = condition(job, "Failed").is_some_and(|failed| &*failed.reason == "BackoffLimitExceeded");
    let Some(record) = ledger.job(&job.metadata.uid).filter(|_| is_limit) else { return Ok(()) };
    let limit = i64::from(job.spec.backoff_limit.unwrap_or(6));
    let failed = i64::from(job.status.failed);
    if failed <= limit {
        let why = format!("{} failed with {failed} failures of {limit}", job.metadata.name);
        return Err(Violation::new("J7", why));
    }
    // Two processes may each have asked for what was missing, and Pods may have been adopted.
    let most = limit + 3 * i64::from(record.widest.max(1));
    if failed > most {
        let why = format!("{}: {failed} failures, where {most} are most", job.metadata.name);
        return Err(Violation::new("J7", why));
    }
    Ok(())
}

/// A Job fails for its deadline only once that has passed, and not while it is suspended.
fn keeps_deadline(before: &Job, after: &Job, now_unix_ms: i64) -> Result<(), Violation> {
    let target = |job: &Job| {
        condition(job, "FailureTarget").is_some_and(|target| &*target.reason == "DeadlineExceeded")
    };
    if target(before) || !target(after) {
        return Ok(());
    }
    let wrong = |why: String| Err(Violation::new("J8", format!("{}: {why}", after.metadata.name)));
    let Some(seconds) = before.spec.active_deadline_seconds else {
        return wrong("fails for a deadline that it does not have".to_owned());
    };
    if before.is_suspended() {
        return wrong("fails for its deadline while it is suspended".to_owned());
    }
    let start_s = after.status.start_time.map_or(i64::MAX, |start| start.unix_seconds);
    let due_ms = start_s.saturating_add(seconds).saturating_mul(1000);
    if now_unix_ms < due_ms {
        return wrong(format!("fails {} ms before its deadline", due_ms - now_unix_ms));
    }
    Ok(())
}

/// A Job was deleted by us for its time to live: only once it has ended, and its time to live is over.
pub(super) fn check_deletion(job: &Job, now_unix_ms: i64) -> Result<(), Violation> {
    let wrong = |why: String| Err(Violation::new("J12", format!("{}: {why}", job.metadata.name)));
    let ended = condition(job, "Complete").or(condition(job, "Failed"));
    let (Some(ended), Some(seconds)) = (ended, job.spec.ttl_seconds_after_finished) else {
        return wrong("was deleted, and has not ended or may stay".to_owned());
    };
    let ended_s = ended.last_transition_time.map_or(i64::MAX, |time| time.unix_seconds);
    let due_ms = ended_s.saturating_add(i64::from(seconds)).saturating_mul(1000);
    if now_unix_ms < due_ms {
        return wrong(format!("was deleted {} ms before its time", due_ms - now_unix_ms));
    }
    Ok(())
}

/// The condition of that type, if it holds.
pub(super) fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = &job.status.conditions;
    conditions.iter().find(|condition| &*condition.kind == kind && condition.status == ConditionStatus::True)
}
