//! DaemonSets: which of them an event of a node wakes, what becomes of a name that is taken, and what a plugin that decides
//! about rollouts is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, ControllerRevision, DaemonSet, DaemonSetSpec, Kind, LabelSelector, Node, Object, Pod, PodSpec,
    ResourceVersion, Str,
};

use super::{Harness, created, what};
use crate::controller::{Command, Config, Controllers, Lane};
use crate::engine::Snapshot;
use crate::key::Key;
use crate::plugin::fake::Fake;
use crate::plugin::set::{Loaded, PolicySet};
use crate::request::{DaemonSetOperation, Flow, Operation, Outcome, Request};
use crate::watch::WatchBody;

fn harness() -> Harness {
    let controllers = Controllers { job: false, cron_job: false, daemon_set: true };
    Harness::with(Config { controllers, ..Config::default() }, &[], &[])
}

/// A DaemonSet whose Pods run on nodes with the label `disk` of this value, or on all.
fn set(name: &str, version: u64, disk: Option<&str>) -> Object {
    let selector = disk.map_or(String::new(), |disk| format!(r#""nodeSelector":{{"disk":"{disk}"}},"#));
    let text = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"uid-{name}","resourceVersion":"{version}",
            "generation":1,"annotations":{{"deprecated.daemonset.template.generation":"1"}}}},
            "spec":{{"selector":{{"matchLabels":{{"app":"{name}"}}}},
              "updateStrategy":{{"type":"RollingUpdate","rollingUpdate":{{"maxUnavailable":1,"maxSurge":0}}}},
              "template":{{"metadata":{{"labels":{{"app":"{name}"}}}},
                "spec":{{{selector}"containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#
    );
    Object::DaemonSet(Arc::new(serde_json::from_str::<DaemonSet>(&text).expect("a DaemonSet")))
}

fn node(name: &str, uid: &str, version: u64, labels: &str, taints: &str) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"{name}","uid":"{uid}","resourceVersion":"{version}","labels":{{{labels}}}}},
            "spec":{{"taints":[{taints}]}}}}"#
    );
    Object::Node(Arc::new(serde_json::from_str::<Node>(&text).expect("a Node")))
}

/// What the server makes of a request; versions rise with each.
fn answered(request: &Request, version: u64) -> Outcome {
    match &request.operation {
        Operation::CreatePod(manifest) => {
            let Outcome::Done(Some(Object::Pod(pod))) = created(request, version) else {
                panic!("{request:?}")
            };
            // Its affinity says which node it is for.
            let spec: PodSpec = serde_json::from_str(manifest.spec.get()).expect("a spec");
            let pod = Pod { spec: Arc::new(spec), ..Pod::clone(&pod) };
            Outcome::Done(Some(Object::Pod(Arc::new(pod))))
        }
        Operation::DaemonSet(DaemonSetOperation::CreateRevision(manifest)) => {
            let mut metadata = manifest.metadata.clone();
            metadata.resource_version = ResourceVersion(version);
            metadata.uid = format!("uid-{}", metadata.name).into();
            let (revision, data) = (manifest.revision, Some(manifest.data.clone()));
            let stored = ControllerRevision { metadata, revision, data };
            Outcome::Done(Some(Object::ControllerRevision(Arc::new(stored))))
        }
        Operation::DaemonSet(DaemonSetOperation::WriteStatus(set)) => {
            let mut set = DaemonSet::clone(set);
            set.metadata.resource_version = ResourceVersion(version);
            Outcome::Done(Some(Object::DaemonSet(Arc::new(set))))
        }
        Operation::DeletePod(_) => Outcome::Done(None),
        other => panic!("{other:?}"),
    }
}

/// Runs and answers until nothing is due; gives the keys that ran and what was asked.
fn settle(harness: &mut Harness, version: &mut u64) -> (Vec<Key>, Vec<&'static str>) {
    let (mut keys, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        harness.pass(1_000);
        keys.extend(harness.run().into_iter().map(|run| run.key));
        while let Some(request) = harness.request(Flow::Write) {
            asked.push(what(&request));
            *version += 1;
            let outcome = answered(&request, *version);
            harness.answer(&request, outcome);
            keys.extend(harness.run().into_iter().map(|run| run.key));
        }
    }
    keys.sort();
    keys.dedup();
    (keys, asked)
}

fn key(name: &str) -> Key {
    Key::DaemonSet(crate::key::Name { namespace: "default".into(), name: name.into() })
}

#[test]
fn a_node_wakes_the_sets_to_which_it_is_another_answer_and_no_others() {
    let (mut harness, mut version) = (harness(), 1_000);
    for (at, name, disk) in
        [(201, "everywhere", None), (202, "fast", Some("ssd")), (203, "slow", Some("hdd"))]
    {
        harness.watched(set(name, at, disk));
    }
    let (keys, asked) = settle(&mut harness, &mut version);
    assert_eq!(keys, [key("everywhere"), key("fast"), key("slow")]);
    let writes = ["create controllerrevisions", "update daemonsets/status"];
    assert!(asked.iter().all(|what| writes.contains(what)), "{asked:?}");

    let mut wakes = |harness: &mut Harness, object: Object| -> Vec<Key> {
        harness.watched(object);
        settle(harness, &mut version).0
    };
    let ssd = r#""disk":"ssd""#;
    let taint = r#"{"key":"a","effect":"NoSchedule"}"#;
    assert_eq!(wakes(&mut harness, node("n-1", "u-1", 301, ssd, "")), [key("everywhere"), key("fast")]);
    let renamed = r#""disk":"ssd","other":"label""#;
    assert_eq!(wakes(&mut harness, node("n-1", "u-1", 302, renamed, "")), []);
    assert_eq!(wakes(&mut harness, node("n-1", "u-1", 303, ssd, taint)), [key("everywhere"), key("fast")]);
    let hdd = r#""disk":"hdd""#;
    assert_eq!(wakes(&mut harness, node("n-1", "u-1", 304, hdd, taint)), [key("fast"), key("slow")]);
    // Another node of the same name: it is new to those that run there.
    assert_eq!(wakes(&mut harness, node("n-1", "u-2", 305, hdd, taint)), [key("everywhere"), key("slow")]);
    let gone = node("n-1", "u-2", 306, hdd, taint);
    let stream = harness.others.get(&Kind::Node).copied().expect("nodes are watched");
    harness.says(Kind::Node, stream, WatchBody::Deleted(gone));
    assert_eq!(settle(&mut harness, &mut version).0, [key("everywhere"), key("slow")]);
}

#[test]
fn a_name_that_anothers_revision_has_costs_one_collision() {
    let mut harness = harness();
    harness.watched(node("n-1", "u-1", 150, "", ""));
    harness.watched(set("logs", 200, None));
    harness.run();
    let create = harness.write();
    let Operation::DaemonSet(DaemonSetOperation::CreateRevision(wanted)) = &create.operation else {
        panic!("{create:?}")
    };
    // What has the name is found by the read that a refusal brings about.
    harness.refuse(&create, ApiStatus::new(409, "AlreadyExists", "it is taken".to_owned()));
    let read = harness.request(Flow::Read).expect("a read");
    assert_eq!(what(&read), "get controllerrevisions");
    let mut metadata = wanted.metadata.clone();
    metadata.owner_references = Arc::default();
    metadata.labels = Arc::default();
    (metadata.uid, metadata.resource_version) = ("uid-taken".into(), ResourceVersion(210));
    let taken = ControllerRevision { metadata, revision: 1, data: None };
    harness.answer(&read, Outcome::Done(Some(Object::ControllerRevision(Arc::new(taken)))));
    let mut counts = Vec::new();
    let mut version = 1_000;
    for _ in 0..20 {
        harness.pass(1_000);
        harness.run();
        while let Some(request) = harness.request(Flow::Write) {
            if let Operation::DaemonSet(DaemonSetOperation::WriteStatus(set)) = &request.operation {
                counts.push((set.status.collision_count, set.status.observed_generation));
            }
            if let Operation::DaemonSet(DaemonSetOperation::CreateRevision(manifest)) = &request.operation {
                assert_ne!(manifest.metadata.name, wanted.metadata.name);
                assert_eq!(manifest.data.get(), wanted.data.get());
            }
            version += 1;
            let outcome = answered(&request, version);
            harness.answer(&request, outcome);
        }
    }
    counts.dedup();
    assert_eq!(counts, [(None, 1), (Some(1), 1)], "raised once, and alone");
    let created = harness.machine.cache().revisions(&"default".into()).count();
    assert_eq!(created, 2);
}

/// A revision that the set of that name controls, with these data.
fn revision_of(set: &str, name: &str, number: i64, data: &str) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"uid-{name}","resourceVersion":"180",
            "labels":{{"app":"{set}","controller-revision-hash":"{name}"}},
            "ownerReferences":[{{"apiVersion":"apps/v1","kind":"DaemonSet","name":"{set}",
              "uid":"uid-{set}","controller":true,"blockOwnerDeletion":true}}]}},"revision":{number},"data":{data}}}"#
    );
    let revision = serde_json::from_str::<ControllerRevision>(&text).expect("a ControllerRevision");
    Object::ControllerRevision(Arc::new(revision))
}

/// A set whose spec is changed by hand: no API server would take it any more.
fn odd_set(name: &str, version: u64, change: impl FnOnce(&mut DaemonSetSpec)) -> Object {
    let Object::DaemonSet(mut set) = set(name, version, None) else { panic!("no DaemonSet") };
    change(Arc::make_mut(&mut Arc::make_mut(&mut set).spec));
    Object::DaemonSet(set)
}

#[test]
fn what_cannot_be_used_harms_no_other_set() {
    let template = |name: &str, spec: &str| {
        let text = format!(r#"{{"metadata":{{"labels":{{"app":"{name}"}}}},"spec":{spec}}}"#);
        Some(Arc::from(serde_json::value::RawValue::from_string(text).expect("JSON")))
    };
    let affinity = |name: &str, terms: &str| {
        let spec = format!(
            r#"{{"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{
                "nodeSelectorTerms":{terms}}}}}}},"containers":[{{"name":"c","image":"i"}}]}}"#
        );
        template(name, &spec)
    };
    let bad_key = affinity("bad-key", r#"[{"matchExpressions":[{"key":"a b","operator":"Like"}]}]"#);
    let no_terms = affinity("no-terms", r#""none""#);
    let no_pod = template("no-pod", r#"["not","a","Pod"]"#);
    let mut harness = harness();
    harness.watched(node("n-1", "u-1", 150, "", ""));
    for (number, data) in (3..).zip(["{}", r#"{"spec":["$patch"]}"#, "7", "null", r#""text""#]) {
        harness.watched(revision_of("good", &format!("garbage-{number}"), number, data));
    }
    harness.watched(odd_set("all", 200, |spec| spec.selector = Some(LabelSelector::default())));
    harness.watched(odd_set("bad-key", 201, |spec| spec.template = bad_key));
    harness.watched(odd_set("no-terms", 202, |spec| spec.template = no_terms));
    harness.watched(odd_set("no-pod", 203, |spec| spec.template = no_pod));
    harness.watched(odd_set("no-template", 204, |spec| spec.template = None));
    harness.watched(set("good", 205, None));
    let mut version = 1_000;
    let mut created = Vec::new();
    let mut runs = 0;
    for _ in 0..100 {
        harness.pass(1_000);
        runs += harness.run().len();
        while let Some(request) = harness.request(Flow::Write) {
            version += 1;
            if let Operation::CreatePod(manifest) = &request.operation {
                created.extend(manifest.metadata.controller().map(|owner| owner.name.to_string()));
            }
            let outcome = answered(&request, version);
            harness.answer(&request, outcome);
            runs += harness.run().len();
        }
    }
    assert_eq!(created, ["good"]);
    assert!(runs < 40, "nothing is tried over and over: {runs} runs");
    let told: Vec<String> = std::iter::from_fn(|| harness.request(Flow::Event))
        .filter_map(|request| match request.operation {
            Operation::RecordEvent(event) if &*event.reason == "SelectingAll" => {
                Some(event.regarding.name.to_string())
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, ["all"]);
}

/// The set, bound to a plugin that decides about its rollouts.
fn bound(set: Object) -> Object {
    let Object::DaemonSet(set) = set else { panic!("{set:?}") };
    let mut set = DaemonSet::clone(&set);
    let annotations = Arc::make_mut(&mut set.metadata.annotations);
    annotations.insert("policy.windlass.dev/rollout".into(), "p".into());
    Object::DaemonSet(Arc::new(set))
}

#[test]
fn a_set_whose_rollouts_a_plugin_decides_is_shown_all_nodes_while_it_rolls() {
    let (mut harness, mut version) = (harness(), 1_000);
    let plugin = Fake::for_rollouts("p", 1, &["zone"]);
    let policies = Arc::new(PolicySet::new([Loaded::new(Arc::new(plugin))]));
    harness.machine.handle_command(harness.now(), Command::Policies(policies));
    let taint = r#"{"key":"a","effect":"NoSchedule"}"#;
    let node = |number: u64| {
        node(
            &format!("n-{number}"),
            &format!("u-{number}"),
            300 + number,
            r#""zone":"z","disk":"ssd""#,
            taint,
        )
    };
    harness.watched(node(1));
    harness.watched(node(2));
    harness.watched(set("alone", 201, None));
    harness.watched(bound(set("bound", 202, None)));
    settle(&mut harness, &mut version);
    harness.watched(node(3));
    harness.pass(1_000);
    let shown = shown(&mut harness);
    assert_eq!(shown[&key("alone")], (1, vec![0], None));
    let keys = Some(vec!["zone".into()]);
    assert_eq!(shown[&key("bound")], (1, vec![1], keys.clone()), "nobody is asked: there is nothing to roll");
    settle(&mut harness, &mut version);
    harness.watched(old_pod("bound", "n-3", 400));
    harness.pass(1_000);
    assert_eq!(self::shown(&mut harness)[&key("bound")], (3, vec![1], keys), "it is asked about all nodes");
}

/// How many nodes a run was shown, how many labels of each shape, and which its policy wants to see.
type Shown = (usize, Vec<usize>, Option<Vec<Str>>);

/// What each run was shown.
fn shown(harness: &mut Harness) -> BTreeMap<Key, Shown> {
    let shown = harness.run().into_iter().map(|run| {
        let Snapshot::DaemonSet(snapshot) = &*run.snapshot else { panic!("{:?}", run.key) };
        let labels: Vec<_> = snapshot.shapes.iter().map(|shape| shape.labels.len()).collect();
        (run.key, (snapshot.nodes.name.len(), labels, snapshot.rollout_policy.clone()))
    });
    shown.collect()
}

/// A Pod of an earlier revision of a set.
fn old_pod(set: &str, node: &str, version: u64) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"{set}-old","namespace":"default","uid":"uid-{set}-old","resourceVersion":"{version}",
            "labels":{{"app":"{set}","controller-revision-hash":"old"}},
            "ownerReferences":[{{"apiVersion":"apps/v1","kind":"DaemonSet","name":"{set}","uid":"uid-{set}",
              "controller":true,"blockOwnerDeletion":true}}]}},
            "spec":{{"nodeName":"{node}"}},"status":{{"phase":"Running"}}}}"#
    );
    Object::Pod(Arc::new(serde_json::from_str::<Pod>(&text).expect("a Pod")))
}

#[test]
fn a_bound_set_runs_in_the_lane_of_plugins_and_is_looked_at_when_its_plugin_is_another() {
    let (mut harness, mut version) = (harness(), 1_000);
    harness.watched(bound(set("bound", 202, None)));
    let now = harness.now();
    assert!(harness.machine.poll_run(now, Lane::BuiltIn).is_none());
    settle(&mut harness, &mut version);
    let load = |harness: &mut Harness, digest| {
        let loaded = Loaded::new(Arc::new(Fake::for_rollouts("p", digest, &[])));
        let command = Command::Policies(Arc::new(PolicySet::new([loaded])));
        harness.machine.handle_command(harness.now(), command);
        harness.run().into_iter().map(|run| run.key).collect::<Vec<_>>()
    };
    assert_eq!(load(&mut harness, 1), [key("bound")]);
    assert_eq!(load(&mut harness, 1), [], "it is the same");
    assert_eq!(load(&mut harness, 2), [key("bound")]);
}
