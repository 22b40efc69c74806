//! The templates of `windlass plugin new`, by the way of their users: made, built, and tested with the cases that they
//! come with.
//!
//! What is built with is installed into a cache by tests/build-plugin-tools. A language whose tools cannot be had on
//! this machine is skipped, and said to be. A plugin in Python takes half a minute, so that only one is built unless
//! WINDLASS_ALL_TEMPLATES is set; the tests of the others are skipped.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use windlass_host::plugin::wasm::inspect::inspect;
use windlass_tests::program::{Outcome, workspace};

use super::windlass;

const DECISIONS: [&str; 5] = ["backoff", "schedule", "missed-runs", "rollout", "admission"];
/// What a script says where a machine cannot do what it is for.
const UNAVAILABLE: i32 = 77;

/// The directory that tests/build-plugin-tools has installed into, or `None` and a line that says that `test` is
/// skipped.
pub(super) fn tools(language: &str, test: &str) -> Option<PathBuf> {
    let script = workspace().join("tests/build-plugin-tools");
    let Output { status, stdout, stderr } = Command::new(script).arg(language).output().unwrap();
    if status.code() == Some(UNAVAILABLE) {
        let reason = String::from_utf8_lossy(&stderr);
        println!("\nSKIPPED {test}: {}", reason.trim().lines().last().unwrap_or_default());
        return None;
    }
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    Some(PathBuf::from(String::from_utf8(stdout).unwrap().trim()))
}

/// Makes, builds and tests a plugin in `parent`, and gives what the test printed, with its log; `prepare` is called
/// with its directory before the build. A plugin is loaded only once: that of Python takes its time.
fn make(parent: &Path, language: &str, decision: &str, prepare: impl Fn(&Path)) -> String {
    let name = format!("my-{decision}");
    let directory = parent.join(&name);
    let (shown, parent) = (directory.display().to_string(), parent.display().to_string());
    let arguments = ["plugin", "new", &name, "--decision", decision, "--language", language, "--in", &parent];
    let Outcome { code, err, .. } = windlass(&arguments, "");
    assert_eq!(code, Some(0), "{err}");
    prepare(&directory);
    let Outcome { code, out, err } = windlass(&["plugin", "build", &shown], "");
    assert_eq!(code, Some(0), "{language} {decision}: {out}{err}");
    let bytes = std::fs::read(directory.join(format!("{name}.wasm"))).unwrap();
    let found = inspect(&bytes).unwrap();
    assert_eq!(found.decisions.iter().map(|found| found.label()).collect::<Vec<_>>(), [decision]);
    assert!(found.imports.iter().any(|import| import == "windlass:plugin/log@0.1.0"), "{:?}", found.imports);
    let Outcome { code, out, err } = windlass(&["plugin", "test", &shown, "--log"], "");
    assert_eq!(code, Some(0), "{language} {decision}: {out}{err}");
    out
}

/// Puts lines before a line of a plugin's source, and a case for each of the exit codes with the refusal that it has.
fn add_mistakes(directory: &Path, source: &str, line: &str, before: &str, refusals: &[(i32, &str)]) {
    let file = directory.join(source);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(line), "{line} is not in {text}");
    std::fs::write(&file, text.replace(line, &format!("{before}{line}"))).unwrap();
    let file = directory.join("cases.yaml");
    let mut cases = std::fs::read_to_string(&file).unwrap();
    for (exit_code, refusal) in refusals {
        cases.push_str(&format!(
            "- {{name: mistake {exit_code}, decision: backoff, question: {{failures: 1, exit-code: {exit_code}}}, \
             expect: {{refusal: {refusal:?}}}}}\n"
        ));
    }
    std::fs::write(&file, cases).unwrap();
}

#[test]
fn templates_in_javascript_pass_their_cases_and_their_mistakes_are_told() {
    let test = "templates_in_javascript_pass_their_cases_and_their_mistakes_are_told";
    let Some(modules) = tools("javascript", test) else { return };
    let parent = tempfile::tempdir().unwrap();
    let prepare = |directory: &Path| symlink(&modules, directory.join("node_modules")).unwrap();
    for decision in &DECISIONS[1..] {
        make(parent.path(), "javascript", decision, prepare);
    }
    let mistakes = r#"  if (question.exitCode === 3) return question.reason.no.length;
  if (question.exitCode === 4) return 5;
  if (question.exitCode === 5) return { tag: "retry-after-ms", val: 1.5 };
  if (question.exitCode === 6) throw "not today";
"#;
    let refusals = [
        (3, "TypeError: cannot read property"),
        (4, "TypeError: an answer is { tag, val }, and this is 5"),
        (5, "RangeError: val is a whole number from 0 to 4294967295, and this is 1.5"),
        (6, "not today"),
    ];
    let told = make(parent.path(), "javascript", "backoff", |directory| {
        prepare(directory);
        add_mistakes(directory, "plugin.js", "  if (question.exitCode === 2)", mistakes, &refusals);
    });
    assert!(told.contains("  error    TypeError: cannot read property"), "{told}");
    assert!(told.contains("at answer (/plugin.js:"), "{told}");
}

#[test]
fn templates_in_python_pass_their_cases_and_their_mistakes_are_told() {
    let test = "templates_in_python_pass_their_cases_and_their_mistakes_are_told";
    let Some(environment) = tools("python", test) else { return };
    let parent = tempfile::tempdir().unwrap();
    let prepare = |directory: &Path| symlink(&environment, directory.join(".venv")).unwrap();
    let mistakes = "    if question.exit_code == 3:\n        return question.reason.no\n    \
                    if question.exit_code == 4:\n        return 5\n";
    let refusals = [
        (3, "AttributeError: 'str' object has no attribute 'no'"),
        (4, "TypeError: an answer is one of the classes Answer_..., and this is 5"),
    ];
    let told = make(parent.path(), "python", "backoff", |directory| {
        prepare(directory);
        add_mistakes(directory, "plugin.py", "    if question.exit_code == 2:", mistakes, &refusals);
    });
    assert!(told.contains("  error    AttributeError: 'str' object has no attribute 'no'"), "{told}");
    assert!(told.contains("plugin.py:") && told.contains(", in answer"), "{told}");
}

#[test]
fn the_schedule_template_in_python_passes_its_cases() {
    make_in_python("schedule", "the_schedule_template_in_python_passes_its_cases");
}

#[test]
fn the_missed_runs_template_in_python_passes_its_cases() {
    make_in_python("missed-runs", "the_missed_runs_template_in_python_passes_its_cases");
}

#[test]
fn the_rollout_template_in_python_passes_its_cases() {
    make_in_python("rollout", "the_rollout_template_in_python_passes_its_cases");
}

#[test]
fn the_admission_template_in_python_passes_its_cases() {
    make_in_python("admission", "the_admission_template_in_python_passes_its_cases");
}

/// What `test` is about; a test of its own for each decision, since each that is skipped counts as one.
fn make_in_python(decision: &str, test: &str) {
    if std::env::var_os("WINDLASS_ALL_TEMPLATES").is_none() {
        println!("\nSKIPPED {test}: it takes half a minute, and WINDLASS_ALL_TEMPLATES=1 is not set");
        return;
    }
    let Some(environment) = tools("python", test) else { return };
    let parent = tempfile::tempdir().unwrap();
    make(parent.path(), "python", decision, |directory| {
        symlink(&environment, directory.join(".venv")).unwrap();
    });
}

#[test]
fn templates_in_rust_pass_their_cases_and_their_panics_are_told() {
    let script = ". core/toolchain.sh && [ \"$(WINDLASS_GUEST_INSTALL=no choose_toolchain)\" = none ]";
    let has_none = Command::new("bash").args(["-c", script]).current_dir(workspace()).status().unwrap();
    if has_none.success() {
        let test = "templates_in_rust_pass_their_cases_and_their_panics_are_told";
        println!("\nSKIPPED {test}: no toolchain for wasm32-unknown-unknown");
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let shared = workspace().join("target/plugin-templates");
    std::fs::create_dir_all(&shared).unwrap();
    let shared = shared.canonicalize().unwrap();
    // What crates of others compile to is the same for each plugin.
    let prepare = |directory: &Path| symlink(&shared, directory.join("target")).unwrap();
    for decision in &DECISIONS[1..] {
        make(parent.path(), "rust", decision, prepare);
    }
    make(parent.path(), "rust", "backoff", |directory| {
        prepare(directory);
        let panic = "        assert_ne!(question.exit_code, Some(3), \"three\");\n";
        add_mistakes(directory, "src/lib.rs", "        if question.exit_code == Some(2)", panic, &[]);
    });
    let directory = parent.path().join("my-backoff");
    let arguments = ["plugin", "run", &directory.display().to_string(), "--decision", "backoff"];
    let Outcome { code, err, .. } = windlass(&arguments, "{failures: 1, exit-code: 3}");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("  error    panicked at ") && err.contains("src/lib.rs:"), "{err}");
    assert!(err.contains(": three"), "{err}");
    assert!(err.contains("it trapped") && !err.contains("it logged no error"), "{err}");
    let bytes = std::fs::read(directory.join("my-backoff.wasm")).unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("crates/serde_json"), "the places of panics are there");
    assert!(home.len() < 2 || !holds(&home), "no path of this machine goes out with a plugin");
}
