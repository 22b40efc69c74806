//! `--plugin-dir`: what loads plugins, and, where nothing changes meanwhile, every plugin of a directory.

use std::path::Path;
use std::sync::Arc;

use windlass_host::plugin::load::Loader;
#[cfg(feature = "simulate")]
use windlass_host::plugin::set::PolicySet;

use super::Failure;

/// What loads plugins that have at most so many milliseconds a call; `clock` gives microseconds, and `cache` is where
/// machine code is kept. They are compiled by a process of their own.
#[cfg(feature = "wasm")]
pub(super) fn loader(
    deadline_ms: Option<u32>,
    cache: Option<&Path>,
    clock: fn() -> u64,
) -> Result<Arc<dyn Loader>, Failure> {
    use windlass_host::plugin::wasm::{Budget, Cache, Compiler, DEADLINE_MS, Options, PluginEngine};

    let cache = cache.map(Cache::open).transpose().map_err(|fault| Failure::Failed(fault.to_string()))?;
    let program = std::env::current_exe().map_err(|error| {
        Failure::Failed(format!("cannot find the program itself, which compiles plugins: {error}"))
    })?;
    let compiler = Compiler::Child { program, arguments: vec!["plugin".to_owned(), "compile".to_owned()] };

    let budget = Budget::TimeMs(deadline_ms.unwrap_or(DEADLINE_MS));
    let options = Options { budget, clock: Some(clock), ..Options::default() };
    let engine = PluginEngine::with_compiler(options, compiler, cache);
    Ok(Arc::new(engine.map_err(|fault| Failure::Failed(fault.to_string()))?))
}

#[cfg(not(feature = "wasm"))]
pub(super) fn loader(
    _deadline_ms: Option<u32>,
    _cache: Option<&Path>,
    _clock: fn() -> u64,
) -> Result<Arc<dyn Loader>, Failure> {
    Err(without_wasm())
}

/// The plugins of `directory`, a failure for the first that is none; run so that the same questions give the same answers on every machine.
#[cfg(all(feature = "simulate", feature = "wasm"))]
pub(super) fn load(directory: &Path) -> Result<Arc<PolicySet>, Failure> {
    use windlass_host::plugin::directory;
    use windlass_host::plugin::set::Loaded;
    use windlass_host::plugin::wasm::{Options, PluginEngine};

    let files = directory::files(directory).map_err(|fault| Failure::Failed(fault.to_string()))?;
    if files.is_empty() {
        return Err(Failure::Failed(format!("{} holds no file that ends with .wasm", directory.display())));
    }
    let engine = PluginEngine::new(Options::deterministic());
    let engine = engine.map_err(|fault| Failure::Failed(fault.to_string()))?;
    let mut plugins = Vec::new();
    for file in files {
        let shown = file.path.display().to_string();
        let bytes = file.read().map_err(|fault| Failure::Failed(fault.to_string()))?;
        let plugin = engine.load(&file.name, &bytes);
        let plugin = plugin.map_err(|fault| Failure::Failed(format!("{shown}: {fault}")))?;
        plugins.push(Loaded::new(plugin));
    }
    Ok(Arc::new(PolicySet::new(plugins)))
}

#[cfg(all(feature = "simulate", not(feature = "wasm")))]
pub(super) fn load(_directory: &Path) -> Result<Arc<PolicySet>, Failure> {
    Err(without_wasm())
}

#[cfg(not(feature = "wasm"))]
fn without_wasm() -> Failure {
    Failure::Usage("this windlass was built without the wasm engine, which runs plugins".to_owned())
}
