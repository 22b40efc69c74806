//! PolicyPlugins and PolicyBindings: plugins are replaced while Pods fail, a broken one stops nothing, and the statuses tell
//! what happened.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use windlass_control_plane::{ControlPlane, Options, start_or_skip};
use windlass_core::kube::Time;
use windlass_tests::guests::{Decides, Guest};
use windlass_tests::registry::Registry;

use super::cron_jobs::read;
use super::process::{Windlass, output};

/// The built-in delay after the first failure, seconds (`--job-backoff-base`).
const BUILT_IN_DELAY_S: i64 = 10;

/// A directory of plugins that is gone when the test ends.
struct Plugins(PathBuf);

impl Plugins {
    fn new(test: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("windlass-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, bytes)?;
        Ok(path.display().to_string())
    }
}

impl Drop for Plugins {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_plugin_is_replaced_while_pods_fail_and_a_broken_one_stops_nothing() -> Result<()> {
    let test = "a_plugin_is_replaced_while_pods_fail_and_a_broken_one_stops_nothing";
    let Some(plane) = start_or_skip(test, Options { nodes: 1, ..Options::default() })? else { return Ok(()) };
    define_resources(&plane)?;
    let plugins = Plugins::new("policies")?;
    let first = plugins.put("first.wasm", &Guest::retry_after_ms(3_000).component())?;
    let second = plugins.put("second.wasm", &Guest::retry_after_ms(1_000).component())?;
    let broken = plugins.put("broken.wasm", &Guest::new(Decides::Backoff, "(unreachable)").component())?;
    let garbage = plugins.put("garbage.wasm", b"no component at all")?;

    plane.apply(&plugin(&first).to_string())?;
    plane.apply(&binding().to_string())?;
    let windlass = Windlass::run(&plane.kubeconfig(), &["--controllers", "job"])?;
    plane.apply(&failing_job("flaky", 20).to_string())?;
    await_condition(&plane, "policybinding/retry", "Answering", "True")?;
    await_failures(&plane, "flaky", 3)?;
    for wait_s in waits(&plane, "flaky")? {
        ensure!((3..10).contains(&wait_s), "a retry after {wait_s} s instead of 3 s");
    }

    plane.apply(&plugin(&second).to_string())?;
    let digest = windlass_host::plugin::Digest::of(&std::fs::read(&second)?).to_string();
    await_status(&plane, "policybinding/retry", &format!("{{.status.replicas[0].digest}}={digest}"))?;
    let before = u32::try_from(waits(&plane, "flaky")?.len())?;
    await_failures(&plane, "flaky", before + 4)?;
    let last = *waits(&plane, "flaky")?.last().context("a retry")?;
    ensure!((1..3).contains(&last), "a retry after {last} s instead of 1 s");

    plane.apply(&plugin(&broken).to_string())?;
    await_condition(&plane, "policybinding/retry", "Answering", "False")?;
    plane.apply(&succeeding_job("beside").to_string())?;
    plane.kubectl(&["wait", "--for=condition=Complete", "--timeout=60s", "job/beside"])?;
    let described = plane.kubectl(&["describe", "policybinding", "retry"])?;
    ensure!(described.contains("the built-in policy answers"), "{described}");
    let events = plane.kubectl(&["get", "events", "--field-selector=reason=PolicyFailed"])?;
    ensure!(events.contains("policy plugin retry (backoff) failed: it trapped"), "{events}");
    // A Job that meets nothing but the broken plugin is tried again as without one, and comes to its end.
    plane.apply(&failing_job("again", 1).to_string())?;
    plane.kubectl(&["wait", "--for=condition=Failed", "--timeout=60s", "job/again"])?;
    let delays = waits(&plane, "again")?;
    ensure!(
        matches!(delays[..], [delay_s] if delay_s >= BUILT_IN_DELAY_S),
        "retries after {delays:?} s instead of one after {BUILT_IN_DELAY_S} s"
    );
    let events = plane.kubectl(&["get", "events", "--field-selector=reason=PolicyFailed"])?;
    ensure!(events.contains("job/again"), "{events}");

    plane.apply(&plugin(&garbage).to_string())?;
    let up_to_date = "{.status.replicas[0].conditions[?(@.type==\"UpToDate\")].reason}=NotAComponent";
    await_status(&plane, "policyplugin/retry", up_to_date)?;
    await_condition(&plane, "policyplugin/retry", "Loaded", "True")?;

    // Back with a version that works, and given up at last.
    plane.apply(&plugin(&second).to_string())?;
    await_condition(&plane, "policybinding/retry", "Answering", "True")?;
    plane.kubectl(&["delete", "policybinding/retry", "policyplugin/retry"])?;
    let (status, log) = windlass.terminate()?;
    ensure!(status.code() == Some(0), "it ended with {status}:\n{log}");
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

#[test]
fn plugins_come_from_a_registry_and_from_config_maps() -> Result<()> {
    let test = "plugins_come_from_a_registry_and_from_config_maps";
    let Some(plane) = start_or_skip(test, Options { nodes: 1, ..Options::default() })? else { return Ok(()) };
    let Some(registry) = Registry::start(test) else { return Ok(()) };
    define_resources(&plane)?;
    let plugins = Plugins::new("sources")?;
    let (first, second) =
        (Guest::retry_after_ms(1_000).component(), Guest::retry_after_ms(2_000).component());
    let file = plugins.put("retry.wasm", &first)?;
    let reference = format!("{}/policies/retry:1.0", registry.address());
    let by_digest = output(&["plugin", "push", &file, &reference])?;
    let oci = |reference: &str| json!({ "oci": { "reference": reference.trim() } });
    let map = json!({ "configMap": { "name": "plugins", "key": "retry.wasm" } });
    let windlass = Windlass::run(&plane.kubeconfig(), &["--controllers", "job"])?;

    plane.apply(&plugin_from(oci(&by_digest)).to_string())?;
    await_digest(&plane, &first)?;
    // What the registry does not have, and a ConfigMap that is not there yet, leave it.
    let absent = format!("{}/policies/retry@sha256:{}", registry.address(), "0".repeat(64));
    plane.apply(&plugin_from(oci(&absent)).to_string())?;
    await_reason(&plane, "UpToDate", "Unreadable")?;
    plane.apply(&plugin_from(map).to_string())?;
    await_reason(&plane, "UpToDate", "Unreadable")?;
    await_digest(&plane, &first)?;

    let contents = plugins.put("second.wasm", &second)?;
    plane.kubectl(&["create", "configmap", "plugins", &format!("--from-file=retry.wasm={contents}")])?;
    await_digest(&plane, &second)?;
    // A ConfigMap that changes is seen; a reference without a digest is refused by the API server.
    plane.kubectl(&["delete", "configmap", "plugins"])?;
    plane.kubectl(&["create", "configmap", "plugins", &format!("--from-file=retry.wasm={file}")])?;
    await_digest(&plane, &first)?;
    let by_tag = plane.apply(&plugin_from(oci(&reference)).to_string());
    let refusal = by_tag.err().context("a refusal")?.to_string();
    ensure!(refusal.contains("spec.source.oci.reference"), "{refusal}");
    let (status, log) = windlass.terminate()?;
    ensure!(status.code() == Some(0), "it ended with {status}:\n{log}");
    Ok(())
}

fn define_resources(plane: &ControlPlane) -> Result<()> {
    plane.apply(&output(&["manifests"])?)?;
    for resource in ["policyplugins", "policybindings"] {
        let definition = format!("crd/{resource}.policy.windlass.dev");
        plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &definition])?;
    }
    Ok(())
}

/// Waits until these bytes are what is loaded.
fn await_digest(plane: &ControlPlane, bytes: &[u8]) -> Result<()> {
    let digest = windlass_host::plugin::Digest::of(bytes);
    await_status(plane, "policyplugin/retry", &format!("{{.status.replicas[0].digest}}={digest}"))
}

fn await_reason(plane: &ControlPlane, kind: &str, reason: &str) -> Result<()> {
    let path = format!("{{.status.replicas[0].conditions[?(@.type==\"{kind}\")].reason}}={reason}");
    await_status(plane, "policyplugin/retry", &path)
}

fn plugin(path: &str) -> Value {
    let mut plugin = plugin_from(json!({ "file": { "path": path } }));
    plugin["spec"]["allowedNamespaces"] = json!(["default"]);
    plugin
}

fn plugin_from(source: Value) -> Value {
    json!({
        "apiVersion": "policy.windlass.dev/v1alpha1", "kind": "PolicyPlugin", "metadata": { "name": "retry" },
        "spec": { "source": source },
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "policy.windlass.dev/v1alpha1", "kind": "PolicyBinding", "metadata": { "name": "retry" },
        "spec": {
            "decision": "backoff",
            "plugin": "retry",
            "selector": { "matchLabels": { "retry": "soon" } },
        },
    })
}

fn failing_job(name: &str, backoff_limit: u32) -> Value {
    job(name, backoff_limit, "1")
}

fn succeeding_job(name: &str) -> Value {
    job(name, 0, "0")
}

fn job(name: &str, backoff_limit: u32, exit_code: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "labels": { "retry": "soon" } },
        "spec": {
            "backoffLimit": backoff_limit,
            "template": {
                "metadata": { "annotations": {
                    "sandbox.windlass.dev/run-seconds": "1", "sandbox.windlass.dev/exit-code": exit_code,
                } },
                "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": "image" }] },
            },
        },
    })
}

fn await_condition(plane: &ControlPlane, object: &str, kind: &str, status: &str) -> Result<()> {
    let path = format!("{{.status.replicas[0].conditions[?(@.type==\"{kind}\")].status}}={status}");
    await_status(plane, object, &path)
}

fn await_status(plane: &ControlPlane, object: &str, path: &str) -> Result<()> {
    let path = format!("--for=jsonpath={path}");
    plane.kubectl(&["wait", "--timeout=60s", &path, object]).map(drop)
}

/// Waits until at least so many Pods of the Job have failed.
fn await_failures(plane: &ControlPlane, job: &str, number: u32) -> Result<()> {
    let template = "jsonpath={.status.failed}{\"\\n\"}";
    let kubectl = plane.as_administrator();
    let mut command =
        kubectl.command(&["get", "job", job, "--watch", "--request-timeout=60s", "-o", template]);
    let mut watch = command.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(watch.stdout.take().context("stdout is piped")?).lines();
    let mut counts = lines.map_while(Result::ok).filter_map(|line| line.trim().parse::<u32>().ok());
    let is_reached = counts.any(|failed| failed >= number);
    watch.kill()?;
    watch.wait()?;
    ensure!(is_reached, "not {number} Pods of {job} have failed within 60 s");
    Ok(())
}

/// Seconds between the end of each Pod of the Job and the creation of the next one.
fn waits(plane: &ControlPlane, job: &str) -> Result<Vec<i64>> {
    let found = read(plane, &["get", "pods", "-l", &format!("job-name={job}")])?;
    let items = found.get("items").and_then(Value::as_array).context("items")?;
    let time = |value: Option<&Value>| value.and_then(Value::as_str).and_then(Time::parse);
    let mut lives: Vec<(Time, Option<Time>)> = items
        .iter()
        .filter_map(|pod| {
            let created = time(pod.pointer("/metadata/creationTimestamp"))?;
            Some((created, time(pod.pointer("/status/containerStatuses/0/state/terminated/finishedAt"))))
        })
        .collect();
    lives.sort_unstable();
    let ends = lives.iter().zip(lives.iter().skip(1));
    Ok(ends
        .filter_map(|((_, ended), (created, _))| Some(created.unix_seconds - (*ended)?.unix_seconds))
        .collect())
}
