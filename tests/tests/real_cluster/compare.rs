//! The same manifests with the built-in controller and with ours, in one control plane, side by side.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use windlass_control_plane::{BuiltInControllers, ControlPlane, Options, start_or_skip};

use super::process::Windlass;

const CASES: [(&str, &str, &str); 5] = [
    ("pi-calculation", "Complete", include_str!("manifests/pi-calculation.yaml")),
    ("indexed-job", "Complete", include_str!("manifests/indexed-job.yaml")),
    ("parallel-job", "Complete", include_str!("manifests/parallel-job.yaml")),
    ("failing-job", "Failed", include_str!("manifests/failing-job.yaml")),
    ("on-failure-job", "Failed", include_str!("manifests/on-failure-job.yaml")),
];

/// What a user sees of one Job.
#[derive(Debug)]
struct Seen {
    describe: String,
    events: Vec<String>,
    job: Value,
    pods: Vec<Value>,
}

#[test]
fn jobs_look_as_with_the_built_in_controller_on_either_engine() -> Result<()> {
    let test = "jobs_look_as_with_the_built_in_controller_on_either_engine";
    let options = Options { controllers: BuiltInControllers::All, ..Options::default() };
    let Some(mut plane) = start_or_skip(test, options)? else { return Ok(()) };
    let expected = run_all(&plane, "built-in")?;
    plane.kill("kube-controller-manager")?;
    for engine in ["native", "wasm"] {
        let mut windlass = Windlass::run(&plane.kubeconfig(), &["--engine", engine, "-v", "2"])?;
        windlass.wait_synced()?;
        let seen = run_all(&plane, engine);
        let (status, log) = windlass.terminate()?;
        let seen = seen.with_context(|| log.clone())?;
        ensure!(status.code() == Some(0), "the {engine} engine ended with {status}:\n{log}");
        for ((name, _, _), (expected, seen)) in CASES.iter().zip(expected.iter().zip(seen)) {
            assert_eq!(seen.describe, expected.describe, "describe of {name} with the {engine} engine");
            assert_eq!(seen.events, expected.events, "events of {name} with the {engine} engine");
            assert_eq!(seen.job, expected.job, "{name} with the {engine} engine");
            assert_eq!(seen.pods, expected.pods, "pods of {name} with the {engine} engine");
        }
    }
    Ok(())
}

/// Creates every manifest in a namespace of its own and waits until all have ended.
fn run_all(plane: &ControlPlane, namespace: &str) -> Result<Vec<Seen>> {
    plane.kubectl(&["create", "namespace", namespace])?;
    for (_, _, manifest) in CASES {
        let arguments = ["create", "--namespace", namespace, "-f", "-"];
        plane.as_administrator().run_with_input(&arguments, manifest)?;
    }
    for (name, condition, _) in CASES {
        let (condition, job) = (format!("--for=condition={condition}"), format!("job/{name}"));
        plane.kubectl(&["wait", "--namespace", namespace, "--timeout=120s", &condition, &job])?;
    }
    for (name, condition, _) in CASES {
        await_last_event(plane, namespace, name, condition)?;
    }
    CASES.iter().map(|(name, _, _)| see(plane, namespace, name)).collect()
}

/// The Event of the end comes after the status that users wait for.
fn await_last_event(plane: &ControlPlane, namespace: &str, name: &str, condition: &str) -> Result<()> {
    let reason = if condition == "Complete" { "Completed" } else { "BackoffLimitExceeded" };
    let selector = format!("--field-selector=involvedObject.name={name},reason={reason}");
    let kubectl = plane.as_administrator();
    let arguments = ["get", "events", "--namespace", namespace, "--watch", "--no-headers", &selector];
    let mut watch =
        kubectl.command(&arguments).arg("--request-timeout=60s").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(watch.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
    watch.kill()?;
    watch.wait()?;
    ensure!(!line.is_empty(), "no Event {reason} of {namespace}/{name} within 60 s");
    Ok(())
}

fn see(plane: &ControlPlane, namespace: &str, name: &str) -> Result<Seen> {
    let get = |arguments: &[&str]| -> Result<Value> {
        let text = plane.kubectl(&[arguments, &["--namespace", namespace, "-o", "json"]].concat())?;
        Ok(serde_json::from_str(&text)?)
    };
    let job = get(&["get", "job", name])?;
    let uid = job["metadata"]["uid"].as_str().context("a uid")?.to_owned();
    let selector = format!("job-name={name}");
    let pods = get(&["get", "pods", "-l", &selector])?;
    let described = plane.kubectl(&["describe", "job", "--namespace", namespace, name])?;
    let (describe, events) = described.split_once("\nEvents:").context("no Events in describe")?;
    let mut pods: Vec<Value> =
        pods["items"].as_array().context("items")?.iter().map(|pod| plain(pod, &uid)).collect();
    pods.sort_by_key(ToString::to_string);
    let mut events: Vec<String> = events.lines().skip(3).filter_map(event).collect();
    events.sort();
    Ok(Seen { describe: plain_describe(describe, &uid), events, job: plain(&job, &uid), pods })
}

/// Type, reason, source and message of an Event as describe shows it; the suffix of a Pod's name is chance.
fn event(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (kind, reason) = (words.first()?, words.get(1)?);
    let from = words.iter().position(|word| word.ends_with("-controller"))?;
    // Upstream's client gathers Events once there are ten alike, which says how it saves writes.
    let message = words.get(from + 1..)?.join(" ").replace("(combined from similar events): ", "");
    let length = if message.contains(" pod: ") { message.len().saturating_sub(5) } else { message.len() };
    let message = message.get(..length)?;
    Some(format!("{kind} {reason} {} {message}", words.get(from)?))
}

/// The text without what differs from run to run: the uid, the namespace and times.
fn plain_describe(text: &str, uid: &str) -> String {
    let text = text.replace(uid, "UID");
    let lines = text.lines().map(|line| match line.split_once(':') {
        Some((field @ ("Namespace" | "Start Time" | "Completed At" | "Duration"), _)) => format!("{field}:"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The object without what differs from run to run: names that the server or chance made, times, places.
fn plain(object: &Value, job_uid: &str) -> Value {
    match object {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(field, _)| !is_chance(field));
            Value::Object(
                kept.map(|(field, value)| (field.clone(), plain(value, job_uid))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.iter().map(|item| plain(item, job_uid)).collect(),
        Value::String(text) if text == job_uid => json!("UID"),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => object.clone(),
    }
}

fn is_chance(field: &str) -> bool {
    let times = ["startTime", "completionTime", "startedAt", "finishedAt"];
    let places = ["nodeName", "hostIP", "hostIPs", "podIP", "podIPs", "containerID"];
    let made = ["uid", "resourceVersion", "managedFields", "namespace"];
    // The Job's own name stands in its labels; a Pod's in generateName, but for its suffix.
    field == "name"
        || field.ends_with("Time")
        || field.ends_with("Timestamp")
        || [&times[..], &places, &made].iter().any(|list| list.contains(&field))
}
