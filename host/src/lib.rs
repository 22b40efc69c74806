//! The native host of Windlass. Modules are listed in the order of the way of one event:
//! watch, cache, queue, snapshot, engine, policies, check, apply; then what ties them together.

pub mod watch;

pub mod cache;

pub mod queue;

pub mod snapshot;

pub mod engine;

pub mod plugin;

pub mod check;

pub mod apply;

pub mod controller;

#[cfg(feature = "simulate")]
pub mod simulate;

#[cfg(feature = "shell")]
pub mod metrics;
#[cfg(feature = "shell")]
pub mod shell;

pub mod backoff;
pub mod key;
pub mod request;

/// An instant on both clocks; an argument of every step of the state machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds of a clock that never goes back; its zero has no meaning.
    pub monotonic_ms: u64,
    /// Wall clock, milliseconds since the Unix epoch.
    pub unix_ms: i64,
}
