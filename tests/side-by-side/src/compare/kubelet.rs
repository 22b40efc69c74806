//! The kubelet of every node, and the scheduler of Pods that can run on one node only, as those of DaemonSets: binds
//! them to it, starts Pods, ends them as annotations or scripts say, and stops those that are deleted.
//!
//!   unbound     the Pod is not bound to its node
//!   exit        "0" ends the Pod with this code once it runs; "1=3,0" ends index 1 with 3 and others with 0;
//!               without it the Pod runs until a script ends it
//!   restarts    how often its container was restarted, which it tells when the Pod starts
//!   not-ready   the Pod runs without becoming Ready
//!   hang        the Pod does not stop when it is deleted, until a script ends it

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::state::text;
use crate::client::Client;
use crate::clock;

/// The node that every Pod of a Job names.
pub(super) const NODE: &str = "node-0";

/// A kubelet for every Pod; copies share what was done.
#[derive(Clone)]
pub(super) struct Kubelet {
    client: Client,
    done: Arc<Mutex<BTreeSet<(String, Step)>>>,
}

/// What is done for a Pod, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Bind,
    Start,
    End(i32),
    Stop,
    Remove,
}

impl Kubelet {
    /// A kubelet that has done nothing yet.
    pub(super) fn new(client: Client) -> Self {
        Self { client, done: Arc::default() }
    }

    /// Does what a Pod needs, in a task of its own.
    pub(super) fn see(&self, pod: &Value) {
        let Some(step) = next_step(pod) else { return };
        let done = (text(&pod["metadata"]["uid"]), step);
        if self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(done) {
            tokio::spawn(self.clone().act(pod.clone(), step));
        }
    }

    /// Ends a Pod with an exit code; 137 is what one that was killed has.
    pub(super) async fn end(&self, pod: &Value, code: i32) -> anyhow::Result<()> {
        self.client.patch(&format!("{}/status", path(pod)), &ended(pod, code)).await?;
        Ok(())
    }

    /// Says whether a running Pod is ready.
    pub(super) async fn set_ready(&self, pod: &Value, ready: bool) -> anyhow::Result<()> {
        let conditions = [condition("Ready", ready, &clock::now())];
        let status = json!({ "metadata": identity(pod), "status": { "conditions": conditions } });
        self.client.patch(&format!("{}/status", path(pod)), &status).await?;
        Ok(())
    }

    async fn act(self, pod: Value, step: Step) {
        let acted = match step {
            Step::Bind => self.client.create(&format!("{}/binding", path(&pod)), &binding(&pod)).await,
            Step::Start => {
                self.client.patch(&format!("{}/status", path(&pod)), &running(&pod)).await.map(drop)
            }
            Step::End(code) => self.end(&pod, code).await,
            Step::Stop => self.end(&pod, 137).await,
            Step::Remove => {
                // The name may be another Pod's by now.
                let preconditions = json!({ "uid": pod["metadata"]["uid"] });
                let options = json!({ "gracePeriodSeconds": 0, "preconditions": preconditions });
                self.client.delete(&path(&pod), &options).await.map(drop)
            }
        };
        if let Err(error) = acted {
            eprintln!("the kubelet could not {step:?} {}: {error:#}", path(&pod));
        }
    }
}

/// Where a Pod is.
pub(super) fn path(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    format!("/api/v1/namespaces/{}/pods/{}", text(&metadata["namespace"]), text(&metadata["name"]))
}

/// Whether a Pod has ended.
pub(super) fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// The only node on which a Pod that is not bound can run.
pub(super) fn pinned_to(pod: &Value) -> Option<&str> {
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str()
}

fn next_step(pod: &Value) -> Option<Step> {
    let annotations = &pod["metadata"]["annotations"];
    if pod["spec"]["nodeName"].is_null() {
        let is_due = pod["metadata"]["deletionTimestamp"].is_null() && annotations["unbound"].is_null();
        return pinned_to(pod).filter(|_| is_due).map(|_| Step::Bind);
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return match (has_ended(pod), annotations["hang"].is_null()) {
            (true, _) => Some(Step::Remove),
            (false, true) => Some(Step::Stop),
            (false, false) => None,
        };
    }
    match pod["status"]["phase"].as_str() {
        Some("Pending") => Some(Step::Start),
        Some("Running") => exit_code(annotations).map(Step::End),
        _ => None,
    }
}

fn binding(pod: &Value) -> Value {
    let metadata = json!({ "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"] });
    let target = json!({ "apiVersion": "v1", "kind": "Node", "name": pinned_to(pod) });
    json!({ "apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target })
}

/// What a patch names, so that it is of this Pod alone: a name may be used again.
fn identity(pod: &Value) -> Value {
    json!({ "uid": pod["metadata"]["uid"] })
}

fn exit_code(annotations: &Value) -> Option<i32> {
    let index = annotations["batch.kubernetes.io/job-completion-index"].as_str();
    let codes = annotations["exit"].as_str()?;
    let own = codes.split(',').find_map(|entry| match entry.split_once('=') {
        Some((of, code)) => (Some(of) == index).then_some(code),
        None => Some(entry),
    });
    own?.parse().ok()
}

fn running(pod: &Value) -> Value {
    let annotations = &pod["metadata"]["annotations"];
    let restarts: u32 = text(&annotations["restarts"]).parse().unwrap_or(0);
    let ready = annotations["not-ready"].is_null();
    let now = clock::now();
    let state = json!({ "running": { "startedAt": now } });
    json!({ "metadata": identity(pod), "status": {
        "phase": "Running",
        "startTime": now,
        "conditions": [condition("Ready", ready, &now)],
        "containerStatuses": container_statuses(pod, ready, restarts, &state),
    }})
}

fn ended(pod: &Value, code: i32) -> Value {
    let now = clock::now();
    let started = text(&pod["status"]["startTime"]);
    let started = if started.is_empty() { now.clone() } else { started };
    let reason = if code == 0 { "Completed" } else { "Error" };
    let state = json!({ "terminated": {
        "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now,
    }});
    // A merge patch replaces the list, and what the API server put there, such as DisruptionTarget, stays.
    let mut conditions: Vec<Value> = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "Ready");
    conditions.push(condition("Ready", false, &now));
    json!({ "metadata": identity(pod), "status": {
        "phase": if code == 0 { "Succeeded" } else { "Failed" },
        "conditions": conditions,
        "containerStatuses": container_statuses(pod, false, 0, &state),
    }})
}

fn condition(kind: &str, status: bool, now: &str) -> Value {
    json!({ "type": kind, "status": if status { "True" } else { "False" }, "lastTransitionTime": now })
}

fn container_statuses(pod: &Value, ready: bool, restarts: u32, state: &Value) -> Value {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "",
                "restartCount": restarts, "ready": ready, "started": ready, "state": state,
            })
        })
        .collect()
}
