//! Whether the Job is to end, and why: the first reason that holds decides.

use super::conditions::{FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED, Why, find_true};
use super::counting::Tally;
use super::facts::Facts;
use super::progress::Progress;
use super::success_policy;

/// How a Job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// Whether with success.
    pub(super) success: bool,
    /// Why.
    pub(super) why: Why,
}

/// What the reasons are judged by.
pub(super) struct Standing<'facts, 'snapshot> {
    /// The snapshot.
    pub(super) facts: &'facts Facts<'snapshot>,
    /// How many Pods succeeded and failed.
    pub(super) tally: &'facts Tally,
    /// How far an Indexed Job is.
    pub(super) progress: Option<&'facts Progress>,
}

/// Reasons in the order in which they are weighed (upstream: syncJob). What an earlier reconcile recorded
/// comes first, then failures, then successes; that all completions are reached is weighed last, by
/// [`all_completed`], since it hangs on what is created and deleted now.
const REASONS: [fn(&Standing<'_, '_>) -> Option<Ending>; 9] = [
    success_recorded,
    failure_recorded,
    pod_failure_policy,
    backoff_limit_exceeded,
    restart_limit_reached,
    deadline_exceeded,
    max_failed_indexes_exceeded,
    every_index_ended_and_some_failed,
    success_policy_met,
];

/// How the Job is to end, if it is to end.
pub(super) fn decide(standing: &Standing<'_, '_>) -> Option<Ending> {
    REASONS.iter().find_map(|reason| reason(standing))
}

/// The end of a Job that reached its completions, with `active` Pods left.
///
/// A work queue is done when one Pod succeeded and none is left: each knows whether work remains.
pub(super) fn all_completed(facts: &Facts<'_>, succeeded: u32, active: u32) -> Option<Ending> {
    let is_reached = match facts.job.completions {
        Some(completions) => succeeded >= completions,
        None => succeeded > 0,
    };
    (is_reached && active == 0)
        .then(|| succeed("CompletionsReached", "Reached expected number of succeeded pods"))
}

/// The end of a Job whose retries, or whose start, a policy stopped; `PolicyStopped` is our own reason, upstream
/// has none.
pub(super) fn stopped_by_policy(message: &str) -> Ending {
    fail("PolicyStopped", message)
}

/// Milliseconds until activeDeadlineSeconds are over; `None` without such a limit, while suspended, or
/// while the start waits.
pub(super) fn until_deadline_ms(facts: &Facts<'_>) -> Option<u64> {
    let seconds = facts.job.active_deadline_seconds.filter(|_| !facts.job.suspended && !facts.is_held())?;
    let status = &facts.job.status;
    // A Job that resumes starts anew: its time as it stood before does not count.
    let is_resuming = find_true(&status.conditions, SUSPENDED).is_some();
    let start = status.start_time.filter(|_| !is_resuming).unwrap_or(facts.now);
    Some(facts.until_ms(start.unix_ms().saturating_add(seconds.saturating_mul(1000))))
}

fn success_recorded(standing: &Standing<'_, '_>) -> Option<Ending> {
    let recorded = find_true(&standing.facts.job.status.conditions, SUCCESS_CRITERIA_MET)?;
    Some(Ending { success: true, why: Why::of(recorded) })
}

fn failure_recorded(standing: &Standing<'_, '_>) -> Option<Ending> {
    let recorded = find_true(&standing.facts.job.status.conditions, FAILURE_TARGET)?;
    Some(Ending { success: false, why: Why::of(recorded) })
}

fn pod_failure_policy(standing: &Standing<'_, '_>) -> Option<Ending> {
    let facts = standing.facts;
    let (_, message) = facts
        .matches
        .failing_job()
        .iter()
        .find(|(position, _)| facts.pods.get(*position).is_some_and(|pod| pod.is_failed(facts.job)))?;
    Some(fail("PodFailurePolicy", message))
}

fn backoff_limit_exceeded(standing: &Standing<'_, '_>) -> Option<Ending> {
    (standing.tally.failed > standing.facts.job.backoff_limit).then(backoff_limit)
}

/// Containers that restart in place count against the limit, too (upstream: pastBackoffLimitOnFailure).
fn restart_limit_reached(standing: &Standing<'_, '_>) -> Option<Ending> {
    let (job, pods) = (standing.facts.job, &standing.facts.pods);
    if !job.restart_on_failure {
        return None;
    }
    let living = pods.iter().filter(|pod| {
        matches!(pod.row.phase, crate::kube::PodPhase::Running | crate::kube::PodPhase::Pending)
    });
    let restarts = living.fold(0_u32, |sum, pod| sum.saturating_add(pod.row.restarts));
    (restarts >= job.backoff_limit.max(1)).then(backoff_limit)
}

fn deadline_exceeded(standing: &Standing<'_, '_>) -> Option<Ending> {
    (until_deadline_ms(standing.facts)? == 0)
        .then(|| fail("DeadlineExceeded", "Job was active longer than specified deadline"))
}

fn max_failed_indexes_exceeded(standing: &Standing<'_, '_>) -> Option<Ending> {
    let failed = standing.progress?.per_index.as_ref()?.failed.total();
    (failed > standing.facts.job.max_failed_indexes?).then(|| {
        fail("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
    })
}

fn every_index_ended_and_some_failed(standing: &Standing<'_, '_>) -> Option<Ending> {
    let progress = standing.progress?;
    let failed = progress.per_index.as_ref()?.failed.total();
    let ended = failed.saturating_add(progress.succeeded.total());
    (failed > 0 && ended >= standing.facts.index_bound?)
        .then(|| fail("FailedIndexes", "Job has failed indexes"))
}

fn success_policy_met(standing: &Standing<'_, '_>) -> Option<Ending> {
    let message = success_policy::met(standing.facts, &standing.progress?.succeeded)?;
    Some(succeed("SuccessPolicy", &message))
}

fn backoff_limit() -> Ending {
    fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
}

fn fail(reason: &str, message: &str) -> Ending {
    Ending { success: false, why: Why::new(reason, message) }
}

fn succeed(reason: &str, message: &str) -> Ending {
    Ending { success: true, why: Why::new(reason, message) }
}
