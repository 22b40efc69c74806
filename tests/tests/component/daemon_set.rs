//! DaemonSets: the default core, and the twin, say the same as the core compiled in, and a policy is asked the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use windlass_core::daemon_set::naming;
use windlass_core::kube::{CONTROLLER_REVISION_HASH_LABEL, Object, ObjectMeta, Time};
use windlass_core::plan::{Action, DaemonSetAction, Plan};
use windlass_core::policy::{BuiltIn, Policy, backoff, rollout};
use windlass_core::twin;
use windlass_core::view::DaemonSetFlags;
use windlass_host::Now;
use windlass_host::cache::Cache;
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::{Options, WasmEngine};
use windlass_host::engine::{Engine, SharedPolicy, Snapshot};
use windlass_host::key::Name;
use windlass_host::snapshot::{self, Carried, Gathered, Sight};
use windlass_tests::arbitrary::{self, DaemonSetScene};

#[test]
fn the_default_core_answers_for_daemon_sets_as_the_built_in_policy_does() {
    let asking = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let alone = WasmEngine::new(&super::core_file("core-default.wasm"), Options::default()).unwrap();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&arbitrary::daemon_set_snapshot(), |snapshot| {
        let snapshot = Snapshot::DaemonSet(snapshot);
        let (one, two) = (super::built_in(), super::nobody());
        prop_assert_eq!(asking.reconcile(&snapshot, &one), alone.reconcile(&snapshot, &two));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A policy that gives the same answer each time, and remembers what it was asked.
struct Told {
    answer: rollout::Answer,
    asked: Mutex<Vec<rollout::Question>>,
}

impl Policy for Told {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        BuiltIn::default().backoff(questions)
    }

    fn rollout(&self, questions: &[rollout::Question]) -> Vec<rollout::Answer> {
        self.asked.lock().unwrap().extend_from_slice(questions);
        vec![self.answer.clone(); questions.len()]
    }
}

fn rollout_answer() -> impl Strategy<Value = rollout::Answer> {
    let nodes = prop::collection::vec(0_u32..9, 0..6);
    let update = (nodes, prop::option::of(0_u32..3), prop::option::of(1_000_u32..9_000));
    let update =
        update.prop_map(|(nodes, budget, ask_again_ms)| rollout::Update { nodes, budget, ask_again_ms });
    let pause = rollout::Hold { reason: "later".to_owned(), ask_again_ms: 5_000 };
    prop_oneof![
        4 => update.prop_map(rollout::Answer::Update),
        1 => Just(rollout::Answer::Pause(pause)),
        1 => Just(rollout::Answer::Other("sideways".to_owned())),
    ]
}

#[test]
fn a_policy_of_rollouts_is_asked_and_heard_the_same_natively_and_as_wasm() {
    let wasm = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let asked_of = AtomicUsize::new(0);
    let outcome = runner.run(&(arbitrary::daemon_set_snapshot(), rollout_answer()), |(snapshot, answer)| {
        let snapshot = Snapshot::DaemonSet(snapshot);
        let by = |engine: &dyn Engine| {
            let told = Arc::new(Told { answer: answer.clone(), asked: Mutex::default() });
            let policy: SharedPolicy = told.clone();
            let plan = engine.reconcile(&snapshot, &policy);
            let asked = std::mem::take(&mut *told.asked.lock().unwrap());
            (plan, asked)
        };
        let (native, guest) = (by(&NativeEngine), by(&wasm));
        asked_of.fetch_add(guest.1.len(), Ordering::Relaxed);
        prop_assert_eq!(native, guest);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(asked_of.into_inner() > 0, "no snapshot of 2,000 made the core ask anything");
}

#[test]
fn the_twin_agrees_about_daemon_sets_with_the_typed_path_natively_and_as_wasm() {
    let wasm = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(arbitrary::daemon_set_scene(), any::<bool>()), |(scene, alive)| {
        let mut request = json!({
            "apiVersion": "windlass.dev/v1alpha1", "kind": "ReconcileRequest",
            "now": Time::from_unix_seconds(arbitrary::NOW_S), "daemonSet": scene.set, "nodes": scene.nodes,
            "pods": scene.pods, "revisions": scene.revisions,
        });
        if alive {
            request["liveOwner"] = "Alive".into();
        }
        let document = twin::reconcile(&request.to_string(), |_| BuiltIn::default());
        let guest = wasm.reconcile_document(&request.to_string(), &super::built_in());
        prop_assert_eq!(&guest, &Ok(document.clone()));
        let document: Value = serde_json::from_str(&document.unwrap()).unwrap();

        let gathered = gather(&scene, alive);
        let plan = NativeEngine.reconcile(&gathered.snapshot, &super::built_in()).unwrap();
        prop_assert_eq!(outline_of_document(&document), outline(&plan, &gathered, &scene));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What the host gathers of a scene from its cache.
fn gather(scene: &DaemonSetScene, alive: bool) -> Gathered {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(Object::DaemonSet(Arc::new(scene.set.clone())), &mut changes);
    for node in &scene.nodes {
        cache.watched(Object::Node(Arc::new(node.clone())), &mut changes);
    }
    for pod in &scene.pods {
        cache.watched(Object::Pod(Arc::new(pod.clone())), &mut changes);
    }
    for revision in &scene.revisions {
        cache.watched(Object::ControllerRevision(Arc::new(revision.clone())), &mut changes);
    }
    let now = Now { monotonic_ms: 0, unix_ms: arbitrary::NOW_S * 1000 };
    let live_owner = alive.then_some(windlass_core::view::LiveOwner::Alive);
    let carried = Carried { live_owner, ..Carried::default() };
    let name = Name::of(&scene.set.metadata);
    snapshot::daemon_set(&cache, &name, &DaemonSetFlags::default(), now, &carried, &Sight::default()).unwrap()
}

/// A plan in a few words: its steps, what each follows, and the objects that it is about.
fn outline(plan: &Plan, gathered: &Gathered, scene: &DaemonSetScene) -> Vec<String> {
    let (requeue, memo) = (plan.requeue_after_ms, super::hexadecimal(&plan.memo));
    let mut lines = vec![format!("requeue {requeue:?} read {} memo {memo}", plan.read.is_some())];
    for step in &plan.steps {
        let after: Vec<String> =
            step.after.iter().map(|after| format!("{:?} {}", after.needs, after.step)).collect();
        let items: Vec<String> = match &step.action {
            Action::DaemonSet(action) => items(action, gathered, scene),
            Action::RecordEvent(event) => {
                let kind = if event.warning { "Warning" } else { "Normal" };
                vec![format!("recordEvent {kind} {} {}", event.reason, event.message)]
            }
            other => panic!("no plan for a DaemonSet has {other:?}"),
        };
        lines.push(format!("after {after:?} do {items:?}"));
    }
    lines
}

fn items(action: &DaemonSetAction, gathered: &Gathered, scene: &DaemonSetScene) -> Vec<String> {
    let daemon = gathered.daemon.as_ref().unwrap();
    let set = gathered.subject.daemon_set().unwrap();
    let pod = |position: u32| &gathered.children[position as usize].pod.metadata;
    let revision = |position: u32| &daemon.revisions[position as usize].metadata;
    let adopt = |object: &ObjectMeta| {
        format!("patch {} at {} adopt {}", object.uid, object.resource_version, set.metadata.uid)
    };
    let release = |object: &ObjectMeta| format!("patch {} release {}", object.uid, set.metadata.uid);
    let delete = |object: &ObjectMeta| format!("delete {}", object.uid);
    let label = |object: &ObjectMeta, hash: &str| format!("patch {} label {hash}", object.uid);
    match action {
        DaemonSetAction::CreatePods { nodes, hash } => {
            let taken = |name: &str| scene.pods.iter().any(|pod| &*pod.metadata.name == name);
            let created = nodes.iter().map(|node| {
                let node = &daemon.nodes[*node as usize].metadata;
                let name = naming::pod_name(set, &node.uid, hash, &taken);
                format!("create Pod {name} of {hash} on {}", node.name)
            });
            created.collect()
        }
        DaemonSetAction::DeletePods(pods) => pods.iter().map(|at| delete(pod(*at))).collect(),
        DaemonSetAction::AdoptPods(pods) => pods.iter().map(|at| adopt(pod(*at))).collect(),
        DaemonSetAction::ReleasePods(pods) => pods.iter().map(|at| release(pod(*at))).collect(),
        DaemonSetAction::RelabelPods { pods, hash } => pods.iter().map(|at| label(pod(*at), hash)).collect(),
        DaemonSetAction::CreateRevision { number } => {
            vec![format!("create ControllerRevision logs-{} numbered {number}", daemon.template.hash)]
        }
        DaemonSetAction::AdoptRevisions(revisions) => {
            revisions.iter().map(|at| adopt(revision(*at))).collect()
        }
        DaemonSetAction::ReleaseRevisions(revisions) => {
            revisions.iter().map(|at| release(revision(*at))).collect()
        }
        DaemonSetAction::LabelRevision { revision: at, hash } => vec![label(revision(*at), hash)],
        DaemonSetAction::RenumberRevision { revision: at, number } => {
            let object = revision(*at);
            vec![format!("patch {} at {} renumber {number}", object.uid, object.resource_version)]
        }
        DaemonSetAction::DeleteRevisions(revisions) => {
            revisions.iter().map(|at| delete(revision(*at))).collect()
        }
        DaemonSetAction::WriteStatus(status) => vec![format!(
            "updateStatus {} {} {} {} {} {} {} {} {:?}",
            status.observed_generation,
            status.current,
            status.desired,
            status.misscheduled,
            status.ready,
            status.updated,
            status.available,
            status.unavailable,
            status.collision_count,
        )],
    }
}

/// As [`outline`], of a plan document.
fn outline_of_document(plan: &Value) -> Vec<String> {
    let memo = plan["memo"].as_str().unwrap_or_default();
    let requeue = plan["requeueAfterMs"].as_u64();
    let head = format!("requeue {requeue:?} read {} memo {memo}", plan["read"] == "Owner");
    super::outline_of_steps(head, plan, request_outline)
}

fn request_outline(request: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match text(&request["verb"]).as_str() {
        "create" => created_outline(&request["object"]),
        "patch" => {
            let (uid, body) = (text(&request["target"]["uid"]), &request["body"]);
            let metadata = &body["metadata"];
            assert_eq!(text(&metadata["uid"]), uid);
            let seen = metadata["resourceVersion"].as_str().map(|at| format!(" at {at}"));
            let owner = &metadata["ownerReferences"][0];
            let change = match (&body["revision"], &metadata["labels"], text(&owner["$patch"]).as_str()) {
                (Value::Number(number), Value::Null, "") => format!("renumber {number}"),
                (Value::Null, Value::Object(labels), "") => {
                    format!("label {}", text(&labels[CONTROLLER_REVISION_HASH_LABEL]))
                }
                (Value::Null, Value::Null, "delete") => format!("release {}", text(&owner["uid"])),
                _ => format!("adopt {}", text(&owner["uid"])),
            };
            format!("patch {uid}{} {change}", seen.unwrap_or_default())
        }
        "delete" => format!("delete {}", text(&request["target"]["uid"])),
        "updateStatus" => {
            let status = &request["object"]["status"];
            let number = |name: &str| status[name].as_i64().unwrap_or_default();
            format!(
                "updateStatus {} {} {} {} {} {} {} {} {:?}",
                number("observedGeneration"),
                number("currentNumberScheduled"),
                number("desiredNumberScheduled"),
                number("numberMisscheduled"),
                number("numberReady"),
                number("updatedNumberScheduled"),
                number("numberAvailable"),
                number("numberUnavailable"),
                status["collisionCount"].as_i64(),
            )
        }
        "recordEvent" => format!(
            "recordEvent {} {} {}",
            text(&request["type"]),
            text(&request["reason"]),
            text(&request["message"])
        ),
        verb => panic!("no plan for a DaemonSet has {verb}"),
    }
}

fn created_outline(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, metadata) = (text(&object["kind"]), &object["metadata"]);
    assert_eq!(metadata["ownerReferences"][0]["uid"], "uid-of-logs");
    let name = text(&metadata["name"]);
    if kind == "ControllerRevision" {
        return format!("create {kind} {name} numbered {}", object["revision"]);
    }
    let required =
        &object["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let node = text(&required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]);
    format!("create Pod {name} of {} on {node}", text(&metadata["labels"][CONTROLLER_REVISION_HASH_LABEL]))
}
