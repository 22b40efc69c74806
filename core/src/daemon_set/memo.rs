//! Bytes from one reconcile to the next: which nodes' Pods failed lately, whose turn it was, what is rolled out since
//! when, what was told, and when.
//!
//! Integers of fixed size, little-endian, and one name, after a version byte; what is malformed, or was left by another
//! set of the same name, is as good as lost.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::hash::owner_mark;
use crate::kube::Str;

use super::facts::Facts;
use super::revisions::Revisions;

/// Version of the layout.
const VERSION: u8 = 4;
/// Most nodes that a memo remembers, so that it stays below 61 KiB; the host takes 64 KiB.
pub(super) const MAX_FAILURES: usize = 3_600;
/// Bytes before the entries without the name: the version, the owner's mark, two generations, an instant, a revision's mark
/// and an instant, the number of a node's Pods and the length of its name.
const HEADER_BYTES: usize = 51;
/// Bytes of an entry: a node's mark, the number of failures and an instant.
const ENTRY_BYTES: usize = 17;

/// What one reconcile tells the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memo {
    /// Generation of which it was told that it selects all Pods; 0 if none was.
    pub(super) selecting_all: i64,
    /// Observed generation that the failures are about.
    pub(super) generation: i64,
    /// When a status was written after which others wait, milliseconds since the Unix epoch; 0 if none was.
    pub(super) last_write_ms: i64,
    /// The rollout that a policy decides about; none where the built-in one does.
    pub(super) rolling: Option<Rolling>,
    /// The node with which the last plan began; none if all is well.
    pub(super) turn: Option<Turn>,
    /// The failures of each node, under the hash of its name; at most [`MAX_FAILURES`].
    pub(super) failures: BTreeMap<u64, Failures>,
}

/// The node with which a plan began. If nothing has come of it, the next plan begins with the one after it: what is
/// refused for one node for ever keeps nothing from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Its name.
    pub(super) node: Str,
    /// The Pods that it had whose deletion was not asked for, saturating.
    pub(super) pods: u8,
}

/// A rollout, and since when it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rolling {
    /// Hash of the revision's hash label.
    pub(super) revision: u64,
    /// When it began, milliseconds since the Unix epoch.
    pub(super) since_ms: i64,
}

impl Rolling {
    /// That of the set's template, where the last reconcile left word of `last`. It begins when the revision comes, or
    /// comes back; where the word was lost, it began when the revision was made.
    pub(super) fn of(facts: &Facts<'_>, revisions: &Revisions, last: Option<Self>) -> Self {
        let (revision, now_ms) = (owner_mark(&revisions.hash), facts.snapshot.now_ms);
        let since_ms = match (revisions.since_s, last) {
            (None, _) => now_ms,
            (Some(_), Some(last)) if last.revision == revision => last.since_ms,
            (Some(since_s), _) => since_s.saturating_mul(1_000),
        };
        Self { revision, since_ms: since_ms.min(now_ms) }
    }
}

/// The failures of a node's Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    /// How many in a row, at least 1, saturating.
    pub(super) count: u8,
    /// When the last one's Pod was deleted, milliseconds since the Unix epoch.
    pub(super) last_ms: i64,
}

impl Memo {
    /// The memo in `bytes` that a reconcile of the set with `uid` left; an empty one if they are not of this layout, or
    /// another set's.
    pub(super) fn decode(bytes: &[u8], uid: &str) -> Self {
        Self::read(bytes, uid).unwrap_or_default()
    }

    fn read(bytes: &[u8], uid: &str) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (owner, rest) = rest.split_first_chunk()?;
        if *version != VERSION || u64::from_le_bytes(*owner) != owner_mark(uid) {
            return None;
        }
        let (selecting_all, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (last_write_ms, rest) = rest.split_first_chunk()?;
        let (revision, rest) = rest.split_first_chunk()?;
        let (since_ms, rest) = rest.split_first_chunk()?;
        let ([pods, length], rest) = rest.split_first_chunk()?;
        let (node, rest) = rest.split_at_checked(usize::from(*length))?;
        let rolling =
            Rolling { revision: u64::from_le_bytes(*revision), since_ms: i64::from_le_bytes(*since_ms) };
        let turn = Turn { node: core::str::from_utf8(node).ok()?.into(), pods: *pods };
        let (entries, []) = rest.as_chunks::<ENTRY_BYTES>() else { return None };
        let failures = entries.iter().map(|entry| {
            let (node, entry) = entry.split_first_chunk()?;
            let (count, last_ms) = entry.split_first()?;
            let last_ms = i64::from_le_bytes(*last_ms.first_chunk()?);
            Some((u64::from_le_bytes(*node), Failures { count: *count, last_ms }))
        });
        Some(Self {
            selecting_all: i64::from_le_bytes(*selecting_all),
            generation: i64::from_le_bytes(*generation),
            last_write_ms: i64::from_le_bytes(*last_write_ms),
            rolling: (rolling.revision != 0).then_some(rolling),
            turn: (*length > 0).then_some(turn),
            failures: failures.collect::<Option<_>>()?,
        })
    }

    /// The bytes from which [`Memo::decode`] makes the same memo for the set with `uid`; none if there is nothing to
    /// remember.
    pub(super) fn encode(&self, uid: &str) -> Vec<u8> {
        let remembers = self.selecting_all != 0
            || self.last_write_ms != 0
            || self.rolling.is_some()
            || self.turn.is_some();
        if self.failures.is_empty() && !remembers {
            return Vec::new();
        }
        let (pods, node) = self.turn.as_ref().map_or((0, ""), |turn| (turn.pods, &*turn.node));
        // No name of a node is too long (upstream's validation: 253 bytes).
        let (length, node) = u8::try_from(node.len()).map_or((0, ""), |length| (length, node));
        let entries = self.failures.len().saturating_mul(ENTRY_BYTES);
        let mut bytes = Vec::with_capacity(entries.saturating_add(HEADER_BYTES).saturating_add(node.len()));
        bytes.push(VERSION);
        bytes.extend(owner_mark(uid).to_le_bytes());
        bytes.extend(self.selecting_all.to_le_bytes());
        bytes.extend(self.generation.to_le_bytes());
        bytes.extend(self.last_write_ms.to_le_bytes());
        let rolling = self.rolling.unwrap_or(Rolling { revision: 0, since_ms: 0 });
        bytes.extend(rolling.revision.to_le_bytes());
        bytes.extend(rolling.since_ms.to_le_bytes());
        bytes.extend([pods, length]);
        bytes.extend(node.as_bytes());
        for (node, failures) in &self.failures {
            bytes.extend(node.to_le_bytes());
            bytes.push(failures.count);
            bytes.extend(failures.last_ms.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Memo {
        let failure = |node: u64| (node * 3, Failures { count: 3, last_ms: -5 });
        Memo {
            selecting_all: 4,
            generation: 7,
            last_write_ms: -9,
            rolling: Some(Rolling { revision: 5, since_ms: -6 }),
            turn: Some(Turn { node: "n".repeat(253).into(), pods: 2 }),
            failures: (0..MAX_FAILURES as u64).map(failure).collect(),
        }
    }

    #[test]
    fn a_memo_comes_back_as_it_was_and_a_malformed_one_is_lost() {
        let memo = full();
        let bytes = memo.encode("uid");
        assert!(bytes.len() < 61 * 1024, "{}", bytes.len());
        assert_eq!(Memo::decode(&bytes, "uid"), memo);
        let lost = Memo::default();
        assert_eq!(Memo::decode(&bytes, "another"), lost);
        assert_eq!(Memo::decode(&bytes[..bytes.len() - 1], "uid"), lost);
        assert_eq!(Memo::decode(&[], "uid"), lost);
        let mut other = bytes.clone();
        other[0] = 9;
        assert_eq!(Memo::decode(&other, "uid"), lost);
        let mut no_text = bytes.clone();
        no_text[HEADER_BYTES] = 0xff;
        assert_eq!(Memo::decode(&no_text, "uid"), lost);
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Memo::decode(&longer, "uid"), lost);
    }

    #[test]
    fn whose_turn_it_was_is_remembered_alone_unless_it_is_no_name() {
        let turn = |name: &str| Some(Turn { node: name.into(), pods: 1 });
        let memo = Memo { turn: turn("node-1"), ..Memo::default() };
        assert_eq!(Memo::decode(&memo.encode("uid"), "uid"), memo);
        let endless = Memo { turn: turn(&"n".repeat(256)), selecting_all: 1, ..Memo::default() };
        let without = Memo { turn: None, ..endless.clone() };
        assert_eq!(Memo::decode(&endless.encode("uid"), "uid"), without);
    }

    #[test]
    fn nothing_to_remember_takes_no_bytes() {
        assert_eq!(Memo { generation: 7, ..Memo::default() }.encode("uid"), Vec::<u8>::new());
    }
}
