//! How the driver is, for the probes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::clock::Clock;

/// How old the driver's last turn may be before /livez fails, milliseconds.
const MAX_SILENCE_MS: u64 = 10_000;

/// How the driver is.
#[derive(Debug)]
pub(super) struct Health {
    clock: Clock,
    last_turn_ms: AtomicU64,
    synced: AtomicBool,
    shutting_down: AtomicBool,
}

/// One named check: `Err` says why it fails.
pub(super) type Check = (&'static str, Result<(), &'static str>);

impl Health {
    /// A driver that was heard of now and has no caches yet.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            // Until the first turn the start has a limit of its own.
            last_turn_ms: AtomicU64::new(u64::MAX),
            synced: AtomicBool::new(false),
            shutting_down: AtomicBool::new(false),
        }
    }

    /// Notes a turn of the driver.
    pub(super) fn beat(&self, monotonic_ms: u64, synced: bool) {
        self.last_turn_ms.store(monotonic_ms, Ordering::Relaxed);
        self.synced.store(synced, Ordering::Relaxed);
    }

    /// Notes that no more work is taken.
    pub(super) fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Relaxed);
    }

    /// The checks of /livez: a process that fails one should be started anew.
    pub(super) fn live(&self) -> Vec<Check> {
        let age = self.clock.monotonic_ms().saturating_sub(self.last_turn_ms.load(Ordering::Relaxed));
        let driver = if age <= MAX_SILENCE_MS { Ok(()) } else { Err("the driver has not turned for 10 s") };
        vec![("ping", Ok(())), ("driver", driver)]
    }

    /// The checks of /readyz: work is being done if all pass.
    pub(super) fn ready(&self) -> Vec<Check> {
        let mut checks = self.live();
        let synced = self.synced.load(Ordering::Relaxed);
        checks.push(("caches-synced", if synced { Ok(()) } else { Err("not every list is complete") }));
        let ends = self.shutting_down.load(Ordering::Relaxed);
        checks.push(("shutdown", if ends { Err("the process is shutting down") } else { Ok(()) }));
        checks
    }
}
