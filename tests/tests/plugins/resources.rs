//! PolicyPlugins and PolicyBindings of manifests: what replaces what, and what is told of it, in virtual time.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use windlass_core::kube::{Kind, Object};
use windlass_host::controller::{Config, Controllers};
use windlass_host::engine::native::NativeEngine;
use windlass_host::plugin::report::Report;
use windlass_host::plugin::wasm::{Options as EngineOptions, PluginEngine};
use windlass_host::simulate::manifest::{ManifestFault, read_documents};
use windlass_host::simulate::policies::PluginSource;
use windlass_host::simulate::report::text_report;
use windlass_host::simulate::{Options, Simulation};
use windlass_tests::guests::{Decides, Guest};

/// A directory of plugins that is gone when the test ends.
struct Plugins(PathBuf);

impl Plugins {
    fn new(test: &str, files: &[(&str, &[u8])]) -> Self {
        let path = std::env::temp_dir().join(format!("windlass-resources-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (name, bytes) in files {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        Self(path)
    }
}

impl Drop for Plugins {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn simulate(plugins: &Plugins, manifests: &[Value]) -> Result<Simulation, ManifestFault> {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": manifests });
    let documents = read_documents("test", &list.to_string())?;
    let loader = PluginEngine::new(EngineOptions::deterministic()).unwrap();
    let options = Options {
        nodes: None,
        seed: 1,
        keep_changes: true,
        controller: Config { controllers: Controllers::ALL, ..Config::default() },
        policies: Arc::default(),
        plugins: Some(PluginSource { loader: Arc::new(loader), directory: Some(plugins.0.clone()) }),
    };
    let mut simulation = Simulation::new(&documents, Arc::new(NativeEngine), options)?;
    simulation.run_until(4 * 3_600_000, &mut |_, _| {})?;
    Ok(simulation)
}

/// A PolicyPlugin `retry` of a file, applied after so many seconds.
fn plugin(file: &str, after_s: u32) -> Value {
    let mut plugin = json!({
        "apiVersion": "policy.windlass.dev/v1alpha1", "kind": "PolicyPlugin", "metadata": { "name": "retry" },
        "spec": { "source": { "file": { "path": file } } },
    });
    if after_s > 0 {
        let annotation = json!({ "sandbox.windlass.dev/apply-after-seconds": after_s.to_string() });
        plugin["metadata"]["annotations"] = annotation;
    }
    plugin
}

/// A PolicyBinding of it for Jobs with a label.
fn binding(on_failure: &str) -> Value {
    json!({
        "apiVersion": "policy.windlass.dev/v1alpha1", "kind": "PolicyBinding", "metadata": { "name": "soon" },
        "spec": {
            "decision": "backoff", "plugin": "retry", "onFailure": on_failure,
            "selector": { "matchExpressions": [{ "key": "retry", "operator": "Exists" }] },
        },
    })
}

/// A Job that fails so often before it succeeds.
fn job(name: &str, labels: &Value, failures: u32) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "labels": labels },
        "spec": { "backoffLimit": 20, "template": {
            "metadata": { "annotations": {
                "sandbox.windlass.dev/run-seconds": "1", "sandbox.windlass.dev/fail-first": failures.to_string(),
            } },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": "busybox" }] },
        } },
    })
}

/// Seconds between the creations of a Job's Pods, less the two that a Pod itself takes.
fn delays_s(simulation: &Simulation, job: &str) -> Vec<i64> {
    let mut created: Vec<i64> = simulation
        .store()
        .objects(Kind::Pod)
        .filter(|pod| pod.metadata().name.starts_with(&format!("{job}-")))
        .map(|pod: &Object| pod.metadata().creation_timestamp.unwrap().unix_seconds)
        .collect();
    created.sort_unstable();
    created.windows(2).map(|pair| pair[1] - pair[0] - 2).collect()
}

/// What is said of both resources, as type, status and reason.
fn conditions(simulation: &Simulation) -> Vec<String> {
    let reports = simulation.policy_reports().into_iter();
    let conditions = reports.flat_map(|report| match report {
        Report::Plugin(_, replica) => replica.conditions,
        Report::Binding(_, replica) => replica.conditions,
    });
    conditions.map(|is| format!("{} {} {}", is.kind, is.status, is.reason)).collect()
}

#[test]
fn a_plugin_is_replaced_while_pods_fail_and_the_end_says_what_decides() {
    let plugins = Plugins::new(
        "story",
        &[
            ("slow.wasm", &Guest::retry_after_ms(6_000).component()),
            ("fast.wasm", &Guest::retry_after_ms(1_000).component()),
            ("broken.wasm", &Guest::new(Decides::Backoff, "unreachable").component()),
        ],
    );
    let retried = json!({ "retry": "soon" });
    let manifests = [
        plugin("slow.wasm", 0),
        plugin("fast.wasm", 20),
        plugin("broken.wasm", 30),
        plugin("gone.wasm", 40),
        binding("BuiltIn"),
        job("flaky", &retried, 8),
        job("beside", &json!({}), 1),
    ];
    let mut simulation = simulate(&plugins, &manifests).unwrap();
    let delays = delays_s(&simulation, "flaky");
    // Six seconds, then, from the new version on, one, then the built-in doubling from ten on.
    assert_eq!(delays[..2], [6, 6]);
    assert!(delays.contains(&1), "{delays:?}");
    assert_eq!(delays.last(), Some(&600), "{delays:?}");
    assert_eq!(delays_s(&simulation, "beside"), [10], "what is not selected has the built-in policy");
    let expected = [
        "Loaded True AsExpected",
        "UpToDate False Unreadable",
        "Answering False Quarantined",
        "Bound True AsExpected",
    ];
    assert_eq!(conditions(&simulation), expected);
    let report = text_report(&mut simulation, true);
    let told = report.lines().filter(|line| line.contains("s  plugin/retry ")).count();
    assert_eq!(told, 4, "three versions, and one that is not there:\n{report}");
    assert!(report.contains("gone.wasm: No such file or directory"), "{report}");
}

#[test]
fn a_binding_whose_plugin_is_not_there_does_what_it_says() {
    let plugins = Plugins::new("absent", &[("other.wasm", &Guest::retry_after_ms(1_000).component())]);
    let job = job("flaky", &json!({ "retry": "soon" }), 1);
    let delays = |on_failure: &str| {
        let simulation = simulate(&plugins, &[binding(on_failure), job.clone()]).unwrap();
        (delays_s(&simulation, "flaky"), conditions(&simulation))
    };
    let said = |first: &str| vec![first.to_owned(), "Bound False NotLoaded".to_owned()];
    assert_eq!(delays("BuiltIn"), (vec![10], said("Answering False NotLoaded")));
    assert_eq!(delays("Hold"), (vec![], said("Answering False NotLoaded")));
}

#[test]
fn what_says_nothing_is_refused_with_its_place() {
    let plugins = Plugins::new("refused", &[]);
    let mut odd = binding("BuiltIn");
    odd["spec"]["decision"] = json!("weather");
    let refusal = simulate(&plugins, &[odd]).err().unwrap().to_string();
    assert!(refusal.starts_with("test:1: PolicyBinding \"soon\" is refused: "), "{refusal}");
    assert!(refusal.contains("unknown variant `weather`, expected one of `backoff`"), "{refusal}");
}
