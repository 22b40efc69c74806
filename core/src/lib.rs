//! The pure reconcile logic of Windlass: a snapshot in, a plan out.
//!
//! Nothing here reads a clock, an environment, randomness or a hash order, and no input makes it panic:
//! the same snapshot gives the same plan byte for byte, compiled natively and as WebAssembly.
//! Modules are listed in the order in which a value passes through them.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic, clippy::too_many_lines)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::too_many_lines,
        clippy::wildcard_enum_match_arm
    )
)]

extern crate alloc;

pub mod cron_job;
pub mod daemon_set;
pub mod fault;
mod hash;
pub mod job;
pub mod kube;
pub mod plan;
pub mod policy;
pub mod twin;
pub mod view;

pub use hash::seed_of;

/// Version of the contract between host and core, in wit/core; a recording names the one it was made with.
pub const CONTRACT_VERSION: &str = "0.1.0";
