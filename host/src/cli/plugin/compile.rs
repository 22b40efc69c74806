//! `windlass plugin compile`: what a running controller starts to compile a plugin, with limits that end it.

use std::io::{self, Read as _, Write as _};

use windlass_host::plugin::wasm::inspect::MAX_BYTES;
use windlass_host::plugin::wasm::{Options, PluginEngine};

use super::Failure;

/// Processor time of a compilation, seconds: one of a plugin in Python takes some tens.
const PROCESSOR_S: u64 = 120;
/// Memory of a compilation, bytes.
const MEMORY_BYTES: u64 = 3 << 30;

/// Flags of `windlass plugin compile`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Compile for calls that are bounded by fuel, and not by time.
    #[arg(long)]
    fuel: bool,
}

/// Limits itself, reads a component from standard input and writes its machine code to standard output.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    limit().map_err(|error| Failure::Failed(format!("the limits cannot be set: {error}")))?;
    let failed = |what: &str, error: io::Error| Failure::Failed(format!("cannot {what}: {error}"));
    let mut bytes = Vec::new();
    io::stdin()
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed("read the plugin", error))?;
    let options = if arguments.fuel { Options::deterministic() } else { Options::default() };
    let engine = PluginEngine::new(options).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let code = engine.precompile(&bytes).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let mut out = io::stdout().lock();
    out.write_all(&code).and_then(|()| out.flush()).map_err(|error| failed("write the machine code", error))
}

/// Ends this process where it takes more than it may. What the engine reserves of the address space is no memory.
fn limit() -> io::Result<()> {
    use rlimit::{Resource, setrlimit};
    setrlimit(Resource::CPU, PROCESSOR_S, PROCESSOR_S)?;
    setrlimit(Resource::DATA, MEMORY_BYTES, MEMORY_BYTES)?;
    setrlimit(Resource::CORE, 0, 0)?;
    setrlimit(Resource::FSIZE, 0, 0)
}
