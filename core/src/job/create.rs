//! Which Pods to create now, and which must wait for their retry delay.

use alloc::string::String;
use alloc::vec::Vec;

use crate::plan::{PodSlot, SyncAction};
use crate::policy::Policy;
use crate::view::pod_flag;

use super::backoff::{self, Retry};
use super::counting::Tally;
use super::facts::Facts;
use super::indexes::CompletionIndexes;
use super::manage::{Change, Managed};
use super::memo::Failures;
use super::pods::Pod;
use super::progress::{PerIndex, Progress};

/// What is created of `missing` Pods.
pub(super) fn decide(
    facts: &Facts<'_>,
    tally: &Tally,
    progress: Option<&Progress>,
    missing: u32,
    policy: &dyn Policy,
) -> Managed {
    let per_index = progress.and_then(|progress| progress.per_index.as_ref());
    if per_index.is_none() {
        // One delay for the whole Job.
        match backoff::ask(facts, policy, &[(None, tally.failures)]).pop() {
            Some(Retry::InMs(left_ms)) => return waiting(left_ms),
            Some(Retry::Stop(message)) => return stopped(message),
            Some(Retry::Now) | None => {}
        }
    }
    let missing = missing.min(facts.snapshot.flags.max_pods_per_sync);
    let Some(progress) = progress else {
        let plain = PodSlot { index: None, index_failures: None, index_ignored_failures: None };
        return creating((0..missing).map(|_| plain).collect(), None);
    };
    let indexes = pending_indexes(facts, progress, missing);
    match per_index {
        Some(per_index) => decide_per_index(facts, per_index, &indexes, policy),
        None => creating(indexes.into_iter().map(plain_slot).collect(), None),
    }
}

/// What is created where each index has its own delay (upstream: getPodCreationInfoForIndependentIndexes).
fn decide_per_index(
    facts: &Facts<'_>,
    per_index: &PerIndex,
    indexes: &[u32],
    policy: &dyn Policy,
) -> Managed {
    let replaced: Vec<Option<Pod<'_>>> =
        indexes.iter().map(|index| facts.pods.get(per_index.replaced_by_next(*index)?)).collect();
    let runs: Vec<(Option<u32>, Failures)> = indexes
        .iter()
        .zip(&replaced)
        .map(|(index, pod)| {
            (Some(*index), pod.map_or(Failures::NONE, |pod| backoff::failures_of_index(facts, pod)))
        })
        .collect();
    let mut slots = Vec::new();
    let mut soonest_ms: Option<u64> = None;
    let retries = backoff::ask(facts, policy, &runs);
    for ((index, pod), retry) in indexes.iter().zip(&replaced).zip(retries) {
        match retry {
            Retry::Now => slots.push(counted_slot(facts, *index, *pod)),
            Retry::InMs(left_ms) => {
                soonest_ms = Some(soonest_ms.map_or(left_ms, |soonest| soonest.min(left_ms)));
            }
            Retry::Stop(message) => return stopped(message),
        }
    }
    creating(slots, soonest_ms)
}

/// The lowest indexes that neither ended nor have a Pod (upstream: firstPendingIndexes).
fn pending_indexes(facts: &Facts<'_>, progress: &Progress, count: u32) -> Vec<u32> {
    let taken = |pods: &mut dyn Iterator<Item = Pod<'_>>| {
        let mut indexes: Vec<u32> =
            pods.map(|pod| pod.row.index).filter(|index| facts.is_countable(*index)).collect();
        indexes.sort_unstable();
        CompletionIndexes::from_sorted(&indexes)
    };
    let mut not_pending = progress.succeeded.union(&taken(&mut facts.pods.active()));
    if facts.job.replace_only_failed {
        let mut terminating =
            facts.pods.iter().filter(|pod| !pod.is_terminal() && pod.has(pod_flag::TERMINATING));
        not_pending = not_pending.union(&taken(&mut terminating));
    }
    if let Some(per_index) = &progress.per_index {
        not_pending = not_pending.union(&per_index.failed);
    }
    not_pending.lowest_missing(count, facts.index_bound.unwrap_or(0))
}

fn plain_slot(index: u32) -> PodSlot {
    PodSlot { index: Some(index), index_failures: None, index_ignored_failures: None }
}

/// A slot whose Pod carries on the count of its index's failures (upstream: getNewIndexFailureCounts).
fn counted_slot(facts: &Facts<'_>, index: u32, replaced: Option<Pod<'_>>) -> PodSlot {
    let (mut failures, mut ignored) = (0, 0);
    if let Some(pod) = replaced {
        (failures, ignored) = (pod.row.index_failures, pod.row.index_ignored_failures);
        let one_more = if facts.matches.counts(pod.position) { &mut failures } else { &mut ignored };
        *one_more = one_more.saturating_add(1);
    }
    PodSlot {
        index: Some(index),
        index_failures: Some(failures),
        index_ignored_failures: (ignored > 0).then_some(ignored),
    }
}

fn creating(slots: Vec<PodSlot>, retry_after_ms: Option<u64>) -> Managed {
    let change = if slots.is_empty() { Change::Nothing } else { Change::Create(slots) };
    Managed { change, action: SyncAction::PodsCreated, retry_after_ms, stopped: None }
}

/// Nothing is created yet; upstream's metrics call that a creation all the same.
fn waiting(left_ms: u64) -> Managed {
    creating(Vec::new(), Some(left_ms))
}

pub(super) fn stopped(message: String) -> Managed {
    Managed { stopped: Some(message), ..Managed::default() }
}
