//! Pods of DaemonSets in the sandbox: where they are bound, how long they run, what ends them; and the nodes below them.

use std::sync::Arc;

use windlass_core::daemon_set::revision;
use windlass_core::kube::{
    ConditionStatus, DaemonSet, DaemonTemplate, Kind, Labels, Object, ObjectMeta, Pod, PodPhase,
    RevisionManifest, Str, Taint,
};
use windlass_sandbox::cluster::{Cluster, ClusterOptions};
use windlass_sandbox::{Actor, Applied, DeleteOptions, Propagation, Quota};

type Error = Box<dyn std::error::Error>;
type Outcome = Result<(), Error>;

const CONTROLLER: Actor = Actor("controller");
const HOUR_MS: u64 = 3_600_000;

/// A cluster with nodes of these names and a DaemonSet whose template has these annotations and fields in its spec.
fn cluster(nodes: &[&str], annotations: &str, fields: &str) -> Result<(Cluster, Arc<DaemonSet>), Error> {
    cluster_with(ClusterOptions::default(), nodes, annotations, fields)
}

fn cluster_with(
    options: ClusterOptions,
    nodes: &[&str],
    annotations: &str,
    fields: &str,
) -> Result<(Cluster, Arc<DaemonSet>), Error> {
    let mut cluster = Cluster::new(options);
    for node in nodes {
        cluster.add_node(0, node)?;
    }
    let text = format!(
        r#"{{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{{"name":"logs"}},"spec":{{
        "selector":{{"matchLabels":{{"app":"logs"}}}},"template":{{
        "metadata":{{"labels":{{"app":"logs"}},"annotations":{{{annotations}}}}},
        "spec":{{{fields}"containers":[{{"name":"main","image":"busybox:1"}}]}}}}}}}}"#
    );
    match cluster.request(0, |store| store.apply_manifest(Actor::USER, &text))? {
        Applied::Object(Object::DaemonSet(set)) => Ok((cluster, set)),
        other => Err(format!("{other:?} is no DaemonSet").into()),
    }
}

/// Creates the Pod of `set` for `node`, as its controller does.
fn create(cluster: &mut Cluster, set: &DaemonSet, node: &str, name: &str) -> Outcome {
    let template = DaemonTemplate::read(set)?;
    let manifest = template.pod(set, node, &template.hash, name.into())?;
    let now_ms = cluster.store().now_ms();
    cluster.request(now_ms, |store| store.create_pod(CONTROLLER, &manifest))?;
    Ok(())
}

fn run_until(cluster: &mut Cluster, until_ms: u64) {
    while let Some(now_ms) = cluster.next_wake().filter(|now_ms| *now_ms <= until_ms) {
        cluster.advance(now_ms);
    }
    cluster.advance(until_ms);
}

fn pod(cluster: &Cluster, name: &str) -> Option<Arc<Pod>> {
    match cluster.store().get(Kind::Pod, "default", name) {
        Ok(Object::Pod(pod)) => Some(pod),
        _ => None,
    }
}

/// A Pod's node, phase and readiness in a word; `gone` for one that is not there.
fn state(cluster: &Cluster, name: &str) -> String {
    let Some(pod) = pod(cluster, name) else { return "gone".to_owned() };
    let is_ready = pod.ready_condition().is_some_and(|condition| condition.status == ConditionStatus::True);
    let terminating = if pod.metadata.is_terminating() { " terminating" } else { "" };
    let ready = if is_ready { " ready" } else { "" };
    format!("{} {:?}{ready}{terminating}", pod.spec.node_name.as_deref().unwrap_or("-"), pod.status.phase)
}

fn taint(key: &str, effect: &str) -> Taint {
    Taint { key: key.into(), effect: effect.into(), ..Taint::default() }
}

fn count(cluster: &Cluster) -> [usize; 3] {
    [Kind::DaemonSet, Kind::ControllerRevision, Kind::Pod].map(|kind| cluster.store().count(kind))
}

#[test]
fn a_pod_is_bound_to_the_node_that_it_is_for_and_runs_on() -> Outcome {
    let (mut cluster, set) = cluster(&["a", "b"], "", "")?;
    create(&mut cluster, &set, "b", "first")?;
    create(&mut cluster, &set, "b", "second")?;
    create(&mut cluster, &set, "a", "third")?;
    assert_eq!(pod(&cluster, "first").and_then(|pod| pod.spec.pinned_to.clone()), Some("b".into()));
    run_until(&mut cluster, 1009);
    assert_eq!(state(&cluster, "first"), "b Pending");
    run_until(&mut cluster, 1010);
    assert_eq!(
        ["first", "second", "third"].map(|name| state(&cluster, name)),
        ["b Running ready", "b Running ready", "a Running ready"]
    );
    assert_eq!(cluster.next_wake(), None);
    let text = cluster.store().to_json(&Object::Pod(pod(&cluster, "first").ok_or("no Pod")?));
    let terms = &text["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0], "b");
    cluster.request(2000, |store| {
        store.delete(CONTROLLER, Kind::Pod, "default", "first", &DeleteOptions::default())
    })?;
    assert_eq!(state(&cluster, "first"), "b Running ready terminating");
    run_until(&mut cluster, 3000);
    assert_eq!(state(&cluster, "first"), "gone");
    Ok(())
}

#[test]
fn a_pod_waits_for_its_own_node_however_many_others_there_are() -> Outcome {
    let (mut cluster, set) = cluster(&["a"], "", "")?;
    create(&mut cluster, &set, "late", "late")?;
    create(&mut cluster, &set, "a", "here")?;
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(["late", "here"].map(|name| state(&cluster, name)), ["- Pending", "a Running ready"]);
    let scheduled = pod(&cluster, "late").ok_or("no Pod")?.status.conditions[0].clone();
    assert_eq!((&*scheduled.kind, scheduled.reason.as_deref()), ("PodScheduled", Some("Unschedulable")));
    cluster.add_node(HOUR_MS, "other")?;
    run_until(&mut cluster, 2 * HOUR_MS);
    assert_eq!(state(&cluster, "late"), "- Pending");
    cluster.add_node(2 * HOUR_MS, "late")?;
    run_until(&mut cluster, 3 * HOUR_MS);
    assert_eq!(state(&cluster, "late"), "late Running ready");
    Ok(())
}

#[test]
fn taints_keep_a_pod_away_unless_it_bears_them() -> Outcome {
    let bearing = r#""tolerations":[{"key":"mine","operator":"Exists"}],"nodeSelector":{"disk":"ssd"},"#;
    let (mut cluster, set) = cluster(&[], "", bearing)?;
    let ssd = || -> Labels { [(Str::from("disk"), Str::from("ssd"))].into() };
    let nodes = [
        ("mine", ssd(), vec![taint("mine", "NoSchedule")]),
        ("full", ssd(), vec![taint("node.kubernetes.io/disk-pressure", "NoSchedule")]),
        ("other", ssd(), vec![taint("other", "NoSchedule")]),
        ("rather-not", ssd(), vec![taint("other", "PreferNoSchedule")]),
        ("hdd", Labels::new(), vec![]),
    ];
    for (name, labels, taints) in nodes {
        cluster.add_node_with(0, name, labels, taints)?;
        create(&mut cluster, &set, name, name)?;
    }
    cluster.add_node_with(0, "closed", ssd(), Vec::new())?;
    assert!(cluster.set_node_unschedulable(0, "closed", true));
    create(&mut cluster, &set, "closed", "closed")?;
    run_until(&mut cluster, HOUR_MS);
    let bound = |cluster: &Cluster| -> Vec<&str> {
        let names = ["mine", "full", "other", "rather-not", "hdd", "closed"];
        names.into_iter().filter(|name| state(cluster, name) == format!("{name} Running ready")).collect()
    };
    assert_eq!(bound(&cluster), ["mine", "full", "rather-not", "closed"]);
    assert!(cluster.set_node_taints(HOUR_MS, "other", Vec::new()));
    assert!(cluster.set_node_labels(HOUR_MS, "hdd", ssd()));
    assert!(!cluster.set_node_labels(HOUR_MS, "none", ssd()) && !cluster.remove_node(HOUR_MS, "none"));
    run_until(&mut cluster, 2 * HOUR_MS);
    assert_eq!(bound(&cluster).len(), 6);
    // Labels that are gone again move nothing that is bound.
    assert!(cluster.set_node_labels(2 * HOUR_MS, "hdd", Labels::new()));
    run_until(&mut cluster, 3 * HOUR_MS);
    assert_eq!(bound(&cluster).len(), 6);
    Ok(())
}

#[test]
fn a_pod_may_become_ready_later_and_again_after_each_restart() -> Outcome {
    let annotations = r#""sandbox.windlass.dev/ready-seconds":"4","sandbox.windlass.dev/fail-first":"1",
        "sandbox.windlass.dev/run-seconds":"10""#;
    let (mut cluster, set) = cluster(&["a"], annotations, "")?;
    create(&mut cluster, &set, "a", "one")?;
    // Bound at 10 ms, started 1 s later, ready 4 s later, ended 10 s after the start, started again after 10 s.
    let expected = [
        (5009, "a Running"),
        (5010, "a Running ready"),
        (11_010, "a Running"),
        (21_010, "a Running"),
        (25_009, "a Running"),
        (25_010, "a Running ready"),
        (31_010, "a Running"),
    ];
    for (now_ms, state_then) in expected {
        run_until(&mut cluster, now_ms);
        assert_eq!(state(&cluster, "one"), state_then, "{now_ms}");
    }
    let pod = pod(&cluster, "one").ok_or("no Pod")?;
    let ended = pod.status.container_statuses[0].state.terminated.clone().ok_or("it runs")?;
    assert_eq!((ended.exit_code, pod.status.container_statuses[0].restart_count), (0, 1));
    Ok(())
}

#[test]
fn a_pod_that_was_started_again_waits_anew_until_it_is_ready() -> Outcome {
    let annotations = r#""sandbox.windlass.dev/ready-seconds":"18","sandbox.windlass.dev/fail-first":"1""#;
    let (mut cluster, set) = cluster(&["a"], annotations, "")?;
    create(&mut cluster, &set, "a", "one")?;
    // Started at 1.01 s, ended five seconds later, started again ten seconds after that.
    for (now_ms, state_then) in [(19_010, "a Running"), (34_009, "a Running"), (34_010, "a Running ready")] {
        run_until(&mut cluster, now_ms);
        assert_eq!(state(&cluster, "one"), state_then, "{now_ms}");
    }
    assert_eq!(cluster.next_wake(), None);
    Ok(())
}

#[test]
fn a_pod_that_crashes_is_started_again_on_its_node_and_then_runs_on() -> Outcome {
    let annotations = r#""sandbox.windlass.dev/fail-first":"2","sandbox.windlass.dev/exit-code":"3""#;
    let (mut cluster, set) = cluster(&["a", "b"], annotations, "")?;
    create(&mut cluster, &set, "a", "one")?;
    create(&mut cluster, &set, "b", "two")?;
    run_until(&mut cluster, HOUR_MS);
    for name in ["one", "two"] {
        let pod = pod(&cluster, name).ok_or("no Pod")?;
        assert_eq!(pod.status.phase, PodPhase::Running);
        // Each node counts for itself.
        assert_eq!(
            (pod.status.container_statuses[0].restart_count, state(&cluster, name).ends_with("ready")),
            (2, true)
        );
    }
    Ok(())
}

#[test]
fn an_evicted_pod_has_failed_for_good_and_the_next_one_runs_on() -> Outcome {
    let annotations = r#""sandbox.windlass.dev/evict-seconds":"5","sandbox.windlass.dev/evict-first":"1""#;
    let (mut cluster, set) = cluster(&["a", "b"], annotations, "")?;
    create(&mut cluster, &set, "a", "one")?;
    create(&mut cluster, &set, "b", "other")?;
    run_until(&mut cluster, 6009);
    assert_eq!(state(&cluster, "one"), "a Running ready");
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(["one", "other"].map(|name| state(&cluster, name)), ["a Failed", "b Failed"]);
    let evicted = pod(&cluster, "one").ok_or("no Pod")?;
    assert_eq!(evicted.status.reason.as_deref(), Some("Evicted"));
    let last = evicted.status.conditions.last().ok_or("no conditions")?;
    assert_eq!((&*last.kind, last.reason.as_deref()), ("DisruptionTarget", Some("TerminationByKubelet")));
    create(&mut cluster, &set, "a", "two")?;
    run_until(&mut cluster, 2 * HOUR_MS);
    assert_eq!(state(&cluster, "two"), "a Running ready");
    Ok(())
}

#[test]
fn pods_of_a_node_that_is_gone_end_after_a_while_those_that_ended_before_too() -> Outcome {
    let (mut cluster, set) = cluster(&["a", "b"], "", "")?;
    create(&mut cluster, &set, "a", "one")?;
    create(&mut cluster, &set, "b", "other")?;
    run_until(&mut cluster, 10_000);
    let mut ended = pod(&cluster, "other").ok_or("no Pod")?.as_ref().clone();
    let status = Arc::make_mut(&mut ended.status);
    status.phase = PodPhase::Failed;
    status.conditions.clear();
    cluster.request(10_000, |store| store.update_pod_status(Actor::KUBELET, &ended))?;
    assert!(cluster.remove_node(10_000, "a") && cluster.remove_node(10_000, "b"));
    run_until(&mut cluster, 49_999);
    assert_eq!(["one", "other"].map(|name| state(&cluster, name)), ["a Running ready", "b Failed"]);
    run_until(&mut cluster, 50_000);
    assert_eq!(count(&cluster), [1, 0, 0]);
    create(&mut cluster, &set, "a", "again")?;
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(state(&cluster, "again"), "- Pending");
    Ok(())
}

#[test]
fn a_pod_on_a_node_that_never_was_ends_too() -> Outcome {
    let (mut cluster, set) = cluster(&["a"], "", r#""nodeName":"never","#)?;
    create(&mut cluster, &set, "never", "one")?;
    run_until(&mut cluster, 39_999);
    assert_eq!(state(&cluster, "one"), "never Pending");
    run_until(&mut cluster, 40_000);
    assert_eq!(state(&cluster, "one"), "gone");
    Ok(())
}

#[test]
fn a_node_that_comes_back_in_time_keeps_its_pods() -> Outcome {
    let (mut cluster, set) = cluster(&["a"], "", "")?;
    create(&mut cluster, &set, "a", "one")?;
    run_until(&mut cluster, 10_000);
    create(&mut cluster, &set, "a", "starting")?;
    run_until(&mut cluster, 10_500);
    assert!(cluster.remove_node(10_500, "a"));
    run_until(&mut cluster, 30_000);
    assert_eq!(["one", "starting"].map(|name| state(&cluster, name)), ["a Running ready", "a Pending"]);
    cluster.add_node(30_000, "a")?;
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(["one", "starting"].map(|name| state(&cluster, name)), ["a Running ready", "a Running ready"]);
    Ok(())
}

#[test]
fn a_taint_that_evicts_ends_the_pods_that_do_not_bear_it_or_no_longer() -> Outcome {
    let bearing =
        r#""tolerations":[{"key":"mine","operator":"Exists","effect":"NoExecute","tolerationSeconds":60}],"#;
    let (mut cluster, set) = cluster(&["a", "b", "c", "d"], "", bearing)?;
    for node in ["a", "b", "c", "d"] {
        create(&mut cluster, &set, node, node)?;
    }
    run_until(&mut cluster, 10_000);
    let states = |cluster: &Cluster| {
        ["a", "b", "c", "d"].map(|name| state(cluster, name).replace("Running ready", "runs"))
    };
    for (node, key) in [("a", "other"), ("b", "mine"), ("c", "mine"), ("d", "node.kubernetes.io/not-ready")] {
        assert!(cluster.set_node_taints(10_000, node, vec![taint(key, "NoExecute")]));
    }
    run_until(&mut cluster, 10_000);
    assert_eq!(states(&cluster), ["a runs terminating", "b runs", "c runs", "d runs"]);
    run_until(&mut cluster, 40_000);
    assert!(cluster.set_node_taints(40_000, "b", Vec::new()));
    assert!(cluster.set_node_taints(40_000, "c", vec![taint("mine", "NoExecute"), taint("a", "NoSchedule")]));
    run_until(&mut cluster, 69_999);
    assert_eq!(states(&cluster), ["gone", "b runs", "c runs", "d runs"]);
    run_until(&mut cluster, 70_000);
    assert_eq!(states(&cluster), ["gone", "b runs", "c runs terminating", "d runs"]);
    let leaving = pod(&cluster, "c").ok_or("no Pod")?;
    let last = leaving.status.conditions.last().ok_or("no conditions")?;
    assert_eq!((&*last.kind, last.reason.as_deref()), ("DisruptionTarget", Some("DeletionByTaintManager")));
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(states(&cluster), ["gone", "b runs", "gone", "d runs"]);
    Ok(())
}

#[test]
fn a_quota_of_pods_refuses_those_beyond_it_until_one_goes() -> Outcome {
    let (mut cluster, set) = cluster(&["a", "b"], "", "")?;
    let quota = Quota { name: "few-pods".into(), limit: 1 };
    cluster.request(0, |store| store.limit_pods("default", Some(quota)));
    create(&mut cluster, &set, "a", "one")?;
    let refused = create(&mut cluster, &set, "b", "two").map_err(|error| error.to_string());
    let said = "pods \"two\" is forbidden: exceeded quota: few-pods, requested: count/pods=1, used: count/pods=1, \
                limited: count/pods=1";
    assert!(refused.as_ref().is_err_and(|error| error.contains(said)), "{refused:?}");
    let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    cluster.request(0, |store| store.delete(CONTROLLER, Kind::Pod, "default", "one", &options))?;
    create(&mut cluster, &set, "b", "two")?;
    cluster.request(0, |store| store.limit_pods("default", None));
    create(&mut cluster, &set, "a", "three")
}

#[test]
fn a_silent_kubelet_taints_its_node_and_its_pods_are_not_ready_until_it_is_heard_again() -> Outcome {
    let (mut cluster, set) = cluster_with(
        ClusterOptions { silence_ms: Some(50_000), ..ClusterOptions::default() },
        &["a", "b"],
        "",
        "",
    )?;
    create(&mut cluster, &set, "a", "one")?;
    let bare = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bare"},"spec":{"nodeName":"a",
        "containers":[{"name":"main","image":"busybox:1"}]}}"#;
    cluster.request(0, |store| store.apply_manifest(Actor::USER, bare))?;
    run_until(&mut cluster, 10_000);
    let states = |cluster: &Cluster| ["one", "bare"].map(|name| state(cluster, name));
    let taints = |cluster: &Cluster| match cluster.store().get(Kind::Node, "", "a") {
        Ok(Object::Node(node)) => node.spec.taints.iter().map(|taint| taint.effect.to_string()).collect(),
        _ => Vec::new(),
    };
    // A short silence is none.
    assert!(cluster.set_node_ready(10_000, "a", false) && cluster.set_node_ready(40_000, "a", true));
    assert!(cluster.set_node_ready(50_000, "a", false));
    run_until(&mut cluster, 99_999);
    assert_eq!((states(&cluster), taints(&cluster).len()), (["a Running ready"; 2].map(str::to_owned), 0));
    run_until(&mut cluster, 100_000);
    assert_eq!(states(&cluster), ["a Running"; 2]);
    assert_eq!(taints(&cluster), ["NoSchedule", "NoExecute"]);
    // Every other Pod bears that for five minutes; then it waits for the kubelet to end it.
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(states(&cluster), ["a Running", "a Running terminating"]);
    assert!(cluster.set_node_ready(HOUR_MS, "a", true));
    run_until(&mut cluster, HOUR_MS);
    assert_eq!((state(&cluster, "one").as_str(), taints(&cluster).len()), ("a Running ready", 0));
    run_until(&mut cluster, 2 * HOUR_MS);
    assert_eq!(states(&cluster), ["a Running ready", "gone"]);
    Ok(())
}

/// A DaemonSet with a Pod on each of two nodes and a revision.
fn family() -> Result<Cluster, Error> {
    let (mut cluster, set) = cluster(&["a", "b"], "", "")?;
    create(&mut cluster, &set, "a", "one")?;
    create(&mut cluster, &set, "b", "two")?;
    let template = DaemonTemplate::read(&set)?;
    let labels =
        ObjectMeta { labels: Arc::new([("app".into(), "logs".into())].into()), ..ObjectMeta::default() };
    let data = template.data.to_string();
    let owner = set.controller_reference();
    let manifest = RevisionManifest::new(&set.metadata, owner, &labels, data, &template.hash, 1)?;
    let revision = cluster.request(0, |store| store.create_revision_of(CONTROLLER, &manifest))?;
    assert!(revision.holds(&template.data));
    assert_eq!(revision.metadata.name, revision::name("logs", &template.hash));
    run_until(&mut cluster, 10_000);
    assert_eq!(count(&cluster), [1, 1, 2]);
    Ok(cluster)
}

fn delete(cluster: &mut Cluster, propagation: Option<Propagation>) -> Outcome {
    let options = DeleteOptions { propagation, ..DeleteOptions::default() };
    cluster
        .request(10_000, |store| store.delete(Actor::USER, Kind::DaemonSet, "default", "logs", &options))?;
    Ok(())
}

#[test]
fn what_a_set_made_goes_after_it_unless_the_deletion_says_otherwise() -> Outcome {
    let mut cluster = family()?;
    delete(&mut cluster, None)?;
    assert_eq!(count(&cluster), [0, 1, 2]);
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(count(&cluster), [0, 0, 0]);

    let mut cluster = family()?;
    delete(&mut cluster, Some(Propagation::Orphan))?;
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(count(&cluster), [0, 1, 2]);
    for kind in [Kind::Pod, Kind::ControllerRevision] {
        assert!(cluster.store().objects(kind).all(|object| object.metadata().owner_references.is_empty()));
    }
    Ok(())
}

#[test]
fn a_set_deleted_in_the_foreground_goes_after_what_it_made() -> Outcome {
    let mut cluster = family()?;
    delete(&mut cluster, Some(Propagation::Foreground))?;
    let Object::DaemonSet(set) = cluster.store().get(Kind::DaemonSet, "default", "logs")? else {
        return Err("no DaemonSet".into());
    };
    assert!(set.metadata.is_terminating() && set.metadata.has_finalizer("foregroundDeletion"));
    assert_eq!((set.metadata.generation, set.template_generation()), (2, Some(1)));
    run_until(&mut cluster, 10_500);
    assert_eq!(count(&cluster), [1, 0, 2]);
    run_until(&mut cluster, HOUR_MS);
    assert_eq!(count(&cluster), [0, 0, 0]);
    Ok(())
}
