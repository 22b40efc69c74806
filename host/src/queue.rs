//! The workqueue: one run per key, delayed adds of which the earliest wins, and backoff per key that an
//! event neither lengthens nor bypasses.

use std::collections::{BTreeMap, BTreeSet};

use crate::backoff::Backoff;
use crate::key::{Key, KeyKind};

/// Wait of a key after a failed sync (upstream: DefaultJobApiBackOff, MaxJobApiBackOff).
pub const SYNC_BACKOFF: Backoff = Backoff { base_ms: 1_000, max_ms: 60_000 };

/// The workqueue; instants are milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<Key, Entry>,
    order: BTreeSet<(u64, u64, Key)>,
    sequence: u64,
    counts: BTreeMap<KeyKind, QueueCounts>,
}

/// Numbers of one kind of key, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Keys that are queued, due or not.
    pub depth: u64,
    /// Times that a key was added which was not queued already.
    pub adds: u64,
    /// Times that a key was queued again after a failure.
    pub retries: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Place in `order`, while queued.
    queued: Option<(u64, u64)>,
    /// Whether the key runs, and since then the earliest instant for which it was added again.
    running: bool,
    again: Option<u64>,
    /// Failed syncs in a row, and the instant before which the key does not run.
    failures: u32,
    not_before: u64,
}

impl Queue {
    /// Adds `key` to be run at `due` or later; a key that runs is run again afterwards.
    pub fn add(&mut self, key: &Key, due: u64) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.running {
            if entry.again.is_none() {
                self.counts.entry(key.kind()).or_default().adds += 1;
            }
            entry.again = Some(entry.again.map_or(due, |again| again.min(due)));
            return;
        }
        let due = due.max(entry.not_before);
        if let Some((queued, sequence)) = entry.queued {
            if queued <= due {
                return;
            }
            self.order.remove(&(queued, sequence, key.clone()));
        } else {
            let counts = self.counts.entry(key.kind()).or_default();
            counts.adds += 1;
            counts.depth += 1;
        }
        self.sequence += 1;
        entry.queued = Some((due, self.sequence));
        self.order.insert((due, self.sequence, key.clone()));
    }

    /// Adds `key` to be run at `now`, whatever failed before: an instant of the wall clock waits for no backoff.
    pub fn wake(&mut self, key: &Key, now: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.not_before = 0;
        }
        self.add(key, now);
    }

    /// Takes the next key that is due; it counts as running until [`Queue::done`].
    pub fn take(&mut self, now: u64) -> Option<Key> {
        let (due, _, _) = self.order.first()?;
        if *due > now {
            return None;
        }
        let (_, _, key) = self.order.pop_first()?;
        let entry = self.entries.entry(key.clone()).or_default();
        entry.queued = None;
        entry.running = true;
        let counts = self.counts.entry(key.kind()).or_default();
        counts.depth = counts.depth.saturating_sub(1);
        Some(key)
    }

    /// Ends the run of `key` well: its backoff is forgotten.
    pub fn done(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.running = false;
        entry.failures = 0;
        entry.not_before = 0;
        match entry.again.take() {
            Some(due) => self.add(key, due),
            None => {
                self.entries.remove(key);
            }
        }
    }

    /// Ends the run of `key` undecided: it runs again at `due`, and what failed before is not forgotten.
    pub fn again(&mut self, key: &Key, due: u64) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.running = false;
        let due = entry.again.take().map_or(due, |again| again.min(due));
        self.add(key, due);
    }

    /// Ends the run of `key` badly: it runs again after its backoff, which doubles with each failure.
    pub fn failed(&mut self, key: &Key, now: u64) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.running = false;
        entry.again = None;
        let wait = SYNC_BACKOFF.wait_ms(entry.failures);
        entry.failures = entry.failures.saturating_add(1);
        entry.not_before = now.saturating_add(wait);
        let due = entry.not_before;
        self.counts.entry(key.kind()).or_default().retries += 1;
        self.add(key, due);
    }

    /// Numbers of one kind of key.
    #[must_use]
    pub fn counts(&self, kind: KeyKind) -> QueueCounts {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// When the next key is due, if one is queued.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.order.first().map(|(due, _, _)| *due)
    }

    /// Number of keys that are queued, due or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no key is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Forgets every key, but not the numbers of the metrics.
    pub fn reset(&mut self) {
        self.clear();
        self.entries.clear();
    }

    /// Forgets every key that does not run.
    pub fn clear(&mut self) {
        self.order.clear();
        for counts in self.counts.values_mut() {
            counts.depth = 0;
        }
        self.entries.retain(|_, entry| entry.running);
        for entry in self.entries.values_mut() {
            entry.again = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Name;

    fn key(name: &str) -> Key {
        Key::Job(Name { namespace: "default".into(), name: name.into() })
    }

    #[test]
    fn the_earliest_of_several_adds_wins() {
        let mut queue = Queue::default();
        queue.add(&key("a"), 50);
        queue.add(&key("a"), 10);
        queue.add(&key("a"), 30);
        assert_eq!(queue.take(9), None);
        assert_eq!(queue.take(10), Some(key("a")));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_key_added_while_it_runs_runs_again_and_never_twice_at_once() {
        let mut queue = Queue::default();
        queue.add(&key("a"), 0);
        assert_eq!(queue.take(0), Some(key("a")));
        queue.add(&key("a"), 5);
        queue.add(&key("a"), 3);
        assert_eq!(queue.take(100), None);
        queue.done(&key("a"));
        assert_eq!(queue.next_due(), Some(3));
        assert_eq!(queue.take(3), Some(key("a")));
    }

    #[test]
    fn an_event_neither_bypasses_nor_lengthens_the_backoff_of_a_failed_key() {
        let mut queue = Queue::default();
        queue.add(&key("a"), 0);
        queue.take(0).unwrap();
        queue.failed(&key("a"), 100);
        queue.add(&key("a"), 100);
        assert_eq!(queue.next_due(), Some(100 + SYNC_BACKOFF.base_ms));
        queue.take(1_100).unwrap();
        queue.failed(&key("a"), 1_100);
        assert_eq!(queue.next_due(), Some(1_100 + 2 * SYNC_BACKOFF.base_ms));
        queue.take(3_100).unwrap();
        queue.done(&key("a"));
        queue.add(&key("a"), 3_101);
        assert_eq!(queue.next_due(), Some(3_101));
    }

    #[test]
    fn an_instant_of_the_wall_clock_waits_for_no_backoff_and_forgets_no_failure() {
        let mut queue = Queue::default();
        queue.add(&key("a"), 0);
        queue.take(0).unwrap();
        queue.failed(&key("a"), 100);
        queue.wake(&key("a"), 200);
        assert_eq!(queue.take(200), Some(key("a")));
        queue.failed(&key("a"), 300);
        assert_eq!(queue.next_due(), Some(300 + 2 * SYNC_BACKOFF.base_ms));
    }

    #[test]
    fn a_run_that_decided_nothing_forgets_no_failure() {
        let mut queue = Queue::default();
        queue.add(&key("a"), 0);
        queue.take(0).unwrap();
        queue.failed(&key("a"), 0);
        queue.take(SYNC_BACKOFF.base_ms).unwrap();
        queue.again(&key("a"), SYNC_BACKOFF.base_ms);
        queue.take(SYNC_BACKOFF.base_ms).unwrap();
        queue.failed(&key("a"), SYNC_BACKOFF.base_ms);
        assert_eq!(queue.next_due(), Some(3 * SYNC_BACKOFF.base_ms));
    }

    #[test]
    fn keys_that_are_due_at_once_run_in_the_order_in_which_they_were_added() {
        let mut queue = Queue::default();
        for name in ["c", "a", "b"] {
            queue.add(&key(name), 7);
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(7)).collect();
        assert_eq!(taken, [key("c"), key("a"), key("b")]);
    }
}
