//! The state machine: watch events a second, whole Jobs a second, and what a cached Pod costs in memory.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use windlass_core::kube::{Job, Kind, Object, Pod, ResourceVersion};
use windlass_host::Now;
use windlass_host::controller::{Command, Config, Controller};
use windlass_host::engine::native::NativeEngine;
use windlass_host::request::Term;
use windlass_host::simulate::driver::Driver;
use windlass_host::watch::{WatchBody, WatchCommand, WatchEvent};
use windlass_sandbox::Actor;
use windlass_sandbox::cluster::{Cluster, ClusterOptions};

const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_767_225_600_000 };
const JOBS: u64 = 100;
const PODS_OF_A_JOB: u64 = 100;
/// Pods cached to measure what one costs.
const CACHED_PODS: u64 = 100_000;

fn job(number: u64) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"job-{number}","namespace":"default","uid":"job-uid-{number}","resourceVersion":"{}",
            "creationTimestamp":"2026-01-01T00:00:00Z","generation":1}},
            "spec":{{"parallelism":{PODS_OF_A_JOB},"completions":{PODS_OF_A_JOB},"backoffLimit":6,
              "selector":{{"matchLabels":{{"batch.kubernetes.io/controller-uid":"job-uid-{number}"}}}},
              "template":{{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#,
        number + 1
    );
    Object::Job(Arc::new(serde_json::from_str::<Job>(&text).expect("a Job")))
}

/// A running Pod with the fields that a kubelet reports, decoded from JSON as a watch does it.
fn pod(job: u64, number: u64, version: u64) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"job-{job}-{number:05}","generateName":"job-{job}-","namespace":"default",
            "uid":"00000000-0000-4000-8000-{version:012}","resourceVersion":"{version}",
            "creationTimestamp":"2026-01-01T00:00:00Z","finalizers":["batch.kubernetes.io/job-tracking"],
            "labels":{{"batch.kubernetes.io/controller-uid":"job-uid-{job}","batch.kubernetes.io/job-name":"job-{job}",
              "controller-uid":"job-uid-{job}","job-name":"job-{job}"}},
            "ownerReferences":[{{"apiVersion":"batch/v1","kind":"Job","name":"job-{job}","uid":"job-uid-{job}",
              "controller":true,"blockOwnerDeletion":true}}]}},
          "spec":{{"nodeName":"node-{}","restartPolicy":"Never","containers":[{{"name":"c","image":"i"}}]}},
          "status":{{"phase":"Running","startTime":"2026-01-01T00:00:01Z",
            "conditions":[{{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:02Z"}},
              {{"type":"PodScheduled","status":"True","lastTransitionTime":"2026-01-01T00:00:01Z"}}],
            "containerStatuses":[{{"name":"c","ready":true,"restartCount":0,"state":{{}}}}]}}}}"#,
        number % 50
    );
    Object::Pod(Arc::new(serde_json::from_str::<Pod>(&text).expect("a Pod")))
}

/// A machine whose caches hold [`JOBS`] Jobs and no Pod, and the stream of its Pod watch.
fn synced() -> (Controller, windlass_host::watch::StreamId) {
    let mut controller = Controller::new(Config::default());
    controller.handle_command(NOW, Command::Lead(Term(1)));
    let mut pods = None;
    while let Some(command) = controller.poll_watch() {
        match command {
            WatchCommand::List { kind, stream } => {
                let objects = if kind == Kind::Job { (0..JOBS).map(job).collect() } else { Vec::new() };
                controller.handle_watch(NOW, WatchEvent { kind, stream, body: WatchBody::Page(objects) });
                let body = WatchBody::ListDone(ResourceVersion(JOBS + 1));
                controller.handle_watch(NOW, WatchEvent { kind, stream, body });
            }
            WatchCommand::Watch { kind: Kind::Pod, stream, .. } => pods = Some(stream),
            WatchCommand::Watch { .. } | WatchCommand::Stop { .. } => {}
        }
    }
    (controller, pods.expect("Pods are watched"))
}

fn watch_events(criterion: &mut Criterion) {
    let events: Vec<Object> =
        (0..JOBS * PODS_OF_A_JOB).map(|n| pod(n % JOBS, n / JOBS, JOBS + 2 + n)).collect();
    let mut group = criterion.benchmark_group("state machine");
    group.sample_size(20).throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("10,000 watch events into the cache and the queue", |bencher| {
        bencher.iter_batched(
            synced,
            |(mut controller, stream)| {
                for object in &events {
                    let body = WatchBody::Applied(object.clone());
                    controller.handle_watch(NOW, WatchEvent { kind: Kind::Pod, stream, body });
                }
                black_box(controller)
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn finished_driver() -> Driver {
    let mut cluster = Cluster::new(ClusterOptions::default());
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}}"#;
    let manifest = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"work","namespace":"default"},
        "spec":{"completions":1000,"parallelism":100,"completionMode":"Indexed",
          "template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}"#;
    for text in [node, manifest] {
        cluster.request(0, |store| store.apply_manifest(Actor::USER, text)).expect("it is applied");
    }
    let mut driver = Driver::new(cluster, Arc::new(NativeEngine), Config::default());
    driver.run_until(24 * 3_600_000, &mut |_, _| {});
    driver
}

fn whole_jobs(criterion: &mut Criterion) {
    let steps = finished_driver().progress().steps;
    let mut group = criterion.benchmark_group("state machine and sandbox");
    group.sample_size(10).throughput(Throughput::Elements(steps));
    group.bench_function("steps of an Indexed Job with 1,000 completions, native engine", |bencher| {
        bencher.iter(|| black_box(finished_driver()));
    });
    group.finish();
}

/// Resident memory of this process, bytes (Linux only).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

fn bytes_per_cached_pod() {
    let (mut controller, stream) = synced();
    let before = resident_bytes();
    for n in 0..CACHED_PODS {
        let body = WatchBody::Applied(pod(n % JOBS, n / JOBS, JOBS + 2 + n));
        controller.handle_watch(NOW, WatchEvent { kind: Kind::Pod, stream, body });
    }
    assert_eq!(controller.cache().pod_count() as u64, CACHED_PODS);
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        println!(
            "state machine: {} bytes a cached pod ({CACHED_PODS} running Pods, resident memory of the process)",
            after.saturating_sub(before) / CACHED_PODS
        );
    }
}

criterion_group!(benches, watch_events, whole_jobs);

fn main() {
    // First, while nothing has been freed that the cache could reuse.
    bytes_per_cached_pod();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
