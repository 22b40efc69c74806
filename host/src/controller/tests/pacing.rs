//! When a Job is looked at, and how much is gathered.

use windlass_core::kube::Object;

use super::{Harness, job, pod, what};
use crate::key::Key;
use crate::request::Flow;

#[test]
fn readiness_alone_waits_for_the_window_and_an_end_does_not() {
    let ready = |version: u64| {
        let Object::Pod(pod) = pod("p", "work", version, "Running") else { panic!("not a Pod") };
        let mut pod = (*pod).clone();
        let text = r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}"#;
        pod.status = serde_json::from_str(text).expect("a status");
        Object::Pod(pod.into())
    };
    let status = r#""active":1,"ready":0,"terminating":0,"startTime":"2026-01-01T00:00:00Z",
        "uncountedTerminatedPods":{}"#;
    let running = pod("p", "work", 60, "Running");
    let mut harness = Harness::new(vec![job("work", 50, "", "", status)], vec![running]);
    harness.run();
    harness.watched(ready(120));
    assert!(harness.run().is_empty());
    harness.pass(999);
    assert!(harness.run().is_empty());
    harness.watched(pod("p", "work", 130, "Succeeded"));
    assert_eq!(harness.run().len(), 1, "its end is looked at at once");
    assert_eq!(what(&harness.write()), "update jobs/status");
}

#[test]
fn a_change_of_the_job_is_never_delayed() {
    let pods: Vec<_> = (0..2_000).map(|n| pod(&format!("p-{n:04}"), "work", 60, "Running")).collect();
    let large = |version: u64, is_suspended: bool| {
        let Object::Job(job) = job("work", version, "", "", "") else { panic!("not a Job") };
        let mut job = (*job).clone();
        let spec = std::sync::Arc::make_mut(&mut job.spec);
        (spec.parallelism, spec.completions) = (Some(2_000), Some(5_000));
        spec.suspend = Some(is_suspended);
        job.metadata.generation = i64::try_from(version).expect("a small number");
        Object::Job(job.into())
    };
    let mut harness = Harness::new(vec![large(50, false)], pods);
    assert_eq!(harness.run().len(), 1);
    let status = harness.write();
    harness.answer(&status, super::written(&status, 110));
    harness.watched(pod("p-0001", "work", 120, "Running"));
    assert!(harness.run().is_empty(), "a large Job's Pods are gathered");
    harness.watched(large(130, true));
    let runs = harness.run();
    assert_eq!(runs.len(), 1, "the Job itself is not");
    assert!(matches!(runs[0].key, Key::Job(_)));
    assert!(harness.request(Flow::Write).is_some());
}
