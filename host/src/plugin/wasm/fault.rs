//! Why a call of a plugin gave no answer.

use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::limits::CallState;
use crate::plugin::{PluginFault, bounds};

/// How wasmtime words that a guest handed over more than it may; its type is not public.
const TOO_MUCH_OUTPUT: &str = "too much data is being copied";

/// What ended a call.
pub(super) fn of_call(error: &wasmtime::Error, state: &CallState) -> PluginFault {
    if let Some(bytes) = state.memory.refused_bytes() {
        return PluginFault::TooMuchMemory { bytes: u64::try_from(bytes).unwrap_or(u64::MAX) };
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return PluginFault::Busy;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt | Trap::OutOfFuel) => PluginFault::TookTooLong,
        Some(trap) => PluginFault::Trapped(bounds::cut(trap.to_string())),
        None if error.root_cause().to_string().starts_with(TOO_MUCH_OUTPUT) => PluginFault::TooMuchOutput,
        None => PluginFault::Trapped(bounds::cut(format!("{error:#}"))),
    }
}
