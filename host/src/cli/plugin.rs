//! `windlass plugin`: what a plugin's author and its operator need besides a cluster.

#[cfg(feature = "wasm")]
mod bench;
mod build;
#[cfg(feature = "wasm")]
mod compile;
#[cfg(feature = "wasm")]
mod inspect;
mod new;
#[cfg(all(feature = "shell", feature = "wasm"))]
mod pull;
#[cfg(all(feature = "shell", feature = "wasm"))]
mod push;
#[cfg(feature = "wasm")]
mod run;
mod template;
#[cfg(feature = "wasm")]
mod test;

#[cfg(feature = "wasm")]
use std::path::{Path, PathBuf};
#[cfg(feature = "wasm")]
use std::sync::Arc;

use clap::Subcommand;
#[cfg(feature = "wasm")]
use serde_json::Value;
#[cfg(feature = "wasm")]
use windlass_host::plugin::decision::Decision;
#[cfg(feature = "wasm")]
use windlass_host::plugin::load::Loader as _;
#[cfg(feature = "wasm")]
use windlass_host::plugin::wasm::{Options, PluginEngine};
#[cfg(feature = "wasm")]
use windlass_host::plugin::{LogLine, Plugin, PluginFault};

use super::Failure;

/// Most bytes of a question or of a file of cases.
#[cfg(feature = "wasm")]
const MAX_DOCUMENT_BYTES: u64 = 16 << 20;

/// Make, build, try, measure, store and fetch policy plugins, without a cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a directory with a plugin that builds, and cases that it passes.
    ///
    /// The directory stands for itself: the contract is in it, and for Rust the SDK. docs/write-a-plugin.md goes on from
    /// there.
    New(new::Arguments),
    /// Build the plugin in a directory, whatever it is written in.
    ///
    /// A directory with Cargo.toml is Rust, and needs cargo with the target wasm32-unknown-unknown; one with
    /// package.json is JavaScript, and needs node and npm, which installs componentize-qjs at the first build; one with
    /// requirements.txt is Python, and needs python3 with venv, into which the first build installs componentize-py.
    /// Later builds need no network.
    Build(build::Arguments),
    /// Say what a plugin is: what it decides and imports, its version, its settings, its size and its digest.
    #[cfg(feature = "wasm")]
    Inspect(inspect::Arguments),
    /// Ask a plugin one question, which is read as JSON or YAML from standard input.
    ///
    /// The question has the fields that docs/policy-interface.md names for the decision; what it leaves out is empty
    /// or zero. The answer goes to standard output, and what the plugin logs to standard error:
    ///
    ///   echo '{failures: 3, exit-code: 137}' | windlass plugin run slow-start.wasm --decision backoff
    #[command(verbatim_doc_comment)]
    #[cfg(feature = "wasm")]
    Run(run::Arguments),
    /// Run files of cases, offline: questions with the answers that must come, and whole scenarios on a simulated cluster.
    ///
    /// A case asks one question, or applies manifests to a cluster in memory, where the plugin decides for the objects
    /// whose annotation names it; docs/policies.md has the fields of both. The exit code is 1 if a case fails.
    #[cfg(feature = "wasm")]
    Test(test::Arguments),
    /// Measure what a call of a plugin costs.
    ///
    /// Every call gets a fresh instance, as in a running controller. Time differs from run to run and from machine to
    /// machine; fuel, about one unit an instruction, does not.
    #[cfg(feature = "wasm")]
    Bench(bench::Arguments),
    /// Store a plugin in a registry, as an OCI artifact, and print the reference by digest that names it.
    #[cfg(all(feature = "shell", feature = "wasm"))]
    Push(push::Arguments),
    /// Fetch a plugin from a registry.
    #[cfg(all(feature = "shell", feature = "wasm"))]
    Pull(pull::Arguments),
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
        #[cfg(all(feature = "shell", feature = "wasm"))]
        Command::Push(arguments) => push::run(arguments),
        #[cfg(all(feature = "shell", feature = "wasm"))]
        Command::Pull(arguments) => pull::run(arguments),
        #[cfg(feature = "wasm")]
        Command::Compile(arguments) => compile::run(arguments),
    }
}

/// The file of the plugin that a path means: of a plugin's directory, what `windlass plugin build` leaves there.
#[cfg(feature = "wasm")]
fn plugin_file(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    // The name of `.` is that of the directory that it is.
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.join(format!("{name}.wasm"))
}

/// The plugin in a file.
#[cfg(feature = "wasm")]
fn load(file: &Path, options: Options) -> Result<Arc<dyn Plugin>, Failure> {
    let file = plugin_file(file);
    let engine = PluginEngine::new(options).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or("plugin");
    let plugin = engine.load(name, &read(&file)?);
    plugin.map_err(|fault| Failure::Failed(format!("{}: {fault}", file.display())))
}

#[cfg(feature = "wasm")]
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Failed(format!("cannot read {}: {error}", file.display())))
}

/// Waits for something that needs the network.
#[cfg(all(feature = "shell", feature = "wasm"))]
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start a runtime: {error}")))?;
    Ok(runtime.block_on(future))
}

/// The decision of that word, for a flag.
#[cfg(feature = "wasm")]
fn decision(word: &str) -> Result<Decision, String> {
    Decision::of_label(word).ok_or_else(|| {
        let words = Decision::ALL.map(Decision::label);
        format!("there is no such decision; the decisions are {}", words.join(", "))
    })
}

/// The document that `text` is, in JSON or YAML; one that leaves out everything where it is empty.
///
/// # Errors
/// What it is instead, to be put behind its name.
#[cfg(feature = "wasm")]
fn document(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        format!("is neither JSON nor YAML: {first}")
    })
}

/// Why a plugin gave no answer, with what its author should know of a trap that was not told of in its log.
#[cfg(feature = "wasm")]
fn fault_text(fault: &PluginFault, log: &[LogLine]) -> String {
    let is_told = log.iter().any(|line| line.level == 0);
    match fault {
        PluginFault::Trapped(_) if !is_told => format!(
            "{fault}; it logged no error: in JavaScript and Python an answer that is not of the shape of the \
             contract ends like this"
        ),
        _ => fault.to_string(),
    }
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
