//! Decisions against models that follow upstream's functions step by step.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::counting::Tally;
use super::super::facts::Facts;
use super::super::indexes::CompletionIndexes;
use super::super::memo::{Failures, Memo};
use super::super::progress::Progress;
use super::super::{success_policy, surplus};
use super::{OURS, START_MS, of};
use crate::kube::{PodPhase, SuccessPolicy, SuccessPolicyRule};
use crate::policy::BuiltIn;
use crate::policy::backoff::{Answer, exponential};
use crate::view::{
    CompletionModeView, JobFlags, JobSnapshot, JobView, NO_EXIT_CODE, NO_INDEX, PodColumns, PodRow,
    UncountedPods, pod_flag,
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_run_of_failures_is_counted_as_new_backoff_record_counts_it(
        before in prop::option::of((1_u32..5, 0_i64..20)),
        ends in prop::collection::vec((any::<bool>(), 0_i64..20), 0..8),
    ) {
        let rows: Vec<PodRow> = ends.iter().map(|(is_success, finished_s)| ended(*is_success, *finished_s)).collect();
        let memo = before.map(|(count, last_s)| Memo {
            failures: Failures { count, last_ms: START_MS + last_s * 1000, last_exit_code: NO_EXIT_CODE },
            last_write_ms: 0,
            readiness_since_ms: 0,
        });
        let snapshot = JobSnapshot {
            memo: memo.map(|memo| memo.encode("uid")).unwrap_or_default(),
            ..snapshot(JobView { completions: Some(50), ..job() }, &rows)
        };
        let facts = Facts::read(&snapshot).unwrap();
        let run = Tally::of(&facts, None).failures;
        let (count, last_s) = new_backoff_record(before, &ends);
        prop_assert_eq!(run.count, count);
        if let Some(last_s) = last_s {
            prop_assert_eq!(run.last_ms, START_MS + last_s * 1000);
        }
    }

    #[test]
    fn a_delay_is_what_repeated_doubling_gives(base in 1_u32..100_000, more in 0_u32..10_000_000, failures in 0_u32..70) {
        let max = base.saturating_add(more);
        let mut wanted = if failures == 0 { 0 } else { u64::from(base) };
        for _ in 1..failures {
            wanted *= 2;
            if wanted >= u64::from(max) {
                wanted = u64::from(max);
                break;
            }
        }
        let settings = BuiltIn { backoff_base_ms: base, backoff_max_ms: max };
        prop_assert_eq!(exponential(settings, failures), Answer::RetryAfterMs(wanted as u32));
    }

    #[test]
    fn the_pod_that_awaits_its_replacement_is_the_one_upstream_keeps(
        rows in prop::collection::vec(any_index_row(), 0..12),
        limit in 0_u32..4,
    ) {
        let indexed = JobView {
            mode: CompletionModeView::Indexed,
            completions: Some(4),
            backoff_limit_per_index: Some(limit),
            ..job()
        };
        let snapshot = snapshot(indexed, &rows);
        let facts = Facts::read(&snapshot).unwrap();
        let progress = Progress::of(&facts).unwrap();
        let kept: Vec<(u32, u32)> = delayed_deletion(&rows, limit).into_iter().collect();
        prop_assert_eq!(progress.per_index.unwrap().awaiting_replacement, kept);
    }

    #[test]
    fn surplus_is_the_head_of_upstreams_order(
        rows in prop::collection::vec(any_active_row(), 0..12),
        least in 0_u32..14,
        most in 1_u32..14,
    ) {
        let mut snapshot = snapshot(JobView { completions: Some(50), ..job() }, &rows);
        snapshot.flags.max_pods_per_sync = most;
        let facts = Facts::read(&snapshot).unwrap();
        let chosen = surplus::choose(&facts, least);
        prop_assert_eq!(chosen.len() as u32, least.min(most).min(rows.len() as u32));
        let at = |position: &u32| &rows[*position as usize];
        prop_assert!(chosen.windows(2).all(|pair| !is_less(at(&pair[1]), at(&pair[0]))));
        let left = (0..rows.len() as u32).filter(|position| !chosen.contains(position));
        for left in left {
            prop_assert!(chosen.iter().all(|gone| !is_less(at(&left), at(gone))), "{left} stayed of {chosen:?}");
        }
    }

    #[test]
    fn a_success_policy_is_met_as_naive_sets_say(
        succeeded in prop::collection::btree_set(0_u32..12, 0..12),
        rules in prop::collection::vec(
            (prop::option::of(prop::collection::btree_set(0_u32..16, 1..6)), prop::option::of(1_u32..6)),
            0..4,
        ),
    ) {
        let texts = |wanted: &BTreeSet<u32>| alloc::format!("{}", of(wanted)).as_str().into();
        let policy = SuccessPolicy {
            rules: rules
                .iter()
                .map(|(wanted, count)| SuccessPolicyRule {
                    succeeded_indexes: wanted.as_ref().map(texts),
                    succeeded_count: count.map(|count| count as i32),
                })
                .collect(),
        };
        let indexed = JobView {
            mode: CompletionModeView::Indexed,
            completions: Some(12),
            success_policy: Some(policy),
            ..job()
        };
        let snapshot = snapshot(indexed, &[]);
        let facts = Facts::read(&snapshot).unwrap();
        let wanted = rules.iter().position(|(wanted, count)| {
            let total = |set: &BTreeSet<u32>| set.intersection(&succeeded).count();
            let is_enough = |number: usize| count.is_some_and(|count| number >= count as usize);
            match wanted {
                Some(wanted) => {
                    let in_range: BTreeSet<u32> = wanted.iter().copied().filter(|index| *index < 12).collect();
                    !in_range.is_empty() && (total(&in_range) == in_range.len() || is_enough(total(&in_range)))
                }
                None => is_enough(succeeded.len()),
            }
        });
        let wanted = wanted.filter(|_| !succeeded.is_empty());
        let met = success_policy::met(&facts, &of(&succeeded));
        prop_assert_eq!(met, wanted.map(|number| alloc::format!("Matched rules at index {number}")));
    }
}

#[test]
fn a_set_of_100000_indexes_is_read_and_written_whole() {
    let every_second: Vec<u32> = (0..100_000).filter(|index| index % 2 == 0).collect();
    let set = CompletionIndexes::from_sorted(&every_second);
    let text = alloc::format!("{set}");
    let (read, is_whole) = CompletionIndexes::parse(&text, 100_000);
    assert!(is_whole);
    assert_eq!((read.total(), read == set), (50_000, true));
    let missing = read.lowest_missing(100_000, 100_000);
    assert_eq!((missing.len(), missing.first(), missing.last()), (50_000, Some(&1), Some(&99_999)));
    assert_eq!(read.union(&CompletionIndexes::from_sorted(&missing)).total(), 100_000);
    assert_eq!(alloc::format!("{}", read.union(&CompletionIndexes::from_sorted(&missing))), "0-99999");
}

#[test]
fn the_last_index_of_all_is_an_index_like_any() {
    let last = u32::MAX - 1;
    let (set, is_whole) = CompletionIndexes::parse("0,4294967290-4294967294", u32::MAX);
    assert!(is_whole);
    assert!(set.contains(last) && !set.contains(u32::MAX));
    assert_eq!(set.total(), 6);
    assert_eq!(set.lowest_missing(2, u32::MAX), vec![1, 2]);
}

/// upstream: backoff_utils.go, newBackoffRecord.
fn new_backoff_record(before: Option<(u32, i64)>, ends: &[(bool, i64)]) -> (u32, Option<i64>) {
    let ends_of = |wanted: bool| {
        let mut ends: Vec<i64> =
            ends.iter().filter(|(success, _)| *success == wanted).map(|end| end.1).collect();
        ends.sort_unstable();
        ends
    };
    let (succeeded, failed) = (ends_of(true), ends_of(false));
    let (count, last_s) = before.map_or((0, None), |(count, last_s)| (count, Some(last_s)));
    let Some(last_success) = succeeded.last() else {
        return (count + failed.len() as u32, failed.last().copied().or(last_s));
    };
    let after: Vec<i64> = failed.into_iter().rev().take_while(|end| end > last_success).collect();
    (after.len() as u32, after.first().copied())
}

/// upstream: indexed_job_utils.go, getPodsWithDelayedDeletionPerIndex; index and position.
fn delayed_deletion(rows: &[PodRow], limit: u32) -> BTreeMap<u32, u32> {
    let is_tracked = |row: &&PodRow| row.flags & pod_flag::TRACKED != 0;
    let is_failed = |row: &PodRow| {
        let is_terminating = row.flags & pod_flag::TERMINATING != 0;
        row.phase == PodPhase::Failed || (is_terminating && row.phase != PodPhase::Succeeded)
    };
    let is_active = |row: &&PodRow| {
        !matches!(row.phase, PodPhase::Succeeded | PodPhase::Failed) && row.flags & pod_flag::TERMINATING == 0
    };
    let succeeded: BTreeSet<u32> = rows
        .iter()
        .filter(is_tracked)
        .filter(|row| row.phase == PodPhase::Succeeded)
        .map(|row| row.index)
        .collect();
    let failed: BTreeSet<u32> = rows
        .iter()
        .filter(is_tracked)
        .filter(|row| is_failed(row) && row.index_failures >= limit)
        .map(|row| row.index)
        .collect();
    let active: BTreeSet<u32> = rows.iter().filter(is_active).map(|row| row.index).collect();
    let failures = |row: &PodRow| row.index_failures + row.index_ignored_failures;
    let mut kept: BTreeMap<u32, u32> = BTreeMap::new();
    for (position, row) in (0..).zip(rows) {
        let index = row.index;
        let is_over = succeeded.contains(&index) || failed.contains(&index) || active.contains(&index);
        if !is_tracked(&row) || !is_failed(row) || index >= 4 || is_over {
            continue;
        }
        let is_later = kept.get(&index).is_none_or(|before| {
            let before = &rows[*before as usize];
            failures(before) <= failures(row) && row.finished_s >= before.finished_s
        });
        if is_later {
            kept.insert(index, position);
        }
    }
    kept
}

/// upstream: controller_utils.go, ActivePods.Less.
fn is_less(one: &PodRow, two: &PodRow) -> bool {
    let bound = |row: &PodRow| row.flags & pod_flag::BOUND != 0;
    let ready = |row: &PodRow| row.flags & pod_flag::READY != 0;
    let ordinal = |row: &PodRow| match row.phase {
        PodPhase::Unknown => 1,
        PodPhase::Running => 2,
        PodPhase::Pending | PodPhase::Succeeded | PodPhase::Failed => 0,
    };
    let after_or_zero = |one: i64, two: i64| if one == 0 || two == 0 { one == 0 } else { one > two };
    if bound(one) != bound(two) {
        return !bound(one);
    }
    if ordinal(one) != ordinal(two) {
        return ordinal(one) < ordinal(two);
    }
    if ready(one) != ready(two) {
        return !ready(one);
    }
    if ready(one) && one.ready_changed_s != two.ready_changed_s {
        return after_or_zero(one.ready_changed_s, two.ready_changed_s);
    }
    if one.most_restarts != two.most_restarts {
        return one.most_restarts > two.most_restarts;
    }
    if one.most_sidecar_restarts != two.most_sidecar_restarts {
        return one.most_sidecar_restarts > two.most_sidecar_restarts;
    }
    one.created_s != two.created_s && after_or_zero(one.created_s, two.created_s)
}

fn any_active_row() -> impl Strategy<Value = PodRow> {
    let phase = prop::sample::select(vec![PodPhase::Pending, PodPhase::Running, PodPhase::Unknown]);
    let flags =
        prop::sample::select(vec![0, pod_flag::READY, pod_flag::BOUND, pod_flag::READY | pod_flag::BOUND]);
    (phase, flags, (0_i64..3, 0_i64..3), (0_u32..3, 0_u32..3)).prop_map(
        |(phase, flags, (ready_changed_s, created_s), (most_restarts, most_sidecar_restarts))| PodRow {
            phase,
            flags: (OURS & !pod_flag::BOUND) | flags,
            ready_changed_s,
            created_s,
            most_restarts,
            most_sidecar_restarts,
            ..ended(false, 0)
        },
    )
}

fn any_index_row() -> impl Strategy<Value = PodRow> {
    let phase = prop::sample::select(vec![
        PodPhase::Running,
        PodPhase::Succeeded,
        PodPhase::Failed,
        PodPhase::Failed,
        PodPhase::Failed,
    ]);
    let index = prop_oneof![8 => 0_u32..5, 1 => Just(NO_INDEX)];
    (phase, index, 0_u32..4, 0_u32..3, START_S..START_S + 4, any::<[bool; 2]>()).prop_map(
        |(phase, index, index_failures, index_ignored_failures, finished_s, [is_tracked, is_terminating])| {
            let mut row = PodRow { phase, index, index_failures, index_ignored_failures, ..ended(false, 0) };
            row.finished_s = finished_s;
            row.flags &= if is_tracked { u16::MAX } else { !pod_flag::TRACKED };
            row.flags |= if is_terminating { pod_flag::TERMINATING } else { 0 };
            row
        },
    )
}

const START_S: i64 = START_MS / 1000;

fn ended(is_success: bool, after_s: i64) -> PodRow {
    PodRow {
        phase: if is_success { PodPhase::Succeeded } else { PodPhase::Failed },
        flags: OURS,
        index: NO_INDEX,
        restarts: 0,
        most_restarts: 0,
        most_sidecar_restarts: 0,
        index_failures: 0,
        index_ignored_failures: 0,
        created_s: 0,
        ready_changed_s: 0,
        finished_s: START_S + after_s,
        exit_code: i32::from(!is_success),
    }
}

fn job() -> JobView {
    JobView { owner: "default/job".into(), uid: "uid".into(), parallelism: 1, ..JobView::default() }
}

fn snapshot(job: JobView, rows: &[PodRow]) -> JobSnapshot {
    let mut pods = PodColumns::with_capacity(rows.len());
    rows.iter().for_each(|row| pods.push(*row));
    JobSnapshot {
        now_ms: START_MS + 60_000,
        flags: JobFlags::default(),
        job: Arc::new(job),
        pods,
        uncounted: UncountedPods::default(),
        live_owner: None,
        admission: None,
        memo: Vec::new(),
    }
}
