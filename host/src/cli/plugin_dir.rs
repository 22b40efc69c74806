//! `--plugin-dir`: what loads plugins, and, where nothing changes meanwhile, every plugin of a directory.

use std::path::Path;
use std::sync::Arc;

use windlass_host::plugin::load::Loader;

use super::Failure;

/// What loads plugins that have at most so many milliseconds a call; `clock` gives microseconds, and `cache` is where
/// machine code is kept. They are compiled by a process of their own.
#[cfg(feature = "wasm")]
pub(super) fn loader(
    deadline_ms: Option<u32>,
    cache: Option<&Path>,
    clock: fn() -> u64,
) -> Result<Arc<dyn Loader>, Failure> {
    use windlass_host::plugin::load::Lazy;
    use windlass_host::plugin::wasm::{Budget, Cache, Compiler, DEADLINE_MS, Options, PluginEngine};

    let cache = cache.map(Cache::open).transpose().map_err(|fault| Failure::Failed(fault.to_string()))?;
    let program = std::env::current_exe().map_err(|error| {
        Failure::Failed(format!("cannot find the program itself, which compiles plugins: {error}"))
    })?;
    let compiler = Compiler::Child { program, arguments: vec!["plugin".to_owned(), "compile".to_owned()] };

    let budget = Budget::TimeMs(deadline_ms.unwrap_or(DEADLINE_MS));
    let options = Options { budget, clock: Some(clock), ..Options::default() };
    Ok(Arc::new(Lazy::new(move || {
        let engine = PluginEngine::with_compiler(options, compiler.clone(), cache.clone())?;
        Ok(Arc::new(engine))
    })))
}

#[cfg(not(feature = "wasm"))]
pub(super) fn loader(
    _deadline_ms: Option<u32>,
    _cache: Option<&Path>,
    _clock: fn() -> u64,
) -> Result<Arc<dyn Loader>, Failure> {
    use windlass_host::plugin::load::{Lazy, LoadFault};

    Ok(Arc::new(Lazy::new(|| Err(LoadFault::Engine("this windlass was built without it".to_owned())))))
}

/// What loads plugins that are run so that the same questions give the same answers on every machine.
#[cfg(all(feature = "simulate", feature = "wasm"))]
pub(super) fn deterministic() -> Result<Arc<dyn Loader>, Failure> {
    use windlass_host::plugin::wasm::{Options, PluginEngine};

    let engine = PluginEngine::new(Options::deterministic());
    Ok(Arc::new(engine.map_err(|fault| Failure::Failed(fault.to_string()))?))
}

#[cfg(all(feature = "simulate", not(feature = "wasm")))]
pub(super) fn deterministic() -> Result<Arc<dyn Loader>, Failure> {
    Err(without_wasm())
}

/// A failure unless `directory` holds plugins.
#[cfg(feature = "simulate")]
pub(super) fn check(directory: &Path) -> Result<(), Failure> {
    let offers = windlass_host::plugin::directory::offers(directory);
    let offers = offers.map_err(|fault| Failure::Failed(fault.to_string()))?;
    if offers.is_empty() {
        return Err(Failure::Failed(format!("{} holds no file that ends with .wasm", directory.display())));
    }
    Ok(())
}

#[cfg(all(feature = "simulate", not(feature = "wasm")))]
fn without_wasm() -> Failure {
    Failure::Usage("this windlass was built without the wasm engine, which runs plugins".to_owned())
}
