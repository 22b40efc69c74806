//! The surroundings of the store: scheduler, kubelets and garbage collector.

use windlass_core::kube::{Job, Kind, Object, Pod, PodPhase, PreparedTemplate};
use windlass_core::plan::PodSlot;
use windlass_sandbox::cluster::{Cluster, ClusterOptions};
use windlass_sandbox::{Actor, Applied, DeleteOptions, Propagation};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SLOT: PodSlot = PodSlot { index: None, index_failures: None, index_ignored_failures: None };

fn cluster() -> Result<Cluster, Box<dyn std::error::Error>> {
    let mut cluster = Cluster::new(ClusterOptions::default());
    cluster.add_node(0, "node-0")?;
    Ok(cluster)
}

fn pod_text(name: &str, annotations: &str, policy: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","annotations":{{{annotations}}}}},
        "spec":{{"restartPolicy":"{policy}","containers":[{{"name":"main","image":"busybox:1"}}]}}}}"#
    )
}

fn apply(cluster: &mut Cluster, text: &str) -> Result<Object, Box<dyn std::error::Error>> {
    let now_ms = cluster.store().now_ms();
    match cluster.request(now_ms, |store| store.apply_manifest(Actor::USER, text))? {
        Applied::Object(object) => Ok(object),
        Applied::Namespace(name) => Err(format!("{name} is a namespace").into()),
    }
}

fn run_until(cluster: &mut Cluster, until_ms: u64) {
    while let Some(now_ms) = cluster.next_wake().filter(|now_ms| *now_ms <= until_ms) {
        cluster.advance(now_ms);
    }
    cluster.advance(until_ms);
}

fn pod(cluster: &Cluster, name: &str) -> Option<std::sync::Arc<Pod>> {
    match cluster.store().get(Kind::Pod, "default", name) {
        Ok(Object::Pod(pod)) => Some(pod),
        _ => None,
    }
}

fn phase(cluster: &Cluster, name: &str) -> Option<PodPhase> {
    pod(cluster, name).map(|pod| pod.status.phase)
}

#[test]
fn a_pod_is_bound_runs_and_succeeds_in_the_time_its_annotations_say() -> Outcome {
    let mut cluster = cluster()?;
    let notes = r#""sandbox.windlass.dev/start-seconds":"2","sandbox.windlass.dev/run-seconds":"3""#;
    apply(&mut cluster, &pod_text("a", notes, "Never"))?;
    run_until(&mut cluster, 1000);
    assert_eq!(pod(&cluster, "a").and_then(|pod| pod.spec.node_name.clone()).as_deref(), Some("node-0"));
    assert_eq!(phase(&cluster, "a"), Some(PodPhase::Pending));
    run_until(&mut cluster, 4000);
    assert_eq!(phase(&cluster, "a"), Some(PodPhase::Running));
    run_until(&mut cluster, 6000);
    assert_eq!(phase(&cluster, "a"), Some(PodPhase::Succeeded));
    assert_eq!(cluster.next_wake(), None);
    Ok(())
}

#[test]
fn a_deleted_running_pod_fails_with_143_and_goes() -> Outcome {
    let mut cluster = cluster()?;
    let text =
        pod_text("a", "", "Never").replace(r#""name":"a","#, r#""name":"a","finalizers":["x.dev/hold"],"#);
    apply(&mut cluster, &text)?;
    run_until(&mut cluster, 2000);
    cluster.request(2000, |store| {
        store.delete(Actor::USER, Kind::Pod, "default", "a", &DeleteOptions::default())
    })?;
    run_until(&mut cluster, 4000);
    let held = pod(&cluster, "a").ok_or("the finalizer holds it")?;
    assert_eq!(held.status.phase, PodPhase::Failed);
    let ended = held.status.container_statuses.first().and_then(|status| status.state.terminated.clone());
    assert_eq!(ended.map(|ended| ended.exit_code), Some(143));
    assert_eq!(held.metadata.deletion_grace_period_seconds, Some(0));
    let patch =
        windlass_sandbox::MetadataPatch { remove_finalizer: Some("x.dev/hold"), ..Default::default() };
    cluster.request(4000, |store| store.patch(Actor::USER, Kind::Pod, "default", "a", &patch))?;
    assert_eq!(phase(&cluster, "a"), None);
    Ok(())
}

#[test]
fn a_failing_container_starts_again_where_the_policy_says_so() -> Outcome {
    let mut cluster = cluster()?;
    let notes = r#""sandbox.windlass.dev/fail-first":"2","sandbox.windlass.dev/run-seconds":"1""#;
    apply(&mut cluster, &pod_text("a", notes, "OnFailure"))?;
    run_until(&mut cluster, 60_000);
    let pod = pod(&cluster, "a").ok_or("it is there")?;
    assert_eq!(pod.status.phase, PodPhase::Succeeded);
    assert_eq!(pod.status.container_statuses.first().map(|status| status.restart_count), Some(2));
    Ok(())
}

#[test]
fn a_pod_waits_until_there_is_room() -> Outcome {
    let mut cluster = Cluster::new(ClusterOptions::default());
    apply(&mut cluster, &pod_text("a", "", "Never"))?;
    run_until(&mut cluster, 1000);
    let waiting = pod(&cluster, "a").ok_or("it is there")?;
    assert_eq!(
        waiting.status.conditions.first().and_then(|c| c.reason.clone()).as_deref(),
        Some("Unschedulable")
    );
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"small"},"status":{"allocatable":{"pods":"1"}}}"#;
    apply(&mut cluster, node)?;
    apply(&mut cluster, &pod_text("b", "", "Never"))?;
    run_until(&mut cluster, 3000);
    assert_eq!(
        (phase(&cluster, "a"), phase(&cluster, "b")),
        (Some(PodPhase::Running), Some(PodPhase::Pending))
    );
    run_until(&mut cluster, 20_000);
    assert_eq!(phase(&cluster, "b"), Some(PodPhase::Succeeded));
    Ok(())
}

#[test]
fn a_silent_kubelet_does_nothing_until_its_node_is_ready_again() -> Outcome {
    let mut cluster = cluster()?;
    apply(&mut cluster, &pod_text("a", "", "Never"))?;
    run_until(&mut cluster, 500);
    assert!(cluster.set_node_ready(500, "node-0", false));
    run_until(&mut cluster, 60_000);
    assert_eq!(phase(&cluster, "a"), Some(PodPhase::Pending));
    assert!(cluster.set_node_ready(60_000, "node-0", true));
    run_until(&mut cluster, 70_000);
    assert_eq!(phase(&cluster, "a"), Some(PodPhase::Succeeded));
    Ok(())
}

#[test]
fn pods_of_a_vanished_node_fail_and_go() -> Outcome {
    let mut cluster = cluster()?;
    let text =
        pod_text("a", "", "Never").replace(r#""name":"a","#, r#""name":"a","finalizers":["x.dev/hold"],"#);
    apply(&mut cluster, &text)?;
    run_until(&mut cluster, 2000);
    cluster.request(2000, |store| {
        store.delete(Actor::USER, Kind::Node, "", "node-0", &DeleteOptions::default())
    })?;
    run_until(&mut cluster, 60_000);
    let pod = pod(&cluster, "a").ok_or("the finalizer holds it")?;
    assert_eq!(pod.status.phase, PodPhase::Failed);
    assert!(pod.status.conditions.iter().any(|condition| &*condition.kind == "DisruptionTarget"));
    assert!(pod.metadata.is_terminating());
    Ok(())
}

fn job(cluster: &mut Cluster, pods: u32) -> Result<std::sync::Arc<Job>, Box<dyn std::error::Error>> {
    let text = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"pi"},"spec":{"template":{"spec":
        {"restartPolicy":"Never","containers":[{"name":"pi","image":"perl:5"}]}}}}"#;
    let Object::Job(job) = apply(cluster, text)? else { return Err("not a Job".into()) };
    let template = PreparedTemplate::new(&job)?;
    for number in 0..pods {
        let manifest = template.pod(SLOT, format!("pi-{number:05}").into());
        let now_ms = cluster.store().now_ms();
        cluster.request(now_ms, |store| store.create_pod(Actor("controller"), &manifest))?;
    }
    Ok(job)
}

fn delete_job(cluster: &mut Cluster, propagation: Propagation) -> Outcome {
    let now_ms = cluster.store().now_ms();
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    cluster.request(now_ms, |store| store.delete(Actor::USER, Kind::Job, "default", "pi", &options))?;
    Ok(())
}

fn untrack(cluster: &mut Cluster) -> Outcome {
    let names: Vec<_> = cluster.store().objects(Kind::Pod).map(|pod| pod.metadata().name.clone()).collect();
    let now_ms = cluster.store().now_ms();
    for name in names {
        let patch = windlass_sandbox::MetadataPatch {
            remove_finalizer: Some(windlass_core::kube::JOB_TRACKING_FINALIZER),
            ..Default::default()
        };
        cluster
            .request(now_ms, |store| store.patch(Actor("controller"), Kind::Pod, "default", &name, &patch))?;
    }
    Ok(())
}

#[test]
fn a_job_deleted_in_the_background_takes_its_pods_along() -> Outcome {
    let mut cluster = cluster()?;
    job(&mut cluster, 3)?;
    run_until(&mut cluster, 2000);
    delete_job(&mut cluster, Propagation::Background)?;
    assert_eq!(cluster.store().count(Kind::Job), 0);
    run_until(&mut cluster, 60_000);
    assert!(cluster.store().objects(Kind::Pod).all(|pod| pod.metadata().is_terminating()));
    untrack(&mut cluster)?;
    assert_eq!(cluster.store().count(Kind::Pod), 0);
    Ok(())
}

#[test]
fn a_job_deleted_in_the_foreground_goes_after_its_pods() -> Outcome {
    let mut cluster = cluster()?;
    job(&mut cluster, 2)?;
    run_until(&mut cluster, 2000);
    delete_job(&mut cluster, Propagation::Foreground)?;
    run_until(&mut cluster, 60_000);
    assert_eq!((cluster.store().count(Kind::Job), cluster.store().count(Kind::Pod)), (1, 2));
    untrack(&mut cluster)?;
    run_until(&mut cluster, 120_000);
    assert_eq!((cluster.store().count(Kind::Job), cluster.store().count(Kind::Pod)), (0, 0));
    Ok(())
}

#[test]
fn a_job_that_orphans_its_pods_leaves_them_without_owner() -> Outcome {
    let mut cluster = cluster()?;
    job(&mut cluster, 2)?;
    delete_job(&mut cluster, Propagation::Orphan)?;
    assert_eq!(cluster.store().count(Kind::Job), 1);
    run_until(&mut cluster, 60_000);
    assert_eq!((cluster.store().count(Kind::Job), cluster.store().count(Kind::Pod)), (0, 2));
    assert!(cluster.store().objects(Kind::Pod).all(|pod| pod.metadata().owner_references.is_empty()));
    Ok(())
}

#[test]
fn a_pod_made_for_a_job_that_is_gone_is_collected() -> Outcome {
    let mut cluster = cluster()?;
    let job = job(&mut cluster, 0)?;
    delete_job(&mut cluster, Propagation::Background)?;
    let manifest = PreparedTemplate::new(&job)?.pod(SLOT, "pi-late".into());
    cluster.request(0, |store| store.create_pod(Actor("controller"), &manifest))?;
    run_until(&mut cluster, 60_000);
    assert!(cluster.store().objects(Kind::Pod).all(|pod| pod.metadata().is_terminating()));
    Ok(())
}

#[test]
fn a_namespace_that_ends_takes_nothing_new_and_is_emptied() -> Outcome {
    let mut cluster = cluster()?;
    apply(&mut cluster, &pod_text("a", "", "Never"))?;
    run_until(&mut cluster, 2000);
    cluster.request(2000, |store| store.delete_namespace(Actor::USER, "default"))?;
    let refused =
        cluster.request(2000, |store| store.apply_manifest(Actor::USER, &pod_text("b", "", "Never")));
    assert!(matches!(
        refused,
        Err(windlass_sandbox::ApplyError::Refused(status)) if status.code == 403 && status.namespace_terminating
    ));
    run_until(&mut cluster, 60_000);
    assert_eq!(cluster.store().count(Kind::Pod), 0);
    assert_eq!(cluster.store().namespaces().count(), 0);
    Ok(())
}

#[test]
fn the_same_seed_and_requests_give_the_same_history() -> Outcome {
    let history = |seed: u64| -> Result<String, Box<dyn std::error::Error>> {
        let mut options = ClusterOptions::default();
        options.store.seed = seed;
        options.store.record_commits = true;
        let mut cluster = Cluster::new(options);
        cluster.add_node(0, "node-0")?;
        job(&mut cluster, 5)?;
        run_until(&mut cluster, 3000);
        delete_job(&mut cluster, Propagation::Background)?;
        run_until(&mut cluster, 60_000);
        Ok(format!("{:?}", cluster.drain_commits().collect::<Vec<_>>()))
    };
    assert_eq!(history(1)?, history(1)?);
    assert_ne!(history(1)?, history(2)?);
    Ok(())
}
