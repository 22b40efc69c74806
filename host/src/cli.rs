//! The command line: what the flags say, and how a failure is told.
//!
//! Exit codes: 0 done, 1 it failed, 2 it was asked wrongly. Each failure is one sentence that names the mend.

mod completion;
mod config_file;
#[cfg(feature = "simulate")]
mod cron;
mod engine;
mod logging;
mod manifests;
mod output;
mod plugin;
mod plugin_dir;
mod revision_hash;
mod run;
#[cfg(feature = "simulate")]
mod simulate;
mod values;
#[cfg(any(feature = "simulate", feature = "wasm"))]
mod wall_clock;

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// What `windlass version` and `windlass --version` say after the name.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let (contract, zones) = (windlass_core::CONTRACT_VERSION, windlass_core::cron_job::zone::data_version());
    format!("{} (core contract {contract}, time zones {zones})", env!("CARGO_PKG_VERSION"))
});

/// Exit code of wrong usage.
const WRONG_USAGE: u8 = 2;

/// Runs Kubernetes Jobs.
#[derive(Debug, Parser)]
#[command(name = "windlass", version = VERSION.as_str(), about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controllers against a cluster, until SIGTERM or SIGINT.
    Run(Box<run::Arguments>),
    /// Run manifests on a cluster in memory, in virtual time, and show what kubectl would.
    ///
    /// CronJobs, DaemonSets, Jobs, Pods, Nodes and Namespaces are served, and PolicyPlugins and PolicyBindings are
    /// taken. What a Pod does is told by annotations of its template, such as
    /// sandbox.windlass.dev/run-seconds: "5-10"; see docs/simulate.md.
    #[cfg(feature = "simulate")]
    Simulate(Box<simulate::Arguments>),
    /// Say what a CronJob's schedule means, without a cluster.
    #[cfg(feature = "simulate")]
    Cron(cron::Arguments),
    /// Print the hash of the revision that a DaemonSet's template gets, without a cluster.
    ///
    /// It is the value of the label controller-revision-hash on the Pods and the ControllerRevision that
    /// Windlass makes for this template, and what the revision's name ends in. The DaemonSet must be as the
    /// API server gives it, with all defaults and its status, such as:
    ///
    ///   kubectl get daemonset NAME -o json | windlass revision-hash -f -
    #[command(verbatim_doc_comment)]
    RevisionHash(revision_hash::Arguments),
    /// Make, build, try, measure, store and fetch policy plugins, without a cluster.
    Plugin(plugin::Arguments),
    /// Print the CustomResourceDefinitions of PolicyPlugin and PolicyBinding, for `kubectl apply -f -`.
    Manifests,
    /// Print the version, that of the contract between host and core, and that of the time zones.
    Version,
    /// Print a script that completes commands and flags in a shell.
    Completion(completion::Arguments),
}

/// Why a command failed, with the exit code.
#[derive(Debug)]
enum Failure {
    /// It was asked wrongly.
    Usage(String),
    /// It could not be done.
    Failed(String),
}

/// Runs the command that the arguments of this process name.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let done = match cli.command {
        Command::Run(arguments) => run::run(*arguments),
        #[cfg(feature = "simulate")]
        Command::Simulate(arguments) => simulate::run(&arguments),
        #[cfg(feature = "simulate")]
        Command::Cron(arguments) => cron::run(&arguments),
        Command::RevisionHash(arguments) => revision_hash::run(&arguments),
        Command::Plugin(arguments) => plugin::run(&arguments),
        Command::Manifests => manifests::run(),
        Command::Version => {
            println!("windlass {}", *VERSION);
            Ok(())
        }
        Command::Completion(arguments) => completion::print(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(sentence)) => {
            eprintln!("windlass: {sentence}");
            ExitCode::from(WRONG_USAGE)
        }
        Err(Failure::Failed(sentence)) => {
            eprintln!("windlass: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Prints help where it was asked for; else what is wrong, in one sentence.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            eprintln!("windlass: {}", sentence(&error.render().to_string()));
            ExitCode::from(WRONG_USAGE)
        }
    }
}

/// What clap says in paragraphs, in one sentence.
fn sentence(rendered: &str) -> String {
    let mut parts = Vec::new();
    let mut command = "windlass".to_owned();
    for line in rendered.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
            command = words.collect::<Vec<_>>().join(" ");
        } else if !line.starts_with("For more information") {
            let line = line.strip_prefix("error: ").or_else(|| line.strip_prefix("tip: ")).unwrap_or(line);
            parts.push(line.trim_end_matches([':', '.']).to_owned());
        }
    }
    format!("{}; see `{command} --help`", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> String {
        let error = Cli::try_parse_from(line.split(' ')).expect_err("a refusal");
        sentence(&error.render().to_string())
    }

    #[test]
    fn a_wrong_flag_is_told_in_one_line_with_the_mend() {
        let told = wrong("windlass run --worker 3");
        assert!(told.contains("'--worker'") && told.contains("'--workers'"), "{told}");
        assert!(told.ends_with("see `windlass run --help`"), "{told}");
        assert_eq!(told.lines().count(), 1);
    }

    #[test]
    fn a_wrong_value_names_the_flag_and_what_it_takes() {
        let told = wrong("windlass run --engine quantum");
        assert!(told.contains("'quantum'") && told.contains("wasm, native"), "{told}");
        let told = wrong("windlass run --job-sync-batch soon");
        assert!(told.contains("--job-sync-batch") && told.contains("such as 10s"), "{told}");
    }

    #[test]
    fn the_flags_fit_together() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
