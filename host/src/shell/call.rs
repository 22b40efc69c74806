//! From an operation to the HTTP request that carries it out.

use http::Method;
use serde_json::{Value, json};
use windlass_core::kube::{
    ApiStatus, CONTROLLER_REVISION_HASH_LABEL, JOB_TRACKING_FINALIZER, JobManifest, Kind, ObjectMeta,
    OwnerReference, PodManifest, ResourceVersion, Uid,
};

use crate::request::{DaemonSetOperation, EventManifest, ObjectRef, Operation};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC_MERGE: &str = "application/strategic-merge-patch+json";

/// One HTTP request, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// HTTP method.
    pub(super) method: Method,
    /// Path below the server's URL.
    pub(super) path: String,
    /// Type of the body, where there is one.
    pub(super) content_type: Option<&'static str>,
    /// Body.
    pub(super) body: String,
    /// Kind of the object in the answer, where it is of use.
    pub(super) answer: Option<Kind>,
}

impl Call {
    /// The request for `operation`; `instance` names this process in Events.
    ///
    /// # Errors
    /// A refusal in the API server's form where the operation cannot be put in words: it would be refused.
    pub(super) fn new(operation: &Operation, instance: &str) -> Result<Self, ApiStatus> {
        let write = |method, path, content_type, body: Value, answer| Self {
            method,
            path,
            content_type: Some(content_type),
            body: body.to_string(),
            answer: Some(answer),
        };
        let patch = |pod: &ObjectRef, body| {
            write(Method::PATCH, object_path(Kind::Pod, pod), STRATEGIC_MERGE, body, Kind::Pod)
        };
        Ok(match operation {
            Operation::CreatePod(manifest) => Self::create_pod(manifest)?,
            Operation::CreateJob(manifest) => Self::create_job(manifest)?,
            Operation::UntrackPod { pod, resource_version } => patch(pod, untrack(pod, *resource_version)),
            Operation::AdoptPod { pod, owner, resource_version } => {
                patch(pod, adopt(pod, owner, *resource_version))
            }
            Operation::ReleasePod { pod, owner, resource_version } => {
                patch(pod, release(pod, owner, *resource_version))
            }
            Operation::DeletePod(pod) => {
                let body =
                    json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": pod.uid}});
                write(Method::DELETE, object_path(Kind::Pod, pod), JSON, body, Kind::Pod)
            }
            Operation::DeleteJob { job, pods } => {
                let body = json!({
                    "kind": "DeleteOptions",
                    "apiVersion": "v1",
                    "preconditions": {"uid": job.uid},
                    "propagationPolicy": pods.name(),
                });
                write(Method::DELETE, object_path(Kind::Job, job), JSON, body, Kind::Job)
            }
            Operation::WriteJobStatus(job) => {
                let body = status(Kind::Job, &job.metadata, json!(job.status));
                write(Method::PUT, status_path(Kind::Job, &job.metadata), JSON, body, Kind::Job)
            }
            Operation::WriteCronJobStatus(cron_job) => {
                let body = status(Kind::CronJob, &cron_job.metadata, json!(cron_job.status));
                write(Method::PUT, status_path(Kind::CronJob, &cron_job.metadata), JSON, body, Kind::CronJob)
            }
            Operation::DaemonSet(operation) => Self::daemon_set(operation)?,
            Operation::Get { kind, namespace, name } => Self {
                method: Method::GET,
                path: path(*kind, namespace, name),
                content_type: None,
                body: String::new(),
                answer: Some(*kind),
            },
            Operation::RecordEvent(event) if event.count > 1 => Self {
                method: Method::PATCH,
                path: format!("/apis/events.k8s.io/v1/namespaces/{}/events/{}", event.namespace, event.name),
                content_type: Some(MERGE),
                body: series_body(event).to_string(),
                answer: None,
            },
            Operation::RecordEvent(event) => Self {
                method: Method::POST,
                path: format!("/apis/events.k8s.io/v1/namespaces/{}/events", event.namespace),
                content_type: Some(JSON),
                body: event_body(event, instance).to_string(),
                answer: None,
            },
        })
    }

    fn daemon_set(operation: &DaemonSetOperation) -> Result<Self, ApiStatus> {
        let (kind, name) = operation.target();
        let target = path(kind, &name.namespace, &name.name);
        let (method, path, content_type, body) = match operation {
            DaemonSetOperation::Adopt { object, owner, resource_version, .. } => {
                let metadata = json!({
                    "uid": object.uid,
                    "resourceVersion": resource_version.to_string(),
                    "ownerReferences": [owner],
                });
                (Method::PATCH, target, STRATEGIC_MERGE, json!({ "metadata": metadata }))
            }
            DaemonSetOperation::Release { object, owner, .. } => {
                let gone = json!([{"$patch": "delete", "uid": owner}]);
                let metadata = json!({ "uid": object.uid, "ownerReferences": gone });
                (Method::PATCH, target, STRATEGIC_MERGE, json!({ "metadata": metadata }))
            }
            DaemonSetOperation::Label { object, hash, .. } => {
                let labels = json!({ CONTROLLER_REVISION_HASH_LABEL: hash });
                let metadata = json!({ "uid": object.uid, "labels": labels });
                (Method::PATCH, target, MERGE, json!({ "metadata": metadata }))
            }
            DaemonSetOperation::RenumberRevision { revision, number, resource_version } => {
                let metadata =
                    json!({ "uid": revision.uid, "resourceVersion": resource_version.to_string() });
                (Method::PATCH, target, MERGE, json!({ "metadata": metadata, "revision": number }))
            }
            DaemonSetOperation::CreateRevision(manifest) => {
                let refused = |fault: serde_json::Error| ApiStatus::new(422, "Invalid", fault.to_string());
                return Ok(Self {
                    method: Method::POST,
                    path: format!("{}/namespaces/{}/{}", group_path(kind), name.namespace, kind.resource()),
                    content_type: Some(JSON),
                    // The data has to reach the server to the byte.
                    body: manifest.to_json().map_err(refused)?,
                    answer: Some(kind),
                });
            }
            DaemonSetOperation::DeleteRevision(revision) => {
                let preconditions = json!({ "uid": revision.uid });
                let body =
                    json!({ "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions });
                (Method::DELETE, target, JSON, body)
            }
            DaemonSetOperation::WriteStatus(set) => {
                let body = status(kind, &set.metadata, json!(set.status));
                (Method::PUT, status_path(kind, &set.metadata), JSON, body)
            }
        };
        let body = body.to_string();
        Ok(Self { method, path, content_type: Some(content_type), body, answer: Some(kind) })
    }

    fn create_pod(manifest: &PodManifest) -> Result<Self, ApiStatus> {
        let body = manifest.to_json().map_err(|fault| ApiStatus::new(422, "Invalid", fault.to_string()))?;
        Ok(Self {
            method: Method::POST,
            path: format!("/api/v1/namespaces/{}/pods", manifest.metadata.namespace),
            content_type: Some(JSON),
            body,
            answer: Some(Kind::Pod),
        })
    }

    fn create_job(manifest: &JobManifest) -> Result<Self, ApiStatus> {
        let body = manifest.to_json().map_err(|fault| ApiStatus::new(422, "Invalid", fault.to_string()))?;
        Ok(Self {
            method: Method::POST,
            path: format!("/apis/batch/v1/namespaces/{}/jobs", manifest.metadata.namespace),
            content_type: Some(JSON),
            body,
            answer: Some(Kind::Job),
        })
    }
}

/// Path of the collection of `kind` in all namespaces.
pub(super) fn collection_path(kind: Kind) -> String {
    format!("{}/{}", group_path(kind), kind.resource())
}

fn group_path(kind: Kind) -> &'static str {
    match kind {
        Kind::CronJob | Kind::Job => "/apis/batch/v1",
        Kind::Pod | Kind::Node => "/api/v1",
        Kind::DaemonSet | Kind::ControllerRevision => "/apis/apps/v1",
    }
}

fn path(kind: Kind, namespace: &str, name: &str) -> String {
    let (group, resource) = (group_path(kind), kind.resource());
    match kind {
        Kind::CronJob | Kind::Job | Kind::Pod | Kind::DaemonSet | Kind::ControllerRevision => {
            format!("{group}/namespaces/{namespace}/{resource}/{name}")
        }
        Kind::Node => format!("{group}/{resource}/{name}"),
    }
}

fn object_path(kind: Kind, object: &ObjectRef) -> String {
    path(kind, &object.namespace, &object.name)
}

fn untrack(pod: &ObjectRef, version: Option<ResourceVersion>) -> Value {
    let mut metadata = json!({
        "uid": pod.uid,
        "$deleteFromPrimitiveList/finalizers": [JOB_TRACKING_FINALIZER],
    });
    if let Some(version) = version {
        metadata["resourceVersion"] = version.to_string().into();
    }
    json!({ "metadata": metadata })
}

fn adopt(pod: &ObjectRef, owner: &OwnerReference, version: ResourceVersion) -> Value {
    json!({"metadata": {
        "uid": pod.uid,
        "resourceVersion": version.to_string(),
        "ownerReferences": [owner],
        "finalizers": [JOB_TRACKING_FINALIZER],
    }})
}

fn release(pod: &ObjectRef, owner: &Uid, version: ResourceVersion) -> Value {
    json!({"metadata": {
        "uid": pod.uid,
        "resourceVersion": version.to_string(),
        "ownerReferences": [{"$patch": "delete", "uid": owner}],
        "$deleteFromPrimitiveList/finalizers": [JOB_TRACKING_FINALIZER],
    }})
}

fn status_path(kind: Kind, metadata: &ObjectMeta) -> String {
    format!("{}/status", path(kind, &metadata.namespace, &metadata.name))
}

/// An object without its spec: the status subresource keeps the stored one whatever is sent, but takes metadata
/// as it comes, so all of it is sent back.
fn status(kind: Kind, metadata: &ObjectMeta, status: Value) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "metadata": metadata,
        "status": status,
    })
}

fn event_body(event: &EventManifest, instance: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": event.name, "namespace": event.namespace},
        "eventTime": micro_time(event.unix_ms),
        "reportingController": event.controller(),
        "reportingInstance": instance,
        // The API demands one; upstream's Events, of the older form, have none.
        "action": event.reason,
        "reason": event.reason,
        "note": event.message,
        "type": if event.warning { "Warning" } else { "Normal" },
        "regarding": {
            "apiVersion": event.kind.api_version(),
            "kind": event.kind.name(),
            "namespace": event.regarding.namespace,
            "name": event.regarding.name,
            "uid": event.regarding.uid,
            "resourceVersion": event.resource_version.to_string(),
        },
    })
}

/// What is added to an Event that has happened again; its note may not be changed.
fn series_body(event: &EventManifest) -> Value {
    json!({"series": {"count": event.count, "lastObservedTime": micro_time(event.unix_ms)}})
}

/// A metav1.MicroTime: RFC 3339 with six digits of the second.
fn micro_time(unix_ms: i64) -> String {
    let seconds = windlass_core::kube::Time::from_unix_ms(unix_ms).to_string();
    let fraction = unix_ms.rem_euclid(1000);
    format!("{}.{fraction:03}000Z", seconds.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_core::kube::{CronJob, Job, JobStatus};

    use super::*;
    use crate::request::Propagation;

    fn pod() -> ObjectRef {
        ObjectRef { namespace: "a".into(), name: "p-1".into(), uid: "u-1".into() }
    }

    fn delete_job(pods: Propagation) -> Operation {
        Operation::DeleteJob { job: pod(), pods }
    }

    fn body(operation: &Operation) -> Value {
        let call = Call::new(operation, "host").expect("a request");
        serde_json::from_str(&call.body).expect("JSON")
    }

    #[test]
    fn every_delete_and_patch_carries_the_uid() {
        let owner = OwnerReference { uid: "j-1".into(), ..OwnerReference::default() };
        for operation in [
            Operation::UntrackPod { pod: pod(), resource_version: None },
            Operation::AdoptPod { pod: pod(), owner, resource_version: ResourceVersion(7) },
            Operation::ReleasePod { pod: pod(), owner: "j-1".into(), resource_version: ResourceVersion(7) },
        ] {
            assert_eq!(body(&operation)["metadata"]["uid"], "u-1", "{operation:?}");
        }
        for operation in [Operation::DeletePod(pod()), delete_job(Propagation::Background)] {
            assert_eq!(body(&operation)["preconditions"]["uid"], "u-1", "{operation:?}");
        }
    }

    #[test]
    fn the_delete_of_a_job_says_what_becomes_of_its_pods() {
        for (pods, name) in [(Propagation::Foreground, "Foreground"), (Propagation::Background, "Background")]
        {
            assert_eq!(body(&delete_job(pods))["propagationPolicy"], name);
        }
    }

    #[test]
    fn a_finalizer_goes_by_a_strategic_merge_patch() {
        let operation = Operation::UntrackPod { pod: pod(), resource_version: Some(ResourceVersion(7)) };
        let call = Call::new(&operation, "host").expect("a request");
        assert_eq!(
            (call.method, &*call.path, call.content_type),
            (Method::PATCH, "/api/v1/namespaces/a/pods/p-1", Some("application/strategic-merge-patch+json"))
        );
        let expected = json!({"metadata": {
            "uid": "u-1",
            "resourceVersion": "7",
            "$deleteFromPrimitiveList/finalizers": ["batch.kubernetes.io/job-tracking"],
        }});
        assert_eq!(serde_json::from_str::<Value>(&call.body).expect("JSON"), expected);
    }

    #[test]
    fn a_status_write_leaves_out_the_spec_and_carries_the_version() {
        let metadata = ObjectMeta {
            name: "j".into(),
            namespace: "a".into(),
            resource_version: ResourceVersion(9),
            ..ObjectMeta::default()
        };
        let job = Job { metadata, status: JobStatus { active: 2, ..JobStatus::default() }, ..Job::default() };
        let operation = Operation::WriteJobStatus(Arc::new(job));
        let call = Call::new(&operation, "host").expect("a request");
        assert_eq!(call.path, "/apis/batch/v1/namespaces/a/jobs/j/status");
        let body = body(&operation);
        assert_eq!(
            (&body["metadata"]["resourceVersion"], &body["status"]["active"]),
            (&json!("9"), &json!(2))
        );
        assert!(body.get("spec").is_none());
        let metadata = ObjectMeta { name: "c".into(), namespace: "a".into(), ..ObjectMeta::default() };
        let operation = Operation::WriteCronJobStatus(Arc::new(CronJob { metadata, ..CronJob::default() }));
        let call = Call::new(&operation, "host").expect("a request");
        assert_eq!(call.path, "/apis/batch/v1/namespaces/a/cronjobs/c/status");
        assert!(!call.body.contains("spec"), "{}", call.body);
    }

    #[test]
    fn an_event_is_dated_to_the_millisecond_and_counted_in_a_series() {
        let event = EventManifest {
            name: "j.1".into(),
            namespace: "a".into(),
            kind: Kind::Job,
            regarding: pod(),
            resource_version: ResourceVersion(3),
            warning: true,
            reason: "FailedCreate".into(),
            message: "no quota".into(),
            unix_ms: 1_700_000_000_042,
            count: 1,
        };
        let again = EventManifest { count: 3, ..event.clone() };
        let body = body(&Operation::RecordEvent(Arc::new(event)));
        assert_eq!(body["eventTime"], "2023-11-14T22:13:20.042000Z");
        assert_eq!(body["note"], "no quota");
        assert_eq!(
            (&body["type"], &body["reportingController"]),
            (&json!("Warning"), &json!("job-controller"))
        );
        let call = Call::new(&Operation::RecordEvent(Arc::new(again)), "host").expect("a request");
        let expected = json!({"series": {"count": 3, "lastObservedTime": "2023-11-14T22:13:20.042000Z"}});
        assert_eq!(
            (call.method, &*call.path),
            (Method::PATCH, "/apis/events.k8s.io/v1/namespaces/a/events/j.1")
        );
        assert_eq!(serde_json::from_str::<Value>(&call.body).expect("JSON"), expected);
    }

    #[test]
    fn a_template_without_a_pods_spec_is_refused_before_it_is_sent() {
        let spec = serde_json::value::to_raw_value("no object").expect("JSON");
        let manifest =
            PodManifest { metadata: ObjectMeta::default(), spec: spec.into(), hostname: Some("h".into()) };
        let refusal = Call::new(&Operation::CreatePod(Arc::new(manifest)), "host").expect_err("a refusal");
        assert_eq!((refusal.code, &*refusal.reason), (422, "Invalid"));
    }
}
