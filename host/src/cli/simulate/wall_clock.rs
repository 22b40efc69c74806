//! Wall time, for progress and the closing line; nothing that is simulated depends on it.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "people are told how long they waited"
)]

use std::time::{Duration, Instant};

/// When the simulation began.
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
