//! `windlass plugin test`: files of cases, each a question or a whole scenario, and what is expected of the plugin.

mod case;
#[cfg(feature = "simulate")]
mod history;
#[cfg(feature = "simulate")]
mod look;
mod question;
#[cfg(feature = "simulate")]
mod scenario;

use std::path::PathBuf;
use std::sync::Arc;

use windlass_host::plugin::Plugin;
use windlass_host::plugin::wasm::Options;

use super::super::output;
use super::{Failure, load, plugin_file};
use case::{Body, Case, cases};

/// Most lines of a scenario's log that are shown where it fails; `--log` shows them all.
const MAX_SHOWN_LOG_LINES: usize = 40;
/// Name of the file of cases beside a plugin.
const CASES: &str = "cases.yaml";

/// Flags of `windlass plugin test`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin, or its directory.
    #[arg(value_name = "PLUGIN")]
    file: PathBuf,
    /// Files of cases, in YAML or JSON [default: cases.yaml beside the plugin].
    #[arg(value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// Show in cases that pass, too, what the plugin logs, and of scenarios every change in the cluster.
    #[arg(long)]
    log: bool,
}

/// How a case went.
struct Verdict {
    /// What is wrong, a part a line or several.
    wrong: Vec<String>,
    /// What the plugin said; of a scenario, what happened besides.
    log: String,
}

/// Runs the cases, and prints how each went.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = plugin_file(&arguments.file);
    let files = match arguments.cases.as_slice() {
        [] => vec![file.with_file_name(CASES)],
        files => files.to_vec(),
    };
    // A slip of the pen in a later file is told before the first case is run.
    let all: Vec<Vec<Case>> = files.iter().map(|file| cases(file)).collect::<Result<_, _>>()?;
    let plugin = load(&file, Options::deterministic())?;
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for case in all.iter().flatten() {
        let verdict = judge(&plugin, case).map_err(|reason| {
            Failure::Failed(format!("{}: the case {:?} is wrong: {reason}", case.place, case.name))
        })?;
        output::write(&told(case, &verdict, arguments.log))?;
        if verdict.wrong.is_empty() { passed += 1 } else { failed += 1 }
    }
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {} cases failed", passed + failed)));
    }
    output::write(&format!("{passed} cases passed\n"))
}

fn judge(plugin: &Arc<dyn Plugin>, case: &Case) -> Result<Verdict, String> {
    match &case.body {
        Body::Question(question) => Ok(question::judge(&**plugin, question)),
        #[cfg(feature = "simulate")]
        Body::Scenario(scenario) => scenario::judge(plugin, scenario, &case.place),
        #[cfg(not(feature = "simulate"))]
        Body::Scenario(_) => Err("this windlass was built without what simulates a cluster".to_owned()),
    }
}

/// The lines that tell how a case went.
fn told(case: &Case, verdict: &Verdict, with_log: bool) -> String {
    let name = &case.name;
    let mut text = if verdict.wrong.is_empty() {
        format!("ok      {name}\n")
    } else {
        let wrong: String = verdict.wrong.iter().map(|wrong| format!("  {wrong}\n")).collect();
        format!("FAILED  {name}\n{wrong}")
    };
    if with_log {
        text.push_str(&verdict.log);
    } else if !verdict.wrong.is_empty() {
        let lines: Vec<&str> = verdict.log.lines().collect();
        let shown = lines.len().min(MAX_SHOWN_LOG_LINES);
        for line in lines.iter().take(shown) {
            text.push_str(line);
            text.push('\n');
        }
        if lines.len() > shown {
            text.push_str(&format!("  and {} lines more; --log shows them\n", lines.len() - shown));
        }
    }
    text
}
