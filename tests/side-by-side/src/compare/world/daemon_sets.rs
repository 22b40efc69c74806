//! What scenarios of DaemonSets do, and what they wait for.
//!
//! Nodes belong to the whole cluster, and all scenarios run at once: each makes nodes of its own, named after its
//! namespace, with a label that only they have, and its DaemonSets select that label.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{JOB, Seen, World};
use crate::compare::kubelet;
use crate::compare::state::{text, times};

/// The label of a scenario's nodes, whose value is its namespace.
const SCENARIO: &str = "example.com/scenario";

/// How long it is waited for a look at a DaemonSet before it is nudged again: what it was to see may have come to the
/// controller after the nudge, for nodes and DaemonSets come by watches of their own.
const BETWEEN_NUDGES: Duration = Duration::from_millis(500);

/// How often a DaemonSet is nudged before the last wait for it.
const MOST_NUDGES: u32 = 60;

impl World {
    /// A DaemonSet named [`JOB`] for the scenario's nodes, with these fields of its spec, and a template of one
    /// container with these annotations.
    pub(in crate::compare) fn daemon_set(&self, annotations: Value, fields: Value) -> Value {
        let mut spec = json!({
            "selector": { "matchLabels": { "app": "own" } },
            "template": {
                "metadata": { "labels": { "app": "own" }, "annotations": annotations },
                "spec": {
                    "nodeSelector": { SCENARIO: self.namespace },
                    "containers": [{ "name": "main", "image": "busybox" }],
                },
            },
        });
        for (field, value) in fields.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": JOB }, "spec": spec })
    }

    /// Creates a DaemonSet.
    pub(in crate::compare) async fn create_daemon_set(&self, daemon_set: &Value) -> Result<()> {
        self.client.create(&self.path("apps/v1", "daemonsets"), daemon_set).await
    }

    /// Makes nodes with the numbers below `count`, and a DaemonSet for them, and waits until all of it is there.
    pub(in crate::compare) async fn populate(&self, count: usize, daemon_set: &Value) -> Result<()> {
        for number in 0..count {
            self.join(number, json!({}), json!([])).await?;
        }
        self.create_daemon_set(daemon_set).await?;
        self.complete(count).await
    }

    /// The name of one of the scenario's nodes.
    pub(in crate::compare) fn node(&self, number: usize) -> String {
        node(&self.namespace, number)
    }

    /// Says that it is chance which of the nodes comes first, as it is in a rollout of the built-in controller.
    pub(in crate::compare) fn nodes_are_alike(&self) {
        self.state.told().note_alike(&self.namespace);
    }

    /// Counts from now on how many Pods there are at once, and how many are ready.
    pub(in crate::compare) fn count_pods(&self) {
        self.state.told().start_counting(&self.namespace);
    }

    /// Makes a node with these labels, besides the scenario's, and these taints.
    pub(in crate::compare) async fn join(&self, number: usize, labels: Value, taints: Value) -> Result<()> {
        let mut labels = labels;
        if labels.get(SCENARIO).is_none() {
            labels[SCENARIO] = json!(self.namespace);
        }
        let metadata = json!({ "name": self.node(number), "labels": labels });
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata });
        self.client.create("/api/v1/nodes", &node).await?;
        // The API server gives a new node the taint not-ready, and the node lifecycle controller takes it away.
        self.taint(number, taints).await
    }

    /// Gives a node just these taints.
    pub(in crate::compare) async fn taint(&self, number: usize, taints: Value) -> Result<()> {
        self.change_node(number, json!({ "spec": { "taints": taints } })).await
    }

    /// Makes a node one of the scenario's, or of none.
    pub(in crate::compare) async fn select(&self, number: usize, is_selected: bool) -> Result<()> {
        let value = if is_selected { &*self.namespace } else { "none" };
        self.change_node(number, json!({ "metadata": { "labels": { SCENARIO: value } } })).await
    }

    /// Deletes a node.
    pub(in crate::compare) async fn leave(&self, number: usize) -> Result<()> {
        ensure!(self.client.delete(&node_path(&self.node(number)), &json!({})).await?, "there is no node");
        Ok(())
    }

    /// Lets the Pods of a node go that is gone, as the garbage collector of Pods does.
    pub(in crate::compare) async fn collect_pods(&self, number: usize) -> Result<()> {
        let node = self.node(number);
        let pods: Vec<Value> = {
            let told = self.state.told();
            let pods = told.pods(&self.namespace).into_iter();
            pods.filter(|pod| pod["spec"]["nodeName"] == *node).cloned().collect()
        };
        for pod in pods {
            let path = kubelet::path(&pod);
            self.client.patch(&format!("{path}/status"), &json!({ "status": { "phase": "Failed" } })).await?;
            self.client.delete(&path, &json!({ "gracePeriodSeconds": 0 })).await?;
        }
        Ok(())
    }

    /// Changes the DaemonSet by a merge patch, and waits until the watch tells of another spec.
    pub(in crate::compare) async fn change_daemon_set(&self, patch: Value) -> Result<()> {
        let generation = self.generation();
        ensure!(self.client.patch(&self.daemon_set_path(), &patch).await?, "there is no DaemonSet to change");
        if patch.get("spec").is_some() { self.generation_after(generation).await } else { Ok(()) }
    }

    /// Gives the template another image, and these annotations.
    pub(in crate::compare) async fn roll_to(&self, image: &str, annotations: Value) -> Result<()> {
        let template = json!({
            "metadata": { "annotations": annotations },
            "spec": { "containers": [{ "name": "main", "image": image }] },
        });
        self.change_daemon_set(json!({ "spec": { "template": template } })).await
    }

    /// Goes back to the template of a revision, as `kubectl rollout undo` does.
    pub(in crate::compare) async fn undo_to(&self, revision: i64) -> Result<()> {
        let data = self.revision(revision)?["data"].clone();
        let generation = self.generation();
        let is_there = self.client.patch_strategically(&self.daemon_set_path(), &data).await?;
        ensure!(is_there, "there is no DaemonSet to change");
        self.generation_after(generation).await
    }

    /// Changes the revision with this number by a merge patch.
    pub(in crate::compare) async fn change_revision(&self, revision: i64, patch: Value) -> Result<()> {
        let path = self.revision_path(&self.revision(revision)?);
        ensure!(self.client.patch(&path, &patch).await?, "there is no revision");
        Ok(())
    }

    /// Deletes the revision with this number, and returns its uid.
    pub(in crate::compare) async fn delete_revision(&self, revision: i64) -> Result<Value> {
        let found = self.revision(revision)?;
        ensure!(self.client.delete(&self.revision_path(&found), &json!({})).await?, "there is no revision");
        Ok(found["metadata"]["uid"].clone())
    }

    /// Deletes the DaemonSet with a propagation policy.
    pub(in crate::compare) async fn delete_daemon_set(&self, policy: &str) -> Result<()> {
        self.client.delete(&self.daemon_set_path(), &json!({ "propagationPolicy": policy })).await?;
        Ok(())
    }

    /// Waits until the DaemonSet has its Pods, all of its template, on just so many nodes, and nothing is under way.
    pub(in crate::compare) async fn complete(&self, count: usize) -> Result<()> {
        self.until(&format!("a Pod on each of {count} nodes"), |seen| {
            let all = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ];
            all.into_iter().all(|field| seen.daemon_count(field) == count as u64)
                && seen.daemon_count("numberUnavailable") == 0
                && seen.is_observed()
                && seen.daemons().len() == count
                && seen.daemons().iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_null())
                && seen.tells_of_every_pod()
        })
        .await
    }

    /// Waits until these counters of the DaemonSet's status are as given, and the status is of its generation.
    pub(in crate::compare) async fn counts(&self, counters: Value) -> Result<()> {
        self.until(&format!("the counters {counters}"), |seen| {
            let wanted = counters.as_object().into_iter().flatten();
            seen.is_observed()
                && wanted.into_iter().all(|(field, count)| Some(seen.daemon_count(field)) == count.as_u64())
        })
        .await
    }

    /// Waits for counters of which the built-in controller tells only when it looks at the DaemonSet for another
    /// reason, and gives it one.
    pub(in crate::compare) async fn counts_once_nudged(&self, counters: Value) -> Result<()> {
        self.once_nudged(|| self.counts(counters.clone())).await
    }

    /// Waits as [`World::complete`] does, for what the built-in controller may overlook until it looks at the
    /// DaemonSet for another reason, and gives it one.
    pub(in crate::compare) async fn complete_once_nudged(&self, count: usize) -> Result<()> {
        self.once_nudged(|| self.complete(count)).await
    }

    /// Waits, and has the DaemonSet looked at now and then: a label comes and goes.
    async fn once_nudged<W: Future<Output = Result<()>>>(&self, wait: impl Fn() -> W) -> Result<()> {
        let label = |value: Value| json!({ "metadata": { "labels": { "nudged": value } } });
        for count in 0..MOST_NUDGES {
            self.change_daemon_set(label(json!(count.to_string()))).await?;
            if let Ok(outcome) = tokio::time::timeout(BETWEEN_NUDGES, wait()).await {
                outcome?;
                break;
            }
        }
        wait().await?;
        self.change_daemon_set(label(Value::Null)).await?;
        self.until("no label", |seen| seen.daemon_set["metadata"]["labels"]["nudged"].is_null()).await
    }

    /// Waits until there are just so many revisions.
    pub(in crate::compare) async fn revisions(&self, count: usize) -> Result<()> {
        self.until(&format!("{count} revisions"), |seen| seen.revisions.len() == count).await
    }

    /// Waits until the DaemonSet has just one Pod on a node, which runs, and returns it.
    pub(in crate::compare) async fn daemon_on(&self, number: usize) -> Result<Value> {
        let node = self.node(number);
        let on_node = |seen: &Seen<'_>| -> Vec<Value> {
            let pods = seen.daemons().into_iter();
            pods.filter(|pod| pod["spec"]["nodeName"] == *node).cloned().collect()
        };
        self.until(&format!("one Pod on {node}"), |seen| {
            on_node(seen).len() == 1 && on_node(seen).iter().all(super::runs)
        })
        .await?;
        let told = self.state.told();
        let pods = told.pods(&self.namespace).into_iter();
        let found = pods.filter(|pod| super::runs(pod)).find(|pod| pod["spec"]["nodeName"] == *node);
        found.cloned().with_context(|| format!("the Pod on {node} has gone"))
    }

    /// The generation of the DaemonSet.
    fn generation(&self) -> u64 {
        let told = self.state.told();
        told.daemon_set(&self.namespace, JOB)["metadata"]["generation"].as_u64().unwrap_or(0)
    }

    async fn generation_after(&self, generation: u64) -> Result<()> {
        self.until("another generation", |seen| {
            seen.daemon_set["metadata"]["generation"].as_u64() > Some(generation)
        })
        .await
    }

    async fn change_node(&self, number: usize, patch: Value) -> Result<()> {
        let path = node_path(&self.node(number));
        ensure!(self.client.patch(&path, &patch).await?, "there is no node to change");
        Ok(())
    }

    fn daemon_set_path(&self) -> String {
        format!("{}/{JOB}", self.path("apps/v1", "daemonsets"))
    }

    /// The revision with this number.
    fn revision(&self, number: i64) -> Result<Value> {
        let told = self.state.told();
        let found = told.revisions(&self.namespace).into_iter().find(|known| known["revision"] == number);
        found.cloned().with_context(|| format!("there is no revision {number}"))
    }

    fn revision_path(&self, revision: &Value) -> String {
        let path = self.path("apps/v1", "controllerrevisions");
        format!("{path}/{}", text(&revision["metadata"]["name"]))
    }
}

impl Seen<'_> {
    /// The Pods that the DaemonSet controls.
    pub(in crate::compare) fn daemons(&self) -> Vec<&Value> {
        let uid = &self.daemon_set["metadata"]["uid"];
        let is_own = |pod: &&&Value| pod["metadata"]["ownerReferences"][0]["uid"] == *uid;
        self.pods.iter().filter(is_own).copied().collect()
    }

    /// A counter of the DaemonSet's status.
    fn daemon_count(&self, field: &str) -> u64 {
        self.daemon_set["status"][field].as_u64().unwrap_or(0)
    }

    /// Whether the status is of the DaemonSet's generation.
    fn is_observed(&self) -> bool {
        let observed = &self.daemon_set["status"]["observedGeneration"];
        !observed.is_null() && *observed == self.daemon_set["metadata"]["generation"]
    }

    /// Whether Events tell of every Pod that a controller has made. A name that is used again is told of twice.
    fn tells_of_every_pod(&self) -> bool {
        let made = self.created.iter().filter(|pod| !pod["metadata"]["generateName"].is_null()).count();
        let told = self.events.iter().filter(|event| event["reason"] == "SuccessfulCreate");
        told.map(|event| times(event)).sum::<u64>() == made as u64
    }
}

/// The name of a node of the scenario that has this namespace.
pub(in crate::compare) fn node(namespace: &str, number: usize) -> String {
    format!("{namespace}-node-{number}")
}

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}
