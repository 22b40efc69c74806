//! The thread that makes time pass for guests, and that sleeps for good while none runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// Milliseconds between two ticks of the core's engine.
pub(super) const TICK_MS: u32 = 10;

/// Advances an engine's epoch while guests run.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// That a guest runs, for as long as this lives.
pub(crate) struct Running<'ticker>(&'ticker Shared);

#[derive(Default)]
struct Shared {
    running: AtomicU32,
    parked: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the thread, which ticks every `tick_ms`.
    ///
    /// # Errors
    /// What the system said, if it gives no thread.
    pub(crate) fn start(engine: Engine, tick_ms: u32) -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = thread::Builder::new()
            .name("guest-ticker".to_owned())
            .spawn(move || tick(&engine, &of_thread, tick_ms))
            .map_err(|error| error.to_string())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that a guest runs from now on.
    pub(crate) fn guest_runs(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        // Waking a thread is a system call: only where it sleeps for good, not between two ticks.
        if self.shared.parked.swap(false, Ordering::SeqCst) {
            self.wake();
        }
        Running(&self.shared)
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It ends within a tick; a panic there could only come from the engine and changes nothing here.
            let _ = thread.join();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &Engine, shared: &Shared, tick_ms: u32) {
    while !shared.stopped.load(Ordering::SeqCst) {
        // Announced before it is checked: a guest that starts in between sees it and wakes this thread.
        shared.parked.store(true, Ordering::SeqCst);
        if shared.running.load(Ordering::SeqCst) == 0 {
            thread::park();
        }
        shared.parked.store(false, Ordering::SeqCst);
        thread::park_timeout(Duration::from_millis(u64::from(tick_ms)));
        engine.increment_epoch();
    }
}
