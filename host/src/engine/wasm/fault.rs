//! Why a core was not loaded, and why a call of it gave no plan.

use std::fmt;

use wasmtime::{PoolConcurrencyLimitError, Trap};
use windlass_core::CONTRACT_VERSION;

use super::limits::{CallState, HOSTCALL_BYTES, TooManyQuestions};
use crate::engine::EngineFault;

/// Why bytes are not a core that this host can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreFault {
    /// This program was built without a core.
    NotEmbedded,
    /// The bytes are not a WebAssembly component; the reason, for people.
    NotAComponent(String),
    /// The component wants something of its surroundings that a pure core does not need; its name.
    ForeignImport(String),
    /// The component lacks a part of the contract; its name.
    MissingExport(String),
    /// The component is a core of another version of the contract; that version.
    WrongContract(String),
    /// A part of the contract has another type than this host expects; the difference, for people.
    WrongType(String),
    /// The wasm engine could not be set up; the reason, for people.
    Engine(String),
}

impl CoreFault {
    /// Stable name for metrics and records.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotEmbedded => "not_embedded",
            Self::NotAComponent(_) => "not_a_component",
            Self::ForeignImport(_) => "foreign_import",
            Self::MissingExport(_) => "missing_export",
            Self::WrongContract(_) => "wrong_contract",
            Self::WrongType(_) => "wrong_type",
            Self::Engine(_) => "engine",
        }
    }
}

impl fmt::Display for CoreFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmbedded => write!(
                formatter,
                "this build has no core.wasm: run `make core` and build again, or take `--engine native`"
            ),
            Self::NotAComponent(reason) => {
                write!(
                    formatter,
                    "the core is not a WebAssembly component ({reason}): `make core` builds one"
                )
            }
            Self::ForeignImport(name) => write!(
                formatter,
                "the core imports {name}, which no pure core needs: use one that `make core` built"
            ),
            Self::MissingExport(name) => {
                write!(formatter, "the core does not export {name}: use one that `make core` built")
            }
            Self::WrongContract(version) => write!(
                formatter,
                "the core speaks version {version} of the contract and this host {CONTRACT_VERSION}: \
                 use a core and a host of one release"
            ),
            Self::WrongType(difference) => write!(
                formatter,
                "the core's contract is not the one of this host ({difference}): run `make core`"
            ),
            Self::Engine(reason) => {
                write!(formatter, "the wasm engine cannot start ({reason}): `--engine native` needs none")
            }
        }
    }
}

impl std::error::Error for CoreFault {}

/// How wasmtime words that a guest handed over more than it may; its type is not public.
const TOO_MUCH_OUTPUT: &str = "too much data is being copied";

/// What ended a call.
pub(super) fn of_call(error: &wasmtime::Error, state: &CallState) -> EngineFault {
    if let Some(bytes) = state.memory.refused_bytes() {
        return EngineFault::LimitExceeded(format!("the core asked for {bytes} bytes of memory"));
    }
    if error.is::<TooManyQuestions>() || error.is::<PoolConcurrencyLimitError>() {
        return EngineFault::LimitExceeded(error.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => EngineFault::LimitExceeded("the core took too long".to_owned()),
        Some(Trap::OutOfFuel) => EngineFault::LimitExceeded("the core used up its fuel".to_owned()),
        Some(trap) => EngineFault::Trapped(trap.to_string()),
        None if error.root_cause().to_string().starts_with(TOO_MUCH_OUTPUT) => {
            EngineFault::LimitExceeded(format!("the core handed over more than {HOSTCALL_BYTES} bytes"))
        }
        None => EngineFault::Trapped(format!("{error:#}")),
    }
}
