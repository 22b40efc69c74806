//! `windlass plugin`, and `--plugin-dir` of `windlass simulate`, as their users meet them: the built program and files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "plugin_command/examples.rs"]
mod examples;
#[path = "plugin_command/guide.rs"]
mod guide;
#[path = "plugin_command/scenarios.rs"]
mod scenarios;
#[path = "plugin_command/templates.rs"]
mod templates;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use windlass_tests::guests::{Decides, Guest};
use windlass_tests::program::{self, Outcome};

/// A directory with plugins `NAME.wasm` and other files.
fn directory(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

fn windlass(arguments: &[&str], input: &str) -> Outcome {
    program::run(arguments, input)
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}

/// A plugin that waits a second for each failure, says so, and refuses settings.
fn linear() -> Vec<u8> {
    let mut guest = Guest::retry_after_ms(0).wanting("backoff", "job.label/team");
    let log = guest.log(2, "counting");
    let each = format!(
        "{log} (i32.store offset=4 (local.get $a) (i32.mul (i32.const 1000) (i32.load offset=16 (local.get $q))))"
    );
    let validate = "(i32.store8 (i32.const 64) (i32.gt_u (local.get $settings_length) (i32.const 0)))
        (i32.store offset=4 (i32.const 64) (local.get $settings))
        (i32.store offset=8 (i32.const 64) (local.get $settings_length)) (i32.const 64)";
    guest.answering(&each).validating(validate).component()
}

#[test]
fn inspect_says_what_a_plugin_is() {
    let directory = directory(&[("linear.wasm", linear())]);
    let file = path(&directory, "linear.wasm");
    let Outcome { code, out, err } = windlass(&["plugin", "inspect", &file, "-o", "json"], "");
    assert_eq!(code, Some(0), "{err}");
    let account: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(account["decisions"], serde_json::json!(["backoff"]));
    assert_eq!(account["wants"][0]["fact"], "job.label/team");
    assert!(account["digest"].as_str().unwrap().starts_with("sha256:"));
    let Outcome { out, .. } = windlass(&["plugin", "inspect", &file], "");
    assert!(out.contains("Decides:     backoff\n"), "{out}");
}

#[test]
fn one_question_is_asked_from_the_command_line() {
    let directory = directory(&[("linear.wasm", linear())]);
    let file = path(&directory, "linear.wasm");
    let ask = |more: &[&str], question: &str| {
        windlass(&[&["plugin", "run", &file, "--decision", "backoff"], more].concat(), question)
    };
    let Outcome { code, out, err } = ask(&[], r#"{"failures": 3}"#);
    assert_eq!((code, out.trim()), (Some(0), "{\n  \"retry-after-ms\": 3000\n}"), "{err}");
    assert!(err.contains("info     counting"), "{err}");
    let Outcome { code, err, .. } = ask(&["--settings", "{}"], "{}");
    assert_eq!(code, Some(1));
    assert!(err.contains("it refuses its settings: {}"), "{err}");
    let Outcome { code, err, .. } = ask(&[], r#"{"failure": 3}"#);
    assert_eq!(code, Some(1));
    assert!(err.contains("failure") && err.contains("failures"), "{err}");
    let Outcome { code, err, .. } = windlass(&["plugin", "run", &file, "--decision", "retry"], "");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("backoff, schedule, missed-runs, rollout, admission"), "{err}");
}

#[test]
fn cases_pass_or_say_what_is_other_than_expected() {
    let good = r#"
- name: a second for each failure
  decision: backoff
  question: {owner: ops/etl, failures: 3, facts: {job.label/team: a}}
  expect:
    answer: {retry-after-ms: 3000}
- name: it takes no settings
  decision: backoff
  settings: {a: 1}
  expect:
    settings-refused: '{"a":1}'
"#;
    let bad = "- {name: too soon, decision: backoff, question: {failures: 1}, expect: {answer: {retry-after-ms: 5}}}\n";
    let directory =
        directory(&[("linear.wasm", linear()), ("good.yaml", good.into()), ("bad.yaml", bad.into())]);
    let [file, good, bad] = ["linear.wasm", "good.yaml", "bad.yaml"].map(|name| path(&directory, name));
    let Outcome { code, out, err } = windlass(&["plugin", "test", &file, &good], "");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.ends_with("ok      it takes no settings\n2 cases passed\n"), "{out}");
    let Outcome { code, out, err } = windlass(&["plugin", "test", &file, &good, &bad], "");
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains(
        "FAILED  too soon\n  expected {\"retry-after-ms\":5}\n  got      {\"retry-after-ms\":1000}"
    ));
    assert!(out.contains("info     counting"), "what a plugin says is shown where a case fails: {out}");
    assert!(err.contains("1 of 3 cases failed"), "{err}");
}

#[test]
fn bench_prints_what_a_call_costs_and_says_what_is_wrong_with_a_question() {
    let directory = directory(&[("linear.wasm", linear())]);
    let file = path(&directory, "linear.wasm");
    let bench = |more: &[&str]| windlass(&[&["plugin", "bench", &file, "--calls", "20"], more].concat(), "");
    let Outcome { code, out, err } = bench(&["-o", "json"]);
    assert_eq!(code, Some(0), "{err}");
    let measured: Value = serde_json::from_str(&out).unwrap();
    assert!(measured["fuel"].as_u64().unwrap() > 10 && measured["memoryBytes"] == 2 << 16, "{out}");
    let wrong = [
        ("{failures", "what --question holds is neither JSON nor YAML"),
        ("3", "--question is none about backoff: invalid type: integer `3`"),
        (r#"{"failure": 3}"#, "--question is none about backoff: unknown field `failure`"),
        (r#"{"failures": -1}"#, "--question is none about backoff: invalid value: integer `-1`"),
    ];
    for (question, expected) in wrong {
        let Outcome { code, err, .. } = bench(&["--question", question]);
        assert_eq!(code, Some(2), "{question}: {err}");
        assert!(err.contains(expected), "{question}: {err}");
    }
    let Outcome { code, err, .. } = bench(&["--settings", "{}"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("it refuses its settings: {}"), "{err}");
}

#[test]
fn a_trap_that_was_not_told_of_in_the_log_is_explained_to_its_author() {
    let told = {
        let mut guest = Guest::retry_after_ms(1);
        let log = guest.log(0, "out of ideas");
        guest.answering(&format!("{log} unreachable")).component()
    };
    let silent = Guest::new(Decides::Backoff, "unreachable").component();
    let directory = directory(&[("told.wasm", told), ("silent.wasm", silent)]);
    let ask = |name: &str| {
        let file = path(&directory, name);
        windlass(&["plugin", "run", &file, "--decision", "backoff"], "").err
    };
    let silent = ask("silent.wasm");
    assert!(silent.contains("it trapped: ") && silent.contains("it logged no error: "), "{silent}");
    let told = ask("told.wasm");
    assert!(told.contains("error    out of ideas") && !told.contains("it logged no error"), "{told}");
}

#[test]
fn a_directory_stands_for_the_plugin_that_was_built_in_it() {
    let outer = tempfile::tempdir().unwrap();
    let directory = outer.path().join("linear");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("linear.wasm"), linear()).unwrap();
    let cases = "- {name: one, decision: backoff, question: {failures: 1}, expect: {answer: {retry-after-ms: 1000}}}\n";
    std::fs::write(directory.join("cases.yaml"), cases).unwrap();
    let directory = directory.display().to_string();
    let Outcome { code, out, err } = windlass(&["plugin", "test", &directory], "");
    assert_eq!((code, out.as_str()), (Some(0), "ok      one\n1 cases passed\n"), "{err}");
    let Outcome { code, out, .. } = windlass(&["plugin", "inspect", &directory], "");
    assert!(code == Some(0) && out.contains("Decides:     backoff"), "{out}");
    let Outcome { code, err, .. } = windlass(&["plugin", "test", &outer.path().display().to_string()], "");
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot read "), "{err}");
}

#[test]
fn a_simulation_takes_its_plugins_from_a_directory() {
    let broken = Guest::new(Decides::Backoff, "unreachable").component();
    let directory =
        directory(&[("linear.wasm", linear()), ("broken.wasm", broken), ("note.txt", Vec::new())]);
    let job = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: etl, annotations: {policy.windlass.dev/backoff: linear}}
spec:
  template:
    metadata: {annotations: {sandbox.windlass.dev/fail-first: "2"}}
    spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
"#;
    let plugins = directory.path().display().to_string();
    let Outcome { code, out, err } =
        windlass(&["simulate", "--engine", "native", "-f", "-", "--plugin-dir", &plugins, "--events"], job);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("plugin/linear      info     counting"), "{out}");
    assert!(out.lines().last().unwrap().starts_with("plugin/linear was asked "), "{out}");
    let missing = path(&directory, "nowhere");
    let Outcome { code, err, .. } = windlass(&["simulate", "-f", "-", "--plugin-dir", &missing], job);
    assert_eq!(code, Some(1));
    assert!(err.contains("nowhere"), "{err}");
}

#[test]
fn a_file_that_is_no_plugin_is_told_by_its_name() {
    let directory = directory(&[("bad.wasm", b"nothing".to_vec())]);
    let file = path(&directory, "bad.wasm");
    let Outcome { code, err, .. } = windlass(&["plugin", "inspect", &file], "");
    assert_eq!(code, Some(1));
    assert!(err.contains("bad.wasm: the plugin is not a WebAssembly component"), "{err}");
}

#[test]
fn the_process_that_compiles_gives_machine_code_or_says_why_not() {
    let compile = |bytes: &[u8]| {
        let mut child = Command::new(program::windlass())
            .args(["plugin", "compile"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, bytes).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    let output = compile(&linear());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.len() > 10_000, "{} bytes", output.stdout.len());
    let output = compile(b"nothing");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a WebAssembly component"));
    assert!(Path::new(program::windlass()).exists());
}
