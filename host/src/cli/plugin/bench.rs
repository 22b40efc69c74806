//! `windlass plugin bench`: what a call of a plugin costs.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::document::Question;
use windlass_host::plugin::wasm::{Budget, DEADLINE_MS, Options};

use super::super::output;
use super::super::values::Form;
use super::super::wall_clock::WallClock;
use super::{Failure, decision, load};

/// Flags of `windlass plugin bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is asked about [default: what the plugin decides first].
    #[arg(long, value_name = "DECISION", value_parser = decision)]
    decision: Option<Decision>,
    /// The question [default: one that leaves out everything].
    #[arg(long, value_name = "JSON", default_value = "{}")]
    question: String,
    /// Settings of the plugin.
    #[arg(long, value_name = "JSON", default_value = "")]
    settings: String,
    /// How many calls are measured.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
    /// Form of the result.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Form,
}

/// What calls cost.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    decision: &'static str,
    calls: u32,
    load_us: u64,
    median_us: u64,
    p99_us: u64,
    longest_us: u64,
    memory_bytes: u64,
    fuel: u64,
}

/// Measures, and prints the result; the first fault ends it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let clock = WallClock::start();
    let options = Options { budget: Budget::TimeMs(DEADLINE_MS), ..Options::default() };
    let plugin = load(&arguments.file, options)?;
    let load_us = micros(clock.elapsed());
    let decides = plugin.identity().decisions.first().copied();
    let decision = arguments.decision.or(decides).unwrap_or(Decision::Backoff);
    let wrong = |reason: &dyn ToString| Failure::Usage(format!("--question: {}", reason.to_string()));
    let document = serde_json::from_str(&arguments.question).unwrap_or(json!(null));
    let question = Question::read(decision, document).map_err(|fault| wrong(&fault))?;
    let failed = |fault: &dyn ToString| Failure::Failed(fault.to_string());
    let mut took_us = Vec::new();
    let mut memory_bytes = 0;
    for _ in 0..arguments.calls {
        let began = clock.elapsed();
        let called = question.ask(&*plugin, &arguments.settings);
        took_us.push(micros(clock.elapsed().saturating_sub(began)));
        memory_bytes = called.cost.memory_bytes.max(memory_bytes);
        called.result.map_err(|fault| failed(&fault))?;
    }
    took_us.sort_unstable();
    let at = |share: usize| took_us.get((took_us.len() - 1) * share / 100).copied().unwrap_or(0);
    let counted = load(&arguments.file, Options::deterministic())?;
    let measured = Measured {
        decision: decision.label(),
        calls: arguments.calls,
        load_us,
        median_us: at(50),
        p99_us: at(99),
        longest_us: at(100),
        memory_bytes,
        fuel: question.ask(&*counted, &arguments.settings).cost.fuel.unwrap_or(0),
    };
    output::print(&measured, arguments.output, |measured| {
        format!(
            "{} calls about {}: median {} us, p99 {} us, longest {} us; {} KiB of memory, {} units of fuel a call; \
             loaded in {} ms\n",
            measured.calls,
            measured.decision,
            measured.median_us,
            measured.p99_us,
            measured.longest_us,
            measured.memory_bytes / 1_024,
            measured.fuel,
            measured.load_us / 1_000
        )
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
