//! Writes the embedded core's machine code to target/core/core.cwasm, or to the file named.
//!
//! The next build embeds it, and its wasm engine then starts without waiting for the compiler; `make release`
//! does the two in this order. A file that holds just that already is left as it is, so that nothing is built
//! anew for it.

use std::error::Error;
use std::path::PathBuf;

use windlass_host::engine::wasm::WasmEngine;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or_else(|| "target/core/core.cwasm".into(), PathBuf::from);
    let code = WasmEngine::precompile_embedded()?;
    if std::fs::read(&path).is_ok_and(|before| before == code) {
        println!("{}: fresh", path.display());
        return Ok(());
    }
    std::fs::write(&path, &code)?;
    println!("{}: {} bytes", path.display(), code.len());
    Ok(())
}
