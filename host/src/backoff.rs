//! Waits that double with each failure.

/// A wait that doubles with each failure in a row, between a first wait and a longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first failure, milliseconds.
    pub base_ms: u64,
    /// Longest wait, milliseconds.
    pub max_ms: u64,
}

impl Backoff {
    /// How long to wait, milliseconds, after a failure that followed `failures` others.
    #[must_use]
    pub const fn wait_ms(self, failures: u32) -> u64 {
        let doublings = if failures < 32 { failures } else { 32 };
        let wait = self.base_ms.saturating_mul(1 << doublings);
        if wait < self.max_ms { wait } else { self.max_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_never_overflows() {
        let backoff = Backoff { base_ms: 100, max_ms: 1_000 };
        let waits: Vec<u64> = (0..6).map(|failures| backoff.wait_ms(failures)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(Backoff { base_ms: u64::MAX, max_ms: u64::MAX }.wait_ms(u32::MAX), u64::MAX);
    }
}
