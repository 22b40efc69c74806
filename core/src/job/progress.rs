//! How far an Indexed Job is: which indexes succeeded, which failed, and which Pods wait to be replaced.

use alloc::vec::Vec;

use crate::kube::Str;

use super::facts::Facts;
use super::failure_policy::Match;
use super::indexes::CompletionIndexes;
use super::pods::Pod;

/// How far an Indexed Job is.
pub(super) struct Progress {
    /// Indexes that the stored status calls completed.
    pub(super) recorded: CompletionIndexes,
    /// Those, and the indexes of Pods that succeeded since.
    pub(super) succeeded: CompletionIndexes,
    /// `succeeded` in compact text.
    pub(super) succeeded_text: Str,
    /// Where a limit per index is set: what hangs on it.
    pub(super) per_index: Option<PerIndex>,
}

/// What is told apart for each index, where a limit per index is set.
pub(super) struct PerIndex {
    /// Indexes that failed for good.
    pub(super) failed: CompletionIndexes,
    /// `failed` in compact text.
    pub(super) failed_text: Str,
    /// For each index without a live Pod, by rising index: the position of its last failed Pod.
    ///
    /// It keeps its finalizer until its replacement carries the count of failures on.
    pub(super) awaiting_replacement: Vec<(u32, u32)>,
}

impl Progress {
    /// How far the Job is; `None` if it is not Indexed.
    pub(super) fn of(facts: &Facts<'_>) -> Option<Self> {
        let bound = facts.index_bound?;
        let status = &facts.job.status;
        let (recorded, is_whole) = CompletionIndexes::parse(&status.completed_indexes, bound);
        let (failed_before, failed_is_whole) = match (&status.failed_indexes, facts.limit_per_index()) {
            (Some(text), Some(_)) => CompletionIndexes::parse(text, bound),
            (None, _) | (_, None) => (CompletionIndexes::default(), status.failed_indexes.is_some()),
        };
        // An index is never both: the API server would refuse the status from then on. What came first stays.
        let new = indexes_of(facts, |pod| pod.is_succeeded() && !failed_before.contains(pod.row.index));
        let succeeded = with(&recorded, &new);
        let succeeded_text = text(&succeeded, &recorded, is_whole, &status.completed_indexes);
        let per_index = facts.limit_per_index().map(|limit| {
            let new = indexes_of(facts, |pod| {
                is_index_failed(facts, pod, limit) && !succeeded.contains(pod.row.index)
            });
            let failed = with(&failed_before, &new);
            let stored = status.failed_indexes.clone().unwrap_or_default();
            let failed_text = text(&failed, &failed_before, failed_is_whole, &stored);
            let awaiting_replacement = awaiting_replacement(facts, &succeeded, &failed);
            PerIndex { failed, failed_text, awaiting_replacement }
        });
        Some(Self { recorded, succeeded, succeeded_text, per_index })
    }
}

impl PerIndex {
    /// The position of the Pod that the next Pod of `index` replaces.
    pub(super) fn replaced_by_next(&self, index: u32) -> Option<u32> {
        let found = self.awaiting_replacement.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        self.awaiting_replacement.get(found).map(|(_, position)| *position)
    }
}

/// Indexes of the tracked Pods that are chosen and have an index in range, in rising order.
fn indexes_of(facts: &Facts<'_>, is_chosen: impl Fn(Pod<'_>) -> bool) -> Vec<u32> {
    let pods = facts
        .pods
        .iter()
        .filter(|pod| pod.is_tracked() && facts.is_countable(pod.row.index) && is_chosen(*pod));
    let mut indexes: Vec<u32> = pods.map(|pod| pod.row.index).collect();
    indexes.sort_unstable();
    indexes
}

fn with(before: &CompletionIndexes, sorted: &[u32]) -> CompletionIndexes {
    if sorted.is_empty() { before.clone() } else { before.union(&CompletionIndexes::from_sorted(sorted)) }
}

/// The text of `now`: the stored one where nothing changed, since writing 100,000 indexes takes its time.
fn text(now: &CompletionIndexes, before: &CompletionIndexes, is_whole: bool, stored: &Str) -> Str {
    if is_whole && now == before { stored.clone() } else { alloc::format!("{now}").into() }
}

/// Whether this Pod's failure is the one too many for its index (upstream: isIndexFailed).
fn is_index_failed(facts: &Facts<'_>, pod: Pod<'_>, limit: u32) -> bool {
    if !pod.is_failed(facts.job) {
        return false;
    }
    match facts.matches.of(pod.position) {
        Match::FailsIndex => true,
        Match::Ignored => false,
        Match::Counts | Match::FailsJob => pod.row.index_failures >= limit,
    }
}

/// The last failed Pod of each index that neither ended nor has a live Pod, by rising index.
fn awaiting_replacement(
    facts: &Facts<'_>,
    succeeded: &CompletionIndexes,
    failed: &CompletionIndexes,
) -> Vec<(u32, u32)> {
    let mut active: Vec<u32> = facts.pods.active().map(|pod| pod.row.index).collect();
    active.sort_unstable();
    let active = CompletionIndexes::from_sorted(&active);
    let mut candidates: Vec<(u32, u32)> = facts
        .pods
        .iter()
        .filter(|pod| pod.is_tracked() && facts.is_countable(pod.row.index) && pod.is_failed(facts.job))
        .filter(|pod| {
            let index = pod.row.index;
            !succeeded.contains(index) && !failed.contains(index) && !active.contains(index)
        })
        .map(|pod| (pod.row.index, pod.position))
        .collect();
    candidates.sort_unstable();
    let mut last: Vec<(u32, u32)> = Vec::with_capacity(candidates.len());
    for (index, position) in candidates {
        match last.last_mut() {
            Some((before, kept)) if *before == index => {
                if is_later(facts, position, *kept) {
                    *kept = position;
                }
            }
            _ => last.push((index, position)),
        }
    }
    last
}

/// Whether the Pod at `position` failed after the one at `kept`, by count of failures and by time.
fn is_later(facts: &Facts<'_>, position: u32, kept: u32) -> bool {
    let (Some(pod), Some(kept)) = (facts.pods.get(position), facts.pods.get(kept)) else { return false };
    let count = |pod: Pod<'_>| pod.row.index_failures.saturating_add(pod.row.index_ignored_failures);
    count(kept) <= count(pod) && kept.row.finished_s <= pod.row.finished_s
}
