//! Runs Pods and ends them: what a kubelet says to the API server, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::client::{Client, PAUSE};
use crate::clock;

/// By this field manager the audit log tells the patch that ends a Pod from the one that starts it.
pub(crate) const END_MANAGER: &str = "pod-end";

/// Patches under way at once: enough to keep the API server busy, and no more than a few nodes would send.
const MAX_IN_FLIGHT: usize = 16;

/// A kubelet for every Pod that names a node.
pub(crate) struct Kubelet {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    client: Client,
    run_time: Duration,
    slots: Semaphore,
    /// The uid of each Pod that was seen, by its name with its namespace before it.
    pods: Mutex<BTreeMap<String, String>>,
    fault: Mutex<Option<anyhow::Error>>,
}

impl Kubelet {
    /// Begins to watch for Pods, each of which runs for `run_time`.
    pub(crate) fn start(client: Client, run_time: Duration) -> Self {
        let shared = Arc::new(Shared {
            client,
            run_time,
            slots: Semaphore::new(MAX_IN_FLIGHT),
            pods: Mutex::default(),
            fault: Mutex::default(),
        });
        let task = tokio::spawn(shared.clone().watch());
        Self { shared, task }
    }

    /// The uid of each Pod of a namespace, by its name.
    ///
    /// # Errors
    /// Where a Pod could not be run.
    pub(crate) fn pods(&self, namespace: &str) -> Result<BTreeMap<String, String>> {
        if let Some(fault) = self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(fault);
        }
        let pods = self.shared.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let own = pods.iter().filter_map(|(key, uid)| {
            let (place, name) = key.split_once('/')?;
            (place == namespace).then(|| (name.to_owned(), uid.clone()))
        });
        Ok(own.collect())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn watch(self: Arc<Self>) {
        loop {
            // A watch that ends is begun again; it then starts with everything that is there.
            let watched = self.client.watch("/api/v1/pods", |event: Event| {
                let Metadata { name, namespace, uid } = event.object.metadata;
                let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
                if pods.insert(format!("{namespace}/{name}"), uid).is_none() {
                    tokio::spawn(self.clone().run(namespace, name));
                }
            });
            if let Err(error) = watched.await {
                eprintln!("the watch of Pods is begun again: {error:#}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn run(self: Arc<Self>, namespace: String, name: String) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status?fieldManager=");
        let started = clock::now();
        let lived = async {
            if self.patch(&format!("{path}pod-start"), &running(&started)).await? {
                tokio::time::sleep(self.run_time).await;
                self.patch(&format!("{path}{END_MANAGER}"), &ended(&started, &clock::now())).await?;
            }
            anyhow::Ok(())
        };
        if let Err(error) = lived.await {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    async fn patch(&self, path: &str, patch: &Value) -> Result<bool> {
        let _slot = self.slots.acquire().await?;
        self.client.patch(path, patch).await
    }
}

/// The status of a Pod that runs, with what every kubelet writes into it.
fn running(started: &str) -> Value {
    let state = json!({ "running": { "startedAt": started } });
    json!({ "status": {
        "phase": "Running",
        "startTime": started,
        "hostIP": "10.64.0.1",
        "hostIPs": [{ "ip": "10.64.0.1" }],
        "podIP": "10.64.0.2",
        "podIPs": [{ "ip": "10.64.0.2" }],
        "conditions": conditions("True", started),
        "containerStatuses": container_statuses(true, &state),
    }})
}

/// What changes when its container ends well.
fn ended(started: &str, now: &str) -> Value {
    let state = json!({ "terminated": {
        "exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": now,
    }});
    json!({ "status": {
        "phase": "Succeeded",
        "conditions": conditions("False", now),
        "containerStatuses": container_statuses(false, &state),
    }})
}

fn conditions(ready: &str, now: &str) -> Value {
    let condition =
        |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastTransitionTime": now });
    json!([
        condition("PodScheduled", "True"),
        condition("Initialized", "True"),
        condition("ContainersReady", ready),
        condition("Ready", ready),
    ])
}

fn container_statuses(ready: bool, state: &Value) -> Value {
    json!([{
        "name": "main", "image": "busybox", "imageID": "", "restartCount": 0,
        "ready": ready, "started": ready, "state": state,
    }])
}

#[derive(Deserialize)]
struct Event {
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
}
