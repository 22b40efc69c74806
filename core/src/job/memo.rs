//! Bytes from one reconcile to the next: the run of failures, and when the status was written.
//!
//! Integers of fixed size, little-endian, after a version byte; what is malformed, or was left by another Job
//! of the same name, is as good as lost.

use alloc::vec::Vec;

use crate::hash::owner_mark;
use crate::view::NO_EXIT_CODE;

/// Version of the layout.
const VERSION: u8 = 2;

/// What one reconcile tells the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memo {
    /// The failures since the last success.
    pub(super) failures: Failures,
    /// When the status was written last, milliseconds since the Unix epoch; 0 if that is not known.
    pub(super) last_write_ms: i64,
    /// Since when readiness differs from the stored status, milliseconds since the Unix epoch; 0 if it does not.
    pub(super) readiness_since_ms: i64,
}

/// The failures since the last success (upstream: backoffRecord).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    /// How many.
    pub(super) count: u32,
    /// When the last one ended, milliseconds since the Unix epoch; without meaning if there is none.
    pub(super) last_ms: i64,
    /// Exit code of the last one, or [`NO_EXIT_CODE`].
    pub(super) last_exit_code: i32,
}

impl Failures {
    /// No failure since the last success.
    pub(super) const NONE: Self = Self { count: 0, last_ms: 0, last_exit_code: NO_EXIT_CODE };
}

impl Memo {
    /// The memo in `bytes` that a reconcile of the Job with `uid` left; `None` if they are empty, not of this
    /// layout, or another Job's.
    pub(super) fn decode(bytes: &[u8], uid: &str) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (owner, rest) = rest.split_first_chunk()?;
        if *version != VERSION || u64::from_le_bytes(*owner) != owner_mark(uid) {
            return None;
        }
        let (count, rest) = rest.split_first_chunk()?;
        let (last_ms, rest) = rest.split_first_chunk()?;
        let (last_exit_code, rest) = rest.split_first_chunk()?;
        let (last_write_ms, rest) = rest.split_first_chunk()?;
        let (readiness_since_ms, rest) = rest.split_first_chunk()?;
        rest.is_empty().then_some(Self {
            failures: Failures {
                count: u32::from_le_bytes(*count),
                last_ms: i64::from_le_bytes(*last_ms),
                last_exit_code: i32::from_le_bytes(*last_exit_code),
            },
            last_write_ms: i64::from_le_bytes(*last_write_ms),
            readiness_since_ms: i64::from_le_bytes(*readiness_since_ms),
        })
    }

    /// The bytes from which [`Memo::decode`] makes the same memo for the Job with `uid`.
    pub(super) fn encode(&self, uid: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(41);
        bytes.push(VERSION);
        bytes.extend(owner_mark(uid).to_le_bytes());
        bytes.extend(self.failures.count.to_le_bytes());
        bytes.extend(self.failures.last_ms.to_le_bytes());
        bytes.extend(self.failures.last_exit_code.to_le_bytes());
        bytes.extend(self.last_write_ms.to_le_bytes());
        bytes.extend(self.readiness_since_ms.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_comes_back_as_it_was_and_a_malformed_one_is_lost() {
        let memo = Memo {
            failures: Failures { count: 3, last_ms: -5, last_exit_code: 137 },
            last_write_ms: 1_700_000_000_123,
            readiness_since_ms: 7,
        };
        let bytes = memo.encode("uid");
        assert_eq!(Memo::decode(&bytes, "uid"), Some(memo));
        assert_eq!(Memo::decode(&bytes, "another"), None);
        assert_eq!(Memo::decode(&bytes[..bytes.len() - 1], "uid"), None);
        assert_eq!(Memo::decode(&[], "uid"), None);
        let mut other = bytes.clone();
        other[0] = 9;
        assert_eq!(Memo::decode(&other, "uid"), None);
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Memo::decode(&longer, "uid"), None);
    }
}
