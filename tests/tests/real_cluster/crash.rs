//! Crashes: the process is killed again and again while a Job runs, and nothing is counted twice or left behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Deserializer, Value, json};
use windlass_control_plane::{Audit, ControlPlane, Options, start_or_skip};

use super::process::Windlass;

const COMPLETIONS: u64 = 200;
/// Kills, unless WINDLASS_KILLS says otherwise.
const KILLS: u32 = 50;
/// Most lines of the log, about one a request, after which a process is killed.
const MAX_LINES: u64 = 30;
/// How long a line is waited for before the process is killed all the same.
const SILENCE: Duration = Duration::from_secs(3);

#[test]
fn no_kill_makes_an_indexed_job_miscount() -> Result<()> {
    let test = "no_kill_makes_an_indexed_job_miscount";
    let kills: u32 = number("WINDLASS_KILLS").unwrap_or(KILLS);
    let seed: u64 = number("WINDLASS_SEED").unwrap_or(1);
    println!("seed {seed}, {kills} kills");
    let options = Options { nodes: 3, audit: Audit::Metadata, ..Options::default() };
    let Some(plane) = start_or_skip(test, options)? else { return Ok(()) };
    let mut dice = Dice(seed);
    let mut killed = 0;
    let mut jobs = Vec::new();
    while killed < kills {
        let name = format!("job-{}", jobs.len());
        killed += kill_while_it_runs(&plane, &name, kills - killed, &mut dice)?;
        check(&plane, &name)?;
        jobs.push(name);
    }
    println!("{killed} kills during {} Jobs of {COMPLETIONS} completions", jobs.len());
    // No Pod was ever deleted, so those that were counted are all that there ever were.
    assert_eq!(pod_requests(&plane, &["delete", "deletecollection"])?, 0);
    assert!(pod_requests(&plane, &["create"])? > 0, "the audit log is empty");
    Ok(())
}

/// Runs a process and kills it once it has said so many lines more, or nothing for a while.
pub(super) fn run_and_kill(plane: &ControlPlane, lines: u64) -> Result<()> {
    let mut windlass = Windlass::run(&plane.kubeconfig(), &["--engine", "native", "-v", "4"])?;
    windlass.wait_synced()?;
    for _ in 0..lines {
        if windlass.next_line(SILENCE).is_err() {
            break;
        }
    }
    let log = windlass.kill()?;
    ensure!(!log.contains(" ERROR "), "{log}");
    Ok(())
}

/// Creates a Job and kills up to `limit` processes while it runs; returns how many.
fn kill_while_it_runs(plane: &ControlPlane, name: &str, limit: u32, dice: &mut Dice) -> Result<u32> {
    let history = File::create(plane.directory().join(format!("{name}.json")))?;
    let kubectl = plane.as_administrator();
    let arguments =
        ["get", "jobs", "--watch", "-o", "json", "--field-selector", &format!("metadata.name={name}")];
    let mut watch = kubectl.command(&arguments).stdout(history).spawn()?;
    plane.apply(&job(name))?;
    let mut killed = 0;
    while killed < limit && !is_complete(plane, name)? {
        run_and_kill(plane, dice.below(MAX_LINES))?;
        killed += 1;
    }
    let mut windlass = Windlass::run(&plane.kubeconfig(), &["--engine", "native", "-v", "2"])?;
    windlass.wait_synced()?;
    plane.kubectl(&["wait", "--for=condition=Complete", "--timeout=300s", &format!("job/{name}")])?;
    let (status, log) = windlass.terminate()?;
    watch.kill()?;
    watch.wait()?;
    ensure!(status.code() == Some(0), "it ended with {status}:\n{log}");
    Ok(killed)
}

/// Every index counted once, no Pod too many, no finalizer left, and no count that ever went back.
fn check(plane: &ControlPlane, name: &str) -> Result<()> {
    let read = |arguments: &[&str]| -> Result<Value> {
        Ok(serde_json::from_str(&plane.kubectl(&[arguments, &["-o", "json"]].concat())?)?)
    };
    let status = &read(&["get", "job", name])?["status"];
    assert_eq!(status["succeeded"], json!(COMPLETIONS), "{status}");
    assert_eq!(status["completedIndexes"], format!("0-{}", COMPLETIONS - 1), "{status}");
    assert_eq!((status.get("failed"), status.get("active")), (None, None), "{status}");
    assert_eq!(status["uncountedTerminatedPods"], json!({}), "{status}");
    let pods = read(&["get", "pods", "-l", &format!("job-name={name}")])?;
    let pods = pods["items"].as_array().context("items")?;
    let index =
        |pod: &Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"].to_string();
    let indexes: BTreeSet<String> = pods.iter().map(index).collect();
    assert_eq!((pods.len() as u64, indexes.len() as u64), (COMPLETIONS, COMPLETIONS));
    for pod in pods {
        assert_eq!(pod["metadata"].get("finalizers"), None, "{}", pod["metadata"]["name"]);
    }
    check_history(plane, name)
}

fn check_history(plane: &ControlPlane, name: &str) -> Result<()> {
    let history = fs::read_to_string(plane.directory().join(format!("{name}.json")))?;
    let mut reached = 0;
    for version in Deserializer::from_str(&history).into_iter::<Value>() {
        // The watch was killed, perhaps in the middle of a version.
        let Ok(version) = version else { break };
        let succeeded = version["status"]["succeeded"].as_u64().unwrap_or(0);
        assert!((reached..=COMPLETIONS).contains(&succeeded), "{name} went from {reached} to {succeeded}");
        reached = succeeded;
    }
    assert!(reached > 0, "the watch of {name} saw nothing");
    Ok(())
}

fn is_complete(plane: &ControlPlane, name: &str) -> Result<bool> {
    let path = r#"jsonpath={.status.conditions[?(@.type=="Complete")].status}"#;
    Ok(plane.kubectl(&["get", "job", name, "-o", path])? == "True")
}

/// How many requests of a verb for Pods themselves the API server was ever sent.
fn pod_requests(plane: &ControlPlane, verbs: &[&str]) -> Result<usize> {
    let log = fs::read_to_string(plane.audit_log())?;
    let is_meant = |line: &&str| -> bool {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { return false };
        let object = &entry["objectRef"];
        verbs.contains(&entry["verb"].as_str().unwrap_or_default())
            && entry["stage"] == "ResponseComplete"
            && object["resource"] == "pods"
            && object.get("subresource").is_none()
    };
    Ok(log.lines().filter(is_meant).count())
}

fn job(name: &str) -> String {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name },
        "spec": {
            "completions": COMPLETIONS,
            "parallelism": 10,
            "completionMode": "Indexed",
            "template": {
                "metadata": { "annotations": { "sandbox.windlass.dev/run-seconds": "1" } },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": "busybox" }],
                },
            },
        },
    })
    .to_string()
}

pub(super) fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Numbers from a seed: splitmix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// The next number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
