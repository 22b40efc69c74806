//! Plugins as WebAssembly components: a fresh store for each call, with a budget of time or fuel, of memory and of
//! what it may hand over, and nothing of its surroundings but a log.

mod bindings;
mod cache;
mod call;
mod compile;
mod convert;
mod engine;
mod fault;
pub mod inspect;
mod limits;

pub use cache::{Cache, CacheFault};
pub use compile::Compiler;
pub use engine::{Budget, Clock, DEADLINE_MS, FUEL, MEMORY_BYTES, Options, PluginEngine};
