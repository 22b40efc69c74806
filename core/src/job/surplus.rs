//! Which active Pods go when there are too many: those that have got least far.

use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::kube::PodPhase;
use crate::view::pod_flag;

use super::counting;
use super::facts::Facts;
use super::pods::Pod;

/// The Pods to delete so that at least `least` go; of an Indexed Job also those whose index another Pod has,
/// or that have none in range (upstream: activePodsForRemoval). At most `max_pods_per_sync`.
pub(super) fn choose(facts: &Facts<'_>, least: u32) -> Vec<u32> {
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    let (mut removed, left) = match facts.index_bound {
        Some(_) => split_duplicates(facts),
        None if least == 0 => return Vec::new(),
        None => (Vec::new(), facts.pods.active.clone()),
    };
    removed.extend(first_by_rank(facts, &left, least.saturating_sub(removed.len())));
    removed.truncate(usize::try_from(facts.snapshot.flags.max_pods_per_sync).unwrap_or(usize::MAX));
    removed
}

/// Sorts active Pods into those that repeat an index or have none in range, and one Pod of each index.
fn split_duplicates(facts: &Facts<'_>) -> (Vec<u32>, Vec<u32>) {
    let mut by_index: Vec<(u32, u32)> =
        facts.pods.active().map(|pod| (pod.row.index, pod.position)).collect();
    by_index.sort_unstable_by_key(|(index, position)| (counting::order(*index), *position));
    let (mut removed, mut left) = (Vec::new(), Vec::with_capacity(by_index.len()));
    for same in by_index.chunk_by(|(one, _), (two, _)| one == two) {
        match same {
            [(index, only)] if facts.is_countable(*index) => left.push(*only),
            [(index, _), ..] if facts.is_countable(*index) => {
                let mut ranked = rank_all(facts, same.iter().map(|(_, position)| *position));
                ranked.sort_unstable();
                left.extend(ranked.pop().map(|(_, position)| position));
                removed.extend(ranked.into_iter().map(|(_, position)| position));
            }
            _ => removed.extend(same.iter().map(|(_, position)| *position)),
        }
    }
    (removed, left)
}

/// The first `count` of `positions` by rank.
fn first_by_rank(facts: &Facts<'_>, positions: &[u32], count: usize) -> Vec<u32> {
    if count == 0 {
        return Vec::new();
    }
    let mut ranked = rank_all(facts, positions.iter().copied());
    if count < ranked.len() {
        ranked.select_nth_unstable(count);
        ranked.truncate(count);
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, position)| position).collect()
}

fn rank_all(facts: &Facts<'_>, positions: impl Iterator<Item = u32>) -> Vec<(Rank, u32)> {
    positions.filter_map(|position| Some((rank(facts.pods.get(position)?), position))).collect()
}

/// What goes first, by upstream's order (controller.ActivePods): not bound to a node; Pending, then Unknown,
/// then Running; not ready; ready for a shorter time; more restarts of one container, then of one sidecar;
/// younger. Equals go by position.
type Rank = (bool, u8, bool, i64, Reverse<u32>, Reverse<u32>, i64);

fn rank(pod: Pod<'_>) -> Rank {
    let phase = match pod.row.phase {
        PodPhase::Pending => 0,
        PodPhase::Unknown => 1,
        PodPhase::Running => 2,
        PodPhase::Succeeded | PodPhase::Failed => 3,
    };
    let is_ready = pod.has(pod_flag::READY);
    (
        pod.has(pod_flag::BOUND),
        phase,
        is_ready,
        if is_ready { latest_first(pod.row.ready_changed_s) } else { 0 },
        Reverse(pod.row.most_restarts),
        Reverse(pod.row.most_sidecar_restarts),
        latest_first(pod.row.created_s),
    )
}

/// A key by which later instants come first, and one that was not reported before all.
fn latest_first(instant_s: i64) -> i64 {
    if instant_s == 0 { i64::MIN } else { 0_i64.saturating_sub(instant_s) }
}
