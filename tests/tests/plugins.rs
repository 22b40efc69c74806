//! Policy plugins from their bytes to what becomes of a Job, CronJob or DaemonSet: loaded, asked, bounded, and never able to hurt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "plugins/examples.rs"]
mod examples;
#[path = "plugins/hostile.rs"]
mod hostile;
#[path = "plugins/kept.rs"]
mod kept;
#[path = "plugins/loading.rs"]
mod loading;
#[path = "plugins/resources.rs"]
mod resources;
#[path = "plugins/rollout.rs"]
mod rollout;
#[path = "plugins/seclusion.rs"]
mod seclusion;
#[path = "plugins/simulated.rs"]
mod simulated;
#[path = "plugins/swaps.rs"]
mod swaps;

use std::sync::Arc;

use windlass_host::plugin::Plugin;
use windlass_host::plugin::load::{LoadFault, Loader as _};
use windlass_host::plugin::set::{Loaded, PolicySet};
use windlass_host::plugin::wasm::{Options, PluginEngine};

/// The plugin that these bytes are, run by fuel.
fn load(bytes: &[u8]) -> Result<Arc<dyn Plugin>, LoadFault> {
    PluginEngine::new(Options::deterministic()).unwrap().load("guest", bytes)
}

/// These plugins by name, run by fuel.
fn set(plugins: &[(&str, Vec<u8>)]) -> Arc<PolicySet> {
    let engine = PluginEngine::new(Options::deterministic()).unwrap();
    let load = |(name, bytes): &(&str, Vec<u8>)| {
        Loaded::new(engine.load(name, bytes).unwrap_or_else(|fault| panic!("{name}: {fault}")))
    };
    Arc::new(PolicySet::new(plugins.iter().map(load)))
}
