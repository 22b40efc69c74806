//! From bytes to a core that can be called: purity and contract are checked here, once.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use windlass_core::CONTRACT_VERSION;

use super::bindings::{GuestPre, backoff, missed_runs, rollout, schedule};
use super::limits::{self, CallState};
use super::{Budget, CoreFault, MEMORY_BYTES, Options, convert};

/// What the contract's package is called.
const CONTRACT: &str = "windlass:core";
/// What a core exports, each as `windlass:core/NAME@VERSION`.
const EXPORTS: [&str; 4] = ["job", "cron-job", "daemon-set", "twin"];
/// What a core may import: the questions that this host answers.
const IMPORTS: [&str; 4] = [
    "windlass:backoff/ask@0.1.0",
    "windlass:schedule/ask@0.1.0",
    "windlass:missed-runs/ask@0.1.0",
    "windlass:rollout/ask@0.1.0",
];
/// Core instances of one component instance: the module, and the two that wit-component adds for imports.
const CORE_INSTANCES: u32 = 4;
/// Bytes of linear memory that a pool slot keeps mapped between calls, so that the next call takes no page
/// faults: more than a call of 10,000 Pods fills. Only the pages that were written are set back, where the
/// kernel can tell which (Linux 6.7); elsewhere keeping them would mean to clear them all, which costs more than it saves.
///
/// Guard pages rather than explicit bounds checks stay on: without them a small call saves two
/// `mprotect`, but every access of a large one is checked.
const KEPT_MEMORY_BYTES: usize = 1 << 20;

/// The wasm engine for cores.
pub(super) fn wasmtime(options: &Options) -> Result<Engine, CoreFault> {
    engine(&config(options))
}

/// Machine code of `core` for [`Options::default`], which every processor of this program's target can run:
/// what one machine has above that is not used, so that a release starts as fast on another.
pub(super) fn precompile(core: &[u8]) -> Result<Vec<u8>, CoreFault> {
    let mut config = config(&Options::default());
    config.target(env!("WINDLASS_TARGET")).map_err(|error| CoreFault::Engine(format!("{error:#}")))?;
    let code = engine(&config)?.precompile_component(core);
    code.map_err(|error| CoreFault::NotAComponent(format!("{error:#}")))
}

fn engine(config: &Config) -> Result<Engine, CoreFault> {
    Engine::new(config).map_err(|error| CoreFault::Engine(format!("{error:#}")))
}

fn config(options: &Options) -> Config {
    let calls = options.concurrent_calls.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES))
        .total_memories(calls)
        .total_tables(calls.saturating_mul(CORE_INSTANCES))
        .max_memory_size(MEMORY_BYTES)
        .table_elements(limits::table_elements());
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
            .table_keep_resident(KEPT_MEMORY_BYTES);
    }
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_component_model(true);
    match options.budget {
        Budget::TimeMs(_) => config.epoch_interruption(true),
        Budget::Fuel(_) => config.consume_fuel(true),
    };
    config
}

/// The compiled component.
pub(super) fn component(engine: &Engine, core: &[u8]) -> Result<Component, CoreFault> {
    // Text is refused too: what runs is what was hashed and published.
    Component::from_binary(engine, core).map_err(|error| CoreFault::NotAComponent(format!("{error:#}")))
}

/// The component, checked and linked, ready to be instantiated.
pub(super) fn guest(engine: &Engine, component: &Component) -> Result<GuestPre<CallState>, CoreFault> {
    check_exports(engine, component)?;
    check_imports(engine, component)?;
    let wrong_type = |error: wasmtime::Error| CoreFault::WrongType(format!("{error:#}"));
    let linker = linker(engine).map_err(|error| CoreFault::Engine(format!("{error:#}")))?;
    let linked = linker.instantiate_pre(component).map_err(wrong_type)?;
    GuestPre::new(linked).map_err(wrong_type)
}

/// Refuses a component that exports another version of the contract, or not all of it.
fn check_exports(engine: &Engine, component: &Component) -> Result<(), CoreFault> {
    let exports: Vec<String> =
        component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
    for name in EXPORTS {
        let wanted = format!("{CONTRACT}/{name}@{CONTRACT_VERSION}");
        if exports.contains(&wanted) {
            continue;
        }
        let of_other_version = format!("{CONTRACT}/{name}@");
        return Err(match exports.iter().find_map(|export| export.strip_prefix(&of_other_version)) {
            Some(version) => CoreFault::WrongContract(version.to_owned()),
            None => CoreFault::MissingExport(wanted),
        });
    }
    Ok(())
}

/// Refuses a component that wants more than answers.
fn check_imports(engine: &Engine, component: &Component) -> Result<(), CoreFault> {
    for (name, item) in component.component_type().imports(engine) {
        // An interface of types alone gives nothing to call.
        let callable = match item.ty {
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(engine).any(|(_, export)| !matches!(export.ty, ComponentItem::Type(_)))
            }
            ComponentItem::Type(_) => false,
            _ => true,
        };
        if callable && !IMPORTS.contains(&name) {
            return Err(CoreFault::ForeignImport(name.to_owned()));
        }
    }
    Ok(())
}

/// What a core may import, bound to the policy of the call.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    let [backoff_ask, schedule_ask, missed_runs_ask, rollout_ask] = IMPORTS;
    linker.instance(backoff_ask)?.func_wrap(
        "ask",
        limits::import(|state: &CallState, (questions,): (Vec<backoff::Question>,)| {
            let questions: Vec<_> = questions.into_iter().map(convert::question).collect();
            let answers = state.policy.backoff(&questions);
            (answers.into_iter().map(convert::answer).collect::<Vec<_>>(),)
        }),
    )?;
    linker.instance(schedule_ask)?.func_wrap(
        "ask",
        limits::import(|state: &CallState, (questions,): (Vec<schedule::Question>,)| {
            let questions: Vec<_> = questions.into_iter().map(convert::schedule_question).collect();
            let answers = state.policy.schedule(&questions);
            (answers.into_iter().map(convert::schedule_answer).collect::<Vec<_>>(),)
        }),
    )?;
    linker.instance(missed_runs_ask)?.func_wrap(
        "ask",
        limits::import(|state: &CallState, (questions,): (Vec<missed_runs::Question>,)| {
            let questions: Vec<_> = questions.into_iter().map(convert::missed_runs_question).collect();
            let answers = state.policy.missed_runs(&questions);
            (answers.into_iter().map(convert::missed_runs_answer).collect::<Vec<_>>(),)
        }),
    )?;
    linker.instance(rollout_ask)?.func_wrap(
        "ask",
        limits::import(|state: &CallState, (questions,): (Vec<rollout::Question>,)| {
            let questions: Vec<_> = questions.into_iter().map(convert::rollout_question).collect();
            let answers = state.policy.rollout(&questions);
            (answers.into_iter().map(convert::rollout_answer).collect::<Vec<_>>(),)
        }),
    )?;
    Ok(linker)
}
