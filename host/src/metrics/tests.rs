//! Metrics held to upstream's by name, type, labels and what they count.

use std::sync::Arc;

use windlass_core::kube::{CompletionMode, JobCondition, JobSpec};

use super::*;
use crate::key::{Key, Name};

#[test]
fn a_job_that_ends_is_counted_once_under_upstreams_names() {
    let metrics = Metrics::new("1.2.3", "native");
    let before = Job::default();
    let complete = JobCondition {
        kind: "Complete".into(),
        status: ConditionStatus::True,
        reason: "CompletionsReached".into(),
        ..JobCondition::default()
    };
    let status = JobStatus { succeeded: 3, conditions: [complete].into(), ..JobStatus::default() };
    let after = Arc::new(Job { status, ..Job::default() });
    metrics.notice(&Notice::StatusWritten { before: Arc::new(before), after: after.clone() });
    metrics.notice(&Notice::StatusWritten { before: after.clone(), after });
    let text = metrics.encode();
    for line in [
        "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\",reason=\"CompletionsReached\"} 1",
        "job_controller_job_pods_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\"} 3",
        "windlass_build_info{version=\"1.2.3\",engine=\"native\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

/// Upstream's metrics by name, type and labels (pkg/controller/job/metrics/metrics.go and
/// pkg/controller/ttlafterfinished/metrics/metrics.go of 1.37.1), less their suffixes.
const UPSTREAM: [(&str, &str, &[&str]); 12] = [
    ("job_controller_job_sync_duration_seconds", "histogram", &["completion_mode", "result", "action"]),
    ("job_controller_job_syncs", "counter", &["completion_mode", "result", "action"]),
    ("job_controller_jobs_finished", "counter", &["completion_mode", "result", "reason"]),
    ("job_controller_jobs_by_external_controller", "counter", &["controller_name"]),
    ("job_controller_job_pods_finished", "counter", &["completion_mode", "result"]),
    ("job_controller_pod_failures_handled_by_failure_policy", "counter", &["action"]),
    ("job_controller_terminated_pods_tracking_finalizer", "counter", &["event"]),
    ("job_controller_job_finished_indexes", "counter", &["status", "backoffLimit"]),
    ("job_controller_job_pods_creation", "counter", &["reason", "status"]),
    ("job_controller_stale_sync_skips", "counter", &["group", "resource"]),
    ("ttl_after_finished_controller_job_deletion_duration_seconds", "histogram", &[]),
    ("cronjob_controller_job_creation_skew_duration_seconds", "histogram", &[]),
];

fn key() -> Key {
    Key::Job(Name { namespace: "default".into(), name: "work".into() })
}

fn metrics_of_everything() -> Metrics {
    let metrics = Metrics::new("1", "native");
    let indexed = |completed: &str, failed: &str| {
        let spec = JobSpec {
            completions: Some(9),
            completion_mode: Some(CompletionMode::Indexed),
            backoff_limit_per_index: Some(1),
            ..JobSpec::default()
        };
        let status = JobStatus {
            completed_indexes: completed.into(),
            failed_indexes: Some(failed.into()),
            conditions: [JobCondition {
                kind: "Failed".into(),
                reason: "FailedIndexes".into(),
                ..JobCondition::default()
            }]
            .into(),
            ..JobStatus::default()
        };
        Arc::new(Job { spec: Arc::new(spec), status, ..Job::default() })
    };
    let job = |action| Some(JobSync { indexed: true, action, took_ms: 5 });
    for notice in [
        Notice::Synced { key: key(), succeeded: true, job: job(SyncAction::PodsCreated) },
        Notice::Synced { key: key(), succeeded: false, job: job(SyncAction::Tracking) },
        Notice::StatusWritten { before: Arc::new(Job::default()), after: indexed("0-3", "5") },
        Notice::PodCreation { reason: Creation::AfterFailed, succeeded: false },
        Notice::FailureHandled { action: "FailJob" },
        Notice::ManagedElsewhere { name: key().name().clone(), by: "example.com/other".into() },
        Notice::JobExpired { key: key(), late_ms: 250 },
        Notice::JobScheduled { key: key(), late_ms: 2_000 },
    ] {
        metrics.notice(&notice);
    }
    let stats = Stats {
        held_pods_added: 3,
        held_pods_deleted: 2,
        held_runs: 1,
        notices_dropped: 4,
        ..Stats::default()
    };
    let mut queue = Queue::default();
    queue.add(&key(), 0);
    metrics.state(&stats, &Cache::default(), &queue, true);
    metrics
}

#[test]
fn upstreams_metrics_are_there_by_name_type_and_labels() {
    let text = metrics_of_everything().encode();
    for (name, kind, labels) in UPSTREAM {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is not a {kind} in\n{text}");
        let suffix = if kind == "counter" { "_total" } else { "_count" };
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{suffix}")));
        let line = line.unwrap_or_else(|| panic!("{name}{suffix} is not in\n{text}"));
        let found =
            line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(all, _)| all);
        let found: Vec<&str> = found.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect();
        assert_eq!(found, labels, "{line}");
    }
}

#[test]
fn each_of_upstreams_metrics_counts_what_happened() {
    let text = metrics_of_everything().encode();
    for line in [
        r#"job_controller_job_syncs_total{completion_mode="Indexed",result="success",action="pods_created"} 1"#,
        r#"job_controller_job_syncs_total{completion_mode="Indexed",result="error",action="tracking"} 1"#,
        r#"job_controller_jobs_finished_total{completion_mode="Indexed",result="failed",reason="FailedIndexes"} 1"#,
        r#"job_controller_job_pods_finished_total{completion_mode="Indexed",result="succeeded"} 4"#,
        r#"job_controller_job_finished_indexes_total{status="succeeded",backoffLimit="perIndex"} 4"#,
        r#"job_controller_job_finished_indexes_total{status="failed",backoffLimit="perIndex"} 1"#,
        r#"job_controller_job_pods_creation_total{reason="recreate_failed",status="failed"} 1"#,
        r#"job_controller_pod_failures_handled_by_failure_policy_total{action="FailJob"} 1"#,
        r#"job_controller_jobs_by_external_controller_total{controller_name="example.com/other"} 1"#,
        r#"job_controller_terminated_pods_tracking_finalizer_total{event="add"} 3"#,
        r#"job_controller_terminated_pods_tracking_finalizer_total{event="delete"} 2"#,
        r#"job_controller_stale_sync_skips_total{group="",resource="pods"} 1"#,
        "windlass_notices_dropped_total 4",
        r#"workqueue_adds_total{name="job"} 1"#,
        r#"workqueue_depth{name="job"} 1"#,
        "ttl_after_finished_controller_job_deletion_duration_seconds_sum 0.25",
        "cronjob_controller_job_creation_skew_duration_seconds_sum 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // Upstream's buckets: 15 from 4 ms, 14 from 100 ms and 10 from 1 s, each twice the one before.
    let buckets =
        |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}_bucket"))).count();
    assert_eq!(buckets("job_controller_job_sync_duration_seconds"), 2 * 16);
    assert_eq!(buckets("ttl_after_finished_controller_job_deletion_duration_seconds"), 15);
    assert_eq!(buckets("cronjob_controller_job_creation_skew_duration_seconds"), 11);
}

/// The only metric of upstream's DaemonSet controller besides those of its workqueue (pkg/controller/daemon/metrics of
/// 1.37.1) counts what does not happen here; see docs/differences.md.
#[test]
fn of_daemon_sets_the_workqueue_is_told_under_upstreams_name() {
    let metrics = Metrics::new("1", "native");
    let key = Key::DaemonSet(key().name().clone());
    let mut queue = Queue::default();
    queue.add(&key, 0);
    assert_eq!(queue.take(0), Some(key.clone()));
    queue.failed(&key, 0);
    metrics.state(&Stats::default(), &Cache::default(), &queue, true);
    let text = metrics.encode();
    for (metric, number) in [("adds_total", 2), ("depth", 1), ("retries_total", 1)] {
        let line = format!(r#"workqueue_{metric}{{name="daemonset"}} {number}"#);
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("daemonset_controller"), "nothing is told that never happens");
}

#[test]
fn a_request_without_an_answer_has_a_code_of_its_own() {
    let metrics = Metrics::new("1", "native");
    metrics.request("create pods", Some(201), 0.01);
    metrics.request("create pods", None, 30.0);
    let text = metrics.encode();
    for code in ["201", "<error>"] {
        let line = format!("windlass_requests_total{{verb=\"create\",resource=\"pods\",code=\"{code}\"}} 1");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}
