//! D1 to D3, D7, D8 and D10: on which nodes a DaemonSet has Pods, whose they are, and what becomes of them.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Scenario, scenario};
use crate::compare::world::World;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario("D1 D2", "daemon-creation", |world| Box::pin(creation(world))),
        scenario("D1", "daemon-template", |world| Box::pin(template(world))),
        scenario("D1", "daemon-which-nodes", |world| Box::pin(which_nodes(world))),
        scenario("D1", "daemon-node-name", |world| Box::pin(node_name(world))),
        scenario("D1 D3", "daemon-no-execute", |world| Box::pin(no_execute(world))),
        scenario("D1 D3", "daemon-no-schedule", |world| Box::pin(no_schedule(world))),
        scenario("D1 D3", "daemon-conditions", |world| Box::pin(conditions(world))),
        scenario("D3", "daemon-node-joins", |world| Box::pin(node_joins(world))),
        scenario("D3", "daemon-node-leaves", |world| Box::pin(node_leaves(world))),
        scenario("D3", "daemon-pending", |world| Box::pin(pending(world))),
        scenario("D2", "daemon-failed", |world| Box::pin(failed(world))),
        scenario("D2", "daemon-succeeded", |world| Box::pin(succeeded(world))),
        scenario("D2", "daemon-deleted", |world| Box::pin(deleted(world))),
        scenario("D2", "daemon-hangs", |world| Box::pin(hangs(world))),
        scenario("D2", "daemon-held", |world| Box::pin(held(world))),
        scenario("D7", "daemon-readiness", |world| Box::pin(readiness(world))),
        scenario("D7", "daemon-min-ready", |world| Box::pin(min_ready(world))),
        scenario("D7 D10", "daemon-quota", |world| Box::pin(quota(world))),
        scenario("D8", "daemon-release", |world| Box::pin(release(world))),
        scenario("D8", "daemon-foreign-pod", |world| Box::pin(foreign_pod(world))),
        scenario("D8", "daemon-orphans", |world| Box::pin(orphans(world, "busybox"))),
        scenario("D8", "daemon-old-orphans", |world| Box::pin(orphans(world, "busybox:2"))),
        scenario("D8", "daemon-background", |world| Box::pin(delete(world, "Background"))),
        scenario("D8", "daemon-foreground", |world| Box::pin(delete(world, "Foreground"))),
        scenario("D8", "daemon-slow-end", |world| Box::pin(slow_end(world))),
        scenario("D8", "daemon-namespace", |world| Box::pin(namespace_ends(world))),
    ]
}

async fn creation(world: World) -> Result<()> {
    world.populate(3, &world.daemon_set(json!({}), json!({}))).await
}

/// What the controller adds to the template, and what it leaves.
async fn template(world: World) -> Result<()> {
    let mut daemon_set = world.daemon_set(json!({ "note": "a<b" }), json!({}));
    daemon_set["metadata"]["labels"] = json!({ "team": "storage" });
    daemon_set["metadata"]["annotations"] = json!({ "kubernetes.io/change-cause": "the first" });
    let template = &mut daemon_set["spec"]["template"];
    template["metadata"]["labels"]["tier"] = json!("node");
    template["metadata"]["finalizers"] = json!([]);
    template["spec"]["hostNetwork"] = json!(true);
    template["spec"]["tolerations"] = json!([
        { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
        { "key": "node.kubernetes.io/disk-pressure", "operator": "Exists" },
    ]);
    let preference = json!({ "matchExpressions": [{ "key": "disk", "operator": "Exists" }] });
    let term = json!({ "labelSelector": { "matchLabels": { "app": "other" } }, "topologyKey": "zone" });
    template["spec"]["affinity"] = json!({
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "disk", "operator": "NotIn", "values": ["none"] }] },
            ]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "preference": preference }],
        },
        "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] },
    });
    let taint = json!({ "key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule" });
    world.join(0, json!({}), json!([taint])).await?;
    world.join(1, json!({}), json!([])).await?;
    world.create_daemon_set(&daemon_set).await?;
    world.complete(2).await
}

async fn which_nodes(world: World) -> Result<()> {
    let taint = |key: &str, effect: &str| json!([{ "key": key, "value": "yes", "effect": effect }]);
    let nodes = [
        (json!({ "disk": "ssd" }), json!([])),
        (json!({ "disk": "tape" }), json!([])),
        (json!({}), json!([])),
        (json!({ "disk": "ssd" }), taint("own", "NoSchedule")),
        (json!({ "disk": "ssd" }), taint("other", "NoSchedule")),
        (json!({ "disk": "ssd" }), taint("other", "NoExecute")),
        (json!({ "disk": "ssd" }), taint("other", "PreferNoSchedule")),
        (json!({ "cores": "16" }), json!([])),
        (json!({ "cores": "8" }), json!([])),
    ];
    for (number, (labels, taints)) in nodes.into_iter().enumerate() {
        world.join(number, labels, taints).await?;
    }
    let mut daemon_set = world.daemon_set(json!({}), json!({}));
    let template = &mut daemon_set["spec"]["template"]["spec"];
    template["tolerations"] = json!([{ "key": "own", "value": "yes", "effect": "NoSchedule" }]);
    let terms = json!([
        { "matchExpressions": [{ "key": "disk", "operator": "In", "values": ["ssd", "nvme"] }] },
        { "matchExpressions": [{ "key": "cores", "operator": "Gt", "values": ["8"] }] },
        { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [world.node(2)] }] },
    ]);
    template["affinity"] = json!({ "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
    }});
    world.create_daemon_set(&daemon_set).await?;
    world.complete(5).await
}

async fn node_name(world: World) -> Result<()> {
    for number in 0..3 {
        world.join(number, json!({}), json!([])).await?;
    }
    let mut daemon_set = world.daemon_set(json!({}), json!({}));
    daemon_set["spec"]["template"]["spec"]["nodeName"] = json!(world.node(1));
    world.create_daemon_set(&daemon_set).await?;
    world.complete(1).await
}

async fn no_execute(world: World) -> Result<()> {
    world.populate(3, &world.daemon_set(json!({}), json!({}))).await?;
    world.taint(1, json!([{ "key": "broken", "effect": "NoExecute" }])).await?;
    world.complete(2).await?;
    world.taint(1, json!([])).await?;
    world.complete(3).await
}

/// A Pod stays, and is not made again once it is gone.
async fn no_schedule(world: World) -> Result<()> {
    world.populate(3, &world.daemon_set(json!({}), json!({}))).await?;
    world.taint(1, json!([{ "key": "dedicated", "effect": "NoSchedule" }])).await?;
    let counters = json!({ "desiredNumberScheduled": 2, "numberMisscheduled": 1, "numberReady": 2 });
    world.counts_once_nudged(counters).await?;
    world.delete_pod(&world.daemon_on(1).await?).await?;
    world.complete(2).await?;
    world.counts(json!({ "numberMisscheduled": 0 })).await?;
    world.taint(1, json!([])).await?;
    world.complete(3).await
}

/// Taints that tell of a node's state are tolerated.
async fn conditions(world: World) -> Result<()> {
    let taint =
        |name: &str, effect: &str| json!({ "key": format!("node.kubernetes.io/{name}"), "effect": effect });
    let pressure = ["disk-pressure", "memory-pressure", "pid-pressure"].map(|name| taint(name, "NoSchedule"));
    world.join(0, json!({}), json!(pressure)).await?;
    let lost = ["not-ready", "unreachable"].map(|name| taint(name, "NoExecute"));
    world.join(1, json!({}), json!(lost)).await?;
    world.join(2, json!({}), json!([taint("network-unavailable", "NoSchedule")])).await?;
    world.join(3, json!({}), json!([taint("not-ready", "NoSchedule")])).await?;
    world.join(4, json!({}), json!([])).await?;
    world.create_daemon_set(&world.daemon_set(json!({}), json!({}))).await?;
    world.complete(3).await?;
    world.taint(4, json!([taint("unschedulable", "NoSchedule")])).await?;
    world.delete_pod(&world.daemon_on(4).await?).await?;
    world.until("another Pod", |seen| seen.created.len() >= 4).await?;
    world.complete(3).await
}

async fn node_joins(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.join(2, json!({}), json!([])).await?;
    world.complete(3).await?;
    world.join(3, json!({ "example.com/scenario": "none" }), json!([])).await?;
    world.select(3, true).await?;
    world.complete(4).await?;
    world.select(0, false).await?;
    world.complete(3).await
}

async fn node_leaves(world: World) -> Result<()> {
    world.populate(3, &world.daemon_set(json!({}), json!({}))).await?;
    world.leave(2).await?;
    world.counts_once_nudged(json!({ "desiredNumberScheduled": 2, "currentNumberScheduled": 2 })).await?;
    world.collect_pods(2).await?;
    world.complete(2).await?;
    world.join(2, json!({}), json!([])).await?;
    world.complete(3).await
}

/// Pods that nobody has bound go with their nodes.
async fn pending(world: World) -> Result<()> {
    for number in 0..2 {
        world.join(number, json!({}), json!([])).await?;
    }
    world.create_daemon_set(&world.daemon_set(json!({ "unbound": "yes" }), json!({}))).await?;
    world.counts(json!({ "currentNumberScheduled": 2, "numberUnavailable": 2 })).await?;
    world.leave(1).await?;
    world.counts_once_nudged(json!({ "desiredNumberScheduled": 1, "currentNumberScheduled": 1 })).await?;
    world.event("SuccessfulDelete").await?;
    world.until("one Pod", |seen| seen.pods.len() == 1).await
}

/// The second time a Pod fails on a node, it is waited for a second.
async fn failed(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    for failures in 1..=2 {
        world.end(&world.daemon_on(1).await?, 1).await?;
        world.until("another Pod", |seen| seen.created.len() >= 2 + failures).await?;
        world.complete(2).await?;
    }
    world.event("FailedDaemonPod").await
}

async fn succeeded(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.end(&world.daemon_on(0).await?, 0).await?;
    world.event("SucceededDaemonPod").await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.complete(2).await
}

async fn deleted(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.delete_pod(&world.daemon_on(0).await?).await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.complete(2).await
}

/// A Pod that does not stop keeps its place.
async fn hangs(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({ "hang": "yes" }), json!({}))).await?;
    let pod = world.daemon_on(0).await?;
    world.delete_pod(&pod).await?;
    world.change_daemon_set(json!({ "spec": { "minReadySeconds": 1 } })).await?;
    world.counts(json!({ "currentNumberScheduled": 2 })).await?;
    world.end(&pod, 137).await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.complete(2).await
}

/// A Pod that has ended and is kept by a finalizer alone takes no place.
async fn held(world: World) -> Result<()> {
    let mut daemon_set = world.daemon_set(json!({}), json!({}));
    daemon_set["spec"]["template"]["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.populate(2, &daemon_set).await?;
    let pod = world.daemon_on(0).await?;
    world.end(&pod, 0).await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.running(2).await?;
    world.counts(json!({ "numberReady": 2, "numberAvailable": 2, "numberUnavailable": 0 })).await?;
    world.change_pod(&pod, json!({ "metadata": { "finalizers": Value::Null } })).await?;
    world.until("two Pods", |seen| seen.pods.len() == 2).await?;
    world.complete(2).await
}

async fn readiness(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    let pod = world.daemon_on(0).await?;
    world.kubelet.set_ready(&pod, false).await?;
    world.counts(json!({ "numberReady": 1, "numberAvailable": 1, "numberUnavailable": 1 })).await?;
    world.kubelet.set_ready(&pod, true).await?;
    world.complete(2).await
}

async fn min_ready(world: World) -> Result<()> {
    for number in 0..2 {
        world.join(number, json!({}), json!([])).await?;
    }
    world.create_daemon_set(&world.daemon_set(json!({}), json!({ "minReadySeconds": 3_600 }))).await?;
    world.counts(json!({ "numberReady": 2, "numberAvailable": 0, "numberUnavailable": 2 })).await?;
    world.change_daemon_set(json!({ "spec": { "minReadySeconds": 2 } })).await?;
    world.complete(2).await?;
    world.change_daemon_set(json!({ "spec": { "minReadySeconds": 3_600 } })).await?;
    world.counts(json!({ "numberReady": 2, "numberAvailable": 0, "numberUnavailable": 2 })).await?;
    world.change_daemon_set(json!({ "spec": { "minReadySeconds": 0 } })).await?;
    world.complete(2).await
}

/// Nodes go on without a Pod for as long as the quota refuses it.
async fn quota(world: World) -> Result<()> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "quota" },
        "spec": { "hard": { "pods": "2" } },
    });
    world.create_core("resourcequotas", quota).await?;
    // Until the quota's use is counted, the API server refuses every Pod with another text.
    world
        .until("the quota", |seen| seen.quotas.iter().any(|quota| !quota["status"]["used"].is_null()))
        .await?;
    for number in 0..3 {
        world.join(number, json!({}), json!([])).await?;
    }
    world.create_daemon_set(&world.daemon_set(json!({}), json!({}))).await?;
    world.event("FailedCreate").await?;
    world.counts(json!({ "desiredNumberScheduled": 3, "numberReady": 2, "numberUnavailable": 1 })).await?;
    let path = format!("/api/v1/namespaces/{}/resourcequotas/quota", world.namespace);
    world.client.delete(&path, &json!({})).await?;
    world.complete(3).await
}

/// A Pod whose labels no longer match is let go and replaced; when they match again, one of the two goes.
async fn release(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    let pod = world.daemon_on(0).await?;
    world.change_pod(&pod, json!({ "metadata": { "labels": { "app": "other" } } })).await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.complete(2).await?;
    world.change_pod(&pod, json!({ "metadata": { "labels": { "app": "own" } } })).await?;
    world.event("SuccessfulDelete").await?;
    world.until("two Pods", |seen| seen.pods.len() == 2).await?;
    world.complete(2).await
}

/// A Pod of another owner is no Pod of the DaemonSet.
async fn foreign_pod(world: World) -> Result<()> {
    let owner = json!({
        "apiVersion": "example.com/v1", "kind": "Other", "name": "other", "uid": "1-2-3", "controller": true,
    });
    let foreign = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "theirs", "labels": { "app": "own" }, "ownerReferences": [owner] },
        "spec": { "nodeName": world.node(0), "containers": [{ "name": "main", "image": "busybox" }] },
    });
    world.create_core("pods", foreign).await?;
    world.running(1).await?;
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await
}

/// A DaemonSet adopts the Pods and the revision that another left behind; whether they are of its template is told by
/// the generation, which both began with 1.
async fn orphans(world: World, image: &str) -> Result<()> {
    let mut daemon_set = world.daemon_set(json!({}), json!({}));
    world.populate(2, &daemon_set).await?;
    world.delete_daemon_set("Orphan").await?;
    let is_orphan = |object: &&Value| object["metadata"]["ownerReferences"].is_null();
    world
        .until("orphans", |seen| {
            seen.daemon_set.is_null() && seen.pods.iter().chain(&seen.revisions).all(is_orphan)
        })
        .await?;
    daemon_set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    world.create_daemon_set(&daemon_set).await?;
    world.complete(2).await?;
    world.until("owned revisions", |seen| !seen.revisions.iter().any(is_orphan)).await
}

async fn delete(world: World, policy: &str) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.delete_daemon_set(policy).await?;
    world
        .until("everything to go", |seen| {
            seen.daemon_set.is_null() && seen.pods.is_empty() && seen.revisions.is_empty()
        })
        .await
}

/// A DaemonSet that is about to go makes no Pods any more.
async fn slow_end(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({ "hang": "yes" }), json!({}))).await?;
    let pods = [world.daemon_on(0).await?, world.daemon_on(1).await?];
    world.delete_daemon_set("Foreground").await?;
    world
        .until("the Pods about to go", |seen| {
            seen.pods.iter().all(|pod| !pod["metadata"]["deletionTimestamp"].is_null())
        })
        .await?;
    for pod in &pods {
        world.end(pod, 137).await?;
        world
            .until("the Pod to go", |seen| {
                !seen.pods.iter().any(|known| known["metadata"]["uid"] == pod["metadata"]["uid"])
            })
            .await?;
    }
    world.until("the DaemonSet to go", |seen| seen.daemon_set.is_null() && seen.revisions.is_empty()).await
}

async fn namespace_ends(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.client.delete(&format!("/api/v1/namespaces/{}", world.namespace), &json!({})).await?;
    world
        .until("everything to go", |seen| {
            let is_empty = seen.pods.is_empty() && seen.revisions.is_empty() && seen.events.is_empty();
            seen.daemon_set.is_null() && is_empty
        })
        .await
}
