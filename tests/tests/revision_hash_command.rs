//! `windlass revision-hash` as its users meet it: the built program, a file, and pipes.

use std::fs;

use serde_json::{Value, json};
use windlass_core::daemon_set::revision;
use windlass_tests::program::{self, Outcome};

fn revision_hash(arguments: &[&str], input: &str) -> Outcome {
    program::run(&[&["revision-hash"], arguments].concat(), input)
}

fn daemon_set(status: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "logs", "namespace": "ops" },
        "spec": {
            "selector": { "matchLabels": { "app": "logs" } },
            "template": {
                "metadata": { "labels": { "app": "logs" } },
                "spec": { "containers": [{ "name": "main", "image": "logs:1", "args": ["a<b"], "resources": {} }] },
            },
        },
        "status": status,
    })
}

/// The hash of [`daemon_set`] by its data, written out.
fn expected(collision_count: Option<i32>) -> String {
    let data = r#"{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"logs"}},"spec":{"containers":[{"args":["a\u003cb"],"image":"logs:1","name":"main","resources":{}}]}}}}"#;
    revision::hash(data, collision_count).as_ref().into()
}

#[test]
fn the_hash_is_printed_of_a_file_and_of_standard_input() {
    let set = daemon_set(&json!({ "observedGeneration": 1 }));
    let Outcome { code, out, err } = revision_hash(&["-f", "-"], &set.to_string());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, expected(None) + "\n");
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("set.json");
    let pretty = serde_json::to_string_pretty(&set).expect("JSON");
    fs::write(&file, pretty).expect("a file");
    let file = file.display().to_string();
    assert_eq!(revision_hash(&["--filename", &file], "").out, out, "white space does not count");
}

#[test]
fn the_collision_count_of_the_status_counts() {
    let set = daemon_set(&json!({ "collisionCount": 3 }));
    let Outcome { code, out, .. } = revision_hash(&["-f", "-", "-o", "json"], &set.to_string());
    let hash = expected(Some(3));
    assert_ne!(hash, expected(None));
    let found: Value = serde_json::from_str(&out).expect("JSON");
    let document = json!({ "hash": hash, "revision": format!("logs-{hash}"), "collisionCount": 3 });
    assert_eq!((code, found), (Some(0), document));
    let Outcome { out, .. } = revision_hash(&["-f", "-", "-o", "yaml"], &set.to_string());
    assert!(out.contains(&format!("hash: {hash}\n")) && out.contains("collisionCount: 3\n"), "{out}");
}

#[test]
fn what_cannot_be_done_is_one_sentence_and_exit_code_1() {
    let pod = r#"{"apiVersion":"v1","kind":"Pod"}"#;
    let Outcome { code, out, err } = revision_hash(&["-f", "-"], pod);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "windlass: standard input: a Pod of v1; give a DaemonSet of apps/v1\n");
    let Outcome { code, err, .. } = revision_hash(&["-f", "/nowhere/set.json"], "");
    assert_eq!(code, Some(1));
    assert!(
        err.starts_with("windlass: cannot read /nowhere/set.json: ") && err.lines().count() == 1,
        "{err}"
    );
}

#[test]
fn wrong_usage_is_exit_code_2_and_help_is_asked_for() {
    let Outcome { code, err, .. } = revision_hash(&["--file", "-"], "");
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
    assert!(err.contains("see `windlass revision-hash --help`"), "{err}");
    let Outcome { code, out, err } = revision_hash(&["--help"], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("kubectl get daemonset NAME -o json | windlass revision-hash -f -"), "{out}");
}
