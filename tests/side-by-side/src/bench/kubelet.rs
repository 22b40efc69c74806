//! Runs Pods and ends them: what a kubelet says to the API server, and nothing else; of a DaemonSet's Pods what the
//! scheduler says, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::client::{Client, PAUSE};
use crate::clock::{self, Stopwatch};

/// By this field manager the audit log tells the patch that ends a Pod from the one that starts it.
pub(crate) const END_MANAGER: &str = "pod-end";

/// Patches under way at once: enough to keep the API server busy, and no more than a few nodes would send.
const MAX_IN_FLIGHT: usize = 16;

/// A kubelet for every Pod that names a node.
pub(crate) struct Kubelet {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How long Pods live.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// They end well after so long.
    Ends(Duration),
    /// They run until somebody deletes them.
    Stays,
}

struct Shared {
    client: Client,
    life: Life,
    slots: Semaphore,
    /// Each Pod that was seen, by its name with its namespace before it.
    pods: Mutex<BTreeMap<String, Seen>>,
    fault: Mutex<Option<anyhow::Error>>,
}

/// A Pod that was seen.
struct Seen {
    uid: String,
    is_terminating: bool,
    /// When it was seen first, and the node that it names.
    at: Stopwatch,
    node: Option<String>,
}

impl Kubelet {
    /// Begins to watch for Pods, each of which lives so long.
    pub(crate) fn start(client: Client, life: Life) -> Self {
        let shared = Arc::new(Shared {
            client,
            life,
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
        let own = pods.iter().filter_map(|(key, seen)| {
            let (place, name) = key.split_once('/')?;
            (place == namespace).then(|| (name.to_owned(), seen.uid.clone()))
        });
        Ok(own.collect())
    }

    /// How long ago the first Pod of each node was seen.
    pub(crate) fn seen_on_nodes(&self) -> BTreeMap<String, Duration> {
        let mut ages = BTreeMap::new();
        for seen in self.shared.pods.lock().unwrap_or_else(PoisonError::into_inner).values() {
            if let Some(node) = &seen.node {
                let age = ages.entry(node.clone()).or_insert_with(|| seen.at.elapsed());
                *age = seen.at.elapsed().max(*age);
            }
        }
        ages
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
                if event.kind != "DELETED" {
                    self.see(event.object);
                }
            });
            if let Err(error) = watched.await {
                eprintln!("the watch of Pods is begun again: {error:#}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Starts a Pod that is new, and ends one whose deletion was asked for.
    fn see(self: &Arc<Self>, pod: Pod) {
        let Metadata { name, namespace, uid, deletion_timestamp } = pod.metadata;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let is_terminating = deletion_timestamp.is_some();
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pods.get_mut(&format!("{namespace}/{name}")).filter(|known| known.uid == uid);
        let was_terminating = known.as_ref().is_some_and(|known| known.is_terminating);
        match known {
            Some(known) => known.is_terminating = is_terminating,
            None => {
                let is_bound = pod.spec.node_name.is_some();
                let node = pod.spec.node_name.or_else(|| pod.spec.affinity.and_then(only_node));
                let target = node.clone().filter(|_| !is_bound);
                let seen = Seen { uid: uid.clone(), is_terminating, at: Stopwatch::start(), node };
                pods.insert(format!("{namespace}/{name}"), seen);
                tokio::spawn(self.clone().noting_faults(self.clone().run(path.clone(), target)));
            }
        }
        if is_terminating && !was_terminating {
            tokio::spawn(self.clone().noting_faults(self.clone().end(path, uid)));
        }
    }

    async fn noting_faults(self: Arc<Self>, work: impl Future<Output = Result<()>>) {
        if let Err(error) = work.await {
            eprintln!("a Pod could not be run: {error:#}");
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Binds a Pod to its node, where it is not yet, and runs it.
    async fn run(self: Arc<Self>, path: String, target: Option<String>) -> Result<()> {
        if let Some(node) = target {
            let pod = path.rsplit('/').next().unwrap_or_default();
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod },
                "target": { "apiVersion": "v1", "kind": "Node", "name": node },
            });
            let _slot = self.slots.acquire().await?;
            if !self.client.create_if_there(&format!("{path}/binding"), &binding).await? {
                return Ok(());
            }
        }
        let started = clock::now();
        let status = format!("{path}/status?fieldManager=");
        if self.patch(&format!("{status}pod-start"), &running(&started)).await?
            && let Life::Ends(after) = self.life
        {
            tokio::time::sleep(after).await;
            self.patch(&format!("{status}{END_MANAGER}"), &ended(&started, &clock::now())).await?;
        }
        Ok(())
    }

    /// Lets a Pod go that was deleted, as a kubelet does once its containers have stopped.
    async fn end(self: Arc<Self>, path: String, uid: String) -> Result<()> {
        let _slot = self.slots.acquire().await?;
        let options = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": uid } });
        self.client.delete(&path, &options).await?;
        Ok(())
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

/// The node that the affinity names which the controller of DaemonSets writes.
fn only_node(affinity: Value) -> Option<String> {
    let terms = affinity
        .pointer("/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0")?;
    Some(terms.pointer("/matchFields/0/values/0")?.as_str()?.to_owned())
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    affinity: Option<Value>,
}
