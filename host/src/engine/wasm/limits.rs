//! What a call of the guest may use, and the state of one call.

use std::fmt;

use wasmtime::component::{ComponentNamedList, Lift, Lower};
use wasmtime::{AsContextMut, ResourceLimiter, StoreContextMut};

use super::ticker::TICK_MS;
use super::{Budget, SharedPolicy};

/// Most bytes of linear memory: a Job with 100,000 Pods crosses within it (tests/tests/cost.rs).
pub(super) const MEMORY_BYTES: usize = 64 << 20;
/// Most bytes that the guest may hand over in one call or one answer: a question about the rollout on 15,000 nodes, each
/// with as many labels as may be asked for, crosses within it (tests/tests/cost.rs).
pub(super) const HOSTCALL_BYTES: usize = 32 << 20;
/// Most batches of questions in one call; a reconcile asks once a decision.
const QUESTION_BATCHES: u32 = 64;
/// Fuel of one call where fuel is the budget: far above the largest Job's, and some seconds of work.
pub(super) const MAX_FUEL: u64 = 10_000_000_000;
/// Most elements of a table; the guest's own has fewer than a thousand.
const TABLE_ELEMENTS: usize = 20_000;

/// State of one call.
pub(super) struct CallState {
    /// Who answers the core's questions.
    pub(super) policy: SharedPolicy,
    /// What is left of memory.
    pub(super) memory: MemoryLimit,
    budget: Budget,
    batches: u32,
}

/// Refuses memory past the limit, and remembers that it did.
#[derive(Default)]
pub(super) struct MemoryLimit {
    refused_bytes: Option<usize>,
}

/// That a guest asked more often than it may.
#[derive(Debug)]
pub(super) struct TooManyQuestions;

impl CallState {
    pub(super) fn new(policy: SharedPolicy, budget: Budget) -> Self {
        Self { policy, memory: MemoryLimit::default(), budget, batches: 0 }
    }
}

impl MemoryLimit {
    /// Size that the guest wanted and did not get, if there was one.
    pub(super) fn refused_bytes(&self) -> Option<usize> {
        self.refused_bytes
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= MEMORY_BYTES;
        if !allowed {
            self.refused_bytes = Some(desired);
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// Gives the guest its budget.
pub(super) fn grant(mut store: impl AsContextMut<Data = CallState>, budget: Budget) -> wasmtime::Result<()> {
    let mut store = store.as_context_mut();
    match budget {
        Budget::TimeMs(milliseconds) => {
            // The tick that is under way may end at once.
            store.set_epoch_deadline(u64::from(milliseconds.div_ceil(TICK_MS)) + 1);
            Ok(())
        }
        Budget::Fuel(fuel) => store.set_fuel(fuel),
    }
}

/// Wraps `answer` as an import: counts the batch, and gives the guest its time anew, since a deadline
/// passes while the host answers.
pub(super) fn import<P, R>(
    answer: impl Fn(&CallState, P) -> R + Send + Sync + 'static,
) -> impl Fn(StoreContextMut<'_, CallState>, P) -> wasmtime::Result<R> + Send + Sync + 'static
where
    P: ComponentNamedList + Lift + 'static,
    R: ComponentNamedList + Lower + 'static,
{
    move |mut store, questions| {
        let state = store.data_mut();
        state.batches += 1;
        if state.batches > QUESTION_BATCHES {
            return Err(TooManyQuestions.into());
        }
        let budget = state.budget;
        let answers = answer(store.data(), questions);
        if let Budget::TimeMs(_) = budget {
            grant(&mut store, budget)?;
        }
        Ok(answers)
    }
}

impl fmt::Display for TooManyQuestions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the core asked more than {QUESTION_BATCHES} batches of questions in one call")
    }
}

impl std::error::Error for TooManyQuestions {}

/// Elements that a pooled table has room for.
pub(super) fn table_elements() -> usize {
    TABLE_ELEMENTS
}
