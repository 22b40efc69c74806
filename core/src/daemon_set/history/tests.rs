//! Upstream's cases by name, and what holds of every history.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use proptest::prelude::*;

use super::*;

/// A revision `set-HASH` with this number; `holding` the set's template or another.
fn row(hash: &str, number: i64, holding: bool) -> RevisionRow {
    RevisionRow {
        name: format!("set-{hash}").into(),
        label: hash.into(),
        number,
        holds_template: holding,
        terminating: false,
        created_s: number,
    }
}

fn hashes(hashes: &[&str]) -> Vec<Str> {
    hashes.iter().map(|hash| Str::from(*hash)).collect()
}

#[test]
fn the_first_revision_is_number_one() {
    let history = History::of(&[]);
    assert_eq!(history.current(), Current::Create { number: 1 });
    assert_eq!(history.hash(), None);
}

#[test]
fn a_change_of_the_template_makes_the_next_number() {
    let rows = [row("b", 2, false), row("a", 7, false)];
    assert_eq!(History::of(&rows).current(), Current::Create { number: 8 });
}

#[test]
fn a_template_that_is_back_keeps_its_revision_and_gets_the_next_number() {
    let rows = [row("a", 1, true), row("b", 2, false)];
    let history = History::of(&rows);
    assert_eq!(history.current(), Current::Keep { position: 0, renumber: Some(3) });
    assert_eq!(history.hash().map(|hash| &**hash), Some("a"));
    let rows = [row("a", 3, true), row("b", 2, false)];
    assert_eq!(History::of(&rows).current(), Current::Keep { position: 0, renumber: None });
}

#[test]
fn numbers_below_zero_and_at_the_end_are_taken_as_they_are() {
    let rows = [row("a", -5, false)];
    assert_eq!(History::of(&rows).current(), Current::Create { number: 1 });
    let rows = [row("a", i64::MAX, false), row("b", i64::MAX, true)];
    assert_eq!(History::of(&rows).current(), Current::Keep { position: 1, renumber: None });
}

#[test]
fn a_revision_without_a_label_gets_its_name_or_what_a_label_can_hold_of_it() {
    let mut rows = [row("a", 1, true), row("b", 2, false), row("c", 3, false)];
    rows[0].label = "".into();
    rows[1].label = "".into();
    rows[1].name = "n".repeat(64).into();
    let history = History::of(&rows);
    let expected = vec![
        Labelling { position: 0, hash: "set-a".into() },
        Labelling { position: 1, hash: revision::hash(&"n".repeat(64), None) },
    ];
    assert_eq!(history.unlabelled(), expected);
    assert_eq!(history.hash().map(|hash| &**hash), Some("set-a"));
}

#[test]
fn of_two_for_the_template_the_higher_number_stays_and_only_pods_of_the_other_are_relabelled() {
    let rows = [row("low", 2, true), row("high", 4, true), row("old", 3, false)];
    let history = History::of(&rows);
    assert_eq!(history.current(), Current::Keep { position: 1, renumber: None });
    let pods = hashes(&["high", "low", "old", "", "unknown", "low"]);
    assert_eq!(history.deduplicate(&pods), Deduplication { relabel: vec![1, 5], delete: vec![] });
    assert!(history.is_current("low") && history.is_current("high") && !history.is_current("old"));
    let pods = hashes(&["high", "high", "old", "", "unknown", "high"]);
    assert_eq!(history.deduplicate(&pods), Deduplication { relabel: vec![], delete: vec![0] });
}

#[test]
fn of_two_with_one_number_the_first_that_was_created_stays() {
    let mut rows = [row("b", 2, true), row("a", 2, true)];
    assert_eq!(History::of(&rows).hash().map(|hash| &**hash), Some("a"));
    rows[1].created_s = 9;
    assert_eq!(History::of(&rows).hash().map(|hash| &**hash), Some("b"));
}

#[test]
fn a_duplicate_that_is_going_is_not_kept_nor_deleted_again() {
    let mut rows = [row("going", 9, true), row("stays", 2, true)];
    rows[0].terminating = true;
    let history = History::of(&rows);
    assert_eq!(history.hash().map(|hash| &**hash), Some("stays"));
    let expected = Deduplication { relabel: vec![0], delete: vec![] };
    assert_eq!(history.deduplicate(&hashes(&["going"])), expected);
}

#[test]
fn a_hash_that_an_old_revision_has_too_never_makes_its_pods_current() {
    let mut rows = [row("kept", 4, true), row("twice", 2, true), row("old", 3, false)];
    rows[2].label = "twice".into();
    let history = History::of(&rows);
    assert!(!history.is_current("twice"));
    let expected = Deduplication { relabel: vec![], delete: vec![1] };
    assert_eq!(history.deduplicate(&hashes(&["twice"])), expected);
}

#[test]
fn two_with_one_hash_and_the_template_are_one_without_a_relabel() {
    let mut rows = [row("same", 1, true), row("same", 2, true)];
    rows[0].name = "another".into();
    let expected = Deduplication { relabel: vec![], delete: vec![0] };
    assert_eq!(History::of(&rows).deduplicate(&hashes(&["same"])), expected);
}

#[test]
fn the_oldest_beyond_the_limit_go_but_for_those_that_pods_name() {
    let rows: Vec<RevisionRow> =
        [5, 3, 1, 2, 4].map(|number| row(&format!("r{number}"), number, false)).into();
    let history = History::of(&rows);
    let live = hashes(&["r1", "r3", "", "unknown"]);
    // Three are too many, and r1 and r3 stay.
    assert_eq!(history.surplus(&live, Some(2)), [3, 4, 0]);
    assert_eq!(history.surplus(&live, Some(4)), [3]);
    assert_eq!(history.surplus(&[], Some(3)), [2, 3]);
    assert_eq!(history.surplus(&live, Some(0)), [3, 4, 0]);
    assert_eq!(history.surplus(&live, Some(5)), [0; 0]);
    assert_eq!(history.surplus(&live, None), [0; 0]);
}

#[test]
fn what_is_going_already_is_not_deleted_and_does_not_count() {
    let mut rows = [row("r1", 1, false), row("r2", 2, false), row("r3", 3, false)];
    rows[1].terminating = true;
    assert_eq!(History::of(&rows).surplus(&[], Some(1)), [0]);
}

#[test]
fn equal_numbers_go_by_age_and_name() {
    let mut rows = [row("b", 1, false), row("a", 1, false), row("c", 1, false)];
    rows[2].created_s = 0;
    assert_eq!(History::of(&rows).surplus(&[], Some(0)), [2, 1, 0]);
}

#[test]
fn changes_have_a_limit() {
    let rows: Vec<RevisionRow> = (0..1_000).map(|number| row(&format!("r{number}"), number, false)).collect();
    assert_eq!(History::of(&rows).surplus(&[], Some(0)).len(), MAX_CHANGES);
    let rows: Vec<RevisionRow> = (0..1_000).map(|number| row(&format!("r{number}"), number, true)).collect();
    let pods: Vec<Str> = (0..500).map(|number| format!("r{number}").into()).collect();
    let Deduplication { relabel, delete } = History::of(&rows).deduplicate(&pods);
    assert_eq!((relabel.len(), delete.len()), (MAX_CHANGES, MAX_CHANGES));
}

#[test]
fn a_name_that_is_taken_is_settled_by_what_has_it() {
    let own = Taken { holds_template: true, holder: Holder::Set, matches_selector: true, terminating: false };
    let other = Taken { holds_template: false, ..own };
    assert_eq!(name_taken(own, None, Some(3)), NameTaken::Use);
    assert_eq!(name_taken(Taken { terminating: true, ..own }, None, None), NameTaken::Use);
    assert_eq!(name_taken(Taken { holder: Holder::Nobody, ..own }, None, Some(3)), NameTaken::Adopt);
    let going = Taken { holder: Holder::Nobody, terminating: true, ..own };
    assert_eq!(name_taken(going, None, None), NameTaken::Wait);
    // Upstream shares it; it would go with its owner.
    assert_eq!(name_taken(Taken { holder: Holder::Other, ..own }, None, None), NameTaken::Raise(1));
    assert_eq!(name_taken(Taken { matches_selector: false, ..own }, Some(1), Some(1)), NameTaken::Raise(2));
    assert_eq!(name_taken(other, None, None), NameTaken::Raise(1));
    assert_eq!(name_taken(other, Some(0), Some(0)), NameTaken::Raise(1));
    assert_eq!(name_taken(other, Some(4), Some(4)), NameTaken::Raise(5));
    // As upstream, none and zero differ.
    assert_eq!(name_taken(other, None, Some(0)), NameTaken::Wait);
    assert_eq!(name_taken(other, Some(4), Some(5)), NameTaken::Wait);
    assert_eq!(name_taken(other, Some(i32::MAX), Some(i32::MAX)), NameTaken::Wait);
}

fn rows() -> impl Strategy<Value = Vec<RevisionRow>> {
    let row = (0_u8..6, -1_i64..6, any::<bool>(), prop::bool::weighted(0.2), 0_i64..3);
    prop::collection::vec(row, 0..8).prop_map(|rows| {
        let rows = rows.into_iter().enumerate();
        rows.map(|(position, (label, number, holds_template, terminating, created_s))| RevisionRow {
            name: format!("set-{position}").into(),
            label: if label == 0 { "".into() } else { format!("h{label}").into() },
            number,
            holds_template,
            terminating,
            created_s,
        })
        .collect()
    })
}

fn pods() -> impl Strategy<Value = Vec<Str>> {
    let hash = prop_oneof![Just(String::new()), "h[1-7]", "set-[0-8]"];
    prop::collection::vec(hash.prop_map(Str::from), 0..12)
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter(rows in rows(), pods in pods(), turn in 0_usize..8, limit in 0_u32..5) {
        let mut turned = rows.clone();
        turned.reverse();
        turned.rotate_left(turn.min(rows.len()));
        let (one, other) = (History::of(&rows), History::of(&turned));
        let names = |rows: &[RevisionRow], positions: &[u32]| -> Vec<Str> {
            positions.iter().map(|position| rows[*position as usize].name.clone()).collect()
        };
        prop_assert_eq!(one.hash(), other.hash());
        prop_assert_eq!(
            names(&rows, &one.surplus(&pods, Some(limit))),
            names(&turned, &other.surplus(&pods, Some(limit)))
        );
        let (one, other) = (one.deduplicate(&pods), other.deduplicate(&pods));
        prop_assert_eq!(&one.relabel, &other.relabel);
        prop_assert_eq!(names(&rows, &one.delete), names(&turned, &other.delete));
    }

    #[test]
    fn what_is_kept_is_never_deleted_and_what_pods_name_stays(rows in rows(), pods in pods(), limit in 0_u32..5) {
        let history = History::of(&rows);
        let surplus = history.surplus(&pods, Some(limit));
        for position in &surplus {
            let row = &rows[*position as usize];
            prop_assert!(!row.holds_template && !row.terminating && !pods.contains(&row.hash()));
        }
        let Deduplication { relabel, delete } = history.deduplicate(&pods);
        for position in &delete {
            let row = &rows[*position as usize];
            prop_assert!(row.holds_template && !row.terminating);
            let relabelled_first = |pod: &Str| *pod == row.hash() && history.is_current(pod) && Some(pod) != history.hash();
            prop_assert!(!pods.iter().any(relabelled_first));
            let is_kept = matches!(history.current(), Current::Keep { position: kept, .. } if kept == *position);
            prop_assert!(!is_kept);
        }
        for position in &relabel {
            let pod = &pods[*position as usize];
            prop_assert!(rows.iter().any(|row| row.holds_template && row.hash() == *pod));
            prop_assert!(!rows.iter().any(|row| !row.holds_template && row.hash() == *pod));
        }
    }

    /// Doing what is decided, again and again, ends, with one revision for the template and its Pods on it.
    #[test]
    fn doing_what_is_decided_ends_with_one(rows in rows(), pods in pods(), limit in 0_u32..5) {
        let (mut rows, mut pods) = (rows, pods);
        let first = History::of(&rows);
        let current: Vec<bool> = pods.iter().map(|pod| first.is_current(pod)).collect();
        for round in 0..4 {
            let history = History::of(&rows);
            let Decided { labels, number, deduplication, surplus, kept } = Decided::of(&history, &pods, limit);
            let done = labels.is_empty() && number.is_none() && deduplication == Deduplication::default() && surplus.is_empty();
            if round == 3 {
                prop_assert!(done, "{:?}", rows);
                break;
            }
            for Labelling { position, hash } in labels {
                rows[position as usize].label = hash;
            }
            if let (Some((position, hash)), number) = (&kept, number) {
                rows[*position as usize].number = number.unwrap_or(rows[*position as usize].number);
                deduplication.relabel.iter().for_each(|pod| pods[*pod as usize] = hash.clone());
            }
            let gone: Vec<u32> = deduplication.delete.into_iter().chain(surplus).collect();
            let left = (0_u32..).zip(rows).filter(|(position, row)| !gone.contains(position) && !row.terminating);
            rows = left.map(|(_, row)| row).collect();
        }
        prop_assert!(rows.iter().filter(|row| row.holds_template).count() <= 1);
        if rows.iter().any(|row| row.holds_template) {
            let history = History::of(&rows);
            for (pod, was) in pods.iter().zip(current) {
                prop_assert!(!was || history.is_current(pod), "{} was up to date and is not any more", pod);
            }
            let highest = rows.iter().map(|row| row.number).max();
            prop_assert_eq!(rows.iter().find(|row| row.holds_template).map(|row| row.number), highest);
        }
    }
}

/// All decisions about one history.
struct Decided {
    labels: Vec<Labelling>,
    number: Option<i64>,
    deduplication: Deduplication,
    surplus: Vec<u32>,
    kept: Option<(u32, Str)>,
}

impl Decided {
    fn of(history: &History<'_>, pods: &[Str], limit: u32) -> Self {
        let (number, kept) = match history.current() {
            Current::Create { .. } => (None, None),
            Current::Keep { position, renumber } => {
                (renumber, history.hash().map(|hash| (position, hash.clone())))
            }
        };
        Self {
            labels: history.unlabelled(),
            number,
            deduplication: history.deduplicate(pods),
            surplus: history.surplus(pods, Some(limit)),
            kept,
        }
    }
}
