//! The state machine: watch events a second, whole Jobs a second, what one event of a burst costs from its JSON
//! to the plan, what a cached Pod costs in memory, a Job of 100,000 indexes, and 5,000 CronJobs of one instant.
#![allow(clippy::disallowed_types, reason = "a benchmark reads a clock")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use windlass_core::kube::{Job, Kind, Object, Pod, ResourceVersion};
use windlass_host::Now;
use windlass_host::controller::{Command, Config, Controller, Lane};
use windlass_host::engine::Engine;
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::WasmEngine;
use windlass_host::request::{Flow, Term};
use windlass_host::simulate::driver::Driver;
use windlass_host::watch::{WatchBody, WatchCommand, WatchEvent};
use windlass_sandbox::Actor;
use windlass_sandbox::cluster::{Cluster, ClusterOptions};

const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_767_225_600_000 };
const JOBS: u64 = 100;
/// Events of one burst.
const BURST: u64 = 1_000;
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
    decoded(&pod_json(job, number, version))
}

fn decoded(text: &str) -> Object {
    Object::Pod(Arc::new(serde_json::from_str::<Pod>(text).expect("a Pod")))
}

fn pod_json(job: u64, number: u64, version: u64) -> String {
    format!(
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
    )
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

/// Events of Pods of one Job that arrive within one batching window: from the bytes of the watch to the Job's
/// plan, its check, and the first requests.
fn burst(criterion: &mut Criterion) {
    let texts: Vec<String> = (0..BURST).map(|n| pod_json(0, n, JOBS + 2 + n)).collect();
    let mut group = criterion.benchmark_group("burst");
    group.sample_size(20).throughput(Throughput::Elements(BURST));
    let engines: [(&str, Arc<dyn Engine>); 2] = [
        ("native", Arc::new(NativeEngine)),
        ("wasm", Arc::new(WasmEngine::embedded().expect("a core is built in: run `make core`"))),
    ];
    for (name, engine) in engines {
        group.bench_function(
            format!("{BURST} events of one Job, from JSON to requests, {name}"),
            |bencher| {
                bencher.iter_batched(
                    synced,
                    |(mut controller, stream)| {
                        for text in &texts {
                            let body = WatchBody::Applied(decoded(text));
                            controller.handle_watch(NOW, WatchEvent { kind: Kind::Pod, stream, body });
                        }
                        let later = Now { monotonic_ms: 60_000, unix_ms: NOW.unix_ms + 60_000 };
                        controller.handle_timeout(later);
                        while let Some(run) = controller.poll_run(later, Lane::BuiltIn) {
                            let plan = engine.reconcile(&run.snapshot, &run.policy);
                            controller.handle_run(later, run.id, plan);
                        }
                        let request = controller.poll_request(later, Flow::Write);
                        black_box((controller, request))
                    },
                    BatchSize::LargeInput,
                );
            },
        );
    }
    group.finish();
}

fn finished_driver() -> Driver {
    finished(1_000, 100)
}

/// An Indexed Job after its end, on one node without limits.
fn finished(completions: u64, parallelism: u64) -> Driver {
    let mut cluster = Cluster::new(ClusterOptions::default());
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}}"#;
    let manifest = format!(
        r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"work","namespace":"default"}},
        "spec":{{"completions":{completions},"parallelism":{parallelism},"completionMode":"Indexed",
          "template":{{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#
    );
    for text in [node, &manifest] {
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

fn job_of_100_000_indexes() {
    let began = Instant::now();
    let driver = finished(100_000, 5_000);
    let wall_s = began.elapsed().as_secs_f64();
    let job = driver.cluster().store().objects(Kind::Job).find_map(|object| match object {
        Object::Job(job) => Some(job.clone()),
        _ => None,
    });
    let status = job.expect("the Job").status.clone();
    let steps = driver.progress().steps;
    println!(
        "a Job of 100,000 indexes, parallelism 5,000: {steps} steps in {wall_s:.1} s, native engine and sandbox; \
         succeeded {}, completedIndexes {}",
        status.succeeded, status.completed_indexes
    );
}

/// How late each of 5,000 CronJobs gets its Job that are all due at one instant: milliseconds of the simulated
/// clock, on which a request takes 2 ms and 24 writes are in flight.
fn skew_of_5_000_cron_jobs() {
    const CRON_JOBS: usize = 5_000;
    const DUE_MS: u64 = 3_600_000;
    let mut cluster = Cluster::new(ClusterOptions::default());
    let nodes =
        (1..=50).map(|n| format!(r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"node-{n}"}}}}"#));
    let cron_jobs = (0..CRON_JOBS).map(|n| {
        format!(
            r#"{{"apiVersion":"batch/v1","kind":"CronJob","metadata":{{"name":"tick-{n}","namespace":"default"}},
            "spec":{{"schedule":"0 * * * *","jobTemplate":{{"spec":{{"template":{{"spec":{{"restartPolicy":"Never",
              "containers":[{{"name":"c","image":"i"}}]}}}}}}}}}}}}"#
        )
    });
    for text in nodes.chain(cron_jobs) {
        cluster.request(0, |store| store.apply_manifest(Actor::USER, &text)).expect("it is applied");
    }
    let mut driver = Driver::new(cluster, Arc::new(NativeEngine), Config::default());
    let mut late_ms: Vec<u64> = Vec::new();
    let began = Instant::now();
    driver.run_until(DUE_MS + 30_000, &mut |progress, cluster| {
        if progress.virtual_ms >= DUE_MS && late_ms.len() < CRON_JOBS {
            let created = cluster.store().objects(Kind::Job).count();
            late_ms.resize(created, progress.virtual_ms - DUE_MS);
        }
    });
    let wall_s = began.elapsed().as_secs_f64();
    println!(
        "5,000 CronJobs due at one instant: {} Jobs created, skew p50 {} ms, max {} ms of simulated time; {wall_s:.1} s",
        late_ms.len(),
        late_ms.get(late_ms.len() / 2).copied().unwrap_or(0),
        late_ms.last().copied().unwrap_or(0),
    );
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

criterion_group!(benches, watch_events, burst, whole_jobs);

fn main() {
    // First, while nothing has been freed that the cache could reuse.
    bytes_per_cached_pod();
    job_of_100_000_indexes();
    skew_of_5_000_cron_jobs();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
