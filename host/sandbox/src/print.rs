//! The JSON edge, outwards: whole objects as `kubectl get -o json` shows them.

use serde_json::{Map, Value, json};
use windlass_core::kube::{ContainerStatus, Node, Object, Pod, PodPhase};

use crate::body::{Body, Container, NodeBody, PodBody};
use crate::{Event, Store};

impl Store {
    /// The whole of `object` as JSON, its spec included where the store has or recently had the object.
    ///
    /// What the sandbox does not model is left out: managed fields, addresses, images' digests.
    #[must_use]
    pub fn to_json(&self, object: &Object) -> Value {
        let metadata = object.metadata();
        let stored = self.body_of(object);
        let mut whole = match (object, stored) {
            (Object::CronJob(cron_job), _) => value(cron_job.as_ref()),
            (Object::Job(job), _) => value(job.as_ref()),
            (Object::DaemonSet(set), _) => value(set.as_ref()),
            (Object::ControllerRevision(revision), _) => value(revision.as_ref()),
            (Object::Pod(pod), Some(Body::Pod(body))) => pod_json(pod, body),
            (Object::Node(node), Some(Body::Node(body))) => node_json(node, body),
            (Object::Pod(pod), _) => value(pod.as_ref()),
            (Object::Node(node), _) => value(node.as_ref()),
        };
        if let Value::Object(fields) = &mut whole {
            let kind = object.kind();
            fields.insert("apiVersion".to_owned(), json!(kind.api_version()));
            fields.insert("kind".to_owned(), json!(kind.name()));
            fields.insert("metadata".to_owned(), value(metadata));
        }
        whole
    }

    /// An Event as JSON, in the form of events.k8s.io/v1.
    #[must_use]
    pub fn event_json(event: &Event) -> Value {
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": event.name,
                "namespace": event.namespace,
                "resourceVersion": event.resource_version,
                "creationTimestamp": event.time,
            },
            "eventTime": event.time,
            "type": if event.warning { "Warning" } else { "Normal" },
            "reason": event.reason,
            "note": event.message,
            "reportingController": event.controller,
            "regarding": {
                "apiVersion": event.regarding.api_version,
                "kind": event.regarding.kind,
                "namespace": event.regarding.namespace,
                "name": event.regarding.name,
                "uid": event.regarding.uid,
            },
        })
    }

    /// A Namespace as JSON.
    #[must_use]
    pub fn namespace_json(&self, name: &str) -> Option<Value> {
        let namespace = self.namespace(name)?;
        let mut whole = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "uid": namespace.uid,
                "resourceVersion": namespace.resource_version,
                "creationTimestamp": namespace.created,
                "labels": { "kubernetes.io/metadata.name": name },
            },
            "spec": { "finalizers": ["kubernetes"] },
            "status": { "phase": if namespace.deleted.is_some() { "Terminating" } else { "Active" } },
        });
        if let Some(time) = namespace.deleted {
            whole["metadata"]["deletionTimestamp"] = value(&time);
        }
        Some(whole)
    }
}

fn value(part: &impl serde::Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

fn pod_json(pod: &Pod, body: &PodBody) -> Value {
    let spec = body.whole_spec(&pod.spec, None);
    let mut status = value(pod.status.as_ref());
    if let Value::Object(fields) = &mut status {
        fields.insert("qosClass".to_owned(), json!(body.qos_class()));
        let groups = [
            ("containerStatuses", &body.containers, &pod.status.container_statuses),
            ("initContainerStatuses", &body.init_containers, &pod.status.init_container_statuses),
        ];
        for (field, containers, statuses) in groups {
            if let Some(Value::Array(printed)) = fields.get_mut(field) {
                for (printed, status) in printed.iter_mut().zip(statuses) {
                    let container = containers.iter().find(|container| container.name == status.name);
                    container_status(printed, status, container, pod);
                }
            }
        }
    }
    json!({ "spec": spec, "status": status })
}

fn container_status(printed: &mut Value, status: &ContainerStatus, container: Option<&Container>, pod: &Pod) {
    if let Some(container) = container {
        printed["image"] = json!(container.image);
    }
    let running = status.state.terminated.is_none() && pod.status.phase == PodPhase::Running;
    printed["started"] = json!(running);
    if running {
        printed["state"] = json!({ "running": { "startedAt": pod.status.start_time } });
    } else if status.state.terminated.is_none() {
        printed["state"] = json!({ "waiting": { "reason": "ContainerCreating" } });
    }
}

fn node_json(node: &Node, body: &NodeBody) -> Value {
    let mut whole: Map<String, Value> = serde_json::from_str(body.text.get()).unwrap_or_default();
    let mut spec = match whole.remove("spec") {
        Some(Value::Object(spec)) => spec,
        _ => Map::new(),
    };
    spec.remove("unschedulable");
    spec.remove("taints");
    if node.spec.unschedulable {
        spec.insert("unschedulable".to_owned(), json!(true));
    }
    if !node.spec.taints.is_empty() {
        spec.insert("taints".to_owned(), value(&node.spec.taints));
    }
    whole.insert("spec".to_owned(), Value::Object(spec));
    Value::Object(whole)
}
