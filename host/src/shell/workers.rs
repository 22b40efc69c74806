//! Threads that run the core; a few, since a run takes microseconds and a request milliseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Sender;

use super::driver::Input;
use super::fault::ShellFault;
use crate::controller::{Lane, Run};
use crate::engine::{Engine, EngineFault};

/// Runs that wait for each worker, so that none has to wait for the driver.
const RUNS_AHEAD: usize = 2;

/// Threads that run the core until this value is dropped.
#[derive(Debug)]
pub(super) struct Workers {
    runs: SyncSender<Run>,
    slots: usize,
}

impl Workers {
    /// Starts `number` threads that run the core on `engine` for a lane, and send what comes of it to `results`.
    pub(super) fn start(
        lane: Lane,
        number: usize,
        engine: &Arc<dyn Engine>,
        results: &Sender<Input>,
    ) -> Result<Self, ShellFault> {
        let slots = number.max(1) * (1 + RUNS_AHEAD);
        let (runs, queue) = sync_channel(slots);
        let queue = Arc::new(Mutex::new(queue));
        for position in 0..number.max(1) {
            let (engine, results, queue) = (engine.clone(), results.clone(), queue.clone());
            std::thread::Builder::new()
                .name(match lane {
                    Lane::BuiltIn => format!("core-{position}"),
                    Lane::Plugins => format!("plugins-{position}"),
                })
                .spawn(move || work(lane, &*engine, &results, &queue))
                .map_err(|source| ShellFault::Machine { what: "thread for the core", source })?;
        }
        Ok(Self { runs, slots })
    }

    /// How many runs may be under way at once.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Hands over a run; there is room for [`Workers::slots`].
    pub(super) fn submit(&self, run: Run) {
        // No worker ends before this value, and there is room for every slot.
        let _ = self.runs.try_send(run);
    }
}

fn work(lane: Lane, engine: &dyn Engine, results: &Sender<Input>, queue: &Mutex<Receiver<Run>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(run) = next else { return };
        let id = run.id;
        let reconciled = catch_unwind(AssertUnwindSafe(|| {
            let run = run.asked();
            engine.reconcile(&run.snapshot, &run.policy)
        }));
        let result = reconciled.unwrap_or_else(|panic| Err(EngineFault::Trapped(panic_text(&*panic))));
        if results.blocking_send(Input::Run { id, lane, result }).is_err() {
            return;
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
