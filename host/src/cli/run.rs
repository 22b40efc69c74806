//! `windlass run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use windlass_core::kube::Str;
use windlass_core::view::{CronJobFlags, DaemonSetFlags, JobFlags};
use windlass_host::controller::{Config, Controllers};
use windlass_host::metrics::Metrics;
use windlass_host::shell::{self, PolicySettings, STARTUP_TIMEOUT, Settings, ShellFault};

use super::config_file::{self, ConfigFile};
use super::values::{ControllerName, EngineName, Length, LogFormat, ZoneName};
use super::{Failure, engine, logging, plugin_dir};

/// Threads that run the core, unless said otherwise.
const DEFAULT_WORKERS: usize = 2;
/// Most threads that run the core.
const MAX_WORKERS: usize = 64;
/// Requests that may follow each other at once where only a rate is given: as many as a second's, at least.
const MIN_BURST: u32 = 10;
/// Longest time of a call of a plugin that may be given, milliseconds: a reconcile may make several.
const MAX_PLUGIN_DEADLINE_MS: u32 = 1_000;
/// Where metrics and probes are served: to the machine itself, and inside a Pod to whoever reaches the Pod.
const LOCAL_ADDRESS: &str = "127.0.0.1:8080";
const POD_ADDRESS: &str = "0.0.0.0:8080";

/// Flags of `windlass run`; each may also stand in the file of `--config`, and a flag wins.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Arguments {
    /// Kubeconfig to use [default: KUBECONFIG, ~/.kube/config, or the service account of the Pod].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Controllers to run, separated by commas: job, cron-job, daemon-set [default: job,cron-job].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    controllers: Option<Vec<ControllerName>>,
    /// Whether to hold a lease while acting: only false is possible in this version, so run one process.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<bool>,
    /// Address of /metrics, /livez, /readyz and /healthz [default: 127.0.0.1:8080, in a Pod 0.0.0.0:8080].
    #[arg(long, value_name = "HOST:PORT")]
    bind_address: Option<String>,
    /// Most requests a second to the API server, besides lists and watches; 0 leaves it to the server's
    /// own flow control and to at most 24 writes in flight [default: 0].
    #[arg(long, value_name = "NUMBER")]
    kube_api_qps: Option<f64>,
    /// Requests that may follow each other at once where --kube-api-qps is set [default: the rate, at least 10].
    #[arg(long, value_name = "NUMBER")]
    kube_api_burst: Option<u32>,
    /// Threads that run the core [default: 2].
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,
    /// How long the API server may be out of reach at the start [default: 10s].
    #[arg(long, value_name = "TIME")]
    startup_timeout: Option<Length>,
    /// Wait before the first retry of a failed Pod [default: 10s].
    #[arg(long, value_name = "TIME")]
    job_backoff_base: Option<Length>,
    /// Longest wait before a retry of a failed Pod [default: 10m].
    #[arg(long, value_name = "TIME")]
    job_backoff_max: Option<Length>,
    /// Longest time for which changes of a Job's Pods are gathered before its status is written [default: 1s].
    #[arg(long, value_name = "TIME")]
    job_sync_batch: Option<Length>,
    /// Most ended Pods of a Job that are recorded and not yet counted [default: 500].
    #[arg(long, value_name = "NUMBER")]
    job_max_uncounted_pods: Option<u32>,
    /// Most Pods that one sync creates or deletes [default: 500].
    #[arg(long, value_name = "NUMBER")]
    max_pods_per_sync: Option<u32>,
    /// Time zone of CronJobs that name none [default: that of the TZ variable, else UTC].
    #[arg(long, value_name = "ZONE")]
    cron_job_time_zone: Option<ZoneName>,
    /// Whether a CronJob whose schedule or zone is edited also runs for the time before the edit, as with the
    /// built-in controller [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    cron_job_edits_run_the_past: Option<bool>,
    /// What runs the core [default: wasm].
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineName>,
    /// Component to run in place of the core that is built in.
    #[arg(long, value_name = "FILE")]
    core: Option<PathBuf>,
    /// Directory of policy plugins, each a file NAME.wasm, which is watched; see docs/policies.md.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Option<PathBuf>,
    /// Directory of this user alone in which the machine code of policy plugins is kept, so that the next start need not
    /// compile them [default: none, and they are compiled at each start].
    #[arg(long, value_name = "DIR")]
    plugin_cache: Option<PathBuf>,
    /// Whether PolicyPlugins and PolicyBindings are used, where the cluster has these resources [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    policy_resources: Option<bool>,
    /// Longest time of one call of a policy plugin [default: 10ms].
    #[arg(long, value_name = "TIME")]
    plugin_deadline: Option<Length>,
    /// Configuration file, of apiVersion config.windlass.dev/v1alpha1 and kind WindlassConfiguration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How much is logged: 2 each sync and its plan, 4 each request [default: 0].
    #[arg(short = 'v', long = "v", value_name = "LEVEL")]
    verbosity: Option<u8>,
    /// Form of log lines [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// What the flags and the configuration file come to.
#[derive(Debug)]
struct Plan {
    settings: Settings,
    engine: EngineName,
    core: Option<PathBuf>,
    verbosity: u8,
    log_format: LogFormat,
}

/// Runs the controllers until SIGTERM or SIGINT.
pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let file = match &arguments.config {
        Some(path) => config_file::read(path)?,
        None => ConfigFile::default(),
    };
    let plan = Plan::new(arguments, file)?;
    logging::start(plan.verbosity, plan.log_format);
    let engine = engine::open(plan.engine, plan.core.as_deref())?;
    let name = match plan.engine {
        EngineName::Wasm => "wasm",
        EngineName::Native => "native",
    };
    tracing::info!("windlass {} with the {name} engine", env!("CARGO_PKG_VERSION"));
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), name));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| failed(&ShellFault::Machine { what: "runtime", source }))?;
    let done = runtime.block_on(async {
        let stop = stop_on_signal().map_err(|source| ShellFault::Machine { what: "signal", source })?;
        shell::run(plan.settings, engine, metrics, stop).await
    });
    // What is still under way has been waited for as long as it may.
    runtime.shutdown_background();
    done.map_err(|fault| failed(&fault))?;
    tracing::info!("ended");
    Ok(())
}

impl Plan {
    fn new(flags: Arguments, file: ConfigFile) -> Result<Self, Failure> {
        if flags.leader_elect.or(file.leader_elect) == Some(true) {
            return Err(Failure::Usage(
                "--leader-elect=true is not possible in this version; leave it out and run one process"
                    .to_owned(),
            ));
        }
        let controllers = match flags.controllers.or(file.controllers) {
            None => Controllers::default(),
            Some(names) if names.is_empty() => {
                return Err(Failure::Usage("--controllers names none; give --controllers job".to_owned()));
            }
            Some(names) => Controllers {
                job: names.contains(&ControllerName::Job),
                cron_job: names.contains(&ControllerName::CronJob),
                daemon_set: names.contains(&ControllerName::DaemonSet),
            },
        };
        let zone = flags.cron_job_time_zone.or(file.cron_job_time_zone);
        let cron_job = CronJobFlags {
            default_zone: default_zone(zone, controllers)?,
            edits_run_the_past: flags
                .cron_job_edits_run_the_past
                .or(file.cron_job_edits_run_the_past)
                .unwrap_or(false),
        };
        let workers = flags.workers.or(file.workers).unwrap_or(DEFAULT_WORKERS);
        if !(1..=MAX_WORKERS).contains(&workers) {
            return Err(Failure::Usage(format!("--workers is {workers}; give 1 to {MAX_WORKERS}")));
        }
        let rate = flags.kube_api_qps.or(file.kube_api_qps).unwrap_or(0.0);
        if !rate.is_finite() || rate < 0.0 {
            return Err(Failure::Usage(format!(
                "--kube-api-qps is {rate}; give a number above 0, or 0 for no limit"
            )));
        }
        let burst = flags.kube_api_burst.or(file.kube_api_burst);
        let defaults = JobFlags::default();
        let ms =
            |flag: Option<Length>, file: Option<Length>, default| flag.or(file).map_or(default, Length::ms);
        let job = JobFlags {
            backoff_base_ms: ms(flags.job_backoff_base, file.job_backoff_base, defaults.backoff_base_ms),
            backoff_max_ms: ms(flags.job_backoff_max, file.job_backoff_max, defaults.backoff_max_ms),
            sync_batch_ms: ms(flags.job_sync_batch, file.job_sync_batch, defaults.sync_batch_ms),
            // The controller narrows it for each look at a Job.
            progress_window_ms: ms(flags.job_sync_batch, file.job_sync_batch, defaults.sync_batch_ms),
            max_uncounted_pods: positive(
                "--job-max-uncounted-pods",
                flags.job_max_uncounted_pods.or(file.job_max_uncounted_pods),
                defaults.max_uncounted_pods,
            )?,
            max_pods_per_sync: positive(
                "--max-pods-per-sync",
                flags.max_pods_per_sync.or(file.max_pods_per_sync),
                defaults.max_pods_per_sync,
            )?,
            managed_by: defaults.managed_by,
        };
        if job.backoff_max_ms < job.backoff_base_ms {
            return Err(Failure::Usage(
                "--job-backoff-max is shorter than --job-backoff-base; make it at least as long".to_owned(),
            ));
        }
        let startup_timeout = flags.startup_timeout.or(file.startup_timeout);
        Ok(Self {
            settings: Settings {
                kubeconfig: flags.kubeconfig.or(file.kubeconfig),
                bind_address: bind_address(flags.bind_address.or(file.bind_address))?,
                requests_per_second: rate,
                burst: burst.unwrap_or_else(|| whole(rate).max(MIN_BURST)),
                workers,
                startup_timeout: startup_timeout.map_or(STARTUP_TIMEOUT, |length| length.0),
                controller: Config {
                    controllers,
                    job,
                    cron_job,
                    daemon_set: DaemonSetFlags::default(),
                    seed: seed(),
                },
                policies: policies(
                    flags.plugin_dir.or(file.plugin_dir),
                    flags.policy_resources.or(file.policy_resources),
                    flags.plugin_deadline.or(file.plugin_deadline),
                    flags.plugin_cache.or(file.plugin_cache),
                )?,
                user_agent: concat!("windlass/", env!("CARGO_PKG_VERSION")).to_owned(),
            },
            engine: flags.engine.or(file.engine).unwrap_or_default(),
            core: flags.core.or(file.core),
            verbosity: flags.verbosity.or(file.verbosity).unwrap_or(0),
            log_format: flags.log_format.or(file.log_format).unwrap_or_default(),
        })
    }
}

/// The zone that stands for "no zone": the one given, or that of the TZ variable, or UTC where that is not set.
fn default_zone(given: Option<ZoneName>, controllers: Controllers) -> Result<Str, Failure> {
    let Some(zone) = given else {
        let text = std::env::var("TZ").unwrap_or_default();
        return if controllers.cron_job { zone_of(&text) } else { Ok(CronJobFlags::default().default_zone) };
    };
    Ok(zone.0.into())
}

/// The zone that a value of the TZ variable names; a colon before it says that it is a name, as for tzset(3).
fn zone_of(text: &str) -> Result<Str, Failure> {
    let name = text.strip_prefix(':').unwrap_or(text);
    let zone: Result<ZoneName, _> = name.parse();
    zone.map(|zone| zone.0.into()).map_err(|fault| {
        Failure::Usage(format!("the variable TZ is {text:?}: {fault}; or give --cron-job-time-zone"))
    })
}

/// Where policy plugins come from and what loads them.
fn policies(
    directory: Option<PathBuf>,
    resources: Option<bool>,
    deadline: Option<Length>,
    cache: Option<PathBuf>,
) -> Result<PolicySettings, Failure> {
    let deadline_ms = deadline.map(Length::ms);
    if deadline_ms.is_some_and(|deadline_ms| !(1..=MAX_PLUGIN_DEADLINE_MS).contains(&deadline_ms)) {
        return Err(Failure::Usage(format!(
            "--plugin-deadline is not from 1ms to {MAX_PLUGIN_DEADLINE_MS}ms; a reconcile waits for as long"
        )));
    }
    let loader = plugin_dir::loader(deadline_ms, cache.as_deref(), shell::monotonic_us)?;
    Ok(PolicySettings { loader, directory, resources: resources.unwrap_or(true) })
}

fn failed(fault: &ShellFault) -> Failure {
    Failure::Failed(fault.to_string())
}

fn positive(flag: &str, value: Option<u32>, default: u32) -> Result<u32, Failure> {
    match value {
        Some(0) => {
            Err(Failure::Usage(format!("{flag} is 0, so that nothing could be done; give at least 1")))
        }
        value => Ok(value.unwrap_or(default)),
    }
}

fn bind_address(text: Option<String>) -> Result<SocketAddr, Failure> {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let text = text.unwrap_or_else(|| (if in_pod { POD_ADDRESS } else { LOCAL_ADDRESS }).to_owned());
    // A bare port, as Go's components take it.
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.clone() };
    let full = full.replacen("localhost:", "127.0.0.1:", 1);
    full.parse().map_err(|_| {
        Failure::Usage(format!(
            "--bind-address is {text:?}; give an IP address and a port, such as {LOCAL_ADDRESS}"
        ))
    })
}

/// The whole part of a rate, saturating.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and the rate is not negative"
)]
fn whole(rate: f64) -> u32 {
    rate as u32
}

/// A number that differs from start to start, for jitter.
#[expect(
    clippy::disallowed_types,
    reason = "the seed has to differ between processes, and nothing decides by it"
)]
fn seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::from(since.subsec_nanos()) << 32 | u64::from(std::process::id())
}

/// A value that becomes true at the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_on_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if sender.send_replace(true) {
                eprintln!("windlass: ended by a second signal, without waiting for what was in flight");
                std::process::exit(1);
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(flags: Arguments, file: ConfigFile) -> Result<Plan, String> {
        Plan::new(flags, file).map_err(|failure| match failure {
            Failure::Usage(sentence) | Failure::Failed(sentence) => sentence,
        })
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let flags = Arguments { workers: Some(3), ..Arguments::default() };
        let file = ConfigFile { workers: Some(5), max_pods_per_sync: Some(7), ..ConfigFile::default() };
        let plan = plan(flags, file).expect("settings");
        let job = &plan.settings.controller.job;
        assert_eq!((plan.settings.workers, job.max_pods_per_sync, job.max_uncounted_pods), (3, 7, 500));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_mend() {
        let flags = [
            (Arguments { leader_elect: Some(true), ..Arguments::default() }, "leave it out"),
            (Arguments { workers: Some(0), ..Arguments::default() }, "give 1 to 64"),
            (Arguments { controllers: Some(Vec::new()), ..Arguments::default() }, "names none"),
            (Arguments { max_pods_per_sync: Some(0), ..Arguments::default() }, "at least 1"),
            (
                Arguments { bind_address: Some("everywhere".into()), ..Arguments::default() },
                "such as 127.0.0.1",
            ),
            (Arguments { kube_api_qps: Some(-1.0), ..Arguments::default() }, "0 for no limit"),
        ];
        for (flags, mend) in flags {
            let told = plan(flags, ConfigFile::default()).expect_err("a refusal");
            assert!(told.contains(mend), "{told}");
        }
    }
}
