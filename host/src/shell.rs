//! The only module with sockets, threads and clocks: it runs the state machine on a real cluster.
//!
//! [`run`] checks that the cluster can be used, then lets one task own the state machine and move values:
//! lists and watches, runs of the core, requests, and time. Every channel and every number in flight is bounded.

mod call;
mod client;
mod clock;
mod decode;
mod driver;
mod endpoint;
mod fault;
mod health;
mod limiter;
mod log;
mod policies;
mod protobuf;
mod send;
mod start;
mod watcher;
mod workers;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::controller::{Config, Controller};
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::plugin::load::Loader;

pub use driver::DRAIN_LIMIT;
pub use fault::{Permission, ShellFault};

/// How long the API server may be out of reach at the start.
pub const STARTUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the shell.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Kubeconfig to use; absent: KUBECONFIG, the file of kubectl, or the service account of a Pod.
    pub kubeconfig: Option<PathBuf>,
    /// Where metrics and probes are served.
    pub bind_address: SocketAddr,
    /// Most requests a second, besides lists and watches; 0 for no limit.
    pub requests_per_second: f64,
    /// Requests that may be sent at once after a rest, where there is a limit.
    pub burst: u32,
    /// Threads that run the core.
    pub workers: usize,
    /// How long the API server may be out of reach at the start.
    pub startup_timeout: Duration,
    /// Settings of the state machine.
    pub controller: Config,
    /// Where policy plugins come from.
    pub policies: PolicySettings,
    /// How requests name this program.
    pub user_agent: String,
}

/// Where policy plugins come from, and what loads them.
#[derive(Clone)]
pub struct PolicySettings {
    /// What makes plugins of bytes.
    pub loader: Arc<dyn Loader>,
    /// A directory of them, if there is one.
    pub directory: Option<PathBuf>,
    /// Whether PolicyPlugins and PolicyBindings are used.
    pub resources: bool,
}

impl fmt::Debug for PolicySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, resources, .. } = self;
        let mut shown = formatter.debug_struct("PolicySettings");
        shown.field("directory", directory).field("resources", resources).finish_non_exhaustive()
    }
}

/// Microseconds of a clock that never goes back, for what a call took.
#[must_use]
pub fn monotonic_us() -> u64 {
    clock::monotonic_us()
}

/// Runs the controllers until `stop` becomes true and what was in flight has ended.
///
/// # Errors
/// A [`ShellFault`] that says what mends it: a cluster or a directory of plugins that cannot be used at the start, an
/// address that cannot be listened on, or writes in flight that did not end. Later outages are retried for ever.
pub async fn run(
    settings: Settings,
    engine: Arc<dyn Engine>,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ShellFault> {
    let clock = clock::Clock::start();
    let client = client::Client::connect(settings.kubeconfig.clone(), &settings.user_agent).await?;
    let health = Arc::new(health::Health::new(clock));
    let local = endpoint::serve(settings.bind_address, metrics.clone(), health.clone()).await?;
    tracing::info!("serving /metrics, /livez and /readyz on http://{local}");
    tokio::select! {
        checked = start::check(&client, clock, settings.startup_timeout, settings.controller.controllers) => checked?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    }
    tracing::info!("running against {}", client.url());
    let limiter = limiter::Limiter::new(clock, settings.requests_per_second, settings.burst).map(Arc::new);
    let instance = instance();
    let kube = client.kube().clone();
    let policies = policies::Policies::new(settings.policies, kube, &instance, metrics.clone(), clock);
    let policies = tokio::select! {
        started = policies.start(settings.startup_timeout) => started?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let tools = driver::Tools { client, limiter, metrics, health, clock, instance };
    let controller = Controller::new(settings.controller);
    let driver = driver::Driver::new(controller, &engine, settings.workers, tools)?;
    driver.run(policies, stop).await
}

/// Name of this process in Events: that of the Pod or machine.
fn instance() -> Arc<str> {
    let name = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let name = name.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    name.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or("windlass").into()
}
