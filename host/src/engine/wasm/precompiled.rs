//! Machine code that was made before: of the core by the build, of plugins by this program itself.

use wasmtime::Engine;
use wasmtime::component::Component;

/// The component whose machine code is `code`; `None` if another version, other settings, or another kind
/// of processor made it, and it has to be compiled anew.
#[expect(unsafe_code, reason = "machine code cannot be checked; this is our own, see below")]
pub(crate) fn load(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` never comes from a user. Of the core it is what `WasmEngine::precompile_embedded` returned, less
    // its mark, to the build that made this program. Of a plugin it is what `PluginEngine::precompile` returned, in
    // this process or in one that this process started from this same program, and kept in a directory that only this
    // user can write. wasmtime refuses code of another version or of other settings.
    match unsafe { Component::deserialize(engine, code) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::info!(%error, "machine code that was made before does not fit this program; compiling anew");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_core::policy::BuiltIn;
    use windlass_core::view::{OrphanOwner, OrphanSnapshot};

    use super::load;
    use crate::engine::native::NativeEngine;
    use crate::engine::wasm::{CoreFault, Options, WasmEngine};
    use crate::engine::{Engine, Snapshot};

    /// `None` where this program was built without a core; `make test` forbids that.
    fn machine_code() -> Option<Vec<u8>> {
        match WasmEngine::precompile_embedded() {
            Ok(file) => Some(file[super::super::embedded::core_source().len()..].to_vec()),
            Err(CoreFault::NotEmbedded) => None,
            Err(fault) => panic!("the core does not compile: {fault}"),
        }
    }

    #[test]
    fn machine_code_made_for_any_processor_answers_as_the_native_core() {
        let Some(code) = machine_code() else {
            println!("SKIPPED machine_code_made_for_any_processor: no core was built in: run `make core`");
            return;
        };
        let wasmtime = super::super::load::wasmtime(&Options::default()).expect("an engine");
        let component = load(&wasmtime, &code).expect("it is of this very program");
        let engine =
            WasmEngine::with_component(wasmtime, &component, Options::default(), true).expect("a core");
        let snapshot = Snapshot::Orphan(OrphanSnapshot { owner: OrphanOwner::Gone, tracked: true });
        let policy: crate::engine::SharedPolicy = Arc::new(BuiltIn::default());
        let plan = engine.reconcile(&snapshot, &policy).expect("a plan");
        assert_eq!(plan, NativeEngine.reconcile(&snapshot, &policy).expect("a plan"));
        assert!(!plan.steps.is_empty());
    }

    #[test]
    fn code_made_under_other_settings_is_not_taken() {
        let Some(code) = machine_code() else {
            println!("SKIPPED code_made_under_other_settings: no core was built in: run `make core`");
            return;
        };
        let counts_fuel = super::super::load::wasmtime(&Options::deterministic()).expect("an engine");
        assert!(load(&counts_fuel, &code).is_none());
        assert!(load(&counts_fuel, b"not machine code").is_none());
    }
}
