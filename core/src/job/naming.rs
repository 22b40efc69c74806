//! Names of Pods: upstream's prefix, and a suffix that says which incarnation of which slot this is.
//!
//! Whoever derives the name of the same slot from the same view of the cluster gets the same name, so that
//! the API server refuses the second of two creates: names are the lock that leader election is not.

use alloc::string::String;

use crate::hash::{self, Fnv};
use crate::kube::{PreparedTemplate, Str};
use crate::plan::PodSlot;

/// Most attempts looked at for one name. More children than this would have to exist under names of one
/// Job; past it the last name is given though taken, and the server's AlreadyExists settles it.
const MAX_ATTEMPTS: u32 = 1 << 20;

/// Name of the Pod for `slot`, and the attempt that it stands for: the lowest from `first_attempt` on whose
/// name is not `taken`.
///
/// `taken` must know every Pod of the namespace that the cache holds, terminating and finished ones
/// included: a stale view then derives the name that it used already. An Indexed Job's slots are told
/// apart by index; those of any other Job are all the same slot, so that a caller naming many at once
/// starts each at the attempt after the last one's.
#[must_use]
pub fn pod_name(
    template: &PreparedTemplate,
    owner_uid: &str,
    slot: PodSlot,
    first_attempt: u32,
    taken: &dyn Fn(&str) -> bool,
) -> (Str, u32) {
    let prefix = template.name_prefix(slot);
    let last_attempt = first_attempt.saturating_add(MAX_ATTEMPTS);
    let mut attempt = first_attempt;
    loop {
        let name = PreparedTemplate::pod_name(&prefix, &suffix(owner_uid, slot, attempt));
        if attempt == last_attempt || !taken(&name) {
            return (name, attempt);
        }
        attempt = attempt.saturating_add(1);
    }
}

/// Five letters from FNV-1a (64 bits) of the owner's uid, the slot's index and the attempt.
///
/// Two attempts of one slot share a suffix about once in 14 million; all names of a Job with 10,000 Pods
/// are distinct but for 3 or 4, which the next attempt resolves.
#[must_use]
pub fn suffix(owner_uid: &str, slot: PodSlot, attempt: u32) -> String {
    let mut hash = Fnv::default();
    hash.write(owner_uid.as_bytes());
    // A byte that no text contains ends the uid; the next says whether there is an index.
    hash.write(&[0xff, u8::from(slot.index.is_some())]);
    hash.write(&slot.index.unwrap_or(0).to_le_bytes());
    hash.write(&attempt.to_le_bytes());
    hash::suffix(&hash)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::hash::ALPHABET;
    use crate::kube::Job;

    const UID: &str = "5a1d8f4e-0b5e-4f4b-9d5c-3f6a2a7e9c10";

    fn slot(index: Option<u32>) -> PodSlot {
        PodSlot { index, index_failures: None, index_ignored_failures: None }
    }

    fn template(name: &str, indexed: bool) -> PreparedTemplate {
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        let text = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"{UID}"}},
                "spec":{{"completionMode":"{mode}","template":{{"spec":{{"containers":[]}}}}}}}}"#
        );
        let job: Job = serde_json::from_str(&text).unwrap();
        PreparedTemplate::new(&job).unwrap()
    }

    #[test]
    fn a_name_is_the_prefix_and_five_letters_of_the_alphabet() {
        let (name, attempt) = pod_name(&template("pi", false), UID, slot(None), 0, &|_| false);
        assert_eq!(attempt, 0);
        let letters = name.strip_prefix("pi-").unwrap();
        assert_eq!(letters.len(), 5);
        assert!(letters.bytes().all(|letter| ALPHABET.contains(&letter)), "{name}");
    }

    #[test]
    fn the_lowest_attempt_whose_name_is_free_is_taken() {
        let prepared = template("work", true);
        let first: BTreeSet<String> =
            (0..3).map(|attempt| format!("work-7-{}", suffix(UID, slot(Some(7)), attempt))).collect();
        let (name, attempt) = pod_name(&prepared, UID, slot(Some(7)), 0, &|name| first.contains(name));
        assert_eq!(attempt, 3);
        assert_eq!(name.to_string(), format!("work-7-{}", suffix(UID, slot(Some(7)), 3)));
    }

    #[test]
    fn names_differ_by_owner_index_and_attempt() {
        let mut suffixes = BTreeSet::new();
        for uid in ["a", "b"] {
            for index in [None, Some(0), Some(1)] {
                for attempt in 0..100 {
                    suffixes.insert(suffix(uid, slot(index), attempt));
                }
            }
        }
        assert_eq!(suffixes.len(), 600);
    }

    #[test]
    fn ten_thousand_attempts_hardly_collide() {
        let suffixes: BTreeSet<String> =
            (0..10_000).map(|attempt| suffix(UID, slot(None), attempt)).collect();
        assert!(suffixes.len() >= 9_985, "{} distinct", suffixes.len());
    }

    #[test]
    fn a_long_job_name_is_cut_as_upstream_cuts_it() {
        let long = "a".repeat(63);
        let (name, _) = pod_name(&template(&long, true), UID, slot(Some(12)), 0, &|_| false);
        assert_eq!(name.len(), 63);
        assert!(name.contains("a-12-"), "{name}");
    }

    #[test]
    fn where_every_name_is_taken_the_search_ends() {
        let (_, attempt) = pod_name(&template("pi", false), UID, slot(None), 5, &|_| true);
        assert_eq!(attempt, 5 + MAX_ATTEMPTS);
    }
}
