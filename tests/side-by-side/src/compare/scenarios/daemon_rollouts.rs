//! D4 to D6: how a DaemonSet's Pods follow its template, and the revisions that it keeps.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Scenario, scenario};
use crate::compare::world::World;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario("D4", "daemon-rollout", |world| Box::pin(rollout(world, rolling(json!(1), json!(0))))),
        scenario("D4", "daemon-rollout-half", |world| {
            Box::pin(rollout(world, rolling(json!("50%"), json!(0))))
        }),
        scenario("D4", "daemon-rollout-all", |world| {
            Box::pin(rollout(world, rolling(json!("100%"), json!(0))))
        }),
        scenario("D4", "daemon-surge", |world| Box::pin(rollout(world, rolling(json!(0), json!(1))))),
        scenario("D4", "daemon-surge-half", |world| {
            Box::pin(rollout(world, rolling(json!(0), json!("50%"))))
        }),
        scenario("D4", "daemon-rollout-slow", |world| {
            Box::pin(slow_rollout(world, rolling(json!(1), json!(0))))
        }),
        scenario("D4", "daemon-surge-slow", |world| {
            Box::pin(slow_rollout(world, rolling(json!(0), json!(1))))
        }),
        scenario("D4", "daemon-rollout-bad", |world| {
            Box::pin(bad_template(world, rolling(json!(1), json!(0)), 3))
        }),
        scenario("D4", "daemon-surge-bad", |world| {
            Box::pin(bad_template(world, rolling(json!(0), json!(1)), 4))
        }),
        scenario("D2 D4", "daemon-surge-failed", |world| Box::pin(surge_failed(world))),
        scenario("D4", "daemon-rollout-taint", |world| Box::pin(taint(world))),
        scenario("D5", "daemon-on-delete", |world| Box::pin(on_delete(world))),
        scenario("D4 D5", "daemon-strategy", |world| Box::pin(strategy(world))),
        scenario("D6", "daemon-undo", |world| Box::pin(undo(world))),
        scenario("D6", "daemon-undo-midway", |world| Box::pin(undo_midway(world))),
        scenario("D6", "daemon-history-1", |world| Box::pin(history(world, 1, 2))),
        scenario("D6", "daemon-history-0", |world| Box::pin(history(world, 0, 1))),
        scenario("D6", "daemon-history-less", |world| Box::pin(lower_limit(world))),
        scenario("D6", "daemon-revision-gone", |world| Box::pin(revision_deleted(world))),
        scenario("D6", "daemon-revision-label", |world| Box::pin(revision_unlabelled(world))),
        scenario("D4 D6", "daemon-labels", |world| Box::pin(labels(world))),
        scenario("D6", "daemon-revision-owner", |world| Box::pin(revision_released(world))),
    ]
}

fn rolling(max_unavailable: Value, max_surge: Value) -> Value {
    let rolling_update = json!({ "maxUnavailable": max_unavailable, "maxSurge": max_surge });
    json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": rolling_update } })
}

async fn rollout(world: World, strategy: Value) -> Result<()> {
    world.populate(3, &world.daemon_set(json!({}), strategy)).await?;
    world.count_pods();
    world.roll_to("busybox:2", json!({})).await?;
    world.complete(3).await
}

/// The next Pod waits until the one before has been ready for long enough.
async fn slow_rollout(world: World, strategy: Value) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), strategy)).await?;
    world.change_daemon_set(json!({ "spec": { "minReadySeconds": 2 } })).await?;
    world.complete(2).await?;
    world.count_pods();
    world.roll_to("busybox:2", json!({})).await?;
    // Of several times at which it is to look again, the built-in controller keeps the earliest only, and may so
    // overlook for ever that a Pod of a surge has become available.
    world.complete_once_nudged(2).await
}

/// Pods that never become ready stop the rollout with the first, and a good template takes its place.
async fn bad_template(world: World, strategy: Value, pods: usize) -> Result<()> {
    world.nodes_are_alike();
    world.populate(3, &world.daemon_set(json!({}), strategy)).await?;
    world.roll_to("busybox:2", json!({ "not-ready": "yes" })).await?;
    world.until("a Pod of the bad template", |seen| seen.created.len() >= 4).await?;
    world.until("all Pods", |seen| seen.pods.len() == pods).await?;
    world.running(pods).await?;
    world.roll_to("busybox:3", json!({ "not-ready": Value::Null })).await?;
    world.complete(3).await?;
    world.revisions(3).await
}

/// With surge, too, a Pod that fails is replaced.
async fn surge_failed(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), rolling(json!(0), json!(1)))).await?;
    for failures in 1..=2 {
        world.end(&world.daemon_on(1).await?, 1).await?;
        world.until("another Pod", |seen| seen.created.len() >= 2 + failures).await?;
        world.complete(2).await?;
    }
    Ok(())
}

/// A node that takes no more Pods loses its own in a rollout.
async fn taint(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.taint(1, json!([{ "key": "dedicated", "effect": "NoSchedule" }])).await?;
    world.counts_once_nudged(json!({ "desiredNumberScheduled": 1, "numberMisscheduled": 1 })).await?;
    world.roll_to("busybox:2", json!({})).await?;
    world.complete(1).await
}

async fn on_delete(world: World) -> Result<()> {
    let strategy = json!({ "updateStrategy": { "type": "OnDelete" } });
    world.populate(2, &world.daemon_set(json!({}), strategy)).await?;
    world.roll_to("busybox:2", json!({})).await?;
    world.counts(json!({ "updatedNumberScheduled": 0, "numberReady": 2 })).await?;
    world.delete_pod(&world.daemon_on(1).await?).await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.counts(json!({ "updatedNumberScheduled": 1, "numberReady": 2 })).await?;
    world.until("two Pods", |seen| seen.pods.len() == 2).await
}

/// What OnDelete has left is rolled once the strategy says so.
async fn strategy(world: World) -> Result<()> {
    let strategy = json!({ "updateStrategy": { "type": "OnDelete" } });
    world.populate(2, &world.daemon_set(json!({}), strategy)).await?;
    world.roll_to("busybox:2", json!({})).await?;
    world.counts(json!({ "updatedNumberScheduled": 0 })).await?;
    world.change_daemon_set(json!({ "spec": rolling(json!(1), json!(0)) })).await?;
    world.complete(2).await
}

/// The revision of the template that is gone back to gets the highest number.
async fn undo(world: World) -> Result<()> {
    let mut daemon_set = world.daemon_set(json!({ "note": "<first>" }), json!({}));
    daemon_set["metadata"]["annotations"] = json!({ "kubernetes.io/change-cause": "the first" });
    world.populate(2, &daemon_set).await?;
    let cause = json!({ "metadata": { "annotations": { "kubernetes.io/change-cause": "the second" } } });
    world.change_daemon_set(cause).await?;
    world.roll_to("busybox:2", json!({ "note": "second" })).await?;
    world.complete(2).await?;
    world.undo_to(1).await?;
    world.complete(2).await?;
    has_revision(&world, 3).await
}

/// Pods of the template that is gone back to stay as they are.
async fn undo_midway(world: World) -> Result<()> {
    world.nodes_are_alike();
    world.populate(3, &world.daemon_set(json!({}), json!({}))).await?;
    world.roll_to("busybox:2", json!({ "not-ready": "yes" })).await?;
    world.until("a Pod of the bad template", |seen| seen.created.len() >= 4).await?;
    world.until("three Pods", |seen| seen.pods.len() == 3).await?;
    world.running(3).await?;
    world.undo_to(1).await?;
    world.complete(3).await?;
    has_revision(&world, 3).await
}

async fn history(world: World, limit: usize, left: usize) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({ "revisionHistoryLimit": limit }))).await?;
    for (image, number) in [("busybox:2", 2), ("busybox:3", 3)] {
        world.roll_to(image, json!({})).await?;
        world.complete(2).await?;
        has_revision(&world, number).await?;
    }
    world.revisions(left).await
}

async fn lower_limit(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    for image in ["busybox:2", "busybox:3"] {
        world.roll_to(image, json!({})).await?;
        world.complete(2).await?;
    }
    world.revisions(3).await?;
    world.change_daemon_set(json!({ "spec": { "revisionHistoryLimit": 1 } })).await?;
    world.revisions(2).await?;
    world.complete(2).await
}

/// A revision that is needed is made again.
async fn revision_deleted(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.roll_to("busybox:2", json!({})).await?;
    world.complete(2).await?;
    let deleted = world.delete_revision(2).await?;
    world
        .until("another revision 2", |seen| {
            let mut revisions = seen.revisions.iter();
            revisions.any(|known| known["revision"] == 2 && known["metadata"]["uid"] != deleted)
        })
        .await?;
    world.complete(2).await
}

/// A revision without its label gets one, and Pods made from then on carry it.
async fn revision_unlabelled(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    let hash = "controller-revision-hash";
    world.change_revision(1, json!({ "metadata": { "labels": { hash: Value::Null } } })).await?;
    world
        .until("a label", |seen| {
            let mut labels = seen.revisions.iter().map(|revision| &revision["metadata"]["labels"][hash]);
            labels.all(|label| label.as_str().is_some_and(|label| label.starts_with("it-")))
        })
        .await?;
    world.delete_pod(&world.daemon_on(1).await?).await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.complete(2).await
}

/// A revision whose labels no longer match is let go, and another is made when it is needed.
async fn revision_released(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    world.roll_to("busybox:2", json!({})).await?;
    world.complete(2).await?;
    world.change_revision(1, json!({ "metadata": { "labels": { "app": "other" } } })).await?;
    world
        .until("an orphan", |seen| {
            seen.revisions.iter().any(|revision| revision["metadata"]["ownerReferences"].is_null())
        })
        .await?;
    world.complete(2).await
}

/// A Pod is of the template if its hash or its generation says so.
async fn labels(world: World) -> Result<()> {
    world.populate(2, &world.daemon_set(json!({}), json!({}))).await?;
    let pod = world.daemon_on(0).await?;
    let labels = json!({ "controller-revision-hash": "other" });
    world.change_pod(&pod, json!({ "metadata": { "labels": labels } })).await?;
    world.change_daemon_set(json!({ "spec": { "minReadySeconds": 1 } })).await?;
    world.complete(2).await?;
    let labels = json!({ "pod-template-generation": "0" });
    world.change_pod(&pod, json!({ "metadata": { "labels": labels } })).await?;
    world.until("another Pod", |seen| seen.created.len() >= 3).await?;
    world.complete(2).await
}

async fn has_revision(world: &World, number: i64) -> Result<()> {
    world
        .until(&format!("revision {number}"), |seen| {
            seen.revisions.iter().any(|revision| revision["revision"] == number)
        })
        .await
}
