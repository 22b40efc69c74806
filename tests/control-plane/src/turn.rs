//! Whose turn it is, where control planes are not to run beside each other.

use std::fs::{File, TryLockError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::binaries::Binaries;
use crate::deadline::Deadline;

/// How long an exclusive start waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How often it is looked whether the turn has come.
const LOOK: Duration = Duration::from_millis(200);

/// The right to be the only exclusive control plane on this machine, until it is dropped.
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits until no other exclusive control plane runs on this machine.
    ///
    /// # Errors
    /// Where others run for longer than a quarter of an hour.
    pub fn take(binaries: &Binaries) -> Result<Self> {
        let path = binaries.exclusive_lock();
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("could not open {}", path.display()))?;
        let deadline = Deadline::within(TURN_LIMIT);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _lock: lock }),
                Err(TryLockError::WouldBlock) => {
                    ensure!(
                        deadline.pause(LOOK),
                        "waited {} minutes for another control plane on this machine to end",
                        TURN_LIMIT.as_secs() / 60
                    );
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("could not lock {}", path.display()));
                }
            }
        }
    }
}
