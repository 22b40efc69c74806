//! How often a Job is looked at, and how much is gathered into one plan and one status write.
//!
//! What happens first to a quiet Job is acted on at once. What follows is gathered the longer, the more a look
//! costs and the longer the writes of the last plan took; so a burst costs a bounded share of a processor, and
//! on a busy server few status writes, while on an idle one nobody waits.

use windlass_core::view::JobFlags;

use crate::Now;
use crate::request::Flow;

/// Time between two looks at a Job for each Pod that a look shows, microseconds. One look costs about a
/// microsecond a Pod (measured: the snapshot, its crossing, and the reconcile), so this bounds the looks at one Job to a
/// tenth of a processor.
const GATHER_US_PER_POD: u64 = 10;
/// Progress is gathered for so many times as long as the last plan took: so the server has rests, and one that
/// answers in milliseconds makes nobody wait.
const PLANS_PER_WINDOW: u64 = 2;
/// How long the writes of one plan are to take at most, milliseconds: for so long what has happened meanwhile waits to be
/// seen.
const PLAN_TARGET_MS: u64 = 150;
/// Creates and deletes of a first plan, before anything is known of the server's speed: twice what is in flight
/// at once, for creates start slowly, and the first Pods may end before the last is created.
const FIRST_CHANGES: u32 = 2 * Flow::Write.limit() as u32;
/// Fewest creates and deletes of a plan, however slow the server is: half as many again as are in flight at once,
/// since the end of each plan waits for its slowest write, and fewer would leave the server idle. More would let
/// Pods that end meanwhile wait to be counted: `make bench-cluster` shows both, as wall time and as lag to counted.
const FEWEST_CHANGES: u32 = Flow::Write.limit() as u32 * 3 / 2;
/// Writes of a plan from which on it says something of the server's speed.
const TELLING_WRITES: u64 = Flow::Write.limit() as u64;

/// How one Job went so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When the last look began, milliseconds of the monotonic clock, and how many Pods it showed.
    looked_ms: u64,
    pods: u64,
    /// How long the last plans took that wrote, milliseconds; the longest of them counts, and fades.
    plan_ms: u64,
    /// Writes a second of the last plan that had enough of them.
    writes_per_s: Option<u64>,
    /// Whether the last creates all succeeded, so that the next need not start slowly.
    pub(super) creates_succeed: bool,
}

impl Pace {
    /// A look begins that shows so many Pods.
    pub(super) fn looks(&mut self, now: Now, pods: usize) {
        self.looked_ms = now.monotonic_ms;
        self.pods = pods as u64;
    }

    /// A plan has ended, with so many writes; without any it says nothing.
    pub(super) fn planned(&mut self, now: Now, writes: u64) {
        if writes == 0 {
            return;
        }
        let took_ms = now.monotonic_ms.saturating_sub(self.looked_ms);
        self.plan_ms = took_ms.max(self.plan_ms / 2);
        if writes >= TELLING_WRITES {
            self.writes_per_s = Some(writes.saturating_mul(1_000) / took_ms.max(1));
        }
    }

    /// When a change of a Pod is looked at, milliseconds of the monotonic clock.
    pub(super) fn due(&self, now: Now) -> u64 {
        let gather_ms = self.pods.saturating_mul(GATHER_US_PER_POD) / 1_000;
        now.monotonic_ms.max(self.looked_ms.saturating_add(gather_ms))
    }

    /// The settings of the next look: those of the user, narrowed to what the server bears.
    pub(super) fn flags(&self, user: &JobFlags) -> JobFlags {
        let window_ms = u32::try_from(self.plan_ms.saturating_mul(PLANS_PER_WINDOW)).unwrap_or(u32::MAX);
        let changes = self.writes_per_s.map_or(FIRST_CHANGES, |per_s| {
            let changes = per_s.saturating_mul(PLAN_TARGET_MS) / 1_000;
            u32::try_from(changes).unwrap_or(u32::MAX).max(FEWEST_CHANGES)
        });
        JobFlags {
            progress_window_ms: window_ms.min(user.sync_batch_ms),
            max_pods_per_sync: user.max_pods_per_sync.min(changes),
            ..user.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic_ms: u64) -> Now {
        Now { monotonic_ms, unix_ms: 0 }
    }

    #[test]
    fn a_quiet_or_small_job_is_looked_at_at_once_and_a_large_busy_one_after_a_while() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(at(5)), 5);
        pace.looks(at(1_000), 10);
        assert_eq!(pace.due(at(1_001)), 1_001);
        pace.looks(at(2_000), 10_000);
        assert_eq!(pace.due(at(2_001)), 2_100);
        assert_eq!(pace.due(at(9_000)), 9_000);
    }

    #[test]
    fn the_window_grows_with_the_time_of_the_writes_up_to_the_flag_and_shrinks_again() {
        let user = JobFlags::default();
        let mut pace = Pace::default();
        assert_eq!(pace.flags(&user).progress_window_ms, 0);
        let mut windows = Vec::new();
        for took_ms in [5, 100, 600, 10, 10] {
            pace.looks(at(0), 1);
            pace.planned(at(took_ms), 3);
            windows.push(pace.flags(&user).progress_window_ms);
        }
        assert_eq!(windows, [10, 200, 1_000, 600, 300]);
    }

    #[test]
    fn a_plan_changes_as_many_pods_as_the_server_bears_in_its_time() {
        let user = JobFlags::default();
        let mut pace = Pace::default();
        assert_eq!(pace.flags(&user).max_pods_per_sync, FIRST_CHANGES);
        for (took_ms, changes) in [(100, 144), (20, 500), (2_000, FEWEST_CHANGES)] {
            pace.looks(at(0), 1);
            pace.planned(at(took_ms), 96);
            assert_eq!(pace.flags(&user).max_pods_per_sync, changes);
        }
        let narrow = JobFlags { max_pods_per_sync: 7, ..user };
        assert_eq!(pace.flags(&narrow).max_pods_per_sync, 7);
    }
}
