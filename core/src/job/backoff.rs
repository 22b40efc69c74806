//! The retry delay: which failures it counts, and how long is left of it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::hash::Fnv;
use crate::policy::backoff::{Answer, Question, exponential};
use crate::policy::{BuiltIn, Policy};
use crate::view::NO_EXIT_CODE;

use super::facts::Facts;
use super::memo::Failures;
use super::pods::Pod;

/// What the policy says of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// It may start.
    Now,
    /// It may start after so many milliseconds, at least 1; or the policy wants to be asked again then.
    InMs(u64),
    /// It must not start, and the Job fails with this message.
    Stop(String),
}

/// The failures since the last success, those of the new Pods included (upstream: newBackoffRecord).
///
/// Without a new success the run goes on; with one it starts over from the failures that ended after it.
/// A Pod whose node's clock is ahead counts as ended now, so that its failure delays no longer than any.
pub(super) fn failures_after(facts: &Facts<'_>, succeeded: &[u32], failed: &[u32]) -> Failures {
    let before = facts.memo.map_or(Failures::NONE, |memo| memo.failures);
    let ends = |positions: &[u32]| {
        let pods = positions.iter().filter_map(|position| facts.pods.get(*position));
        pods.map(|pod| (pod.row.finished_s, pod.row.exit_code)).collect::<Vec<_>>()
    };
    let last_success = ends(succeeded).into_iter().map(|(finished_s, _)| finished_s).max();
    let mut run = if last_success.is_some() { Failures::NONE } else { before };
    let mut last: Option<(i64, i32)> = None;
    for (finished_s, exit_code) in ends(failed) {
        if last_success.is_some_and(|success| finished_s <= success) {
            continue;
        }
        run.count = run.count.saturating_add(1);
        if last.is_none_or(|(latest, _)| finished_s >= latest) {
            last = Some((finished_s, exit_code));
        }
    }
    if let Some((finished_s, exit_code)) = last {
        run.last_ms = finished_s.saturating_mul(1000).min(facts.snapshot.now_ms);
        run.last_exit_code = exit_code;
    }
    run
}

/// The run of failures that a replacement for `pod` continues, where retries are counted for each index.
pub(super) fn failures_of_index(facts: &Facts<'_>, pod: Pod<'_>) -> Failures {
    let before = pod.row.index_failures.saturating_add(pod.row.index_ignored_failures);
    Failures {
        count: before.saturating_add(1),
        last_ms: pod.row.finished_s.saturating_mul(1000).min(facts.snapshot.now_ms),
        last_exit_code: pod.row.exit_code,
    }
}

/// Asks the policy about runs of failures, all in one batch; one answer each, in the same order.
pub(super) fn ask(facts: &Facts<'_>, policy: &dyn Policy, runs: &[(Option<u32>, Failures)]) -> Vec<Retry> {
    let asked: Vec<Question> = runs
        .iter()
        .filter(|(_, failures)| failures.count > 0)
        .map(|(index, failures)| question(facts, *index, *failures))
        .collect();
    if asked.is_empty() {
        return runs.iter().map(|_| Retry::Now).collect();
    }
    let mut answers = policy.backoff(&asked).into_iter();
    let retries = runs.iter().map(|(_, failures)| {
        if failures.count == 0 { Retry::Now } else { retry(facts, *failures, answers.next()) }
    });
    retries.collect()
}

fn retry(facts: &Facts<'_>, failures: Failures, answer: Option<Answer>) -> Retry {
    let delay_ms = match answer {
        Some(Answer::RetryAfterMs(delay_ms)) => delay_ms,
        Some(Answer::Stop(message)) => return Retry::Stop(message),
        Some(Answer::Hold(hold)) => return Retry::InMs(u64::from(hold.ask_again_ms.max(1))),
        Some(Answer::NotCounted | Answer::Other(_)) | None => built_in_delay_ms(facts, failures),
    };
    match facts.until_ms(failures.last_ms.saturating_add(i64::from(delay_ms))) {
        0 => Retry::Now,
        left_ms => Retry::InMs(left_ms),
    }
}

/// Stands in for an answer that cannot be acted on: which failures count is not the delay's to decide.
fn built_in_delay_ms(facts: &Facts<'_>, failures: Failures) -> u32 {
    let flags = &facts.snapshot.flags;
    let settings = BuiltIn { backoff_base_ms: flags.backoff_base_ms, backoff_max_ms: flags.backoff_max_ms };
    match exponential(settings, failures.count) {
        Answer::RetryAfterMs(delay_ms) => delay_ms,
        Answer::NotCounted | Answer::Stop(_) | Answer::Hold(_) | Answer::Other(_) => flags.backoff_max_ms,
    }
}

fn question(facts: &Facts<'_>, index: Option<u32>, failures: Failures) -> Question {
    let job = facts.job;
    let started_ms = job.status.start_time.map_or(facts.snapshot.now_ms, crate::kube::Time::unix_ms);
    let age_ms = facts.snapshot.now_ms.saturating_sub(started_ms).max(0);
    Question {
        owner: job.owner.to_string(),
        index,
        failures: failures.count,
        exit_code: (failures.last_exit_code != NO_EXIT_CODE).then_some(failures.last_exit_code),
        reason: String::new(),
        age_ms: u32::try_from(age_ms).unwrap_or(u32::MAX),
        seed: seed(&job.uid, index, failures.count),
        facts: Vec::new(),
    }
}

/// The same for the same question: FNV-1a of the Job's uid, the index and the number of failures, folded.
fn seed(uid: &str, index: Option<u32>, failures: u32) -> u32 {
    let mut hash = Fnv::default();
    hash.write(uid.as_bytes());
    hash.write(&index.map_or([0xff; 4], u32::to_le_bytes));
    hash.write(&failures.to_le_bytes());
    let [a, b, c, d, e, f, g, h] = hash.finish().to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
}
