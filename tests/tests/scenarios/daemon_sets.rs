//! Bugs of DaemonSet controllers: rows 43 to 61.

use std::sync::Arc;

use serde_json::json;
use serde_json::value::to_raw_value;
use windlass_core::kube::{ControllerRevision, DaemonSetSpec, Kind, Object, ObjectMeta, PodPhase};
use windlass_host::request::{DaemonSetOperation, Operation};
use windlass_sandbox::{Actor, Store};
use windlass_tests::simulation::cluster::daemon::{change_node, hash_of, join, leave, taint};
use windlass_tests::simulation::faults::{Fault, Faults};
use windlass_tests::simulation::history::is_ours;
use windlass_tests::simulation::mutants::Mutant;
use windlass_tests::simulation::script::ScriptDeed;
use windlass_tests::simulation::story::daemon::{NAME, creates_on, deletes, deletes_the_first, edit_set};
use windlass_tests::simulation::story::{Story, Told, change, creates, hold, pod_created};
use windlass_tests::simulation::workload::daemon::{
    DaemonDeed, Limit, NodeDeed, TAINT_KEY, node_name, rolling, set_edition,
};
use windlass_tests::simulation::workload::{Deed, NAMESPACE};

/// Seeds with which each story is told.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;
/// Edition of a template whose Pods do not become ready.
const BAD: u64 = 3;

/// How many Pods were made for the node at that position.
fn made_for(told: &Told, node: usize) -> usize {
    told.pods_made().filter(|(_, pod)| pod.spec.pinned_to == Some(node_name(node))).count()
}

/// 43 (k/k#14528, 6,596 Pods without a node): lists break, and so do watches, as the process starts and starts again.
#[test]
fn a_list_that_breaks_is_no_empty_list() {
    for seed in SEEDS {
        let mut faults = Faults::none(seed);
        faults.allow(Fault::ListBroken, 700, 60_000);
        faults.allow(Fault::WatchBroken, 300, 60_000);
        let told = Story::new(seed)
            .daemon_set(6, |_| {})
            .faults(faults)
            .at("the process dies", 20_000, ScriptDeed::Crash { process: 0, down_ms: 500 })
            .at("and once more", 40_000, ScriptDeed::Crash { process: 0, down_ms: 500 })
            .tell();
        told.must(told.report().struck.total() > 10, "lists and watches break");
        let made: Vec<usize> = (0..6).map(|node| made_for(&told, node)).collect();
        told.must(made == [1; 6], &format!("a Pod a node: {made:?}"));
        told.must(told.created().count() == 6, "and none that is for no node");
        told.must(told.pods_deleted().count() == 0, "none of them is taken for one without a node");
    }
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

/// 52 (k/k#77203, the rollout is stuck): the controller's clock is behind those of the nodes, by a little for good, or by
/// much until it is put right; nothing happens then that would wake the controller.
#[test]
fn a_clock_that_is_behind_holds_up_a_rollout_for_no_longer_than_that() {
    for (off_ms, right_ms) in [(3_000, u64::MAX), (600_000, 60_000)] {
        for seed in SEEDS {
            let behind = ScriptDeed::SetClock { process: 0, off_ms: -off_ms };
            let mut story = Story::new(seed)
                .daemon_set(3, |spec| spec.min_ready_seconds = Some(10))
                .lots(|_, lot| lot.stops_in(100))
                .at("the clock is behind", 5_000, behind)
                .at("an edit", 30_000, change(0, |store| edit_set(store, |spec| set_edition(spec, 1))));
            if right_ms < u64::MAX {
                let right = ScriptDeed::SetClock { process: 0, off_ms: 0 };
                story = story.at("the clock is right", right_ms, right);
            }
            let told = story.tell();
            told.must(told.pods_made().count() == 6, "each Pod is replaced once");
            let last_ms = told.pods_made().map(|(at_ms, _)| at_ms).last().unwrap_or(0);
            // Three Pods, each of which is waited for until it was ready for ten seconds, by a clock three behind.
            let most_ms = if right_ms < u64::MAX { right_ms + 45_000 } else { 30_000 + 45_000 };
            told.must(last_ms < most_ms, &format!("{off_ms} ms behind: the last at {last_ms} ms"));
        }
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

/// Found by reading: creates start slowly, stop where one is refused, and began with the same node each time. Here all
/// creates for two of the nodes are refused for a while.
#[test]
fn a_node_for_which_every_create_is_refused_keeps_no_pod_from_the_others() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(7, |_| {})
            .meets("the first is refused", 30, creates_on(node_name(0)), Fault::Forbidden)
            .meets("and so is the fourth", 30, creates_on(node_name(3)), Fault::Forbidden)
            .at("a node joins", 100_000, change(0, |store| join(store, &node_name(8), None)))
            .tell();
        let made_ms = |node: usize| {
            let made = told.pods_made().find(|(_, pod)| pod.spec.pinned_to == Some(node_name(node)));
            made.map_or(u64::MAX, |(at_ms, _)| at_ms)
        };
        let others: Vec<u64> = [1, 2, 4, 5, 6].map(made_ms).to_vec();
        told.must(others.iter().all(|at_ms| *at_ms < 30_000), &format!("the others do not wait: {others:?}"));
        // Two of them may come before it, each of which costs the longest wait after a plan that failed.
        told.must(made_ms(8) < 100_000 + 130_000, &format!("nor does the new one: {} ms", made_ms(8)));
        told.must(made_ms(0) > 300_000 && made_ms(3) > 300_000, "while those two are refused");
    }
}

/// The same of a rollout: the deletes of one Pod are refused for a while, or the creates of one second Pod.
#[test]
fn a_pod_that_may_not_go_stops_no_rollout() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(4, |_| {})
            .lots(|_, lot| lot.stops_in(100))
            .meets("the first is not let go", 30, deletes_the_first(), Fault::Forbidden)
            .at("an edit", 10_000, change(0, |store| edit_set(store, |spec| set_edition(spec, 1))))
            .tell();
        let gone_ms: Vec<u64> = told.pods_deleted().map(|(at_ms, _)| at_ms).collect();
        told.must(gone_ms.len() == 4, &format!("all are replaced in the end: {gone_ms:?}"));
        told.must(gone_ms[2] < 60_000, &format!("the others at once: {gone_ms:?}"));
        told.must(gone_ms[3] > 300_000, &format!("and that one when it may go: {gone_ms:?}"));
    }
}

/// A story in which somebody else's revision has the name of one by the time at which its delete arrives.
fn revision_replaced(seed: u64) -> Story {
    let deletes_revision = |operation: &Operation| {
        matches!(operation, Operation::DaemonSet(DaemonSetOperation::DeleteRevision(_)))
    };
    Story::new(seed)
        .daemon_set(2, |spec| spec.revision_history_limit = Some(0))
        .lots(|_, lot| lot.stops_in(100))
        .at("an edit", 10_000, change(0, |store| edit_set(store, |spec| set_edition(spec, 1))))
        .meets("another has its name", 1, deletes_revision, Fault::NameReused)
}

/// The uid of a revision goes with its delete: one that has its name by then stays; without the uid it would go.
#[test]
fn a_revision_that_has_the_name_of_a_deleted_one_stays() {
    for seed in SEEDS {
        let told = revision_replaced(seed).tell();
        let removed = told.commits().iter().filter(|commit| {
            is_ours(commit)
                && matches!((&commit.before, &commit.after), (Some(Object::ControllerRevision(_)), None))
        });
        told.must(removed.count() == 0, "the one that was meant is gone, and the other is not ours");
        let told = revision_replaced(seed).mutant(Mutant::DeletesRevisionsWithoutUid).try_tell();
        let found = told.report().violation.as_ref().map(|violation| violation.predicate);
        told.must(matches!(found, Some("C1" | "C2")), &format!("without the uid: {found:?}"));
    }
}

/// What the controller can make nothing of harms nobody else: an affinity that cannot be parsed, a node that has no
/// labels, not even its name, and revisions full of garbage.
#[test]
fn what_cannot_be_parsed_harms_no_other_set() {
    let garbage = |number: i64, data: serde_json::Value| {
        change(0, move |store| add_revision(store, &format!("garbage-{number}"), number, &data))
    };
    for seed in SEEDS {
        let told = Story::new(seed)
            .daemon_set(3, |_| {})
            .another_daemon_set("odd", |spec| set_affinity(spec, &json!({"key": "a b", "operator": "Like"})))
            .at("a revision of nothing", 5_000, garbage(7, json!({})))
            .at("a revision of another kind", 6_000, garbage(8, json!({"spec": {"template": [1, "two"]}})))
            .at(
                "a revision from far in the future",
                7_000,
                garbage(i64::MAX - 1, json!({"a": {"$patch": 3}})),
            )
            .at("an edit", 10_000, change(0, |store| edit_set(store, |spec| set_edition(spec, 1))))
            .tell();
        let odd = told.daemon_sets().filter(|(_, set)| &*set.metadata.name == "odd").last();
        let status =
            odd.map(|(_, set)| (set.status.desired_number_scheduled, set.status.observed_generation));
        told.must(status == Some((0, 1)), &format!("no node is one for the odd set: {status:?}"));
        told.must(told.pods_made().count() == 6, "the other set comes up and is rolled");
        let labelled = told.commits().iter().any(|commit| match &commit.after {
            Some(Object::ControllerRevision(revision)) => {
                revision.metadata.name.starts_with("garbage") && !hash_of(&revision.metadata).is_empty()
            }
            _ => false,
        });
        told.must(labelled, "the controller sees the garbage as revisions of the set");
    }
}

/// Lets a set want nodes that meet this requirement.
fn set_affinity(spec: &mut DaemonSetSpec, requirement: &serde_json::Value) {
    let text = spec.template.as_ref().map_or("{}", |template| template.get());
    let mut template: serde_json::Value = serde_json::from_str(text).expect("a template");
    template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]});
    spec.template = Some(to_raw_value(&template).expect("JSON").into());
}

/// Somebody makes a revision that belongs to the story's set.
fn add_revision(store: &mut Store, name: &str, number: i64, data: &serde_json::Value) {
    let Ok(Object::DaemonSet(set)) = store.get(Kind::DaemonSet, NAMESPACE, NAME) else { return };
    let metadata = ObjectMeta {
        name: name.into(),
        namespace: NAMESPACE.into(),
        labels: Arc::new([("app".into(), NAME.into())].into()),
        owner_references: Arc::new(vec![set.controller_reference()]),
        ..ObjectMeta::default()
    };
    let data = Some(to_raw_value(data).expect("JSON").into());
    let revision = ControllerRevision { metadata, revision: number, data };
    store.create_revision(Actor::USER, revision).expect("the server takes it");
}
