//! J9 to J13: how a Job comes to its end, and what becomes of its Pods and of itself.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Scenario, scenario};
use crate::compare::world::{World, job};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario("J9", "success-indexes", |world| Box::pin(success_indexes(world))),
        scenario("J9", "success-count", |world| Box::pin(success_count(world))),
        scenario("J10 J17", "replace-failed", |world| Box::pin(replace(world, "Failed"))),
        scenario("J10 J17", "replace-terminating", |world| Box::pin(replace(world, "TerminatingOrFailed"))),
        scenario("J11", "suspend-and-resume", |world| Box::pin(suspend_and_resume(world))),
        scenario("J11 J12", "deadline-after-resume", |world| Box::pin(deadline_after_resume(world))),
        scenario("J12", "deadline", |world| Box::pin(deadline(world))),
        scenario("J12 J14", "deadline-hangs", |world| Box::pin(deadline_hangs(world))),
        scenario("J13", "time-to-live-0", |world| Box::pin(time_to_live(world, 0))),
        scenario("J13", "time-to-live-2", |world| Box::pin(time_to_live(world, 2))),
    ]
}

async fn success_indexes(world: World) -> Result<()> {
    let spec = json!({
        "completions": 3, "parallelism": 3, "completionMode": "Indexed",
        "successPolicy": { "rules": [{ "succeededIndexes": "1" }] },
    });
    world.create(job(json!({}), spec)).await?;
    let pods = world.running(3).await?;
    let leader =
        pods.iter().find(|pod| pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "1");
    world.end(leader.unwrap_or(&Value::Null), 0).await?;
    world.ends("Complete", "Completed").await
}

async fn success_count(world: World) -> Result<()> {
    let spec = json!({
        "completions": 4, "parallelism": 2, "completionMode": "Indexed",
        "successPolicy": { "rules": [{ "succeededIndexes": "2-3", "succeededCount": 2 }, { "succeededCount": 2 }] },
    });
    world.create(job(json!({}), spec)).await?;
    let pods = world.running(2).await?;
    world.end(&pods[0], 0).await?;
    // Its successor runs before the next one ends, however soon the controller acts.
    world.status(json!({ "succeeded": 1, "active": 2 })).await?;
    world.running(2).await?;
    world.end(&pods[1], 0).await?;
    world.ends("Complete", "Completed").await
}

/// A Pod that hangs while it is deleted, replaced at once or once it has failed.
async fn replace(world: World, policy: &str) -> Result<()> {
    let spec = json!({ "podReplacementPolicy": policy });
    world.create(job(json!({ "hang": "true" }), spec)).await?;
    let pods = world.running(1).await?;
    world.delete_pod(&pods[0]).await?;
    if policy == "Failed" {
        world.status(json!({ "terminating": 1, "active": Value::Null })).await?;
    } else {
        world.status(json!({ "terminating": 1, "active": 1 })).await?;
    }
    world.end(&pods[0], 137).await?;
    world.status(json!({ "terminating": 0, "active": 1, "failed": 1 })).await?;
    world.end_next(0).await?;
    world.ends("Complete", "Completed").await
}

async fn suspend_and_resume(world: World) -> Result<()> {
    world.create(job(json!({}), json!({ "suspend": true, "parallelism": 2, "completions": 2 }))).await?;
    world.until("Suspended", |seen| seen.has("Suspended")).await?;
    world.change(json!({ "spec": { "suspend": false } })).await?;
    world.running(2).await?;
    world.status(json!({ "active": 2, "ready": 2 })).await?;
    world.change(json!({ "spec": { "suspend": true } })).await?;
    world.status(json!({ "active": Value::Null, "terminating": 0, "startTime": Value::Null })).await?;
    world.until("no Pods", |seen| seen.pods.is_empty()).await?;
    world.change(json!({ "spec": { "suspend": false } })).await?;
    for pod in world.running(2).await? {
        world.end(&pod, 0).await?;
    }
    world.ends("Complete", "Completed").await
}

/// The deadline runs from the moment of the resumption.
async fn deadline_after_resume(world: World) -> Result<()> {
    world.create(job(json!({}), json!({ "suspend": true, "activeDeadlineSeconds": 2 }))).await?;
    world.until("Suspended", |seen| seen.has("Suspended")).await?;
    world.change(json!({ "spec": { "suspend": false } })).await?;
    world.ends("Failed", "DeadlineExceeded").await
}

async fn deadline(world: World) -> Result<()> {
    let spec = json!({ "activeDeadlineSeconds": 2, "parallelism": 2, "completions": 4 });
    world.create(job(json!({}), spec)).await?;
    world.ends("Failed", "DeadlineExceeded").await
}

/// Failed is said only once no Pod is on its way out.
async fn deadline_hangs(world: World) -> Result<()> {
    let spec = json!({ "activeDeadlineSeconds": 2, "podReplacementPolicy": "Failed" });
    world.create(job(json!({ "hang": "true" }), spec)).await?;
    let pods = world.running(1).await?;
    world.until("FailureTarget", |seen| seen.has("FailureTarget")).await?;
    world.status(json!({ "terminating": 1 })).await?;
    world.end(&pods[0], 137).await?;
    world.ends("Failed", "DeadlineExceeded").await
}

async fn time_to_live(world: World, seconds: u32) -> Result<()> {
    world.create(job(json!({ "exit": "0" }), json!({ "ttlSecondsAfterFinished": seconds }))).await?;
    world.event("Completed").await?;
    world.until("Job and Pods to go", |seen| seen.job.is_null() && seen.pods.is_empty()).await
}
