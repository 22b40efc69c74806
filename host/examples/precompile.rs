//! Writes the embedded core's machine code to target/core/core.cwasm, or to the file named.
//!
//! The next build of the same profile embeds it, and its wasm engine then starts without waiting for the
//! compiler: `make core`, this example, and the build again.

use std::error::Error;
use std::path::PathBuf;

use windlass_host::engine::wasm::WasmEngine;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or_else(|| "target/core/core.cwasm".into(), PathBuf::from);
    let code = WasmEngine::precompile_embedded()?;
    std::fs::write(&path, &code)?;
    println!("{}: {} bytes", path.display(), code.len());
    Ok(())
}
