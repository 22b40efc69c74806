//! `windlass plugin bench`: what a call of a plugin costs.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::document::Question;
use windlass_host::plugin::wasm::{Budget, DEADLINE_MS, Options};
use windlass_host::plugin::{LogLine, PluginFault};

use super::super::output;
use super::super::values::Form;
use super::super::wall_clock::WallClock;
use super::{Failure, decision, document, fault_text, load, log_text};

/// Time that a call may take here, milliseconds: what a busy machine makes of a call is measured, not refused.
const BENCH_DEADLINE_MS: u32 = 1_000;

/// Flags of `windlass plugin bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin, or its directory.
    #[arg(value_name = "PLUGIN")]
    file: PathBuf,
    /// What is asked about [default: what the plugin decides first].
    #[arg(long, value_name = "DECISION", value_parser = decision)]
    decision: Option<Decision>,
    /// The question [default: a plain one about the decision].
    #[arg(long, value_name = "JSON")]
    question: Option<String>,
    /// Settings of the plugin, such as '{"baseMs": 3000}'.
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
    over_deadline: usize,
    memory_bytes: u64,
    fuel: u64,
}

/// Measures, and prints the result; the first fault ends it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let clock = WallClock::start();
    let options = Options { budget: Budget::TimeMs(BENCH_DEADLINE_MS), ..Options::default() };
    let plugin = load(&arguments.file, options)?;
    let load_us = micros(clock.elapsed());
    let decides = plugin.identity().decisions.first().copied();
    let decision = arguments.decision.or(decides).unwrap_or(Decision::Backoff);
    let asked = match &arguments.question {
        Some(text) => {
            document(text).map_err(|reason| Failure::Usage(format!("what --question holds {reason}")))?
        }
        None => plain_question(decision),
    };
    let question = Question::read(decision, asked)
        .map_err(|fault| Failure::Usage(format!("--question is none about {decision}: {fault}")))?;
    let failed = |fault: &PluginFault, log: &[LogLine]| {
        Failure::Failed(format!("{}\n{}", fault_text(fault, log), log_text(log)).trim_end().to_owned())
    };
    let valid = plugin.validate_settings(decision, &arguments.settings);
    valid.result.map_err(|fault| failed(&fault, &valid.log))?;
    let mut took_us = Vec::new();
    let mut memory_bytes = 0;
    for _ in 0..arguments.calls {
        let began = clock.elapsed();
        let called = question.ask(&*plugin, &arguments.settings);
        took_us.push(micros(clock.elapsed().saturating_sub(began)));
        memory_bytes = called.cost.memory_bytes.max(memory_bytes);
        called.result.map_err(|fault| failed(&fault, &called.log))?;
    }
    let over_deadline = took_us.iter().filter(|took_us| **took_us > u64::from(DEADLINE_MS) * 1_000).count();
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
        over_deadline,
        memory_bytes,
        fuel: question.ask(&*counted, &arguments.settings).cost.fuel.unwrap_or(0),
    };
    output::print(&measured, arguments.output, |measured| {
        format!(
            "{} calls about {}: median {} us, p99 {} us, longest {} us; {} KiB of memory, {} units of fuel a call; \
             loaded in {} ms\n{}",
            measured.calls,
            measured.decision,
            measured.median_us,
            measured.p99_us,
            measured.longest_us,
            measured.memory_bytes / 1_024,
            measured.fuel,
            measured.load_us / 1_000,
            late(measured.over_deadline)
        )
    })
}

/// A line about the calls that a controller would have ended, if there were any.
fn late(calls: usize) -> String {
    if calls == 0 {
        return String::new();
    }
    format!(
        "{calls} of the calls took longer than the {DEADLINE_MS} ms that a running controller gives one\n"
    )
}

/// A question as a controller may ask it, so that a plugin does what it usually does.
fn plain_question(decision: Decision) -> Value {
    match decision {
        Decision::Backoff => json!({"owner": "shop/report", "failures": 3, "exit-code": 1, "seed": 7}),
        Decision::Schedule => json!({
            "owner": "shop/report", "schedule": "0 * * * *", "zone": "UTC", "after-s": 1_767_225_600,
            "until-s": 1_767_312_000, "limit": 1, "seed": 7
        }),
        Decision::MissedRuns => json!({
            "owner": "shop/report", "missed-s": [1_767_225_600, 1_767_229_200, 1_767_232_800], "why": "unknown",
            "now-s": 1_767_232_900, "concurrency-policy": "Allow", "seed": 7
        }),
        Decision::Rollout => json!({
            "owner": "shop/agent", "revision": "6d5f", "max-unavailable": 1, "seed": 7, "nodes": [
                {"name": "node-0", "state": "updated", "available": true, "since-ms": 900_000},
                {"name": "node-1", "state": "old", "available": true, "since-ms": 900_000},
                {"name": "node-2", "state": "old", "available": true, "since-ms": 900_000},
            ]
        }),
        Decision::Admission => json!({
            "owner": "shop/report", "queue": "web", "parallelism": 2, "seed": 7,
            "in-queue": {"running": 3, "waiting": 1, "pods": 6}
        }),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
