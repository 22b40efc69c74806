//! Machine code of the core that an earlier run of this program made, so that a start does not wait for
//! the compiler.

use wasmtime::Engine;
use wasmtime::component::Component;

/// The component whose machine code is `code`; `None` if another version, other settings, or another kind
/// of processor made it, and it has to be compiled anew.
#[expect(unsafe_code, reason = "machine code cannot be checked; this is our own, put here by build.rs")]
pub(super) fn load(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` is what `WasmEngine::precompile` returned to the build that made this program; it never
    // comes from a user. wasmtime refuses code of another version or of other settings.
    match unsafe { Component::deserialize(engine, code) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::info!(%error, "the precompiled core does not fit this program; compiling it");
            None
        }
    }
}
