//! `windlass plugin run`: one question.

use std::io::{self, Read as _};
use std::path::PathBuf;

use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::document::Question;
use windlass_host::plugin::wasm::Options;

use super::super::output;
use super::super::values::Form;
use super::{Failure, MAX_DOCUMENT_BYTES, decision, document, fault_text, load, log_text};

/// Flags of `windlass plugin run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin, or its directory.
    #[arg(value_name = "PLUGIN")]
    file: PathBuf,
    /// What is asked about: backoff, schedule, missed-runs, rollout or admission.
    #[arg(long, value_name = "DECISION", value_parser = decision)]
    decision: Decision,
    /// Settings of the plugin, such as '{"baseMs": 3000}'.
    #[arg(long, value_name = "JSON", default_value = "")]
    settings: String,
    /// Form of the answer.
    #[arg(short, long, value_enum, value_name = "FORM", default_value = "json")]
    output: Form,
}

/// Asks, and prints the answer; what the plugin says meanwhile goes to standard error.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut text = String::new();
    let read = io::stdin().take(MAX_DOCUMENT_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("cannot read the question from standard input: {error}")))?;
    let wrong = |reason: String| Failure::Failed(format!("the question {reason}"));
    let question = Question::read(arguments.decision, document(&text).map_err(wrong)?).map_err(|fault| {
        Failure::Failed(format!("that is no question about {}: {fault}", arguments.decision))
    })?;
    let plugin = load(&arguments.file, Options::deterministic())?;
    let valid = plugin.validate_settings(arguments.decision, &arguments.settings);
    eprint!("{}", log_text(&valid.log));
    valid.result.map_err(|fault| Failure::Failed(fault.to_string()))?;
    let called = question.ask(&*plugin, &arguments.settings);
    eprint!("{}", log_text(&called.log));
    let answer = called.result.map_err(|fault| Failure::Failed(fault_text(&fault, &called.log)))?;
    output::print(&answer.write(), arguments.output, |answer| format!("{answer}\n"))
}
