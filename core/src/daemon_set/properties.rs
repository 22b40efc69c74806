//! What must hold for every DaemonSet, whatever its snapshot, and over a history in which steps fail.

mod policy;
mod rules;
mod world;

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::fixture::{self, NOW_S};
use super::history::{Holder, Taken};
use super::reconcile;
use crate::kube::{IntOrPercent, PodPhase, Str};
use crate::policy::BuiltIn;
use crate::view::{
    DaemonPodRow, DaemonSetSnapshot, DaemonSetStatusView, GONE_NODE, LiveOwner, NO_NODE, UpdateStrategy,
    pod_flag,
};

use world::{Event, World};

const HASHES: [&str; 4] = ["new", "twin", "old", "older"];
/// Flags that a Pod of the set may have besides.
const FLAGS: u16 = pod_flag::TERMINATING | pod_flag::READY | pod_flag::BOUND | pod_flag::OF_GENERATION;

fn limit() -> impl Strategy<Value = Option<IntOrPercent>> {
    prop_oneof![
        4 => (0..4).prop_map(|number| Some(IntOrPercent::Int(number))),
        2 => (0..=100).prop_map(|share| Some(IntOrPercent::Text(format!("{share}%").into()))),
        1 => prop::sample::select(vec![
            None,
            Some(IntOrPercent::Text("some".into())),
            Some(IntOrPercent::Int(-1)),
        ]),
    ]
}

fn strategy() -> impl Strategy<Value = UpdateStrategy> {
    prop_oneof![4 => Just(UpdateStrategy::RollingUpdate), 1 => Just(UpdateStrategy::OnDelete)]
}

/// Mostly something near now, sometimes anything.
fn instant_s() -> impl Strategy<Value = i64> {
    prop_oneof![8 => NOW_S - 40..NOW_S + 3, 1 => Just(0), 1 => any::<i64>()]
}

prop_compose! {
    fn row(nodes: u32)(
        phase in prop::sample::select(&[PodPhase::Pending, PodPhase::Running, PodPhase::Running,
            PodPhase::Running, PodPhase::Succeeded, PodPhase::Failed, PodPhase::Unknown][..]),
        flags in any::<u16>(),
        claim in prop_oneof![
            20 => Just(pod_flag::OWNED | pod_flag::SELECTED),
            1 => Just(pod_flag::ORPHAN | pod_flag::SELECTED | pod_flag::TERMINATING),
        ],
        node in prop_oneof![12 => 0..nodes, 1 => Just(GONE_NODE), 1 => Just(NO_NODE)],
        hash in prop::sample::select(&["new", "new", "old", "older", "twin", ""][..]),
        created_s in NOW_S - 5..NOW_S,
        ready_changed_s in instant_s(),
    ) -> DaemonPodRow {
        let flags = if flags & 0x300 == 0 { flags } else { flags & !pod_flag::TERMINATING };
        DaemonPodRow {
            phase,
            flags: (flags & FLAGS) | claim,
            node: if nodes == 0 && node < GONE_NODE { NO_NODE } else { node },
            hash: hash.into(),
            created_s,
            ready_changed_s,
        }
    }
}

prop_compose! {
    fn snapshot()(count in 0_u32..12)(
        shapes in prop::collection::vec(prop_oneof![6 => Just(0_u32), 1 => Just(1), 1 => Just(2)], count as usize),
        rows in prop::collection::vec(row(count.max(1)), 0..24),
        count in Just(count),
        strategy in strategy(),
        limits in (limit(), limit()),
        min_ready_seconds in prop_oneof![Just(0_u32), 0_u32..40],
        history_limit in prop::option::of(0_u32..3),
        revisions in prop::collection::vec(
            (0_usize..4, -2_i64..6, any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1)), 0..5),
        generations in (1_i64..4, 0_i64..4),
        collision_count in prop::option::of(0..3),
        memo in prop::collection::vec(any::<u8>(), 0..60),
        taken in prop::option::weighted(0.1, (any::<bool>(), any::<bool>())),
        (terminating, selects_all) in (prop::bool::weighted(0.03), prop::bool::weighted(0.03)),
        max_pods_per_sync in 1_u32..8,
    ) -> DaemonSetSnapshot {
        let mut snapshot = fixture::snapshot(count as usize);
        snapshot.nodes.shape = shapes;
        for mut row in rows {
            if count == 0 && row.node == 0 {
                row.node = NO_NODE;
            }
            fixture::push(&mut snapshot, &row);
        }
        let revision = |(hash, number, holds, terminating, unlabelled): (usize, i64, bool, bool, bool)| {
            let mut revision = fixture::revision(HASHES[hash], number, holds && hash < 2);
            revision.row.terminating = terminating;
            if unlabelled {
                revision.row.label = Str::from("");
            }
            revision
        };
        snapshot.revisions = revisions.into_iter().map(revision).collect();
        snapshot.revisions.sort_by(|one, other| one.row.name.cmp(&other.row.name));
        snapshot.revisions.dedup_by(|one, other| one.row.name == other.row.name);
        snapshot.flags.max_pods_per_sync = max_pods_per_sync;
        snapshot.memo = memo;
        snapshot.taken = taken.map(|(holds_template, is_ours)| Taken {
            holds_template,
            holder: if is_ours { Holder::Set } else { Holder::Other },
            matches_selector: true,
            terminating: false,
        });
        let set = fixture::set(&mut snapshot);
        (set.strategy, set.min_ready_seconds, set.revision_history_limit) =
            (strategy, min_ready_seconds, history_limit);
        (set.max_unavailable, set.max_surge) = limits;
        (set.terminating, set.selects_all) = (terminating, selects_all);
        set.generation = generations.0.max(generations.1);
        set.status = DaemonSetStatusView {
            observed_generation: generations.1,
            collision_count,
            ..DaemonSetStatusView::default()
        };
        snapshot
    }
}

/// A snapshot in which ownership is to be set right.
fn unclaimed() -> impl Strategy<Value = DaemonSetSnapshot> {
    let lives = vec![None, Some(LiveOwner::Alive), Some(LiveOwner::Terminating), Some(LiveOwner::Gone)];
    let claim = (any::<u16>(), any::<bool>(), any::<bool>());
    (snapshot(), prop::sample::select(lives), prop::collection::vec(claim, 1..30)).prop_map(
        |(mut snapshot, live, claims)| {
            snapshot.live_owner = live;
            for (flags, (claim, ..)) in snapshot.pods.flags.iter_mut().zip(&claims) {
                let owner = if claim & 1 == 0 { pod_flag::OWNED } else { pod_flag::ORPHAN };
                let selected =
                    if claim & 2 == 0 || owner == pod_flag::ORPHAN { pod_flag::SELECTED } else { 0 };
                *flags = (*flags & FLAGS) | owner | selected;
            }
            for (revision, (_, owned, selected)) in snapshot.revisions.iter_mut().zip(&claims) {
                (revision.owned, revision.selected) = (*owned, *selected || !*owned);
            }
            snapshot
        },
    )
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let template = (0_u8..3).prop_map(Event::Template);
    let rolls = (strategy(), limit(), limit()).prop_map(|(strategy, unavailable, surge)| Event::Strategy {
        strategy,
        unavailable,
        surge,
    });
    let reconcile = any::<u16>().prop_map(|failing| Event::Reconcile { failing });
    let pod = || 0_usize..16;
    prop::collection::vec(
        prop_oneof![
            3 => (0_i64..20_000).prop_map(Event::Clock),
            1 => (0_i64..2_500_000).prop_map(Event::Clock),
            3 => pod().prop_map(Event::Bind),
            6 => pod().prop_map(Event::Ready),
            2 => pod().prop_map(Event::Unready),
            3 => pod().prop_map(Event::Fail),
            1 => pod().prop_map(Event::Succeed),
            1 => pod().prop_map(Event::Delete),
            4 => pod().prop_map(Event::Gone),
            4 => (0_u8..8, prop_oneof![4 => Just(0_u32), 1 => 1_u32..3]).prop_map(|(node, shape)| Event::Node { node, shape }),
            1 => (0_u8..8).prop_map(Event::NodeGone),
            1 => (0_u8..8).prop_map(Event::Orphan),
            2 => template,
            1 => rolls,
            1 => (0_u32..20).prop_map(Event::MinReady),
            1 => (0_u8..3).prop_map(Event::TakeName),
            6 => reconcile,
            9 => Just(Event::Reconcile { failing: 0 }),
        ],
        1..120,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn every_plan_keeps_the_rules(snapshot in snapshot()) {
        let plan = reconcile(&snapshot, &BuiltIn::default()).unwrap();
        rules::check(&plan, &snapshot)?;
        prop_assert_eq!(reconcile(&snapshot, &BuiltIn::default()).unwrap(), plan);
    }

    #[test]
    fn ownership_is_set_right_before_anything_else(snapshot in unclaimed()) {
        let plan = reconcile(&snapshot, &BuiltIn::default()).unwrap();
        rules::check(&plan, &snapshot)?;
    }

    #[test]
    fn no_snapshot_makes_it_panic(
        mut snapshot in unclaimed(), spoil in 0_u8..6, number in any::<u32>(), memo in any::<Vec<u8>>()
    ) {
        match spoil {
            0 => snapshot.pods.node.push(number),
            1 => if let Some(node) = snapshot.pods.node.first_mut() { *node = number },
            2 => if let Some(hash) = snapshot.pods.hash.first_mut() { *hash = number },
            3 => if let Some(shape) = snapshot.nodes.shape.first_mut() { *shape = number },
            4 => snapshot.pods.ended.push((number, "pod".into())),
            _ => snapshot.now_ms = i64::from(number).wrapping_mul(i64::MAX / 3),
        }
        snapshot.memo = memo;
        let _ = reconcile(&snapshot, &BuiltIn::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn a_history_with_faults_keeps_the_rules_and_comes_to_rest(events in events()) {
        let mut world = World::new();
        for event in &events {
            world.happen(event)?;
        }
        world.rest()?;
    }
}
