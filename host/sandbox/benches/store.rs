//! What a write costs: one Pod's status among many, and whole lives of Pods with everything around them.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use windlass_core::kube::{JOB_TRACKING_FINALIZER, Kind, Object, PodPhase, PreparedTemplate};
use windlass_core::plan::PodSlot;
use windlass_sandbox::cluster::{Cluster, ClusterOptions};
use windlass_sandbox::{Actor, Applied, DeleteOptions, MetadataPatch, Propagation, Store};

const CONTROLLER: Actor = Actor("controller");
const JOB: &str = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"pi"},
    "spec":{"completionMode":"Indexed","completions":100,"parallelism":100,"template":{
    "metadata":{"labels":{"app":"pi","tier":"batch"},"annotations":{"sandbox.windlass.dev/run-seconds":"5-10"}},
    "spec":{"restartPolicy":"Never","containers":[{"name":"pi","image":"perl:5.34.0",
    "command":["perl","-Mbignum=bpi","-wle","print bpi(2000)"]}]}}}}"#;

fn create_pods(store: &mut Store, pods: u32) -> Option<()> {
    let Applied::Object(Object::Job(job)) = store.apply_manifest(Actor::USER, JOB).ok()? else { return None };
    let template = PreparedTemplate::new(&job).ok()?;
    for index in 0..pods {
        let slot = PodSlot { index: Some(index), index_failures: None, index_ignored_failures: None };
        store.create_pod(CONTROLLER, &template.pod(slot, format!("pi-{index}-abcde").into())).ok()?;
    }
    Some(())
}

/// Runs a Job's Pods from creation to removal; how many requests and events of the surroundings that were.
fn lives(pods: u32) -> Option<u64> {
    let mut options = ClusterOptions::default();
    options.store.record_commits = true;
    let mut cluster = Cluster::new(options);
    for node in 0..3 {
        cluster.add_node(0, &format!("node-{node}")).ok()?;
    }
    cluster.request(0, |store| create_pods(store, pods))?;
    let mut steps = u64::from(pods);
    while let Some(now_ms) = cluster.next_wake() {
        steps += u64::try_from(cluster.advance(now_ms)).ok()?;
        let ended: Vec<_> = cluster
            .drain_commits()
            .filter_map(|commit| match (commit.before, commit.after) {
                (Some(Object::Pod(old)), Some(Object::Pod(new)))
                    if !old.is_terminal() && new.is_terminal() =>
                {
                    Some(new)
                }
                _ => None,
            })
            .collect();
        for pod in ended {
            let patch = MetadataPatch {
                uid: Some(&pod.metadata.uid),
                remove_finalizer: Some(JOB_TRACKING_FINALIZER),
                ..MetadataPatch::default()
            };
            let name = &pod.metadata.name;
            cluster
                .request(now_ms, |store| store.patch(CONTROLLER, Kind::Pod, "default", name, &patch))
                .ok()?;
            steps += 1;
        }
    }
    let now_ms = cluster.store().now_ms();
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    cluster.request(now_ms, |store| store.delete(Actor::USER, Kind::Job, "default", "pi", &options)).ok()?;
    while let Some(now_ms) = cluster.next_wake() {
        steps += u64::try_from(cluster.advance(now_ms)).ok()?;
    }
    (cluster.store().count(Kind::Pod) == 0).then_some(steps)
}

fn status_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    for pods in [100_u32, 10_000] {
        let mut store = Store::new(windlass_sandbox::StoreOptions::default());
        create_pods(&mut store, pods);
        let mut index = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("pod status among {pods}"), |bencher| {
            bencher.iter(|| {
                index = (index + 7) % pods;
                let Ok(Object::Pod(pod)) = store.get(Kind::Pod, "default", &format!("pi-{index}-abcde"))
                else {
                    return;
                };
                let mut pod = pod.as_ref().clone();
                let status = Arc::make_mut(&mut pod.status);
                status.phase = match status.phase {
                    PodPhase::Running => PodPhase::Pending,
                    _ => PodPhase::Running,
                };
                std::hint::black_box(store.update_pod_status(Actor::KUBELET, &pod).is_ok());
            });
        });
    }
    group.finish();
}

fn pod_lives(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cluster");
    let steps = lives(100);
    group.throughput(Throughput::Elements(steps.unwrap_or(0)));
    group.bench_function("steps of 100 pods from creation to removal", |bencher| {
        bencher.iter(|| assert_eq!(lives(100), steps));
    });
    group.finish();
}

criterion_group!(benches, status_write, pod_lives);
criterion_main!(benches);
