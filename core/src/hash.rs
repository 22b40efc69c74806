//! The one hash of the core, in two widths, and the letters in which names show it.

use alloc::string::String;

/// Letters of what a name ends in: upstream's, without vowels and digits that could spell words
/// (apimachinery, util/rand).
pub(crate) const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Letters in the suffix of a name (upstream: apiserver, names.SimpleNameGenerator).
const SUFFIX_LENGTH: usize = 5;

/// Five letters from a hash, for the end of a name; two of 14 million are alike.
pub(crate) fn suffix(hash: &Fnv) -> String {
    let base = ALPHABET.len() as u64;
    let mut rest = hash.finish();
    let mut letters = String::with_capacity(SUFFIX_LENGTH);
    for _ in 0..SUFFIX_LENGTH {
        let letter = usize::try_from(rest % base).ok().and_then(|position| ALPHABET.get(position));
        letters.push(char::from(letter.copied().unwrap_or(b'b')));
        rest /= base;
    }
    letters
}

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

/// For jitter: the same for the same object, and as good as random for another.
#[must_use]
pub fn seed_of(uid: &str) -> u32 {
    let [a, b, c, d, e, f, g, h] = owner_mark(uid).to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
}

/// FNV-1a of 32 bits, where a number must be short enough for a name.
pub(crate) struct Fnv32(u32);

impl Default for Fnv32 {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv32 {
    /// Takes in `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// The hash of all bytes taken in.
    pub(crate) fn finish(&self) -> u32 {
        self.0
    }
}
