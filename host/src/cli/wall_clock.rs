//! Wall time, for progress, closing lines and questions about now; nothing that is simulated depends on it.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "people are told how long they waited, and ask from now on"
)]

use std::time::{Duration, Instant, SystemTime};

/// When something began that people wait for.
#[derive(Clone, Copy)]
pub(super) struct WallClock(Instant);

impl WallClock {
    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Wall time since the start.
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Seconds since the Unix epoch; 0 on a machine whose clock stands before it.
pub(super) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
