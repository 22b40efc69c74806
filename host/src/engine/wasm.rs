//! Runs the core as a component: a fresh instance for each call, so that nothing survives from one object
//! to the next and a trap costs one key one retry.

use std::sync::atomic::{AtomicU32, Ordering};

use wasmtime::component::Component;
use wasmtime::{Engine as Wasmtime, Store};
use windlass_core::plan::Plan;
use windlass_core::view::{CronJobSnapshot, DaemonSetSnapshot, JobSnapshot};

use super::{Engine, EngineFault, SharedPolicy, Snapshot};

mod bindings;
mod convert;
mod embedded;
mod fault;
mod limits;
mod load;
mod precompiled;
mod ticker;

pub use fault::CoreFault;
pub(crate) use precompiled::load as load_precompiled;
pub(crate) use ticker::Ticker;

use bindings::{Guest, GuestPre};
use limits::{CallState, HOSTCALL_BYTES, MAX_FUEL, MEMORY_BYTES};
use ticker::TICK_MS;

/// What a call of the guest may cost before it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Milliseconds of wall time, in ticks of ten; time in which the host answers a
    /// question does not count.
    TimeMs(u32),
    /// Units of fuel, about one an instruction: the same on every run and every machine, and slower.
    Fuel(u64),
}

/// How the engine is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What a call may cost.
    pub budget: Budget,
    /// Most calls at once; one more is refused.
    pub concurrent_calls: u32,
}

impl Default for Options {
    /// Two seconds a call, far above the largest Job's milliseconds; and room for every worker of a large
    /// machine.
    fn default() -> Self {
        Self { budget: Budget::TimeMs(2_000), concurrent_calls: 64 }
    }
}

impl Options {
    /// Options under which the same call ends the same way on every run and every machine.
    #[must_use]
    pub fn deterministic() -> Self {
        Self { budget: Budget::Fuel(MAX_FUEL), ..Self::default() }
    }
}

/// Runs the core's component.
pub struct WasmEngine {
    wasmtime: Wasmtime,
    core: GuestPre<CallState>,
    options: Options,
    precompiled: bool,
    ticker: Option<Ticker>,
    calls: AtomicU32,
}

impl WasmEngine {
    /// An engine that runs `core`, the bytes of a component.
    ///
    /// # Errors
    /// A [`CoreFault`] if the bytes are not a core of this contract.
    pub fn new(core: &[u8], options: Options) -> Result<Self, CoreFault> {
        let wasmtime = load::wasmtime(&options)?;
        let component = load::component(&wasmtime, core)?;
        Self::with_component(wasmtime, &component, options, false)
    }

    /// An engine that runs the core which was built into this program.
    ///
    /// # Errors
    /// [`CoreFault::NotEmbedded`] if none was; else as [`WasmEngine::new`].
    pub fn embedded() -> Result<Self, CoreFault> {
        Self::embedded_with(Options::default())
    }

    /// As [`WasmEngine::embedded`], set up by `options`.
    ///
    /// # Errors
    /// As [`WasmEngine::embedded`].
    pub fn embedded_with(options: Options) -> Result<Self, CoreFault> {
        let core = embedded::core().ok_or(CoreFault::NotEmbedded)?;
        let wasmtime = load::wasmtime(&options)?;
        let precompiled = embedded::precompiled_core().and_then(|code| precompiled::load(&wasmtime, code));
        match precompiled {
            Some(component) => Self::with_component(wasmtime, &component, options, true),
            None => {
                Self::with_component(wasmtime.clone(), &load::component(&wasmtime, core)?, options, false)
            }
        }
    }

    /// Whether the core's machine code was embedded, so that starting did not wait for the compiler.
    #[must_use]
    pub fn is_precompiled(&self) -> bool {
        self.precompiled
    }

    /// Machine code of the embedded core, as target/core/core.cwasm holds it: the next build of this same
    /// program embeds that as well, and then starts without waiting for the compiler.
    ///
    /// # Errors
    /// As [`WasmEngine::embedded`].
    pub fn precompile_embedded() -> Result<Vec<u8>, CoreFault> {
        let code = load::precompile(embedded::core().ok_or(CoreFault::NotEmbedded)?)?;
        Ok([embedded::core_source().as_bytes(), &code].concat())
    }

    /// The answer of the core's JSON twin to one request document: a document of kind Plan, or as the inner
    /// error one of kind Fault.
    ///
    /// # Errors
    /// An [`EngineFault`] if the guest gave no answer.
    pub fn reconcile_document(
        &self,
        request: &str,
        policy: &SharedPolicy,
    ) -> Result<Result<String, String>, EngineFault> {
        self.call(policy, |store, guest| guest.windlass_core_twin().call_reconcile(store, request))
    }

    /// Units of fuel that one reconcile of a Job takes, about one an instruction of the core; the same on
    /// every run and every machine.
    ///
    /// # Errors
    /// An [`EngineFault`] if the guest gave no answer, or if the engine's budget is time.
    pub fn fuel_for(&self, snapshot: &JobSnapshot, policy: &SharedPolicy) -> Result<u64, EngineFault> {
        let snapshot = convert::job_snapshot(snapshot);
        self.call(policy, |store, guest| {
            let before = store.get_fuel()?;
            let _plan = guest.windlass_core_job().call_reconcile(&mut *store, &snapshot)?;
            Ok(before.saturating_sub(store.get_fuel()?))
        })
    }

    /// As [`fuel_for`](Self::fuel_for), of a CronJob.
    ///
    /// # Errors
    /// An [`EngineFault`] if the guest gave no answer, or if the engine's budget is time.
    pub fn fuel_for_cron_job(
        &self,
        snapshot: &CronJobSnapshot,
        policy: &SharedPolicy,
    ) -> Result<u64, EngineFault> {
        let snapshot = convert::cron_job_snapshot(snapshot);
        self.call(policy, |store, guest| {
            let before = store.get_fuel()?;
            let _plan = guest.windlass_core_cron_job().call_reconcile(&mut *store, &snapshot)?;
            Ok(before.saturating_sub(store.get_fuel()?))
        })
    }

    /// As [`fuel_for`](Self::fuel_for), of a DaemonSet.
    ///
    /// # Errors
    /// An [`EngineFault`] if the guest gave no answer, or if the engine's budget is time.
    pub fn fuel_for_daemon_set(
        &self,
        snapshot: &DaemonSetSnapshot,
        policy: &SharedPolicy,
    ) -> Result<u64, EngineFault> {
        let snapshot = convert::daemon_set_snapshot(snapshot);
        self.call(policy, |store, guest| {
            let before = store.get_fuel()?;
            let _plan = guest.windlass_core_daemon_set().call_reconcile(&mut *store, &snapshot)?;
            Ok(before.saturating_sub(store.get_fuel()?))
        })
    }

    fn with_component(
        wasmtime: Wasmtime,
        component: &Component,
        options: Options,
        precompiled: bool,
    ) -> Result<Self, CoreFault> {
        let core = load::guest(&wasmtime, component)?;
        let ticker = match options.budget {
            Budget::TimeMs(_) => Some(Ticker::start(wasmtime.clone(), TICK_MS).map_err(CoreFault::Engine)?),
            Budget::Fuel(_) => None,
        };
        Ok(Self { wasmtime, core, options, precompiled, ticker, calls: AtomicU32::new(0) })
    }

    /// Instantiates the core, calls it once under the limits, and drops it.
    fn call<R>(
        &self,
        policy: &SharedPolicy,
        body: impl FnOnce(&mut Store<CallState>, &Guest) -> wasmtime::Result<R>,
    ) -> Result<R, EngineFault> {
        let _slot = Slot::take(&self.calls, self.options.concurrent_calls)?;
        let mut store = Store::new(&self.wasmtime, CallState::new(policy.clone(), self.options.budget));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        let _running = self.ticker.as_ref().map(Ticker::guest_runs);
        let outcome = limits::grant(&mut store, self.options.budget)
            .and_then(|()| self.core.instantiate(&mut store))
            .and_then(|guest| body(&mut store, &guest));
        outcome.map_err(|error| fault::of_call(&error, store.data()))
    }
}

impl Engine for WasmEngine {
    fn reconcile(&self, snapshot: &Snapshot, policy: &SharedPolicy) -> Result<Plan, EngineFault> {
        let answer = match snapshot {
            Snapshot::Job(snapshot) => {
                let snapshot = convert::job_snapshot(snapshot);
                self.call(policy, |store, guest| guest.windlass_core_job().call_reconcile(store, &snapshot))
            }
            Snapshot::CronJob(snapshot) => {
                let snapshot = convert::cron_job_snapshot(snapshot);
                self.call(policy, |store, guest| {
                    guest.windlass_core_cron_job().call_reconcile(store, &snapshot)
                })
            }
            Snapshot::DaemonSet(snapshot) => {
                let snapshot = convert::daemon_set_snapshot(snapshot);
                self.call(policy, |store, guest| {
                    guest.windlass_core_daemon_set().call_reconcile(store, &snapshot)
                })
            }
            Snapshot::Orphan(snapshot) => {
                let snapshot = convert::orphan_snapshot(snapshot);
                self.call(policy, |store, guest| {
                    guest.windlass_core_job().call_reconcile_orphan(store, snapshot)
                })
            }
        }?;
        match answer {
            Ok(plan) => Ok(convert::plan(plan)),
            Err(refusal) => Err(EngineFault::Refused(convert::fault(refusal))),
        }
    }
}

impl std::fmt::Debug for WasmEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WasmEngine").field("options", &self.options).finish_non_exhaustive()
    }
}

/// One of the calls that may run at once.
struct Slot<'engine>(&'engine AtomicU32);

impl<'engine> Slot<'engine> {
    fn take(calls: &'engine AtomicU32, most: u32) -> Result<Self, EngineFault> {
        // Taken before it is checked: a slot too many is given back as this value is dropped.
        let before = calls.fetch_add(1, Ordering::AcqRel);
        let slot = Self(calls);
        if before >= most {
            return Err(EngineFault::LimitExceeded(format!("more than {most} calls of the core at once")));
        }
        Ok(slot)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
