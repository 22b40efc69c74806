//! Everything that is random in the sandbox, from one seed.

use windlass_core::kube::{Str, Uid};

/// The letters of generated names (upstream: apimachinery, pkg/util/rand).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A sequence of numbers that a seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (splitmix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A uid in the form of a random UUID.
    pub(crate) fn uid(&mut self) -> Uid {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let mut text = [b'-'; 36];
        let mut shift = 128;
        for (position, place) in text.iter_mut().enumerate() {
            if !matches!(position, 8 | 13 | 18 | 23) {
                shift -= 4;
                *place = HEX[usize::try_from((bits >> shift) & 0xf).unwrap_or(0)];
            }
        }
        String::from_utf8_lossy(&text).into()
    }

    /// The five letters that end a generated name.
    pub(crate) fn suffix(&mut self) -> String {
        let mut number = self.next();
        let mut text = String::with_capacity(5);
        for _ in 0..5 {
            let letter = usize::try_from(number % 27).unwrap_or(0);
            text.push(char::from(ALPHABET[letter]));
            number /= 27;
        }
        text
    }
}

/// A number that depends on `seed` and the parts of `name` alone.
pub(crate) fn number_for(seed: u64, name: [&Str; 2]) -> u64 {
    let mut hash = seed ^ 0xcbf2_9ce4_8422_2325;
    for part in name {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mixed(hash)
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_has_the_form_of_a_random_uuid() {
        let uid = Dice::new(1).uid();
        let parts: Vec<usize> = uid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(uid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uid.as_bytes()[19]));
    }

    #[test]
    fn the_same_seed_gives_the_same_names_and_another_seed_others() {
        assert_eq!(Dice::new(7).suffix(), Dice::new(7).suffix());
        assert_ne!(Dice::new(7).uid(), Dice::new(8).uid());
    }
}
