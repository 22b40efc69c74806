//! The state machine with the native engine on the sandbox, without faults.

use std::sync::Arc;

use windlass_core::kube::{Kind, Object};
use windlass_host::controller::Config;
use windlass_host::engine::native::NativeEngine;
use windlass_host::simulate::driver::Driver;
use windlass_sandbox::Actor;
use windlass_sandbox::cluster::{Cluster, ClusterOptions};

const HOUR_MS: u64 = 3_600_000;

fn run(manifests: &[String]) -> Driver {
    run_on(1, manifests)
}

fn run_on(nodes: usize, manifests: &[String]) -> Driver {
    let mut cluster = Cluster::new(ClusterOptions::default());
    let node =
        |number| format!(r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"node-{number}"}}}}"#);
    let nodes: Vec<String> = (1..=nodes).map(node).collect();
    for manifest in nodes.iter().chain(manifests) {
        cluster
            .request(0, |store| store.apply_manifest(Actor::USER, manifest))
            .expect("the manifest is applied");
    }
    let mut driver = Driver::new(cluster, Arc::new(NativeEngine), Config::default());
    driver.run_until(24 * HOUR_MS, &mut |_, _| {});
    driver
}

fn job(name: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"{name}","namespace":"default"}},
            "spec":{{{spec},"template":{{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#
    )
}

#[test]
fn a_job_of_one_pod_completes_with_six_writes() {
    let driver = run(&[job("pi", r#""backoffLimit":4"#)]);
    let store = driver.cluster().store();
    let Object::Job(pi) = store.get(Kind::Job, "default", "pi").expect("it is there") else {
        panic!("not a Job")
    };
    assert!(pi.is_finished(), "{:#?}", pi.status);
    assert_eq!(pi.status.succeeded, 1);
    let writes: u64 =
        driver.progress().requests.iter().filter(|(what, _)| !what.contains("events")).map(|(_, n)| n).sum();
    assert!(writes <= 6, "{:#?}", driver.progress().requests);
    assert!(driver.progress().at_rest);
}

#[test]
fn an_indexed_job_counts_each_index_once() {
    let driver = run(&[job("work", r#""completions":5,"parallelism":3,"completionMode":"Indexed""#)]);
    let Object::Job(work) = driver.cluster().store().get(Kind::Job, "default", "work").expect("it is there")
    else {
        panic!("not a Job")
    };
    assert_eq!(&*work.status.completed_indexes, "0-4");
    assert_eq!((work.status.succeeded, work.status.failed, work.status.active), (5, 0, 0));
    for pod in driver.cluster().store().objects(Kind::Pod) {
        assert!(pod.metadata().finalizers.is_empty(), "{pod:#?}");
    }
}

#[test]
fn ten_thousand_pods_cost_hardly_more_than_a_create_and_a_patch_each() {
    const PODS: u64 = 10_000;
    let driver = run_on(20, &[job("large", &format!(r#""completions":{PODS},"parallelism":2000"#))]);
    let requests = &driver.progress().requests;
    let count = |what: &str| requests.get(what).copied().unwrap_or(0);
    let statuses = count("update jobs/status");
    assert_eq!((count("create pods"), count("patch pods")), (PODS, PODS));
    assert!(statuses <= PODS * 3 / 100, "{requests:#?} in {} ms", driver.progress().virtual_ms);
    let events = count("create events") + count("patch events");
    assert!(events <= 30, "{requests:#?}");
    let Object::Job(large) =
        driver.cluster().store().get(Kind::Job, "default", "large").expect("it is there")
    else {
        panic!("not a Job")
    };
    assert!(large.is_finished(), "{:#?}", large.status);
    println!("{PODS} Pods: {statuses} status writes, {events} Events, {} ms", driver.progress().virtual_ms);
}

#[test]
fn five_hundred_cron_jobs_of_one_minute_are_all_on_time_and_in_eight_writes_each() {
    const CRON_JOBS: u64 = 500;
    // A Pod that is ready for longer than a batching window would cost its Job another status write.
    let pod = r#"{"metadata":{"annotations":{"sandbox.windlass.dev/run-seconds":"0.2"}},
        "spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}"#;
    let manifest = |number: u64| {
        format!(
            r#"{{"apiVersion":"batch/v1","kind":"CronJob","metadata":{{"name":"tick-{number}","namespace":"default"}},
                "spec":{{"schedule":"0 * * * *","jobTemplate":{{"spec":{{"template":{pod}}}}}}}}}"#
        )
    };
    let mut cluster = Cluster::new(ClusterOptions::default());
    let nodes = (1..=10).map(|number| {
        format!(r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"node-{number}"}}}}"#)
    });
    for manifest in nodes.chain((0..CRON_JOBS).map(manifest)) {
        cluster
            .request(0, |store| store.apply_manifest(Actor::USER, &manifest))
            .expect("the manifest is applied");
    }
    let mut driver = Driver::new(cluster, Arc::new(NativeEngine), Config::default());
    let mut last_created_ms = 0;
    driver.run_until(2 * HOUR_MS - 60_000, &mut |progress, cluster| {
        let late_ms = progress.virtual_ms.saturating_sub(HOUR_MS);
        if late_ms < 60_000 && (cluster.store().objects(Kind::Job).count() as u64) < CRON_JOBS {
            last_created_ms = late_ms;
        }
    });
    assert_eq!(driver.cluster().store().objects(Kind::Job).count() as u64, CRON_JOBS);
    // 500 creates, 24 at once, each 2 ms: nothing else goes before them.
    assert!(last_created_ms <= 60, "the last Job was created {last_created_ms} ms late");
    let requests = &driver.progress().requests;
    let writes: u64 = requests
        .iter()
        .filter(|(what, _)| !what.contains("events") && !what.starts_with("get"))
        .map(|(_, n)| n)
        .sum();
    assert!(writes <= 8 * CRON_JOBS, "{requests:#?}");
    println!("{CRON_JOBS} CronJobs: the last Job {last_created_ms} ms late, {writes} writes");
}

#[test]
fn what_runs_when_a_success_policy_is_met_is_freed_without_being_counted() {
    let manifest = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"race","namespace":"default"},
        "spec":{"completions":3,"parallelism":3,"completionMode":"Indexed",
            "successPolicy":{"rules":[{"succeededCount":1}]},
            "template":{"metadata":{"annotations":{"sandbox.windlass.dev/run-seconds":"10-1000"}},
                "spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}"#;
    let driver = run(&[manifest.to_owned()]);
    let Object::Job(race) = driver.cluster().store().get(Kind::Job, "default", "race").expect("it is there")
    else {
        panic!("not a Job")
    };
    assert!(race.is_finished(), "{:#?}", race.status);
    assert_eq!((race.status.succeeded, race.status.failed), (1, 0));
}
