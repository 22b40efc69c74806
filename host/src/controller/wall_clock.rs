//! Keys that wait for an instant of the wall clock, which may be set forward or back meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use crate::Now;
use crate::key::Key;

/// How long, milliseconds, a wall clock that was set goes unnoticed at most.
pub(super) const CLOCK_LOOK_MS: u64 = 10_000;

/// What waits, and how the wall clock stood when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    order: BTreeSet<(i64, Key)>,
    waits: BTreeMap<Key, i64>,
    seen: Option<Now>,
}

impl WallClock {
    /// Lets `key` wait for the instant `at_ms`, milliseconds since the Unix epoch, or for none.
    pub(super) fn set(&mut self, now: Now, key: &Key, at_ms: Option<i64>) {
        self.forget(key);
        if let Some(at_ms) = at_ms {
            self.waits.insert(key.clone(), at_ms);
            self.order.insert((at_ms, key.clone()));
            self.seen.get_or_insert(now);
        }
    }

    /// Lets `key` wait no more.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(at_ms) = self.waits.remove(key) {
            self.order.remove(&(at_ms, key.clone()));
        }
    }

    /// Takes the keys whose instant has come, in its order.
    pub(super) fn due(&mut self, now: Now) -> Vec<Key> {
        self.seen = (!self.order.is_empty()).then_some(now);
        let mut due = Vec::new();
        while let Some((at_ms, key)) = self.order.first()
            && *at_ms <= now.unix_ms
        {
            due.push(key.clone());
            let key = key.clone();
            self.forget(&key);
        }
        due
    }

    /// When the wall clock is to be looked at next, milliseconds of the monotonic clock.
    pub(super) fn next_look(&self) -> Option<u64> {
        let ((at_ms, _), seen) = (self.order.first()?, self.seen?);
        let wait_ms = u64::try_from(at_ms.saturating_sub(seen.unix_ms)).unwrap_or(0);
        Some(seen.monotonic_ms.saturating_add(wait_ms.min(CLOCK_LOOK_MS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Name;

    fn key(name: &str) -> Key {
        Key::CronJob(Name { namespace: "default".into(), name: name.into() })
    }

    fn at(monotonic_ms: u64, unix_ms: i64) -> Now {
        Now { monotonic_ms, unix_ms }
    }

    #[test]
    fn keys_come_due_by_the_wall_clock_in_the_order_of_their_instants() {
        let mut clock = WallClock::default();
        clock.set(at(0, 1_000), &key("b"), Some(3_000));
        clock.set(at(0, 1_000), &key("a"), Some(2_500));
        assert_eq!(clock.next_look(), Some(1_500));
        assert_eq!(clock.due(at(1_499, 2_499)), []);
        assert_eq!(clock.due(at(2_000, 3_000)), [key("a"), key("b")]);
        assert_eq!(clock.next_look(), None);
    }

    #[test]
    fn a_clock_that_is_set_forward_is_noticed_within_a_look_and_one_set_back_moves_the_instant() {
        let mut clock = WallClock::default();
        clock.set(at(0, 0), &key("a"), Some(3_600_000));
        assert_eq!(clock.next_look(), Some(CLOCK_LOOK_MS));
        assert_eq!(clock.due(at(CLOCK_LOOK_MS, -50_000)), []);
        assert_eq!(clock.next_look(), Some(2 * CLOCK_LOOK_MS));
        assert_eq!(clock.due(at(2 * CLOCK_LOOK_MS, 3_600_001)), [key("a")]);
    }

    #[test]
    fn the_last_instant_that_was_set_counts() {
        let mut clock = WallClock::default();
        clock.set(at(0, 0), &key("a"), Some(1_000));
        clock.set(at(0, 0), &key("a"), Some(5_000));
        assert_eq!(clock.due(at(1_000, 1_000)), []);
        clock.set(at(1_000, 1_000), &key("a"), None);
        assert_eq!(clock.due(at(9_000, 9_000)), []);
    }
}
