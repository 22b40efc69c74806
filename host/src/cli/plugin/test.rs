//! `windlass plugin test`: files of cases, each a question and what is expected of the plugin.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::document::{Answer, Question};
use windlass_host::plugin::wasm::Options;
use windlass_host::plugin::{LogLine, Plugin, PluginFault};

use super::{Failure, load, log_text, read};

/// Flags of `windlass plugin test`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Cases, a list in YAML or JSON: name, decision, settings, question, and of what is expected an answer, a
    /// refusal, or settings-refused.
    #[arg(value_name = "CASES", required = true, num_args = 1..)]
    cases: Vec<PathBuf>,
    /// Show what the plugin says in cases that pass as well.
    #[arg(long)]
    log: bool,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    name: String,
    decision: String,
    /// The settings, a text or what is to be one.
    #[serde(default)]
    settings: Value,
    #[serde(default = "nothing")]
    question: Value,
    expect: Expected,
}

/// What is expected.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    /// This answer.
    Answer(Value),
    /// An error in good order that has this text in it.
    Refusal(String),
    /// That the settings are refused, with this text in the message.
    SettingsRefused(String),
}

/// How a case went.
struct Verdict {
    /// What is wrong, if anything is.
    wrong: Option<String>,
    log: Vec<LogLine>,
}

/// Runs the cases, and prints how each went.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plugin = load(&arguments.file, Options::deterministic())?;
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for file in &arguments.cases {
        for case in cases(file)? {
            let verdict = judge(&*plugin, &case).map_err(|reason| {
                Failure::Failed(format!("{}: the case {:?} is wrong: {reason}", file.display(), case.name))
            })?;
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = match &verdict.wrong {
                None => writeln!(text, "ok      {}", case.name),
                Some(wrong) => writeln!(text, "FAILED  {}\n  {wrong}", case.name),
            };
            if arguments.log || verdict.wrong.is_some() {
                text.push_str(&log_text(&verdict.log));
            }
            print!("{text}");
            if verdict.wrong.is_some() { failed += 1 } else { passed += 1 }
        }
    }
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {} cases failed", passed + failed)));
    }
    println!("{passed} cases passed");
    Ok(())
}

fn cases(file: &Path) -> Result<Vec<Case>, Failure> {
    let shown = file.display();
    let text = String::from_utf8(read(file)?)
        .map_err(|_| Failure::Failed(format!("{shown} is no text: write the cases in YAML or JSON")))?;
    let cases: Vec<Case> = serde_saphyr::from_str(&text).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        Failure::Failed(format!("{shown} is no list of cases: {first}"))
    })?;
    if cases.is_empty() {
        return Err(Failure::Failed(format!("{shown} holds no case")));
    }
    Ok(cases)
}

/// Whether the plugin does what the case expects.
fn judge(plugin: &dyn Plugin, case: &Case) -> Result<Verdict, String> {
    let decision = Decision::of_label(&case.decision).ok_or_else(|| {
        format!("{:?} is no decision: {}", case.decision, Decision::ALL.map(Decision::label).join(", "))
    })?;
    let settings = match &case.settings {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        settings => settings.to_string(),
    };
    let question = Question::read(decision, case.question.clone()).map_err(|fault| fault.to_string())?;
    let expected = match &case.expect {
        Expected::Answer(answer) => {
            Some(Answer::read(decision, answer.clone()).map_err(|fault| format!("the answer: {fault}"))?)
        }
        Expected::Refusal(_) | Expected::SettingsRefused(_) => None,
    };
    let valid = plugin.validate_settings(decision, &settings);
    let mut log = valid.log;
    let result = match valid.result {
        Ok(()) => {
            let called = question.ask(plugin, &settings);
            log.extend(called.log);
            called.result
        }
        Err(fault) => Err(fault),
    };
    Ok(Verdict { wrong: difference(&case.expect, expected.as_ref(), &result), log })
}

/// What is other than expected, if anything is.
fn difference(
    expect: &Expected,
    expected: Option<&Answer>,
    result: &Result<Answer, PluginFault>,
) -> Option<String> {
    let (wanted, is_right) = match (expect, result) {
        (Expected::Answer(answer), result) => {
            (answer.to_string(), result.as_ref().ok().is_some_and(|answer| Some(answer) == expected))
        }
        (Expected::Refusal(text), result) => {
            let right =
                matches!(result, Err(PluginFault::Refused(message)) if message.contains(text.as_str()));
            (format!("an error with {text:?} in it"), right)
        }
        (Expected::SettingsRefused(text), result) => {
            let right = matches!(result, Err(PluginFault::SettingsRefused(message)) if message.contains(text.as_str()));
            (format!("settings that are refused with {text:?}"), right)
        }
    };
    if is_right {
        return None;
    }
    let got = match result {
        Ok(answer) => answer.write().to_string(),
        Err(fault) => format!("no answer: {fault}"),
    };
    Some(format!("expected {wanted}\n  got      {got}"))
}

/// The question that leaves out everything.
fn nothing() -> Value {
    json!({})
}
