//! C1 to C10: which Jobs a CronJob makes of its schedule, and what it tells of them.
//!
//! A run is due at once where the status says that the last one was long ago. Schedules of once a day are so run
//! without waiting for the clock; those of every minute wait for the next one, all scenarios for the same.
//!
//! Texts that are no schedule, zones that there are not, and `TZ=` in the text are refused by the API server, and only
//! objects of older servers have them: the text cases hold them.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Declared, Scenario, scenario};
use crate::clock;
use crate::compare::state::text;
use crate::compare::world::{JOB, World, cron_job, job, template};

/// Once a day.
const DAILY: &str = "0 3 * * *";
/// The hour of [`DAILY`], in seconds.
const DAILY_HOUR: i64 = 3 * 3_600;
const DAY: i64 = 86_400;
/// Every minute.
const ALWAYS: &str = "* * * * *";

pub(super) fn all() -> Vec<Scenario> {
    let mut all = vec![
        scenario("C2 C6 C7", "daily-cleanup", |world| Box::pin(daily_cleanup(world))),
        scenario("C4", "cron-allow", |world| Box::pin(allow(world))),
        scenario("C4", "cron-forbid", |world| Box::pin(forbid(world))),
        scenario("C4", "cron-replace", |world| Box::pin(replace(world))),
        scenario("C5", "cron-suspend", |world| Box::pin(suspend(world))),
        scenario("C3", "cron-too-many", |world| Box::pin(too_many(world))),
        scenario("C6", "cron-history", |world| Box::pin(history(world))),
        scenario("C6 C8", "cron-failed", |world| Box::pin(failed(world))),
        scenario("C8", "cron-hand-made", |world| Box::pin(hand_made(world))),
        scenario("C8 C10", "cron-missing-job", |world| Box::pin(missing_job(world))),
        scenario("C10", "cron-refused", |world| Box::pin(refused(world))),
        scenario("C10", "cron-quota", |world| Box::pin(quota(world))),
        scenario("C9", "cron-own-job", |world| Box::pin(own_job(world))),
        scenario("C7", "cron-delete", |world| Box::pin(delete(world))),
        scenario("C7", "cron-orphan", |world| Box::pin(orphan(world))),
    ];
    all.extend(differing());
    all
}

/// Those in which something differs on purpose.
fn differing() -> [Scenario; 4] {
    [
        Scenario {
            rows: "C3",
            name: "cron-deadline",
            script: |world| Box::pin(deadline(world)),
            declared: &[Declared { at: "MissSchedule", row: "MissSchedule" }],
        },
        Scenario {
            rows: "C6",
            name: "cron-history-0",
            script: |world| Box::pin(history_0(world)),
            declared: &HISTORY_0,
        },
        Scenario {
            rows: "C9",
            name: "cron-foreign-job",
            script: |world| Box::pin(foreign_job(world)),
            declared: &[Declared { at: "FailedCreate", row: "Another's Job with the name that a run needs" }],
        },
        Scenario {
            rows: "C1",
            name: "cron-never",
            script: |world| Box::pin(never(world)),
            declared: &[Declared {
                at: "InvalidSchedule",
                row: "Texts of schedules and zones that cannot be read",
            }],
        },
    ]
}

/// The built-in controller loses track of the Job: it tells of its end, of its absence, or of neither.
const HISTORY_0: [Declared; 2] = {
    const ROW: &str = "Jobs of the history";
    [Declared { at: "SawCompletedJob", row: ROW }, Declared { at: "MissingJob", row: ROW }]
};

async fn daily_cleanup(world: World) -> Result<()> {
    let spec = json!({
        "timeZone": "Europe/Vienna", "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1,
    });
    let mut cron_job = cron_job(DAILY, json!({ "exit": "0" }), spec);
    cron_job["spec"]["jobTemplate"]["metadata"] = json!({
        "labels": { "app": "cleanup" }, "annotations": { "team": "storage" },
    });
    cron_job["spec"]["jobTemplate"]["spec"]["backoffLimit"] = json!(2);
    world.miss(cron_job, 2 * DAY).await?;
    completes(&world).await
}

async fn allow(world: World) -> Result<()> {
    world.early_in_a_minute().await;
    world.miss(cron_job(ALWAYS, json!({}), json!({})), 90).await?;
    world.active(2).await?;
    for (pod, left) in world.running(2).await?.iter().zip([1, 0]) {
        world.end(pod, 0).await?;
        world.active(left).await?;
    }
    world.suspend().await?;
    completed(&world, 2).await
}

/// The run that was held back comes late, once its predecessor has ended.
async fn forbid(world: World) -> Result<()> {
    world.early_in_a_minute().await;
    world.miss(cron_job(ALWAYS, json!({}), json!({ "concurrencyPolicy": "Forbid" })), 90).await?;
    world.event("JobAlreadyActive").await?;
    world.end_next(0).await?;
    world.until("a second Job", |seen| seen.jobs.len() == 2).await?;
    world.end_next(0).await?;
    completed(&world, 2).await?;
    world.suspend().await
}

async fn replace(world: World) -> Result<()> {
    world.early_in_a_minute().await;
    world.miss(cron_job(ALWAYS, json!({}), json!({ "concurrencyPolicy": "Replace" })), 90).await?;
    let jobs = world.active(1).await?;
    world.running(1).await?;
    let first = jobs.first().context("a Job")?;
    world
        .until("another Job and its Pod alone", |seen| {
            let is_other = |pod: &&Value| !text(&pod["metadata"]["name"]).starts_with(first);
            seen.jobs.len() == 1 && seen.pods.len() == 1 && seen.pods.iter().all(is_other)
        })
        .await?;
    world.end_next(0).await?;
    world.suspend().await?;
    completes(&world).await
}

/// A suspended CronJob lets its Job run to the end, and makes no more; resumed, it makes the latest.
async fn suspend(world: World) -> Result<()> {
    world.early_in_a_minute().await;
    world.miss(cron_job(ALWAYS, json!({}), json!({})), 90).await?;
    world.active(1).await?;
    world.suspend().await?;
    world.end_next(0).await?;
    completed(&world, 1).await?;
    let second = clock::unix_seconds().rem_euclid(60);
    tokio::time::sleep(std::time::Duration::from_secs((61 - second).unsigned_abs())).await;
    world.resume().await?;
    world.end_next(0).await?;
    world.suspend().await?;
    completed(&world, 2).await?;
    events(&world, "Completed", 2).await
}

/// A run that is later than its deadline is not made, and is once the deadline is longer.
async fn deadline(world: World) -> Result<()> {
    world
        .miss(cron_job(DAILY, json!({ "exit": "0" }), json!({ "startingDeadlineSeconds": 10 })), 2 * DAY)
        .await?;
    looked_at(&world).await?;
    world.change_cron_job(json!({ "spec": { "startingDeadlineSeconds": 2 * DAY } })).await?;
    completes(&world).await
}

async fn too_many(world: World) -> Result<()> {
    world.early_in_a_minute().await;
    world.miss(cron_job(ALWAYS, json!({ "exit": "0" }), json!({})), 3 * 3_600).await?;
    world.event("TooManyMissedTimes").await?;
    world.event("SuccessfulCreate").await?;
    world.suspend().await?;
    completes(&world).await
}

/// Limits that are lowered while there are more: what started first goes, with its Pods.
async fn history(world: World) -> Result<()> {
    let spec = json!({ "suspend": true, "successfulJobsHistoryLimit": 10, "failedJobsHistoryLimit": 10 });
    world.create_cron_job(&cron_job(DAILY, json!({}), spec)).await?;
    let now = clock::unix_seconds();
    for (name, ago, is_complete) in
        [("b", 300, true), ("d", 100, true), ("a", 200, true), ("c", 50, false), ("e", 400, false)]
    {
        ended_job(&world, name, now - ago, is_complete).await?;
    }
    let latest = clock::time(now - 100 + 10);
    world.until("lastSuccessfulTime", |seen| seen.cron_job["status"]["lastSuccessfulTime"] == latest).await?;
    let uid = world.state.told().job(&world.namespace, "b")["metadata"]["uid"].clone();
    let owner =
        json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "b", "uid": uid, "controller": true }]);
    let mut pod = template(json!({}));
    pod["metadata"] = json!({ "name": "of-b", "ownerReferences": owner });
    world.create_core("pods", pod).await?;
    world.running(1).await?;
    let limits = json!({ "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1 });
    world.change_cron_job(json!({ "spec": limits })).await?;
    world.until("two Jobs and no Pod", |seen| seen.jobs.len() == 2 && seen.pods.is_empty()).await?;
    events(&world, "SuccessfulDelete", 3).await
}

/// The Job goes as soon as it is Complete, and yet the status tells that it was.
async fn history_0(world: World) -> Result<()> {
    let spec = json!({ "successfulJobsHistoryLimit": 0 });
    world.miss(cron_job(DAILY, json!({ "exit": "0" }), spec), 2 * DAY).await?;
    world.event("SuccessfulDelete").await?;
    world.active(0).await?;
    world
        .until("lastSuccessfulTime", |seen| !seen.cron_job["status"]["lastSuccessfulTime"].is_null())
        .await?;
    world.until("everything to go", |seen| seen.jobs.is_empty() && seen.pods.is_empty()).await
}

async fn failed(world: World) -> Result<()> {
    let mut cron_job = cron_job(DAILY, json!({ "exit": "1" }), json!({}));
    cron_job["spec"]["jobTemplate"]["spec"]["backoffLimit"] = json!(0);
    world.miss(cron_job, 2 * DAY).await?;
    world.event("BackoffLimitExceeded").await?;
    completed(&world, 1).await
}

/// A Job as `kubectl create job --from` makes it.
async fn hand_made(world: World) -> Result<()> {
    world.create_cron_job(&cron_job(DAILY, json!({}), json!({ "suspend": true }))).await?;
    let manual = owned_job(&world, "manual", json!({}), json!({})).await?;
    world.create(manual).await?;
    world.event("UnexpectedJob").await?;
    world.end_next(0).await?;
    world
        .until("lastSuccessfulTime", |seen| !seen.cron_job["status"]["lastSuccessfulTime"].is_null())
        .await?;
    world.event("Completed").await?;
    world.freed().await
}

/// A Job that somebody deletes while it is listed as active; its instant is not run again.
async fn missing_job(world: World) -> Result<()> {
    world.miss(cron_job(DAILY, json!({}), json!({})), 2 * DAY).await?;
    let jobs = world.active(1).await?;
    world.running(1).await?;
    world.delete_job(jobs.first().context("a Job")?, "Background").await?;
    world.event("MissingJob").await?;
    world.active(0).await?;
    world.until("the Pods to go", |seen| seen.pods.is_empty()).await
}

/// A template that is refused only when a Job is made of it.
async fn refused(world: World) -> Result<()> {
    let mut cron_job = cron_job(DAILY, json!({ "exit": "0" }), json!({}));
    cron_job["spec"]["jobTemplate"]["metadata"] = json!({ "labels": { "no key": "x" } });
    world.miss(cron_job, 2 * DAY).await?;
    world.event("FailedCreate").await?;
    let metadata = json!({ "labels": { "no key": Value::Null } });
    world.change_cron_job(json!({ "spec": { "jobTemplate": { "metadata": metadata } } })).await?;
    completes(&world).await
}

/// A quota that has no room for the Job until it is raised.
async fn quota(world: World) -> Result<()> {
    let hard = |count: &str| json!({ "spec": { "hard": { "count/jobs.batch": count } } });
    let mut quota = hard("0");
    quota["apiVersion"] = json!("v1");
    quota["kind"] = json!("ResourceQuota");
    quota["metadata"] = json!({ "name": "quota" });
    world.create_core("resourcequotas", quota).await?;
    let is_known = |quota: &Value| !quota["status"]["hard"].is_null();
    world.until("the quota", |seen| seen.quotas.iter().any(|quota| is_known(quota))).await?;
    world.miss(cron_job(DAILY, json!({ "exit": "0" }), json!({})), 2 * DAY).await?;
    world.event("FailedCreate").await?;
    let path = format!("/api/v1/namespaces/{}/resourcequotas/quota", world.namespace);
    ensure!(world.client.patch(&path, &hard("1")).await?, "there is no quota");
    completes(&world).await
}

async fn delete(world: World) -> Result<()> {
    world.miss(cron_job(DAILY, json!({}), json!({})), 2 * DAY).await?;
    world.active(1).await?;
    world.running(1).await?;
    world.delete_cron_job("Background").await?;
    world
        .until("everything to go", |seen| {
            seen.cron_job.is_null() && seen.jobs.is_empty() && seen.pods.is_empty()
        })
        .await
}

async fn orphan(world: World) -> Result<()> {
    world.miss(cron_job(DAILY, json!({}), json!({})), 2 * DAY).await?;
    world.active(1).await?;
    world.running(1).await?;
    world.delete_cron_job("Orphan").await?;
    world
        .until("an orphan", |seen| {
            seen.cron_job.is_null()
                && seen.jobs.iter().all(|job| job["metadata"]["ownerReferences"].is_null())
        })
        .await?;
    world.end_next(0).await?;
    world.event("Completed").await?;
    world.freed().await
}

/// The name of the run is taken by a Job of somebody else's, which is left alone.
async fn foreign_job(world: World) -> Result<()> {
    let (name, _) = latest_run();
    let is_foreign = |job: &Value| job["metadata"]["ownerReferences"].is_null();
    let mut foreign = job(json!({ "exit": "0" }), json!({}));
    foreign["metadata"]["name"] = json!(name);
    world.create(foreign).await?;
    world.event("Completed").await?;
    let utc = json!({ "timeZone": "Etc/UTC" });
    world.miss(cron_job(DAILY, json!({ "exit": "0" }), utc), 2 * DAY).await?;
    looked_at(&world).await?;
    world.delete_job(&name, "Background").await?;
    world.until("the Job to go", |seen| !seen.jobs.iter().any(|job| is_foreign(job))).await?;
    world.change_cron_job(json!({ "metadata": { "labels": { "looked": "again" } } })).await?;
    completes(&world).await
}

/// The Job of the run is there, and the status does not know of it, as after a crash between two writes.
async fn own_job(world: World) -> Result<()> {
    let (name, instant) = latest_run();
    let spec = json!({ "timeZone": "Etc/UTC", "suspend": true });
    world.create_cron_job(&cron_job(DAILY, json!({}), spec)).await?;
    let scheduled = json!({ "batch.kubernetes.io/cronjob-scheduled-timestamp": instant });
    let own = owned_job(&world, &name, scheduled, json!({})).await?;
    world.create(own).await?;
    world.running(1).await?;
    world.last_run_was(2 * DAY).await?;
    world.resume().await?;
    world.active(1).await?;
    world.until("lastScheduleTime", |seen| seen.cron_job["status"]["lastScheduleTime"] == instant).await?;
    world.end_next(0).await?;
    completes(&world).await
}

/// The last day of a month that has none such.
async fn never(world: World) -> Result<()> {
    world.create_cron_job(&cron_job("59 23 31 2 *", json!({}), json!({}))).await?;
    world.event("InvalidSchedule").await
}

/// Waits until the only run was seen to complete.
async fn completes(world: &World) -> Result<()> {
    completed(world, 1).await?;
    world.event("Completed").await?;
    world.until("lastSuccessfulTime", |seen| !seen.cron_job["status"]["lastSuccessfulTime"].is_null()).await
}

/// Waits until so many Jobs were seen to end, none is active, and nothing holds a Pod.
async fn completed(world: &World, count: usize) -> Result<()> {
    events(world, "SawCompletedJob", count).await?;
    world.active(0).await?;
    world.freed().await
}

/// Waits until so many different Events of a reason were told.
async fn events(world: &World, reason: &str, count: usize) -> Result<()> {
    let what = format!("{count} Events {reason}");
    world
        .until(&what, |seen| seen.events.iter().filter(|event| event["reason"] == reason).count() == count)
        .await
}

/// Waits until the controller has looked at the CronJob once more: a Job that was made by hand completes.
async fn looked_at(world: &World) -> Result<()> {
    ended_job(world, "sign", clock::unix_seconds() - 60, true).await?;
    world.until("lastSuccessfulTime", |seen| !seen.cron_job["status"]["lastSuccessfulTime"].is_null()).await
}

/// A Job of the CronJob that no Job controller touches, and that has ended ten seconds after its start.
async fn ended_job(world: &World, name: &str, started: i64, is_complete: bool) -> Result<()> {
    let spec = json!({ "managedBy": "example.com/other" });
    world.create(owned_job(world, name, json!({}), spec).await?).await?;
    let message = format!("forgot: {name}");
    world
        .until("UnexpectedJob", |seen| {
            seen.events
                .iter()
                .any(|event| event["message"].as_str().is_some_and(|text| text.ends_with(&message)))
        })
        .await?;
    let (started, ended) = (clock::time(started), clock::time(started + 10));
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": ended });
    let status = if is_complete {
        let conditions = ["SuccessCriteriaMet", "Complete"].map(condition);
        json!({ "startTime": started, "completionTime": ended, "succeeded": 1, "conditions": conditions })
    } else {
        let conditions = ["FailureTarget", "Failed"].map(condition);
        json!({ "startTime": started, "failed": 1, "conditions": conditions })
    };
    world.change_job_status(name, status).await
}

/// A Job that the CronJob controls, as kubectl makes one of it.
async fn owned_job(world: &World, name: &str, annotations: Value, spec: Value) -> Result<Value> {
    let uid = world.cron_job().await?["metadata"]["uid"].clone();
    let mut job = job(json!({}), spec);
    let owner =
        json!({ "apiVersion": "batch/v1", "kind": "CronJob", "name": JOB, "uid": uid, "controller": true });
    job["metadata"] = json!({ "name": name, "annotations": annotations, "ownerReferences": [owner] });
    job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] = json!("manual");
    Ok(job)
}

/// The latest run of [`DAILY`] in UTC: the name of its Job, and its instant.
fn latest_run() -> (String, String) {
    let instant = (clock::unix_seconds() - DAILY_HOUR).div_euclid(DAY) * DAY + DAILY_HOUR;
    (format!("{JOB}-{}", instant / 60), clock::time(instant))
}
