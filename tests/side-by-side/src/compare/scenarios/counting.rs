//! J1 to J5: which Pods a Job makes, whose they are, and how they are counted.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Scenario, scenario};
use crate::compare::world::{World, job, template};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario("J1", "completions", |world| Box::pin(completions(world))),
        scenario("J1", "no-completions", |world| Box::pin(no_completions(world))),
        scenario("J1", "no-parallelism", |world| Box::pin(no_parallelism(world))),
        scenario("J1", "work-queue", |world| Box::pin(work_queue(world))),
        scenario("J2", "indexed", |world| Box::pin(indexed(world))),
        scenario("J2", "long-name", |world| Box::pin(long_name(world))),
        scenario("J3", "manual-selector", |world| Box::pin(manual_selector(world))),
        scenario("J3 J4", "adoption", |world| Box::pin(adoption(world))),
        scenario("J3", "release", |world| Box::pin(release(world))),
        scenario("J4", "delete-orphan", |world| Box::pin(delete(world, "Orphan"))),
        scenario("J4", "delete-background", |world| Box::pin(delete(world, "Background"))),
        scenario("J4", "delete-foreground", |world| Box::pin(delete(world, "Foreground"))),
        scenario("J4", "namespace-ends", |world| Box::pin(namespace_ends(world))),
        scenario("J5", "shrink-and-grow", |world| Box::pin(shrink_and_grow(world))),
        scenario("J5", "elastic", |world| Box::pin(elastic(world))),
    ]
}

async fn completions(world: World) -> Result<()> {
    world.create(job(json!({ "exit": "0" }), json!({ "completions": 3, "parallelism": 2 }))).await?;
    world.ends("Complete", "Completed").await
}

async fn no_completions(world: World) -> Result<()> {
    world.create(job(json!({}), json!({ "completions": 0 }))).await?;
    world.ends("Complete", "Completed").await
}

async fn no_parallelism(world: World) -> Result<()> {
    world.create(job(json!({}), json!({ "completions": 2, "parallelism": 0 }))).await?;
    world.until("a start", |seen| !seen.job["status"]["startTime"].is_null()).await
}

async fn work_queue(world: World) -> Result<()> {
    world.create(job(json!({}), json!({ "parallelism": 3 }))).await?;
    let pods = world.running(3).await?;
    world.end(&pods[0], 0).await?;
    world.status(json!({ "succeeded": 1, "active": 2 })).await?;
    world.end(&pods[1], 1).await?;
    world.status(json!({ "succeeded": 1, "failed": 1, "active": 1 })).await?;
    world.end(&pods[2], 0).await?;
    world.ends("Complete", "Completed").await
}

async fn indexed(world: World) -> Result<()> {
    let mut template = template(json!({ "exit": "0" }));
    template["spec"]["initContainers"] = json!([{ "name": "init", "image": "busybox" }]);
    template["spec"]["containers"] = json!([
        { "name": "main", "image": "busybox", "env": [{ "name": "OTHER", "value": "1" }] },
        { "name": "own", "image": "busybox", "env": [{ "name": "JOB_COMPLETION_INDEX", "value": "mine" }] },
    ]);
    let spec =
        json!({ "completions": 3, "parallelism": 2, "completionMode": "Indexed", "template": template });
    world.create(job(Value::Null, spec)).await?;
    world.ends("Complete", "Completed").await
}

async fn long_name(world: World) -> Result<()> {
    for (mode, length) in [("NonIndexed", 63), ("Indexed", 61)] {
        let spec = json!({ "completions": 1, "completionMode": mode });
        let mut job = job(json!({ "exit": "0" }), spec);
        job["metadata"]["name"] =
            Value::from(format!("{}-{}", mode.to_lowercase(), "x".repeat(length - mode.len() - 1)));
        world.create(job).await?;
    }
    world
        .until("two Completed", |seen| {
            seen.events.iter().filter(|event| event["reason"] == "Completed").count() == 2
        })
        .await?;
    world.freed().await
}

async fn manual_selector(world: World) -> Result<()> {
    let mut template = template(json!({ "exit": "0" }));
    template["metadata"]["labels"] = json!({ "app": "own", "tier": "batch" });
    let selector = json!({ "matchLabels": { "app": "own" } });
    let spec = json!({ "manualSelector": true, "selector": selector, "template": template });
    world.create(job(Value::Null, spec)).await?;
    world.ends("Complete", "Completed").await
}

/// A Job that adopts what another left behind when it was deleted.
async fn adoption(world: World) -> Result<()> {
    let mut template = template(json!({}));
    template["metadata"]["labels"] = json!({ "app": "own" });
    let selector = json!({ "matchLabels": { "app": "own" } });
    let spec = json!({
        "manualSelector": true, "selector": selector, "template": template, "parallelism": 2, "completions": 2,
    });
    world.create(job(Value::Null, spec.clone())).await?;
    world.running(2).await?;
    world.delete("Orphan").await?;
    world
        .until("orphans", |seen| {
            let is_orphan = |pod: &Value| {
                pod["metadata"]["ownerReferences"].is_null() && pod["metadata"]["finalizers"].is_null()
            };
            seen.job.is_null() && seen.pods.iter().all(|pod| is_orphan(pod))
        })
        .await?;
    world.create(job(Value::Null, spec)).await?;
    world.status(json!({ "active": 2, "ready": 2 })).await?;
    for pod in world.running(2).await? {
        world.end(&pod, 0).await?;
    }
    world.ends("Complete", "Completed").await
}

/// A Pod whose labels no longer match is let go and replaced.
async fn release(world: World) -> Result<()> {
    world.create(job(json!({}), json!({}))).await?;
    let pods = world.running(1).await?;
    let labels = json!({ "batch.kubernetes.io/controller-uid": "other", "controller-uid": "other" });
    world.change_pod(&pods[0], json!({ "metadata": { "labels": labels } })).await?;
    let pods = world.running(2).await?;
    let own = pods.iter().find(|pod| !pod["metadata"]["ownerReferences"].is_null());
    world.end(own.unwrap_or(&Value::Null), 0).await?;
    world.until("Complete", |seen| seen.has("Complete")).await?;
    world.event("Completed").await?;
    world.freed().await
}

async fn delete(world: World, policy: &str) -> Result<()> {
    world.create(job(json!({}), json!({ "parallelism": 2, "completions": 3 }))).await?;
    let pods = world.running(2).await?;
    world.end(&pods[0], 0).await?;
    world.status(json!({ "succeeded": 1, "active": 2 })).await?;
    world.running(2).await?;
    world.delete(policy).await?;
    world.until("the Job to go", |seen| seen.job.is_null()).await?;
    if policy == "Orphan" {
        return world.freed().await;
    }
    world.until("the Pods to go", |seen| seen.pods.is_empty()).await
}

async fn namespace_ends(world: World) -> Result<()> {
    world.create(job(json!({}), json!({ "parallelism": 2, "completions": 3 }))).await?;
    world.running(2).await?;
    world.client.delete(&format!("/api/v1/namespaces/{}", world.namespace), &json!({})).await?;
    world.until("everything to go", |seen| seen.job.is_null() && seen.pods.is_empty()).await
}

async fn shrink_and_grow(world: World) -> Result<()> {
    world.create(job(json!({}), json!({ "parallelism": 3, "completions": 9 }))).await?;
    world.running(3).await?;
    world.change(json!({ "spec": { "parallelism": 1 } })).await?;
    world.status(json!({ "active": 1, "terminating": 0 })).await?;
    world.running(1).await?;
    world.change(json!({ "spec": { "parallelism": 2 } })).await?;
    world.running(2).await?;
    world.change(json!({ "spec": { "parallelism": 0 } })).await?;
    world.status(json!({ "active": Value::Null, "terminating": 0 })).await?;
    world.until("no Pods", |seen| seen.pods.is_empty()).await
}

/// An Indexed Job that is made smaller and larger while some of its indexes have ended.
async fn elastic(world: World) -> Result<()> {
    let spec = json!({ "parallelism": 4, "completions": 4, "completionMode": "Indexed" });
    world.create(job(json!({ "exit": "0=0,3=0,-" }), spec)).await?;
    world.status(json!({ "succeeded": 2, "completedIndexes": "0,3" })).await?;
    world.change(json!({ "spec": { "parallelism": 2, "completions": 2 } })).await?;
    world.status(json!({ "succeeded": 1, "completedIndexes": "0", "active": 1 })).await?;
    world.change(json!({ "spec": { "parallelism": 3, "completions": 3 } })).await?;
    let pods = world.running(2).await?;
    for pod in pods {
        world.end(&pod, 0).await?;
    }
    world.until("Complete", |seen| seen.has("Complete")).await?;
    world.event("Completed").await?;
    world.freed().await
}
