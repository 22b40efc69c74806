//! The clock of this program: everything else is given what it reads.

#![allow(clippy::disallowed_types, reason = "what is measured takes real time")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment from which time is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago that was.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The present second as Kubernetes writes it.
pub(crate) fn now() -> String {
    time(unix_seconds())
}

/// A second since the Unix epoch as Kubernetes writes it.
pub(crate) fn time(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The present microsecond since the Unix epoch.
pub(crate) fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The present second since the Unix epoch.
pub(crate) fn unix_seconds() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
