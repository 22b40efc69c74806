//! The workloads: which Jobs and CronJobs are created, how fast, and how long their Pods run.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::daemon;

/// How many one-Pod Jobs `trickle` creates: enough for a 99th percentile that two stragglers do not make.
const TRICKLE_JOBS: u32 = 200;
/// How often `trickle` creates one.
const TRICKLE_INTERVAL: Duration = Duration::from_millis(100);
/// The size of `thousand`.
const THOUSAND_PODS: u32 = 1_000;
/// How many one-Pod Jobs `burst` creates.
const BURST_JOBS: u32 = 500;
/// How many CronJobs `cron` creates, all due at the same instants.
const CRON_JOBS: u32 = 500;
/// How many instants of theirs are waited for.
const CRON_TICKS: u32 = 2;
/// From one instant to the next.
const CRON_INTERVAL: Duration = Duration::from_secs(60);
/// How long a Pod runs: long enough that its start and its end are not one burst of events.
const RUN_TIME: Duration = Duration::from_millis(500);
/// What a workload may take besides its Pods: most of it is the start of the controllers.
const BASE_LIMIT: Duration = Duration::from_secs(60);
/// What each Pod may take: many times what one takes, so that only a run that hangs is given up.
const LIMIT_PER_POD: Duration = Duration::from_millis(60);

/// Which workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// A one-Pod Job every 100 ms on an idle server.
    Trickle,
    /// One Job with many completions, 10,000 unless said otherwise.
    Large,
    /// One Job of 1,000 Pods at once.
    Thousand,
    /// 500 one-Pod Jobs as fast as the server takes them.
    Burst,
    /// 500 CronJobs of one-Pod Jobs that are all due every minute.
    Cron,
    /// A DaemonSet on 1,000 nodes that is created, rolled a tenth at a time, and gets 100 nodes more.
    Nodes,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Trickle => "trickle",
            Self::Large => "large",
            Self::Thousand => "thousand",
            Self::Burst => "burst",
            Self::Cron => "cron",
            Self::Nodes => "nodes",
        })
    }
}

/// What is done in one run.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: Name,
    /// The Jobs that there are in the end.
    pub(crate) jobs: u32,
    /// The CronJobs that make them; without any, the Jobs are created themselves.
    pub(crate) cron_jobs: u32,
    pub(crate) completions: u32,
    pub(crate) parallelism: u32,
    /// How long after one Job the next is created; `None` is at once.
    pub(crate) interval: Option<Duration>,
}

/// Every workload; the size of `large` is given.
pub(crate) fn all(completions: u32, parallelism: u32) -> Vec<Workload> {
    let one_pod = |name, jobs, interval| Workload {
        name,
        jobs,
        cron_jobs: 0,
        completions: 1,
        parallelism: 1,
        interval,
    };
    let one_job =
        |name, completions, parallelism| Workload { completions, parallelism, ..one_pod(name, 1, None) };
    vec![
        one_pod(Name::Trickle, TRICKLE_JOBS, Some(TRICKLE_INTERVAL)),
        one_job(Name::Large, completions, parallelism),
        one_job(Name::Thousand, THOUSAND_PODS, THOUSAND_PODS),
        one_pod(Name::Burst, BURST_JOBS, None),
        Workload { cron_jobs: CRON_JOBS, ..one_pod(Name::Cron, CRON_JOBS * CRON_TICKS, None) },
        // Counts as a Job of so many Pods where only their number matters.
        one_job(Name::Nodes, daemon::NODES, daemon::NODES),
    ]
}

impl Workload {
    /// How many Pods the Jobs need when none fails.
    pub(crate) fn pods(&self) -> u32 {
        self.jobs.saturating_mul(self.completions)
    }

    /// A number of the whole run as one a Pod.
    pub(crate) fn a_pod(&self, value: f64) -> Option<f64> {
        Some(value / f64::from(self.pods()))
    }

    /// A number of the whole run as one a Job.
    pub(crate) fn a_job(&self, value: f64) -> Option<f64> {
        Some(value / f64::from(self.jobs))
    }

    /// How long a Pod runs.
    pub(crate) fn run_time(&self) -> Duration {
        RUN_TIME
    }

    /// How long all of it may take before the run is given up.
    pub(crate) fn limit(&self) -> Duration {
        let ticks = self.jobs.checked_div(self.cron_jobs).unwrap_or(0);
        BASE_LIMIT + LIMIT_PER_POD * self.pods() + CRON_INTERVAL * ticks
    }

    /// The manifest of one of its CronJobs.
    pub(crate) fn cron_job(&self, number: u32) -> Value {
        let name = format!("{}-{number}", self.name);
        let job = job(&name, self.completions, self.parallelism);
        json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": { "name": name },
            "spec": { "schedule": "* * * * *", "jobTemplate": { "spec": job["spec"] } },
        })
    }

    /// The manifest of one of its Jobs.
    pub(crate) fn job(&self, number: u32) -> Value {
        job(&format!("{}-{number}", self.name), self.completions, self.parallelism)
    }
}

/// A Job whose Pods name their node, so that no scheduler is needed.
pub(crate) fn job(name: &str, completions: u32, parallelism: u32) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name },
        "spec": {
            "completions": completions,
            "parallelism": parallelism,
            "template": { "spec": {
                "restartPolicy": "Never",
                "nodeName": "node-0",
                "containers": [{ "name": "main", "image": "busybox", "command": ["true"] }],
            }},
        },
    })
}
