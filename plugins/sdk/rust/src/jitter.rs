//! Numbers that look random and are the same for the same question: a plugin has no other randomness.

/// Numbers from the seed of a question.
#[derive(Clone, Copy, Debug)]
pub struct Jitter {
    state: u32,
}

/// Numbers from `seed`, as a question carries it.
pub fn jitter(seed: u32) -> Jitter {
    Jitter { state: seed }
}

impl Jitter {
    /// The next number, any of 32 bits.
    ///
    /// Weyl's sequence through the finalizer of MurmurHash3: seeds that differ by one give numbers that have
    /// nothing in common.
    pub fn next_u32(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
        mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        mixed ^ (mixed >> 16)
    }

    /// A number from `low` to `high`, both included; `low` where they are the wrong way round.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        let width = u64::from(high.saturating_sub(low)) + 1;
        let scaled = (u64::from(self.next_u32()) * width) >> 32;
        low.saturating_add(u32::try_from(scaled).unwrap_or(u32::MAX))
    }

    /// `value` moved by at most `percent` hundredths of itself, up or down; saturating.
    pub fn around(&mut self, value: u32, percent: u32) -> u32 {
        let reach = u64::from(value) * u64::from(percent.min(100)) / 100;
        let reach = u32::try_from(reach).unwrap_or(u32::MAX);
        self.between(value.saturating_sub(reach), value.saturating_add(reach))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let numbers = |seed| {
            let mut jitter = jitter(seed);
            [jitter.next_u32(), jitter.next_u32(), jitter.next_u32()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert_ne!(numbers(7)[0], numbers(7)[1]);
    }

    #[test]
    fn a_number_stays_between_its_ends_and_reaches_both() {
        let found: std::collections::BTreeSet<u32> =
            (0..1_000).map(|seed| jitter(seed).between(3, 6)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(jitter(1).between(5, 5), 5);
        assert_eq!(jitter(1).between(9, 5), 9);
        for seed in 0..100 {
            let _ = jitter(seed).between(0, u32::MAX);
        }
    }

    #[test]
    fn a_value_moves_by_no_more_than_the_percentage() {
        for seed in 0..1_000 {
            assert!((900..=1_100).contains(&jitter(seed).around(1_000, 10)));
            let _ = jitter(seed).around(u32::MAX, 100);
        }
        assert_eq!(jitter(1).around(1_000, 0), 1_000);
    }

    #[test]
    fn numbers_of_neighbouring_seeds_are_spread_evenly() {
        let mut counts = [0_u32; 10];
        for seed in 0..10_000 {
            counts[jitter(seed).between(0, 9) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }
}
