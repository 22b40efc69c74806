//! DaemonSets: taken over from the built-in controller and given back, nothing is written and no Pod is rolled.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use windlass_control_plane::{BuiltInControllers, ControlPlane, Options, start_or_skip};

use super::cron_jobs::read;
use super::process::Windlass;

/// A DaemonSet that shows, by its Pods, that a controller has begun to act.
const MARKERS: [&str; 2] = ["marker-1", "marker-2"];

#[test]
fn a_daemon_set_is_taken_over_and_given_back_without_a_write() -> Result<()> {
    let test = "a_daemon_set_is_taken_over_and_given_back_without_a_write";
    let built_in = || BuiltInControllers::List("daemonset-controller".to_owned());
    let options = Options { nodes: 3, controllers: built_in(), ..Options::default() };
    let Some(mut plane) = start_or_skip(test, options)? else { return Ok(()) };
    plane.apply(&daemon_set("agent").to_string())?;
    rolled_out(&plane, "agent")?;
    roll(&plane, "image-2")?;
    let before = state(&plane)?;

    // It may have no controller at all for a while; nothing happens then.
    plane.change_controllers(BuiltInControllers::List("namespace-controller".to_owned()))?;
    let arguments = ["--controllers", "daemon-set", "--engine", "wasm", "-v", "2"];
    let windlass = Windlass::run(&plane.kubeconfig(), &arguments)?;
    plane.apply(&daemon_set(MARKERS[0]).to_string())?;
    rolled_out(&plane, MARKERS[0])?;
    assert_eq!(state(&plane)?, before, "after we took over");

    // What we roll is rolled, history and undo included.
    roll(&plane, "image-3")?;
    plane.kubectl(&["rollout", "undo", "daemonset", "agent"])?;
    rolled_out(&plane, "agent")?;
    let history = plane.kubectl(&["rollout", "history", "daemonset", "agent"])?;
    let numbers: Vec<&str> = history.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(numbers[2..], ["1", "3", "4"], "{history}");
    let ours = state(&plane)?;
    assert_ne!(ours, before);
    let (status, log) = windlass.terminate()?;
    ensure!(status.code() == Some(0), "it ended with {status}:\n{log}");

    plane.change_controllers(built_in())?;
    plane.apply(&daemon_set(MARKERS[1]).to_string())?;
    rolled_out(&plane, MARKERS[1])?;
    assert_eq!(state(&plane)?, ours, "after the built-in controller took over");
    Ok(())
}

fn daemon_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "updateStrategy": { "rollingUpdate": { "maxUnavailable": "100%" } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "containers": [{ "name": "main", "image": "image-1", "args": ["<a&b>", "\u{2028}"] }],
                    "tolerations": [{ "operator": "Exists" }],
                },
            },
        },
    })
}

/// Gives the DaemonSet another image, and waits until all nodes have it.
fn roll(plane: &ControlPlane, image: &str) -> Result<()> {
    plane.kubectl(&["set", "image", "daemonset/agent", &format!("main={image}")])?;
    rolled_out(plane, "agent")
}

fn rolled_out(plane: &ControlPlane, name: &str) -> Result<()> {
    plane.kubectl(&["rollout", "status", "--timeout=60s", "daemonset", name]).map(drop)
}

/// The DaemonSet, its Pods and its revisions, each with the resourceVersion that every write would change.
fn state(plane: &ControlPlane) -> Result<Vec<(String, String)>> {
    let found = read(plane, &["get", "daemonsets,pods,controllerrevisions", "-l", "app=agent"])?;
    let set = read(plane, &["get", "daemonset", "agent"])?;
    let items = found["items"].as_array().context("items")?.iter().chain([&set]);
    let version = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
        // Kubelets write the status of a Pod when they like.
        let mark = if object["kind"] == "Pod" {
            &object["metadata"]["uid"]
        } else {
            &object["metadata"]["resourceVersion"]
        };
        (name, format!("{} {}", text(mark), object["metadata"]["labels"]))
    };
    Ok(items.map(version).collect())
}
