//! `windlass plugin compile`: what a running controller starts to compile a plugin, with limits that end it.

use std::io::{self, Read as _, Write as _};

use windlass_host::plugin::wasm::inspect::MAX_BYTES;
use windlass_host::plugin::wasm::{Options, PluginEngine};

use super::Failure;

/// Processor time of a compilation, seconds: one of a plugin in Python takes some tens.
const PROCESSOR_S: u64 = 120;
/// Memory of a compilation, mebibytes.
const MEMORY_MIB: u64 = 3 << 10;

/// Flags of `windlass plugin compile`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Compile for calls that are bounded by fuel, and not by time.
    #[arg(long)]
    fuel: bool,
    /// Processor time after which it is ended.
    #[arg(long, value_name = "SECONDS", default_value_t = PROCESSOR_S)]
    processor_seconds: u64,
    /// Memory past which it is ended.
    #[arg(long, value_name = "MEBIBYTES", default_value_t = MEMORY_MIB)]
    memory_mebibytes: u64,
}

/// Limits itself, reads a component from standard input and writes its machine code to standard output.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    limit(arguments).map_err(|error| Failure::Failed(format!("the limits cannot be set: {error}")))?;
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
fn limit(arguments: &Arguments) -> io::Result<()> {
    use rlimit::{Resource, setrlimit};
    let processor_s = arguments.processor_seconds;
    let memory_bytes = arguments.memory_mebibytes.saturating_mul(1 << 20);
    setrlimit(Resource::CPU, processor_s, processor_s)?;
    setrlimit(Resource::DATA, memory_bytes, memory_bytes)?;
    setrlimit(Resource::CORE, 0, 0)?;
    setrlimit(Resource::FSIZE, 0, 0)
}
