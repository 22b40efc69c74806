//! Plugins that were compiled when a version of the interface was new are kept in `tests/kept`, for ever, and every
//! later host loads and asks them: what users have built goes on working. They are never built again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::document::{Answer, Question};
use windlass_host::plugin::wasm::inspect::inspect;
use windlass_host::plugin::{Plugin, PluginFault};
use windlass_tests::program::workspace;

use super::load;

/// File with a line for each kept plugin: its digest, and its name.
const DIGESTS: &str = "SHA256SUMS";

/// The directories of kept plugins, one for each version of the interface.
fn versions() -> Vec<PathBuf> {
    let all = std::fs::read_dir(workspace().join("tests/kept")).unwrap();
    let mut versions: Vec<PathBuf> =
        all.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    versions.sort_unstable();
    versions
}

/// The kept plugins of a version: names and bytes.
fn kept(version: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(version).unwrap().map(|entry| entry.unwrap().path());
    let plugins = files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    plugins.map(|path| (name(&path), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn kept_plugins_are_the_ones_that_were_kept() {
    assert!(versions().iter().any(|version| version.ends_with("0.1.0")), "the first version is kept");
    for version in versions() {
        let digests = std::fs::read_to_string(version.join(DIGESTS)).unwrap();
        let digests: BTreeMap<String, String> = digests
            .lines()
            .map(|line| line.split_once("  ").unwrap())
            .map(|(digest, file)| {
                (file.strip_suffix(".wasm").unwrap().to_owned(), format!("sha256:{digest}"))
            })
            .collect();
        let found: BTreeMap<String, String> = kept(&version)
            .iter()
            .map(|(name, bytes)| (name.clone(), inspect(bytes).unwrap().digest.to_string()))
            .collect();
        assert_eq!(found, digests, "{}", version.display());
    }
    let first = kept(&workspace().join("tests/kept/0.1.0"));
    let decided: Vec<Decision> = first.values().flat_map(|bytes| inspect(bytes).unwrap().decisions).collect();
    for decision in Decision::ALL {
        assert!(decided.contains(&decision), "no plugin about {decision} is kept");
    }
}

#[test]
fn kept_plugins_say_what_they_are_and_answer_as_they_did() {
    for version in versions() {
        for (name, bytes) in kept(&version) {
            let plugin = load(&bytes).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            assert_eq!(plugin.description().name, name);
            assert_eq!(plugin.description().version, "0.1.0");
            let schema: Value = serde_json::from_str(&plugin.description().settings_schema).unwrap();
            assert_eq!(schema["type"], "object", "{name}");
            let cases = std::fs::read_to_string(version.join(format!("{name}.json"))).unwrap();
            let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
            let (mut answers, mut refusals) = (0, 0);
            for case in cases.iter().filter(|case| case.get("scenario").is_none()) {
                match case["expect"].get("answer") {
                    Some(answer) => {
                        answers += 1;
                        answers_as_kept(&*plugin, case, answer);
                    }
                    None => {
                        refusals += 1;
                        refuses_as_kept(&*plugin, case);
                    }
                }
            }
            assert!(
                answers >= 2 && refusals >= 1,
                "{name}: {answers} answers and {refusals} refusals are kept"
            );
        }
    }
}

/// Decision and settings of a case.
fn bound(case: &Value) -> (Decision, String) {
    let decision = Decision::of_label(case["decision"].as_str().unwrap()).unwrap();
    (decision, case.get("settings").map(Value::to_string).unwrap_or_default())
}

fn answers_as_kept(plugin: &dyn Plugin, case: &Value, answer: &Value) {
    let (decision, settings) = bound(case);
    assert_eq!(plugin.validate_settings(decision, &settings).result, Ok(()), "{}", case["name"]);
    let question = case.get("question").cloned().unwrap_or_else(|| json!({}));
    let answered = Question::read(decision, question).unwrap().ask(plugin, &settings);
    assert_eq!(answered.result, Ok(Answer::read(decision, answer.clone()).unwrap()), "{}", case["name"]);
}

fn refuses_as_kept(plugin: &dyn Plugin, case: &Value) {
    let (decision, settings) = bound(case);
    let text = case["expect"]["settings-refused"].as_str().unwrap();
    match plugin.validate_settings(decision, &settings).result {
        Err(PluginFault::SettingsRefused(message)) => assert!(message.contains(text), "{message}"),
        other => panic!("{}: {other:?}", case["name"]),
    }
}
