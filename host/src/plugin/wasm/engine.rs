//! The wasm engine for plugins: one of its own, so that no plugin takes anything from the core.

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, StoreContextMut};
use windlass_core::kube::Str;

use super::cache::Cache;
use super::call::WasmPlugin;
use super::compile::{self, Compiler};
use super::inspect::inspect;
use super::limits::{CallState, TABLE_ELEMENTS};
use crate::engine::wasm::Ticker;
use crate::plugin::load::{LoadFault, Loader};
use crate::plugin::resource::Limits;
use crate::plugin::{Identity, Plugin};

/// Default time of a call, milliseconds.
pub const DEADLINE_MS: u32 = 10;
/// Default fuel of a call: some tenths of a second of work, the same on every machine.
pub const FUEL: u64 = 100_000_000;
/// Default memory of a call, bytes.
pub const MEMORY_BYTES: usize = 64 << 20;
/// Milliseconds between two ticks of the clock that ends calls.
pub(super) const TICK_MS: u32 = 2;
/// Calls at once, for which the pool has room; one more is refused.
const CONCURRENT_CALLS: u32 = 16;
/// Core instances, memories and tables of one plugin, those of a whole Python among them.
const PARTS_OF_A_PLUGIN: u32 = 48;
/// Memories of one plugin.
const MEMORIES_OF_A_PLUGIN: u32 = 8;
/// Bytes of the bookkeeping of one instance; modules of a Python have many thousands of functions.
const INSTANCE_BYTES: usize = 16 << 20;
/// Bytes of linear memory that a pool slot keeps mapped between calls.
const KEPT_MEMORY_BYTES: usize = 256 << 10;
/// Stack of a call, bytes.
const STACK_BYTES: usize = 512 << 10;
/// What a plugin says goes here.
const LOG: &str = "windlass:plugin/log@0.1.0";

/// A clock for what a call took: microseconds since any instant.
pub type Clock = fn() -> u64;

/// What a call of a plugin may cost before it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Milliseconds of wall time.
    TimeMs(u32),
    /// Units of fuel, about one an instruction: the same on every run and every machine.
    Fuel(u64),
}

/// How plugins are run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a call may cost.
    pub budget: Budget,
    /// Most bytes of linear memory of a call.
    pub memory_bytes: usize,
    /// Measures calls, where time is the budget.
    pub clock: Option<Clock>,
}

impl Default for Options {
    /// Ten milliseconds and 64 MiB a call.
    fn default() -> Self {
        Self { budget: Budget::TimeMs(DEADLINE_MS), memory_bytes: MEMORY_BYTES, clock: None }
    }
}

impl Options {
    /// Options under which the same call ends the same way on every run and every machine.
    #[must_use]
    pub fn deterministic() -> Self {
        Self { budget: Budget::Fuel(FUEL), ..Self::default() }
    }

    /// These, as far as `limits` say nothing else. A limit of time is none of fuel, and memory is never more than the
    /// pool has.
    fn within(self, limits: Limits) -> Self {
        let budget = match (self.budget, limits.deadline_ms) {
            (Budget::TimeMs(_), Some(deadline_ms)) => Budget::TimeMs(deadline_ms),
            (budget, _) => budget,
        };
        let memory_bytes =
            limits.memory_bytes.map_or(self.memory_bytes, |bytes| bytes.min(self.memory_bytes));
        Self { budget, memory_bytes, ..self }
    }
}

/// Loads plugins, and is what they run on.
pub struct PluginEngine {
    pub(super) wasmtime: Engine,
    pub(super) options: Options,
    pub(super) ticker: Option<Ticker>,
    linker: Linker<CallState>,
    compiler: Compiler,
    cache: Option<Cache>,
}

impl PluginEngine {
    /// An engine that runs plugins as `options` say, and compiles them here, each time.
    ///
    /// # Errors
    /// [`LoadFault::Engine`] if this machine cannot run one.
    pub fn new(options: Options) -> Result<Arc<Self>, LoadFault> {
        Self::with_compiler(options, Compiler::Here, None)
    }

    /// An engine that runs plugins as `options` say, has them compiled by `compiler`, and keeps what came of it in
    /// `cache`.
    ///
    /// # Errors
    /// [`LoadFault::Engine`] if this machine cannot run one.
    pub fn with_compiler(
        options: Options,
        compiler: Compiler,
        cache: Option<Cache>,
    ) -> Result<Arc<Self>, LoadFault> {
        let unusable = |error: wasmtime::Error| LoadFault::Engine(format!("{error:#}"));
        let wasmtime = Engine::new(&config(&options)).map_err(unusable)?;
        let linker = linker(&wasmtime).map_err(unusable)?;
        let ticker = match options.budget {
            Budget::TimeMs(_) => Some(Ticker::start(wasmtime.clone(), TICK_MS).map_err(LoadFault::Engine)?),
            Budget::Fuel(_) => None,
        };
        Ok(Arc::new(Self { wasmtime, options, ticker, linker, compiler, cache }))
    }

    /// Machine code of a plugin, for an engine with these options in another process of this program.
    ///
    /// # Errors
    /// A [`LoadFault`] if the bytes are no plugin, or do not compile.
    pub fn precompile(&self, bytes: &[u8]) -> Result<Vec<u8>, LoadFault> {
        inspect(bytes)?;
        compile::precompile(&self.wasmtime, bytes)
    }
}

impl Loader for Arc<PluginEngine> {
    /// Inspects, compiles, instantiates and describes.
    fn load_within(&self, name: &str, bytes: &[u8], limits: Limits) -> Result<Arc<dyn Plugin>, LoadFault> {
        let began_us = self.options.clock.map(|clock| clock());
        let inspection = inspect(bytes)?;
        let digest = inspection.digest;
        let component =
            compile::component(&self.wasmtime, &self.compiler, self.cache.as_ref(), digest, bytes)?;
        let identity = Identity {
            name: Str::from(name),
            digest,
            size_bytes: inspection.size_bytes,
            decisions: inspection.decisions,
        };
        let linked = self.linker.instantiate_pre(&component);
        let linked = linked.map_err(|error| LoadFault::WrongType(format!("{error:#}")))?;
        let options = self.options.within(limits);
        let mut plugin = WasmPlugin::new(self.clone(), options, linked, identity)?;
        plugin.loaded_in_us = options.clock.zip(began_us).map(|(clock, began)| clock().saturating_sub(began));
        Ok(Arc::new(plugin))
    }
}

impl std::fmt::Debug for PluginEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PluginEngine").field("options", &self.options).finish_non_exhaustive()
    }
}

fn config(options: &Options) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CONCURRENT_CALLS)
        .total_core_instances(CONCURRENT_CALLS.saturating_mul(PARTS_OF_A_PLUGIN))
        .total_memories(CONCURRENT_CALLS.saturating_mul(MEMORIES_OF_A_PLUGIN))
        .total_tables(CONCURRENT_CALLS.saturating_mul(PARTS_OF_A_PLUGIN))
        .max_core_instances_per_component(PARTS_OF_A_PLUGIN)
        .max_memories_per_component(MEMORIES_OF_A_PLUGIN)
        .max_tables_per_component(PARTS_OF_A_PLUGIN)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_memory_size(options.memory_bytes)
        .table_elements(TABLE_ELEMENTS);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(wasmtime::Enabled::Auto)
            .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
            .table_keep_resident(KEPT_MEMORY_BYTES);
    }
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .max_wasm_stack(STACK_BYTES)
        .wasm_component_model(true);
    match options.budget {
        Budget::TimeMs(_) => config.epoch_interruption(true),
        Budget::Fuel(_) => config.consume_fuel(true),
    };
    config
}

/// What a plugin may import, bound to the state of the call.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    linker.instance(LOG)?.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, CallState>, (level, message): (u32, String)| {
            store.data_mut().say(level, &message);
            Ok(())
        },
    )?;
    Ok(linker)
}
