//! `windlass plugin`: what a plugin's author and its operator need besides a cluster.

#[cfg(feature = "wasm")]
mod bench;
mod build;
#[cfg(feature = "wasm")]
mod compile;
#[cfg(feature = "wasm")]
mod inspect;
mod new;
#[cfg(feature = "wasm")]
mod run;
mod template;
#[cfg(feature = "wasm")]
mod test;

#[cfg(feature = "wasm")]
use std::path::Path;
#[cfg(feature = "wasm")]
use std::sync::Arc;

use clap::Subcommand;
#[cfg(feature = "wasm")]
use windlass_host::plugin::decision::Decision;
#[cfg(feature = "wasm")]
use windlass_host::plugin::load::Loader as _;
#[cfg(feature = "wasm")]
use windlass_host::plugin::wasm::{Options, PluginEngine};
#[cfg(feature = "wasm")]
use windlass_host::plugin::{LogLine, Plugin};

use super::Failure;

/// Most bytes of a question or of a file of cases.
#[cfg(feature = "wasm")]
const MAX_DOCUMENT_BYTES: u64 = 16 << 20;

/// Make, build, try and measure policy plugins, without a cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a directory with a plugin that builds, and cases that pass.
    New(new::Arguments),
    /// Build the plugin in a directory, whatever it is written in.
    Build(build::Arguments),
    /// Say what a plugin is: what it decides and imports, its version, its settings, its size and its digest.
    #[cfg(feature = "wasm")]
    Inspect(inspect::Arguments),
    /// Ask a plugin one question, which is read as JSON or YAML from standard input.
    #[cfg(feature = "wasm")]
    Run(run::Arguments),
    /// Run files of cases: a question and the answer that is expected.
    #[cfg(feature = "wasm")]
    Test(test::Arguments),
    /// Measure what a call of a plugin costs.
    #[cfg(feature = "wasm")]
    Bench(bench::Arguments),
    /// Compile the plugin on standard input; a running controller starts this for itself.
    #[command(hide = true)]
    #[cfg(feature = "wasm")]
    Compile(compile::Arguments),
}

/// Does what was asked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::New(arguments) => new::run(arguments),
        Command::Build(arguments) => build::run(arguments),
        #[cfg(feature = "wasm")]
        Command::Inspect(arguments) => inspect::run(arguments),
        #[cfg(feature = "wasm")]
        Command::Run(arguments) => run::run(arguments),
        #[cfg(feature = "wasm")]
        Command::Test(arguments) => test::run(arguments),
        #[cfg(feature = "wasm")]
        Command::Bench(arguments) => bench::run(arguments),
        #[cfg(feature = "wasm")]
        Command::Compile(arguments) => compile::run(arguments),
    }
}

/// The plugin in a file.
#[cfg(feature = "wasm")]
fn load(file: &Path, options: Options) -> Result<Arc<dyn Plugin>, Failure> {
    let engine = PluginEngine::new(options).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or("plugin");
    let plugin = engine.load(name, &read(file)?);
    plugin.map_err(|fault| Failure::Failed(format!("{}: {fault}", file.display())))
}

#[cfg(feature = "wasm")]
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Failed(format!("cannot read {}: {error}", file.display())))
}

/// The decision of that word, for a flag.
#[cfg(feature = "wasm")]
fn decision(word: &str) -> Result<Decision, String> {
    Decision::of_label(word).ok_or_else(|| {
        let words = Decision::ALL.map(Decision::label);
        format!("there is no such decision; the decisions are {}", words.join(", "))
    })
}

/// What a plugin says, as lines for people.
#[cfg(feature = "wasm")]
fn log_text(log: &[LogLine]) -> String {
    let line = |line: &LogLine| {
        let level = match line.level {
            0 => "error",
            1 => "warning",
            2 => "info",
            _ => "detail",
        };
        format!("  {level:<7}  {}\n", line.message)
    };
    log.iter().map(line).collect()
}
