//! The only clock of this crate: how long a start may take.

#![allow(clippy::disallowed_types, reason = "other processes are waited for, which takes real time")]

use std::time::{Duration, Instant};

/// The moment after which waiting is given up.
pub(crate) struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The moment `limit` from now.
    pub(crate) fn within(limit: Duration) -> Self {
        Self { at: Instant::now() + limit }
    }

    /// Waits for `interval` and returns true, or returns false at once where the moment has passed.
    pub(crate) fn pause(&self, interval: Duration) -> bool {
        if Instant::now() >= self.at {
            return false;
        }
        std::thread::sleep(interval);
        true
    }
}
