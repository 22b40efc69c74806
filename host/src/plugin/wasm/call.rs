//! Calls of one plugin: each in a store of its own, which is gone when it ends.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};
use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use super::bindings::{
    admission_policy, backoff_policy, meta, missed_runs_policy, rollout_policy, schedule_policy,
};
use super::convert;
use super::engine::{Budget, Options, PluginEngine, TICK_MS};
use super::fault;
use super::limits::{CallState, HOSTCALL_BYTES};
use crate::plugin::decision::Decision;
use crate::plugin::load::LoadFault;
use crate::plugin::{Called, Cost, Description, Identity, Plugin, PluginFault, admission, bounds};

/// Most bytes of a description: its schema and all else.
const MAX_DESCRIPTION_BYTES: usize = 64 << 10;

/// Time of a call while a plugin is loaded, milliseconds: its code is touched for the first time, and a machine that is busy
/// is no reason to refuse it.
const LOADING_MS: u32 = 1_000;

/// A plugin that is compiled and linked.
pub(super) struct WasmPlugin {
    engine: Arc<PluginEngine>,
    options: Options,
    linked: InstancePre<CallState>,
    identity: Identity,
    description: Description,
    exports: Exports,
    /// How long it took to load it, where time is measured.
    pub(super) loaded_in_us: Option<u64>,
}

/// Where the exports of a component are.
struct Exports {
    meta: meta::GuestIndices,
    backoff: Option<backoff_policy::GuestIndices>,
    schedule: Option<schedule_policy::GuestIndices>,
    missed_runs: Option<missed_runs_policy::GuestIndices>,
    rollout: Option<rollout_policy::GuestIndices>,
    admission: Option<admission_policy::GuestIndices>,
}

impl WasmPlugin {
    /// Finds the exports of `linked`, checks their types, and asks the plugin what it is.
    pub(super) fn new(
        engine: Arc<PluginEngine>,
        options: Options,
        linked: InstancePre<CallState>,
        identity: Identity,
    ) -> Result<Self, LoadFault> {
        let exports =
            Exports::of(&linked, &identity).map_err(|error| LoadFault::WrongType(format!("{error:#}")))?;
        let description = Description::default();
        let mut plugin = Self { engine, options, linked, identity, description, exports, loaded_in_us: None };
        plugin.check_types()?;
        let described = plugin.call_within(plugin.loading(), |store, instance| {
            plugin.exports.meta.load(&mut *store, instance)?.call_describe(store)
        });
        let described = described.result.map_err(LoadFault::NotDescribed)?;
        let description = convert::description(described);
        let bytes = size_of_description(&description);
        if bytes > MAX_DESCRIPTION_BYTES {
            return Err(LoadFault::DescriptionTooLong { bytes, most: MAX_DESCRIPTION_BYTES });
        }
        plugin.description = description;
        Ok(plugin)
    }

    /// Whether every export that will be called has the type of the interface.
    fn check_types(&self) -> Result<(), LoadFault> {
        let mut mismatch = None;
        let called = self.call_within(self.loading(), |store, instance| {
            mismatch = self.exports.check(store, instance).err();
            Ok(())
        });
        if let Some(error) = mismatch {
            return Err(LoadFault::WrongType(format!("{error:#}")));
        }
        called.result.map_err(LoadFault::NotDescribed)
    }

    /// What a call may cost while the plugin is loaded, when nobody waits for it.
    fn loading(&self) -> Budget {
        match self.options.budget {
            Budget::TimeMs(milliseconds) => Budget::TimeMs(milliseconds.max(LOADING_MS)),
            Budget::Fuel(fuel) => Budget::Fuel(fuel),
        }
    }

    /// Instantiates the plugin, calls it once under the limits, and drops it.
    fn call<R>(
        &self,
        body: impl FnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<R>,
    ) -> Called<R> {
        self.call_within(self.options.budget, body)
    }

    fn call_within<R>(
        &self,
        budget: Budget,
        body: impl FnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<R>,
    ) -> Called<R> {
        let options = &self.options;
        let mut store = Store::new(&self.engine.wasmtime, CallState::new(options.memory_bytes));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        let began_us = options.clock.map(|clock| clock());
        let _running = self.engine.ticker.as_ref().map(|ticker| ticker.guest_runs());
        let outcome = grant(&mut store, budget)
            .and_then(|()| self.linked.instantiate(&mut store))
            .and_then(|instance| body(&mut store, &instance));
        let cost = Cost {
            fuel: match budget {
                Budget::Fuel(fuel) => Some(fuel.saturating_sub(store.get_fuel().unwrap_or(0))),
                Budget::TimeMs(_) => None,
            },
            took_us: options.clock.zip(began_us).map(|(clock, began_us)| clock().saturating_sub(began_us)),
            memory_bytes: u64::try_from(store.data().memory.peak_bytes()).unwrap_or(u64::MAX),
        };
        let result = outcome.map_err(|error| fault::of_call(&error, store.data()));
        Called { result, cost, log: std::mem::take(&mut store.data_mut().log) }
    }

    /// As [`call`](Self::call), of a function that may give an error in good order.
    fn decide<W, A>(
        &self,
        answer: impl Fn(W) -> A,
        body: impl FnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<Result<Vec<W>, String>>,
    ) -> Called<Vec<A>> {
        let Called { result, cost, log } = self.call(body);
        let result = match result {
            Ok(Ok(answers)) => Ok(answers.into_iter().map(answer).collect()),
            Ok(Err(message)) => Err(PluginFault::Refused(bounds::cut(message))),
            Err(fault) => Err(fault),
        };
        Called { result, cost, log }
    }
}

impl Plugin for WasmPlugin {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn loaded_in_us(&self) -> Option<u64> {
        self.loaded_in_us
    }

    fn validate_settings(&self, decision: Decision, settings: &str) -> Called<()> {
        let called = self.call(|store, instance| {
            let meta = self.exports.meta.load(&mut *store, instance)?;
            meta.call_validate_settings(store, decision.label(), settings)
        });
        let Called { result, cost, log } = called;
        let result = match result {
            Ok(verdict) => verdict.map_err(|message| PluginFault::SettingsRefused(bounds::cut(message))),
            Err(fault) => Err(fault),
        };
        Called { result, cost, log }
    }

    fn backoff(&self, settings: &str, questions: &[backoff::Question]) -> Called<Vec<backoff::Answer>> {
        let Some(policy) = &self.exports.backoff else { return Called::not(PluginFault::DoesNotDecide) };
        let questions: Vec<_> = questions.iter().map(convert::backoff_question).collect();
        self.decide(convert::backoff_answer, |store, instance| {
            policy.load(&mut *store, instance)?.call_decide(store, settings, &questions)
        })
    }

    fn schedule(&self, settings: &str, questions: &[schedule::Question]) -> Called<Vec<schedule::Answer>> {
        let Some(policy) = &self.exports.schedule else { return Called::not(PluginFault::DoesNotDecide) };
        let questions: Vec<_> = questions.iter().map(convert::schedule_question).collect();
        self.decide(convert::schedule_answer, |store, instance| {
            policy.load(&mut *store, instance)?.call_decide(store, settings, &questions)
        })
    }

    fn missed_runs(
        &self,
        settings: &str,
        questions: &[missed_runs::Question],
    ) -> Called<Vec<missed_runs::Answer>> {
        let Some(policy) = &self.exports.missed_runs else { return Called::not(PluginFault::DoesNotDecide) };
        let questions: Vec<_> = questions.iter().map(convert::missed_runs_question).collect();
        self.decide(convert::missed_runs_answer, |store, instance| {
            policy.load(&mut *store, instance)?.call_decide(store, settings, &questions)
        })
    }

    fn rollout(&self, settings: &str, questions: &[rollout::Question]) -> Called<Vec<rollout::Answer>> {
        let Some(policy) = &self.exports.rollout else { return Called::not(PluginFault::DoesNotDecide) };
        let questions: Vec<_> = questions.iter().map(convert::rollout_question).collect();
        self.decide(convert::rollout_answer, |store, instance| {
            policy.load(&mut *store, instance)?.call_decide(store, settings, &questions)
        })
    }

    fn admission(&self, settings: &str, questions: &[admission::Question]) -> Called<Vec<admission::Answer>> {
        let Some(policy) = &self.exports.admission else { return Called::not(PluginFault::DoesNotDecide) };
        let questions: Vec<_> = questions.iter().map(convert::admission_question).collect();
        self.decide(convert::admission_answer, |store, instance| {
            policy.load(&mut *store, instance)?.call_decide(store, settings, &questions)
        })
    }
}

impl Exports {
    /// Finds what the plugin decides.
    fn of(linked: &InstancePre<CallState>, identity: &Identity) -> wasmtime::Result<Self> {
        let decides = |decision: Decision| identity.decisions.contains(&decision);
        Ok(Self {
            meta: meta::GuestIndices::new(linked)?,
            backoff: decides(Decision::Backoff)
                .then(|| backoff_policy::GuestIndices::new(linked))
                .transpose()?,
            schedule: decides(Decision::Schedule)
                .then(|| schedule_policy::GuestIndices::new(linked))
                .transpose()?,
            missed_runs: decides(Decision::MissedRuns)
                .then(|| missed_runs_policy::GuestIndices::new(linked))
                .transpose()?,
            rollout: decides(Decision::Rollout)
                .then(|| rollout_policy::GuestIndices::new(linked))
                .transpose()?,
            admission: decides(Decision::Admission)
                .then(|| admission_policy::GuestIndices::new(linked))
                .transpose()?,
        })
    }

    fn check(&self, store: &mut Store<CallState>, instance: &Instance) -> wasmtime::Result<()> {
        self.meta.load(&mut *store, instance)?;
        if let Some(policy) = &self.backoff {
            policy.load(&mut *store, instance)?;
        }
        if let Some(policy) = &self.schedule {
            policy.load(&mut *store, instance)?;
        }
        if let Some(policy) = &self.missed_runs {
            policy.load(&mut *store, instance)?;
        }
        if let Some(policy) = &self.rollout {
            policy.load(&mut *store, instance)?;
        }
        if let Some(policy) = &self.admission {
            policy.load(&mut *store, instance)?;
        }
        Ok(())
    }
}

/// Gives a call its budget.
fn grant(store: &mut Store<CallState>, budget: Budget) -> wasmtime::Result<()> {
    match budget {
        Budget::TimeMs(milliseconds) => {
            // The tick that is under way may end at once.
            store.set_epoch_deadline(u64::from(milliseconds.div_ceil(TICK_MS)) + 1);
            Ok(())
        }
        Budget::Fuel(fuel) => store.set_fuel(fuel),
    }
}

fn size_of_description(description: &Description) -> usize {
    let Description { name, version, settings_schema, wants, extra } = description;
    let pairs = wants.iter().chain(extra).map(|(key, value)| key.len() + value.len());
    name.len() + version.len() + settings_schema.len() + pairs.sum::<usize>()
}
