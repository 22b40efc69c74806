//! CronJobs: a run that was missed is made at once, and no crash makes one twice or leaves one out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Deserializer, Value, json};
use windlass_control_plane::{BuiltInControllers, ControlPlane, Options, start_or_skip};

use super::crash::{Dice, number, run_and_kill};
use super::process::Windlass;

/// CronJobs that come due while the process is killed.
const CRON_JOBS: usize = 24;
/// Kills, unless WINDLASS_CRON_KILLS says otherwise; the test prints how many fell before every CronJob had its run.
const KILLS: u32 = 30;
/// Most lines of the log, about one a request, after which a process is killed.
const MAX_LINES: u64 = 20;

#[test]
fn a_missed_run_is_made_at_once_in_the_cron_jobs_zone() -> Result<()> {
    let test = "a_missed_run_is_made_at_once_in_the_cron_jobs_zone";
    let options = Options { nodes: 1, ..Options::default() };
    let Some(plane) = start_or_skip(test, options)? else { return Ok(()) };
    let mut windlass = Windlass::run(&plane.kubeconfig(), &["--engine", "wasm", "-v", "2"])?;
    windlass.wait_synced()?;
    let spec = json!({
        "schedule": "0 3 * * *", "timeZone": "Asia/Kolkata", "suspend": true,
        "jobTemplate": {
            "metadata": { "labels": { "app": "cleanup" }, "annotations": { "team": "storage" } },
            "spec": { "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "main", "image": "busybox" }],
            }}},
        },
    });
    plane.apply(&cron_job("cleanup", &spec).to_string())?;
    last_run_was_long_ago(&plane, "cleanup")?;
    plane.kubectl(&["patch", "cronjob", "cleanup", "-p", r#"{"spec":{"suspend":false}}"#])?;
    plane.kubectl(&["wait", "--for=create", "--timeout=30s", "job", "-l", "app=cleanup"])?;
    plane.kubectl(&["wait", "--for=condition=Complete", "--timeout=60s", "job", "-l", "app=cleanup"])?;
    let path = "--for=jsonpath={.status.lastSuccessfulTime}";
    plane.kubectl(&["wait", path, "--timeout=30s", "cronjob/cleanup"])?;
    let (status, log) = windlass.terminate()?;
    ensure!(status.code() == Some(0), "it ended with {status}:\n{log}");

    let cron_job = read(&plane, &["get", "cronjob", "cleanup"])?;
    let jobs = read(&plane, &["get", "jobs"])?;
    let [job] = jobs["items"].as_array().context("items")?.as_slice() else {
        anyhow::bail!("not one Job but {}", jobs["items"])
    };
    let last: jiff::Timestamp =
        cron_job["status"]["lastScheduleTime"].as_str().context("lastScheduleTime")?.parse()?;
    // 03:00 in Kolkata is 21:30 in UTC, in summer and in winter.
    assert_eq!(last.as_second().rem_euclid(86_400), 21 * 3_600 + 30 * 60, "{last}");
    let metadata = &job["metadata"];
    assert_eq!(metadata["name"], format!("cleanup-{}", last.as_second() / 60));
    let written = metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
        .as_str()
        .context("an annotation")?;
    assert!(written.ends_with("T03:00:00+05:30"), "{written}");
    assert_eq!(written.parse::<jiff::Timestamp>()?, last);
    assert_eq!(
        (&metadata["labels"]["app"], &metadata["annotations"]["team"]),
        (&json!("cleanup"), &json!("storage"))
    );
    let owner = json!([{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "cleanup", "uid": cron_job["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }]);
    assert_eq!(metadata["ownerReferences"], owner);
    assert_eq!(cron_job["status"].get("active"), None, "{}", cron_job["status"]);
    assert_eq!(cron_job["status"]["lastSuccessfulTime"], job["status"]["completionTime"]);
    Ok(())
}

/// Jobs of no completions end at once, and those beyond the history limits go: what would be run again, were it
/// forgotten.
#[test]
fn no_kill_makes_a_run_twice_or_leaves_one_out() -> Result<()> {
    let test = "no_kill_makes_a_run_twice_or_leaves_one_out";
    let kills: u32 = number("WINDLASS_CRON_KILLS").unwrap_or(KILLS);
    let seed: u64 = number("WINDLASS_SEED").unwrap_or(1);
    println!("seed {seed}, at most {kills} kills");
    let options = Options {
        nodes: 0,
        kubelets: false,
        scheduler: false,
        controllers: BuiltInControllers::None,
        ..Options::default()
    };
    let Some(plane) = start_or_skip(test, options)? else { return Ok(()) };
    let names: Vec<String> = (0..CRON_JOBS).map(|number| format!("cron-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        plane.apply(&cron_job(name, &spec(number)).to_string())?;
        last_run_was_long_ago(&plane, name)?;
    }
    let history = plane.directory().join("jobs.json");
    let kubectl = plane.as_administrator();
    let arguments = ["get", "jobs", "--watch", "-o", "json"];
    let mut watch = kubectl.command(&arguments).stdout(File::create(&history)?).spawn()?;
    let mut dice = Dice(seed);
    let mut killed = 0;
    while killed < kills && !all_have_run(&plane)? {
        run_and_kill(&plane, dice.below(MAX_LINES))?;
        killed += 1;
    }
    println!("{killed} kills");
    assert!(killed > 3, "{killed} kills fell among the creations of {CRON_JOBS} Jobs");
    let mut windlass = Windlass::run(&plane.kubeconfig(), &["--engine", "native", "-v", "2"])?;
    windlass.wait_synced()?;
    plane.kubectl(&[
        "wait",
        "--for=jsonpath={.status.lastSuccessfulTime}",
        "--timeout=60s",
        "cronjobs",
        "--all",
    ])?;
    let (status, log) = windlass.terminate()?;
    ensure!(status.code() == Some(0), "it ended with {status}:\n{log}");
    watch.kill()?;
    watch.wait()?;
    check(&plane, &names, &history)
}

/// Every instant was made into a Job just once, whether the Job is still there or not, and the status says so.
fn check(plane: &ControlPlane, names: &[String], history: &Path) -> Result<()> {
    let created = created_jobs(history)?;
    let cron_jobs = read(plane, &["get", "cronjobs"])?;
    let cron_jobs = cron_jobs["items"].as_array().context("items")?;
    assert_eq!(cron_jobs.len(), names.len());
    let mut expected = BTreeMap::new();
    for cron_job in cron_jobs {
        let status = &cron_job["status"];
        let last: jiff::Timestamp =
            status["lastScheduleTime"].as_str().context("lastScheduleTime")?.parse()?;
        assert_eq!(last.as_second().rem_euclid(86_400), 3 * 3_600, "{last}");
        assert_eq!(status.get("active"), None, "{status}");
        let name = cron_job["metadata"]["name"].as_str().context("a name")?;
        expected.insert(format!("{name}-{}", last.as_second() / 60), 1);
    }
    assert_eq!(created, expected, "how often each Job was created");
    Ok(())
}

/// How many Jobs of each name there ever were. The audit log would not say: of a request whose sender was killed, it
/// has no success.
fn created_jobs(history: &Path) -> Result<BTreeMap<String, usize>> {
    let mut uids = BTreeMap::<String, BTreeSet<String>>::new();
    for version in Deserializer::from_str(&fs::read_to_string(history)?).into_iter::<Value>() {
        // The watch was killed, perhaps in the middle of a version.
        let Ok(version) = version else { break };
        let field = |field: &str| version["metadata"][field].as_str().map(str::to_owned).context("a field");
        uids.entry(field("name")?).or_default().insert(field("uid")?);
    }
    Ok(uids.into_iter().map(|(name, uids)| (name, uids.len())).collect())
}

/// Whether the status of every CronJob tells of a run of the last day or two.
fn all_have_run(plane: &ControlPlane) -> Result<bool> {
    let cron_jobs = read(plane, &["get", "cronjobs"])?;
    let items = cron_jobs["items"].as_array().context("items")?;
    Ok(items.iter().all(|cron_job| cron_job["status"]["lastScheduleTime"] != LONG_AGO))
}

/// Schedules of once a day, with each policy, and with and without a history.
pub(super) fn spec(number: usize) -> Value {
    let policy = ["Allow", "Forbid", "Replace"][number % 3];
    json!({
        "schedule": "0 3 * * *", "timeZone": "Etc/UTC", "concurrencyPolicy": policy,
        "successfulJobsHistoryLimit": (number / 3) % 2,
        "jobTemplate": { "spec": { "completions": 0, "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "main", "image": "busybox" }],
        }}}},
    })
}

/// Before the last instant of whatever is due every day.
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// Says in a CronJob's status that its last run was long ago, so that the next is due.
pub(super) fn last_run_was_long_ago(plane: &ControlPlane, name: &str) -> Result<()> {
    let patch = json!({ "status": { "lastScheduleTime": LONG_AGO } }).to_string();
    plane.kubectl(&["patch", "cronjob", name, "--subresource=status", "--type=merge", "-p", &patch])?;
    Ok(())
}

pub(super) fn cron_job(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": name }, "spec": spec })
}

pub(super) fn read(plane: &ControlPlane, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&plane.kubectl(&[arguments, &["-o", "json"]].concat())?)?)
}
