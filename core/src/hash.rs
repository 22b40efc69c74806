//! The one hash of the core.

/// FNV-1a of 64 bits (draft-eastlake-fnv): small, and the same on every platform.
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Takes in `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash of all bytes taken in.
    pub(crate) fn finish(&self) -> u64 {
        self.0
    }
}

/// Tells in a memo an object from another that takes its name, be its deletion seen or not.
pub(crate) fn owner_mark(uid: &str) -> u64 {
    let mut hash = Fnv::default();
    hash.write(uid.as_bytes());
    hash.finish()
}
