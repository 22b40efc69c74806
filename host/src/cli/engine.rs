//! `--engine` and `--core`: what runs the core.

use std::path::Path;
use std::sync::Arc;

use windlass_host::engine::Engine;
use windlass_host::engine::native::NativeEngine;

use super::Failure;
use super::values::EngineName;

/// The engine of that name; `core` replaces the core that is built in.
pub(super) fn open(name: EngineName, core: Option<&Path>) -> Result<Arc<dyn Engine>, Failure> {
    match (name, core) {
        (EngineName::Native, None) => Ok(Arc::new(NativeEngine)),
        (EngineName::Native, Some(_)) => Err(Failure::Usage(
            "--core names a component, which the native engine cannot run; leave out --engine native"
                .to_owned(),
        )),
        (EngineName::Wasm, core) => wasm(core),
    }
}

#[cfg(feature = "wasm")]
fn wasm(core: Option<&Path>) -> Result<Arc<dyn Engine>, Failure> {
    use windlass_host::engine::wasm::{Options, WasmEngine};
    let engine = match core {
        None => WasmEngine::embedded().map_err(|fault| Failure::Failed(fault.to_string()))?,
        Some(path) => {
            let shown = path.display();
            let bytes = std::fs::read(path).map_err(|error| {
                Failure::Usage(format!("cannot read the core {shown}: {error}; name a component that `make core` built with --core"))
            })?;
            let engine = WasmEngine::new(&bytes, Options::default());
            engine.map_err(|fault| Failure::Failed(format!("{shown}: {fault}")))?
        }
    };
    Ok(Arc::new(engine))
}

#[cfg(not(feature = "wasm"))]
fn wasm(_core: Option<&Path>) -> Result<Arc<dyn Engine>, Failure> {
    Err(Failure::Usage("this windlass was built without the wasm engine; give --engine native".to_owned()))
}
