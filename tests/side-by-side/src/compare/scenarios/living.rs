//! J14 to J18, and Jobs that the API accepts and no controller can serve.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Declared, Scenario, scenario};
use crate::compare::kubelet::NODE;
use crate::compare::world::{World, job, template};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario("J15", "managed-by", |world| Box::pin(managed_by(world))),
        scenario("J16", "template-edit", |world| Box::pin(template_edit(world))),
        scenario("J17", "not-ready", |world| Box::pin(not_ready(world))),
        scenario("J18", "failed-create", |world| Box::pin(failed_create(world))),
        scenario("bad input", "pods-of-others", |world| Box::pin(pods_of_others(world))),
        scenario("bad input", "strange-index", |world| Box::pin(strange_index(world))),
        Scenario {
            rows: "J3 J18",
            name: "ended-orphans",
            script: |world| Box::pin(ended_orphans(world)),
            declared: &ENDED_ORPHANS,
        },
    ]
}

/// The built-in controller adopts both Pods, counts both, and makes none of its own.
const ENDED_ORPHANS: [Declared; 4] = {
    const ROW: &str = "A Pod without controller and finalizer that has ended, and that the selector matches";
    [
        Declared { at: "/events/", row: ROW },
        Declared { at: "/jobs/it/status/succeeded", row: ROW },
        Declared { at: "/pods created", row: ROW },
        Declared { at: "/pods left", row: ROW },
    ]
};

/// A Job of another controller is left alone; a second Job shows that there was time for it.
async fn managed_by(world: World) -> Result<()> {
    let mut foreign = job(json!({ "exit": "0" }), json!({ "managedBy": "example.com/other" }));
    foreign["metadata"]["name"] = json!("foreign");
    world.create(foreign).await?;
    world.create(job(json!({ "exit": "0" }), json!({}))).await?;
    world.ends("Complete", "Completed").await
}

async fn template_edit(world: World) -> Result<()> {
    world.create(job(json!({ "exit": "0" }), json!({ "suspend": true }))).await?;
    world.until("Suspended", |seen| seen.has("Suspended")).await?;
    let template = json!({
        "metadata": { "annotations": { "edited": "yes" }, "labels": { "edited": "yes" } },
        "spec": {
            "nodeSelector": { "zone": "a" },
            "tolerations": [{ "key": "spot", "operator": "Exists" }],
        },
    });
    world.change(json!({ "spec": { "template": template } })).await?;
    world.change(json!({ "spec": { "suspend": false } })).await?;
    world.ends("Complete", "Completed").await
}

async fn not_ready(world: World) -> Result<()> {
    world.create(job(json!({ "not-ready": "true" }), json!({ "parallelism": 2, "completions": 2 }))).await?;
    world.running(2).await?;
    world.status(json!({ "active": 2, "ready": 0, "terminating": 0 })).await?;
    for pod in world.running(2).await? {
        world.end(&pod, 0).await?;
    }
    world.ends("Complete", "Completed").await
}

/// Pods that the API server refuses until their limits fit.
async fn failed_create(world: World) -> Result<()> {
    let limits = json!({ "type": "Container", "max": { "cpu": "1" } });
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "range" }, "spec": { "limits": [limits] },
    });
    world.create_core("limitranges", range).await?;
    let mut template = template(json!({ "exit": "0" }));
    template["spec"]["containers"][0]["resources"] = json!({ "limits": { "cpu": "2" } });
    world.create(job(Value::Null, json!({ "template": template }))).await?;
    world.event("FailedCreate").await?;
    let path = format!("/api/v1/namespaces/{}/limitranges/range", world.namespace);
    world.client.delete(&path, &json!({})).await?;
    world.ends("Complete", "Completed").await
}

/// A selector that matches Pods of another owner: they are not touched.
async fn pods_of_others(world: World) -> Result<()> {
    let owner = json!({
        "apiVersion": "example.com/v1", "kind": "Other", "name": "other", "uid": "1-2-3", "controller": true,
    });
    world.create_core("pods", pod("theirs", &json!({ "app": "own" }), &json!([owner]))).await?;
    let mut template = template(json!({ "exit": "0" }));
    template["metadata"]["labels"] = json!({ "app": "own" });
    let selector = json!({ "matchLabels": { "app": "own" } });
    world
        .create(job(
            Value::Null,
            json!({ "manualSelector": true, "selector": selector, "template": template }),
        ))
        .await?;
    world.ends("Complete", "Completed").await
}

/// A Pod of an Indexed Job whose index says nothing is no Pod of any index.
async fn strange_index(world: World) -> Result<()> {
    let spec = json!({ "completions": 2, "parallelism": 2, "completionMode": "Indexed" });
    world.create(job(json!({}), spec)).await?;
    let pods = world.running(2).await?;
    let annotations = json!({ "batch.kubernetes.io/job-completion-index": "many" });
    world.change_pod(&pods[1], json!({ "metadata": { "annotations": annotations } })).await?;
    world
        .until("the strange Pod to go", |seen| {
            seen.pods.iter().all(|pod| pod["metadata"]["uid"] != pods[1]["metadata"]["uid"])
        })
        .await?;
    for pod in world.running(2).await? {
        world.end(&pod, 0).await?;
    }
    world.ends("Complete", "Completed").await
}

/// Pods that have succeeded before there was a Job whose selector matches them.
async fn ended_orphans(world: World) -> Result<()> {
    for name in ["one", "two"] {
        world.create_core("pods", pod(name, &json!({ "app": "own" }), &Value::Null)).await?;
    }
    for pod in world.running(2).await? {
        world.end(&pod, 0).await?;
    }
    world.running(0).await?;
    let mut template = template(json!({ "exit": "0" }));
    template["metadata"]["labels"] = json!({ "app": "own" });
    let selector = json!({ "matchLabels": { "app": "own" } });
    let spec =
        json!({ "manualSelector": true, "selector": selector, "template": template, "completions": 1 });
    world.create(job(Value::Null, spec)).await?;
    world.ends("Complete", "Completed").await
}

fn pod(name: &str, labels: &Value, owners: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": labels, "ownerReferences": owners },
        "spec": {
            "restartPolicy": "Never", "nodeName": NODE, "containers": [{ "name": "main", "image": "busybox" }],
        },
    })
}
