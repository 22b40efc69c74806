//! A DaemonSet's history: which ControllerRevision holds its template, how it is numbered, and which others go.
//!
//! The rows are the revisions that the set controls; adopting and releasing them comes before. What is returned are
//! positions in the rows and values to write, in a fixed order whatever that of the rows.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::revision;
use crate::kube::Str;

/// Most Pods relabelled by one plan, and most revisions deleted for one reason; the rest follow in the next. As many
/// as upstream creates or deletes Pods in one sync (daemon_controller.go, BurstReplicas).
pub const MAX_CHANGES: usize = 250;
/// Most bytes of a label's value (apimachinery, validation.LabelValueMaxLength).
const MAX_LABEL_LENGTH: usize = 63;

/// One ControllerRevision that the set controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRow {
    /// Its name.
    pub name: Str,
    /// Value of its label controller-revision-hash; empty where it has none.
    pub label: Str,
    /// Its number, `revision`.
    pub number: i64,
    /// Whether its data is, byte for byte, that of the set's template.
    pub holds_template: bool,
    /// Whether its deletion was asked for.
    pub terminating: bool,
    /// When it was created, seconds since the Unix epoch.
    pub created_s: i64,
}

impl RevisionRow {
    /// The hash by which Pods name this revision: its label, or the one that it is to get.
    ///
    /// As upstream, a revision without one gets its own name, which no other revision has; a name too long for a
    /// label, at which upstream fails for ever, gives its hash.
    #[must_use]
    pub fn hash(&self) -> Str {
        if !self.label.is_empty() {
            self.label.clone()
        } else if self.name.len() <= MAX_LABEL_LENGTH {
            self.name.clone()
        } else {
            revision::hash(&self.name, None)
        }
    }
}

/// A set's revisions, sorted by what they are to it.
#[derive(Clone, Debug)]
pub struct History<'rows> {
    rows: Vec<Known<'rows>>,
    current: Option<Known<'rows>>,
    duplicates: Vec<Known<'rows>>,
    /// Lowest number first.
    old: Vec<Known<'rows>>,
}

/// A row with its position, and the hash by which Pods name it.
#[derive(Clone, Debug)]
struct Known<'rows> {
    position: u32,
    row: &'rows RevisionRow,
    hash: Str,
}

/// What becomes of the revision for the set's template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    /// There is none: it is to be created.
    Create {
        /// Its number.
        number: i64,
    },
    /// There is one.
    Keep {
        /// Which.
        position: u32,
        /// The number that it is to get, where others have come after it.
        renumber: Option<i64>,
    },
}

/// A revision that is to get the label controller-revision-hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelling {
    /// Which.
    pub position: u32,
    /// The value.
    pub hash: Str,
}

/// How several revisions that all hold the set's template become one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deduplication {
    /// Positions of the Pods that get the label of the revision that stays.
    pub relabel: Vec<u32>,
    /// Positions of the revisions to delete: no Pod names them any more.
    pub delete: Vec<u32>,
}

impl<'rows> History<'rows> {
    /// The history that `rows` are (upstream: constructHistory).
    ///
    /// Of several that hold the template, one that is not going stays; then the one with the highest number; then,
    /// where upstream leaves it to chance, the one that was created first, and the first by name.
    #[must_use]
    pub fn of(rows: &'rows [RevisionRow]) -> Self {
        let known = (0_u32..).zip(rows).map(|(position, row)| Known { position, row, hash: row.hash() });
        let rows: Vec<Known<'rows>> = known.collect();
        let (mut holding, mut old): (Vec<Known<'rows>>, Vec<Known<'rows>>) =
            rows.iter().cloned().partition(|known| known.row.holds_template);
        holding.sort_by_key(|Known { row, .. }| {
            (row.terminating, Reverse(row.number), row.created_s, row.name.clone())
        });
        // Upstream's order of history (historiesByRevision) ends with the number.
        old.sort_by_key(|Known { row, .. }| (row.number, row.created_s, row.name.clone()));
        let mut holding = holding.into_iter();
        let current = holding.next();
        Self { rows, current, duplicates: holding.collect(), old }
    }

    /// The revision for the set's template, and its number: one more than that of any other.
    ///
    /// A set that goes back to an older template renumbers that one's revision, whose name and hash stay.
    #[must_use]
    pub fn current(&self) -> Current {
        let highest = self.old.iter().map(|known| known.row.number).fold(0, i64::max);
        let number = highest.saturating_add(1);
        match &self.current {
            None => Current::Create { number },
            Some(Known { position, row, .. }) => Current::Keep {
                position: *position,
                renumber: Some(number).filter(|number| row.number < *number),
            },
        }
    }

    /// The hash of the revision for the set's template, which new Pods get as a label; `None` before there is one.
    #[must_use]
    pub fn hash(&self) -> Option<&Str> {
        self.current.as_ref().map(|known| &known.hash)
    }

    /// The revisions without a hash label, each with the one that it is to get.
    #[must_use]
    pub fn unlabelled(&self) -> Vec<Labelling> {
        let without = self.rows.iter().filter(|known| known.row.label.is_empty());
        without.map(|known| Labelling { position: known.position, hash: known.hash.clone() }).collect()
    }

    /// Whether a Pod with this hash as its label was made from the set's template.
    ///
    /// So it was, too, where the hash is that of a duplicate which is not gone yet; not where a revision with another
    /// template has the same hash.
    #[must_use]
    pub fn is_current(&self, pod_hash: &str) -> bool {
        let has = |known: &Known<'_>| *known.hash == *pod_hash;
        self.current.as_ref().is_some_and(has)
            || (self.duplicates.iter().any(has) && !self.old.iter().any(has))
    }

    /// What makes several revisions for the set's template one, with the hash label of each of the set's Pods (empty
    /// where it has none), terminal and terminating ones included (upstream: dedupCurHistories).
    ///
    /// Only Pods of a duplicate are relabelled. Upstream relabels those of every revision, which are then taken for
    /// up to date and never rolled. A duplicate goes when no Pod names it any more, which may be in a later plan.
    #[must_use]
    pub fn deduplicate(&self, pod_hashes: &[Str]) -> Deduplication {
        let Some(kept) = self.hash().filter(|_| !self.duplicates.is_empty()) else {
            return Deduplication::default();
        };
        let relabel: Vec<(u32, &Str)> =
            (0_u32..).zip(pod_hashes).filter(|(_, hash)| *hash != kept && self.is_current(hash)).collect();
        let named: BTreeSet<&Str> = relabel.iter().map(|(_, hash)| *hash).collect();
        let unnamed =
            self.duplicates.iter().filter(|known| !known.row.terminating && !named.contains(&known.hash));
        let delete = unnamed.take(MAX_CHANGES).map(|known| known.position).collect();
        Deduplication {
            relabel: relabel.iter().take(MAX_CHANGES).map(|(position, _)| *position).collect(),
            delete,
        }
    }

    /// Positions of the revisions to delete, lowest number first: those beyond `limit`, the set's
    /// revisionHistoryLimit, without those that one of `pod_hashes` names (upstream: cleanupHistory).
    ///
    /// `pod_hashes` must be of all Pods of the set, terminal and terminating ones included. The revision for the
    /// set's template does not count, nor does one that is going already; those that Pods name count and stay.
    #[must_use]
    pub fn surplus(&self, pod_hashes: &[Str], limit: Option<u32>) -> Vec<u32> {
        let Some(limit) = limit else { return Vec::new() };
        let live: BTreeSet<&Str> = pod_hashes.iter().collect();
        let old: Vec<&Known<'_>> = self.old.iter().filter(|known| !known.row.terminating).collect();
        let excess = old.len().saturating_sub(limit as usize);
        old.iter()
            .filter(|known| !live.contains(&known.hash))
            .take(excess.min(MAX_CHANGES))
            .map(|known| known.position)
            .collect()
    }
}

/// Whose a revision is that was found under a name which a new one was to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The set is its controller.
    Set,
    /// It has no controller.
    Nobody,
    /// Another object is its controller.
    Other,
}

/// What a live read found under a name which a new revision was to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether its data is, byte for byte, that of the set's template.
    pub holds_template: bool,
    /// Whose it is.
    pub holder: Holder,
    /// Whether its labels match the set's selector.
    pub matches_selector: bool,
    /// Whether its deletion was asked for.
    pub terminating: bool,
}

/// What to do where the name of a new revision is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTaken {
    /// It is the set's own, created before: use it.
    Use,
    /// It is the set's but for its owner: adopt it.
    Adopt,
    /// The collision count was out of date, or the revision is about to go: look again when it has changed.
    Wait,
    /// It is another: write this collision count to the set's status, which gives another name.
    Raise(i32),
}

/// What to do where the name of a new revision is `taken` (upstream: snapshot), with the collision count by which the
/// name was made and that of a live read of the set.
///
/// Upstream uses a revision with equal data whoever its controller is, and so shares it until that one is deleted.
#[must_use]
pub fn name_taken(taken: Taken, used_count: Option<i32>, live_count: Option<i32>) -> NameTaken {
    let Taken { holds_template, holder, matches_selector, terminating } = taken;
    match holder {
        Holder::Set if holds_template && matches_selector => return NameTaken::Use,
        Holder::Nobody if holds_template && matches_selector => {
            return if terminating { NameTaken::Wait } else { NameTaken::Adopt };
        }
        Holder::Set | Holder::Nobody | Holder::Other => {}
    }
    if used_count != live_count {
        return NameTaken::Wait;
    }
    live_count.unwrap_or(0).checked_add(1).map_or(NameTaken::Wait, NameTaken::Raise)
}

#[cfg(test)]
mod tests;
