//! When a failed Pod is replaced: at once the first time, then after a delay that doubles with each failure on the same
//! node.

use alloc::vec::Vec;

use crate::hash::Fnv;
use crate::policy::BuiltIn;
use crate::policy::backoff::exponential_ms;

use super::facts::Facts;
use super::memo::{Failures, MAX_FAILURES, Memo, Rolling};

/// The delays of all nodes whose Pods failed lately (upstream: flowcontrol.Backoff).
pub(super) struct Backoff {
    memo: Memo,
    settings: BuiltIn,
    now_ms: i64,
    next_ms: Option<u64>,
}

impl Backoff {
    /// The delays that the last reconcile left.
    ///
    /// They are about the generation that the status shows: a set that is changed starts afresh. A node that was quiet
    /// for twice the longest delay does, too. An instant in the future, left before the clock was set back, counts as
    /// now.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let (snapshot, set) = (facts.snapshot, facts.set);
        let flags = &snapshot.flags;
        let now_ms = snapshot.now_ms;
        let mut memo = Memo::decode(&snapshot.memo, &set.uid);
        if memo.generation != set.status.observed_generation {
            memo.generation = set.status.observed_generation;
            memo.failures.clear();
        }
        let quiet_ms = i64::from(flags.backoff_max_ms).saturating_mul(2);
        memo.failures.retain(|_, failures| {
            failures.last_ms = failures.last_ms.min(now_ms);
            now_ms.saturating_sub(failures.last_ms) <= quiet_ms
        });
        let settings =
            BuiltIn { backoff_base_ms: flags.backoff_base_ms, backoff_max_ms: flags.backoff_max_ms };
        Self { memo, settings, now_ms, next_ms: None }
    }

    /// Whether a failed Pod on this node still waits; if so, the set is looked at again when it does not.
    pub(super) fn is_waiting(&mut self, node: &str) -> bool {
        let Some(failures) = self.memo.failures.get(&mark(node)) else { return false };
        let end_ms = end_ms(self.settings, *failures);
        let left_ms = u64::try_from(end_ms.saturating_sub(self.now_ms)).unwrap_or(0);
        if left_ms == 0 {
            return false;
        }
        self.next_ms = Some(self.next_ms.map_or(left_ms, |next_ms| next_ms.min(left_ms)));
        true
    }

    /// Counts a failure: a failed Pod on this node is deleted now.
    pub(super) fn count(&mut self, node: &str) {
        let failures = self.memo.failures.entry(mark(node)).or_insert(Failures { count: 0, last_ms: 0 });
        *failures = Failures { count: failures.count.saturating_add(1), last_ms: self.now_ms };
    }

    /// When a status was written after which others wait ([`Memo::last_write_ms`]).
    pub(super) fn last_write_ms(&self) -> i64 {
        self.memo.last_write_ms
    }

    /// The rollout of which the last reconcile left word ([`Memo::rolling`]).
    pub(super) fn rolling(&self) -> Option<Rolling> {
        self.memo.rolling
    }

    /// When the first of the delays asked about ends, milliseconds from now.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.next_ms
    }

    /// What the next reconcile is told. Of more nodes than the memo remembers, those are forgotten whose delay ends
    /// first.
    pub(super) fn into_memo(mut self) -> Memo {
        let failures = &mut self.memo.failures;
        let excess = failures.len().saturating_sub(MAX_FAILURES);
        if excess > 0 {
            let ends = failures.iter().map(|(node, failures)| (end_ms(self.settings, *failures), *node));
            let mut ends: Vec<_> = ends.collect();
            ends.sort_unstable();
            for (_, node) in ends.iter().take(excess) {
                failures.remove(node);
            }
        }
        self.memo.selecting_all = 0;
        self.memo
    }
}

/// When a failed Pod on a node with these failures may be deleted; at that instant it may.
fn end_ms(settings: BuiltIn, failures: Failures) -> i64 {
    failures.last_ms.saturating_add(i64::from(exponential_ms(settings, u32::from(failures.count))))
}

fn mark(node: &str) -> u64 {
    let mut hash = Fnv::default();
    hash.write(node.as_bytes());
    hash.finish()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{changes, plan, set, with_pods};
    use crate::view::DaemonSetSnapshot;

    /// One node with a failed Pod, and a plan that has just deleted one.
    fn after_the_first() -> DaemonSetSnapshot {
        let mut snapshot = with_pods(&[("new", "failed")]);
        snapshot.memo = plan(&snapshot).memo;
        snapshot
    }

    fn deletes(snapshot: &DaemonSetSnapshot) -> bool {
        changes(snapshot).1 == vec![0]
    }

    #[test]
    fn each_failure_waits_twice_as_long_as_the_last_and_not_longer_than_the_longest() {
        let mut snapshot = with_pods(&[("new", "failed")]);
        let mut delays = vec![];
        for _ in 0..13 {
            assert!(deletes(&snapshot));
            snapshot.memo = plan(&snapshot).memo;
            let delay_ms = plan(&snapshot).requeue_after_ms.unwrap();
            delays.push(delay_ms / 1_000);
            snapshot.now_ms += i64::try_from(delay_ms).unwrap() - 1;
            assert!(!deletes(&snapshot));
            assert_eq!(plan(&snapshot).requeue_after_ms, Some(1), "the remainder, not the whole");
            snapshot.now_ms += 1;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    #[test]
    fn a_node_that_was_quiet_starts_afresh() {
        let mut snapshot = with_pods(&[("new", "failed")]);
        for _ in 0..5 {
            snapshot.memo = plan(&snapshot).memo;
            snapshot.now_ms += 20_000;
        }
        let delay_after = |mut snapshot: DaemonSetSnapshot, quiet_ms| {
            snapshot.now_ms += quiet_ms;
            snapshot.memo = plan(&snapshot).memo;
            plan(&snapshot).requeue_after_ms
        };
        assert_eq!(delay_after(snapshot.clone(), 1_780_000), Some(32_000), "1,800 s since the last");
        assert_eq!(delay_after(snapshot, 1_780_001), Some(1_000));
    }

    #[test]
    fn a_changed_set_starts_afresh_once_its_status_says_so() {
        let mut snapshot = after_the_first();
        set(&mut snapshot).generation = 2;
        assert!(!deletes(&snapshot));
        set(&mut snapshot).status.observed_generation = 2;
        assert!(deletes(&snapshot));
    }

    #[test]
    fn a_clock_set_back_makes_nothing_wait_longer_than_its_delay() {
        let mut snapshot = after_the_first();
        snapshot.now_ms -= 3_600_000;
        let plan = plan(&snapshot);
        assert_eq!(plan.requeue_after_ms, Some(1_000));
        snapshot.memo = plan.memo;
        snapshot.now_ms += 1_000;
        assert!(deletes(&snapshot));
    }

    #[test]
    fn the_memo_of_another_set_delays_nothing() {
        let mut snapshot = after_the_first();
        set(&mut snapshot).uid = "another".into();
        assert!(deletes(&snapshot));
    }

    #[test]
    fn of_too_many_nodes_those_are_forgotten_that_wait_the_shortest() {
        let mut snapshot = with_pods(&vec![("new", "failed"); super::MAX_FAILURES + 300]);
        snapshot.flags.max_pods_per_sync = 10_000;
        let mut first = snapshot.clone();
        first.pods = with_pods(&[("new", "failed"); 300]).pods;
        for _ in 0..2 {
            first.memo = plan(&first).memo;
            first.now_ms += 1_000;
        }
        snapshot.memo = first.memo;
        assert_eq!(changes(&snapshot).1.len(), super::MAX_FAILURES, "300 nodes wait");
        snapshot.now_ms += 500;
        snapshot.memo = plan(&snapshot).memo;
        assert!(snapshot.memo.len() < 61 * 1024);
        let again = changes(&snapshot).1;
        assert_eq!(again.len(), 300);
        assert!(again.iter().all(|pod| *pod >= 300), "those with two failures still wait");
    }
}
