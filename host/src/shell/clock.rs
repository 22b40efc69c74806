//! The only place that reads a clock for the state machine.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the shell is where time comes from")]

use std::time::Duration;

use crate::Now;

/// The two clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock whose monotonic zero is now.
    pub(super) fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The present instant on both clocks.
    pub(super) fn now(&self) -> Now {
        Now { monotonic_ms: self.monotonic_ms(), unix_ms: unix_ms() }
    }

    /// Milliseconds since the start.
    pub(super) fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Microseconds since the first call.
pub(super) fn monotonic_us() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn unix_ms() -> i64 {
    use std::time::SystemTime;
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}
