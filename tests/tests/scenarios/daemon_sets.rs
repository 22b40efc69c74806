//! Bugs of DaemonSet controllers: rows 44 to 61.

use windlass_core::kube::{Kind, Object, PodPhase};
use windlass_host::request::{DaemonSetOperation, Operation};
use windlass_tests::simulation::cluster::daemon::{change_node, hash_of, join, leave, taint};
use windlass_tests::simulation::faults::Fault;
use windlass_tests::simulation::story::daemon::{deletes, edit_set};
use windlass_tests::simulation::story::{Story, Told, change, creates, hold, pod_created};
use windlass_tests::simulation::workload::Deed;
use windlass_tests::simulation::workload::daemon::{
    DaemonDeed, Limit, NodeDeed, TAINT_KEY, node_name, rolling, set_edition,
};

/// Seeds with which each story is told.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;
/// Edition of a template whose Pods do not become ready.
const BAD: u64 = 3;

/// How many Pods were made for the node at that position.
fn made_for(told: &Told, node: usize) -> usize {
    told.pods_made().filter(|(_, pod)| pod.spec.pinned_to == Some(node_name(node))).count()
}

/// 44 (k/k#22545, Pods made anew for a node that is gone): a node leaves, and the watch of nodes is late.
#[test]
fn a_node_that_is_gone_gets_no_pod() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(3, |_| {})
            .at("the watch of nodes is late", 9_500, hold(0, Kind::Node, 1_500))
            .at("a node leaves", 10_000, change(0, |store| leave(store, "node-0")))
            .tell();
        told.must(made_for(&told, 0) == 1, "one Pod for the node that is gone");
    }
}

/// 45 (k/k#54096, two Pods on a node): a crash after a create, and lists that lag.
#[test]
fn a_crash_after_a_create_makes_no_second_pod() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(5, |_| {})
            .meets("a crash after a create", 2, creates, Fault::CrashAfterWrite)
            .tell();
        told.must(told.pods_made().count() == 5, "a Pod a node");
    }
}

/// 46, 47 (k/k#134937, #129795, duplicates of what was not observed yet): the watch of Pods is six minutes late.
#[test]
fn pods_that_are_not_watched_yet_are_not_made_again() {
    for seed in SEEDS {
        let late = hold(0, Kind::Pod, 360_000);
        let told = Story::new(seed).daemon_set(4, |_| {}).when("Pods are late", 1, pod_created, late).tell();
        told.must(told.pods_made().count() == 4, "a Pod a node");
    }
}

/// 48, 49 (k/k#75836, #78974, frozen for five minutes): a Pod that we delete is gone, and another has its name.
#[test]
fn a_delete_of_a_pod_that_is_gone_freezes_nothing() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(3, |_| {})
            .lots(|_, lot| lot.stops_in(100))
            .meets("the Pod is gone before our delete arrives", 1, deletes, Fault::NameReused)
            .at("an edit", 10_000, change(0, |store| edit_set(store, |spec| set_edition(spec, 1))))
            .tell();
        let last_ms = told.pods_made().map(|(at_ms, _)| at_ms).last().unwrap_or(0);
        told.must(last_ms < 60_000, &format!("all is replaced within a minute: {last_ms} ms"));
    }
}

/// 50 (k/k#95432, one of three never came back): a taint is put on a node and taken off.
#[test]
fn a_taint_that_is_taken_off_lets_the_pod_come_back() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(3, |_| {})
            .lots(|_, lot| lot.stops_in(200))
            .deed(10_000, Deed::Node(1, NodeDeed::Taint(Some("NoExecute"))))
            .deed(30_000, Deed::Node(1, NodeDeed::Taint(None)))
            .tell();
        told.must(made_for(&told, 1) == 2 && told.pods_made().count() == 4, "one more for that node");
    }
}

/// 51 (k/k#63465, the rollout hangs): a Pod hangs on a node that is dead.
#[test]
fn a_pod_that_hangs_on_a_dead_node_holds_up_its_own_node_alone() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(4, |spec| spec.update_strategy = rolling(Limit::Nodes(2), Limit::Nodes(0)))
            .lots(|_, lot| lot.stops_in(200))
            .deed(10_000, Deed::Node(0, NodeDeed::FallSilent))
            .at("an edit", 11_000, change(0, |store| edit_set(store, |spec| set_edition(spec, 1))))
            .deed(400_000, Deed::Node(0, NodeDeed::ComeBack))
            .tell();
        let others = told.pods_made().filter(|(at_ms, _)| (11_000..399_000).contains(at_ms)).count();
        told.must(others == 3, &format!("the three others are replaced meanwhile: {others}"));
        told.must(told.pods_made().count() == 8, "and the last one then");
    }
}

/// 53, 56 (k/k#78170, #65240, a rollout that hangs and a hot loop): Pods of one node fail time and again.
#[test]
fn pods_that_fail_are_replaced_ever_more_slowly_and_stop_no_rollout() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(3, |_| {})
            .lots(|place, lot| {
                let fails = place.index == Some(0) && place.attempt <= 6;
                if fails { lot.stops_in(10).fails_in(10) } else { lot.stops_in(10) }
            })
            .tell();
        let at_ms: Vec<u64> = told
            .pods_made()
            .filter(|(_, pod)| pod.spec.pinned_to == Some(node_name(0)))
            .map(|(at_ms, _)| at_ms)
            .collect();
        told.must(at_ms.len() == 7, &format!("six fail: {at_ms:?}"));
        // 1 + 2 + 4 + 8 + 16 seconds: the first is replaced at once.
        told.must(at_ms[6] - at_ms[0] >= 31_000, &format!("ever more slowly: {at_ms:?}"));
    }
}

/// 54 (k/k#118823, blocked by nodes that take no Pods any more): surge alone, and a node is tainted in a rollout.
#[test]
fn nodes_that_take_no_pods_do_not_block_a_rollout_with_surge() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(4, |spec| spec.update_strategy = rolling(Limit::Nodes(0), Limit::Nodes(1)))
            .deed(9_000, Deed::Node(0, NodeDeed::Taint(Some("NoSchedule"))))
            .at("an edit", 10_000, change(0, |store| edit_set(store, |spec| set_edition(spec, 1))))
            .tell();
        told.must(made_for(&told, 0) == 1, "no Pod more for the node that is tainted");
        told.must(told.pods_made().count() == 4 + 3, "the others are replaced");
    }
}

/// 55 (k/k#123232, three bad updates left nothing): editions whose Pods do not become ready, one after the other.
#[test]
fn three_bad_updates_take_down_one_node() {
    for seed in SEEDS {
        let bad = |edition| change(0, move |store| edit_set(store, |spec| set_edition(spec, edition)));
        let told = Story::new(seed)
            .daemon_set(4, |_| {})
            .lots(|_, lot| lot.stops_in(200))
            .at("a bad edit", 10_000, bad(BAD))
            .at("another", 40_000, bad(BAD + 5))
            .at("a third", 70_000, bad(BAD + 10))
            .at("a good one", 100_000, bad(1))
            .tell();
        let first = told.pods_made().next().map(|(_, pod)| hash_of(&pod.metadata)).unwrap_or_default();
        let taken = told.pods_deleted().filter(|(at_ms, _)| *at_ms < 100_000);
        let good = taken.filter(|(_, pod)| hash_of(&pod.metadata) == first).count();
        told.must(good == 1, &format!("one Pod that was well is taken down: {good}"));
    }
}

/// 58 (k/k#66476, broken by a collision): somebody has the name of a new revision.
#[test]
fn a_revision_whose_name_is_taken_gets_another() {
    for seed in SEEDS {
        let creates_revision = |operation: &Operation| {
            matches!(operation, Operation::DaemonSet(DaemonSetOperation::CreateRevision(_)))
        };
        let told = Story::new(seed)
            .daemon_set(2, |_| {})
            .meets("somebody has the name", 1, creates_revision, Fault::NameTaken)
            .tell();
        let count = told.daemon_sets().last().and_then(|(_, set)| set.status.collision_count);
        told.must(count == Some(1), &format!("one collision is counted: {count:?}"));
        told.must(told.pods_made().count() == 2, "and a Pod a node is made");
    }
}

/// 57, 59 (k/k#36482, #117073, Pods that ended were not replaced): one is refused by its kubelet, one ends well.
#[test]
fn pods_that_have_ended_are_replaced() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(2, |_| {})
            .lots(|_, lot| lot.stops_in(100))
            .deed(10_000, Deed::Daemon(0, DaemonDeed::EndPod(0)))
            .deed(20_000, Deed::Daemon(0, DaemonDeed::FailPod(1)))
            .tell();
        told.must(told.pods_made().count() == 4, "each is replaced once");
        let left = told.pods_left();
        told.must(left.iter().all(|pod| pod.status.phase == PodPhase::Running), "and all run");
    }
}

/// 60 (k/k#112127, the status was not updated): one create is refused.
#[test]
fn a_create_that_is_refused_does_not_hold_up_the_status() {
    for seed in SEEDS {
        let told =
            Story::new(seed).daemon_set(3, |_| {}).meets("a quota", 3, creates, Fault::Forbidden).tell();
        let (status_ms, _) = told
            .daemon_sets()
            .find(|(_, set)| set.status.desired_number_scheduled == 3)
            .unwrap_or((u64::MAX, told.daemon_sets().next().expect("there is a set").1));
        let last_ms = told.pods_made().map(|(at_ms, _)| at_ms).last().unwrap_or(0);
        told.must(
            status_ms <= last_ms,
            &format!("told at {status_ms} ms, the last Pod came at {last_ms} ms"),
        );
    }
}

/// 61 (k/k#132182, an old Pod kept): a node leaves, and another of its name joins at once, or later.
#[test]
fn a_node_that_comes_back_has_one_pod() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(2, |_| {})
            .deed(10_000, Deed::Node(0, NodeDeed::Replace))
            .at("the other leaves", 20_000, change(0, |store| leave(store, "node-1")))
            .at("and joins", 200_000, change(0, |store| join(store, &node_name(1), None)))
            .at(
                "with a taint of no effect on it",
                201_000,
                change(0, |store| {
                    let mark = taint(TAINT_KEY, "PreferNoSchedule");
                    change_node(store, "node-1", |node| node.spec.taints.push(mark));
                }),
            )
            .tell();
        let nodes = told.commits().iter().filter(|commit| matches!(&commit.after, Some(Object::Node(_))));
        told.must(nodes.count() >= 4, "nodes came and went");
        told.must(made_for(&told, 1) == 2, "a Pod for each that had the name");
    }
}
