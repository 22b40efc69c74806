//! J6 to J8: Pods that fail, and what that means.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Scenario, scenario};
use crate::compare::world::{World, job, template};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario("J6", "backoff-limit-0", |world| Box::pin(backoff_limit_0(world))),
        scenario("J6", "backoff-limit-2", |world| Box::pin(backoff_limit_2(world))),
        scenario("J6", "restarts", |world| Box::pin(restarts(world))),
        scenario("J7", "per-index", |world| Box::pin(per_index(world))),
        scenario("J7", "max-failed-indexes", |world| Box::pin(max_failed_indexes(world))),
        scenario("J8", "fail-job", |world| Box::pin(fail_job(world))),
        scenario("J8", "fail-job-not-in", |world| Box::pin(fail_job_not_in(world))),
        scenario("J8", "fail-index", |world| Box::pin(fail_index(world))),
        scenario("J8", "ignore-code", |world| Box::pin(ignore_code(world))),
        scenario("J8", "ignore-eviction", |world| Box::pin(ignore_eviction(world))),
        scenario("J8", "count", |world| Box::pin(count(world))),
    ]
}

async fn backoff_limit_0(world: World) -> Result<()> {
    let spec = json!({ "backoffLimit": 0, "parallelism": 2, "completions": 2 });
    world.create(job(json!({}), spec)).await?;
    let pods = world.running(2).await?;
    world.end(&pods[0], 1).await?;
    world.ends("Failed", "BackoffLimitExceeded").await
}

async fn backoff_limit_2(world: World) -> Result<()> {
    world.create(job(json!({ "exit": "1" }), json!({ "backoffLimit": 2 }))).await?;
    world.ends("Failed", "BackoffLimitExceeded").await
}

/// Restarts in place count against the limit, too.
async fn restarts(world: World) -> Result<()> {
    let mut template = template(json!({ "restarts": "3" }));
    template["spec"]["restartPolicy"] = json!("OnFailure");
    world.create(job(Value::Null, json!({ "backoffLimit": 2, "template": template }))).await?;
    world.ends("Failed", "BackoffLimitExceeded").await
}

async fn per_index(world: World) -> Result<()> {
    let spec = json!({
        "completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
    });
    world.create(job(json!({ "exit": "1=1,0" }), spec)).await?;
    world.ends("Failed", "FailedIndexes").await
}

async fn max_failed_indexes(world: World) -> Result<()> {
    let spec = json!({
        "completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
        "maxFailedIndexes": 1,
    });
    world.create(job(json!({ "exit": "0=1,1=1,-" }), spec)).await?;
    world.ends("Failed", "MaxFailedIndexesExceeded").await
}

async fn fail_job(world: World) -> Result<()> {
    let spec = json!({
        "completions": 2, "parallelism": 2, "completionMode": "Indexed",
        "podFailurePolicy": { "rules": [
            { "action": "Ignore", "onExitCodes": { "operator": "In", "values": [7] } },
            { "action": "FailJob", "onExitCodes": { "containerName": "main", "operator": "In", "values": [3, 42] } },
        ]},
    });
    world.create(job(json!({ "exit": "1=42,-" }), spec)).await?;
    world.ends("Failed", "PodFailurePolicy").await
}

async fn fail_job_not_in(world: World) -> Result<()> {
    let spec = json!({
        "podFailurePolicy": { "rules": [
            { "action": "FailJob", "onExitCodes": { "operator": "NotIn", "values": [1, 2] } },
        ]},
    });
    world.create(job(json!({ "exit": "3" }), spec)).await?;
    world.ends("Failed", "PodFailurePolicy").await
}

async fn fail_index(world: World) -> Result<()> {
    let spec = json!({
        "completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 3,
        "podFailurePolicy": { "rules": [
            { "action": "FailIndex", "onExitCodes": { "operator": "In", "values": [5] } },
        ]},
    });
    world.create(job(json!({ "exit": "2=5,0" }), spec)).await?;
    world.ends("Failed", "FailedIndexes").await
}

async fn ignore_code(world: World) -> Result<()> {
    let spec = json!({
        "backoffLimit": 0,
        "podFailurePolicy": { "rules": [
            { "action": "Ignore", "onExitCodes": { "operator": "In", "values": [42] } },
        ]},
    });
    world.create(job(json!({}), spec)).await?;
    world.end_next(42).await?;
    world.end_next(0).await?;
    world.ends("Complete", "Completed").await
}

async fn ignore_eviction(world: World) -> Result<()> {
    let spec = json!({
        "backoffLimit": 0,
        "podFailurePolicy": { "rules": [
            { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
        ]},
    });
    world.create(job(json!({}), spec)).await?;
    let pods = world.running(1).await?;
    world.evict(&pods[0]).await?;
    world
        .until("the evicted Pod to go", |seen| {
            seen.pods.iter().all(|pod| pod["metadata"]["uid"] != pods[0]["metadata"]["uid"])
        })
        .await?;
    world.end_next(0).await?;
    world.ends("Complete", "Completed").await
}

async fn count(world: World) -> Result<()> {
    let spec = json!({
        "backoffLimit": 1,
        "podFailurePolicy": { "rules": [
            { "action": "Count", "onExitCodes": { "operator": "In", "values": [9] } },
            { "action": "Ignore", "onExitCodes": { "operator": "NotIn", "values": [9] } },
        ]},
    });
    world.create(job(json!({}), spec)).await?;
    world.end_next(9).await?;
    world.end_next(9).await?;
    world.ends("Failed", "BackoffLimitExceeded").await
}
