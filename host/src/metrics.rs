//! Metrics: upstream's names where upstream has them, `windlass_` before the others.
//!
//! Everything is counted from values that pass the driver: notices and numbers of the state machine, and the
//! answers of the API server. Label values come from small closed sets, or from what the API server keeps small.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use windlass_core::kube::{ConditionStatus, Job, JobStatus, PodReplacementPolicy};
use windlass_core::plan::SyncAction;
use windlass_core::view::CompletionModeView;

use crate::cache::Cache;
use crate::controller::{Notice, Stats};
use crate::engine::EngineFault;
use crate::watch::WatchEnd;

/// Type of what [`Metrics::encode`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The `code` label of a request that had no answer, as client-go words it.
pub const NO_ANSWER: &str = "<error>";

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    job_syncs: Family<Sync, Counter>,
    job_sync_duration: Family<Sync, Histogram>,
    jobs_finished: Family<Finished, Counter>,
    job_pods_finished: Family<PodsFinished, Counter>,
    job_pods_creation: Family<PodsCreation, Counter>,
    queue_depth: Family<Named, Gauge>,
    requests: Family<Request, Counter>,
    request_duration: Family<Target, Histogram>,
    in_flight: Family<Flow, Gauge>,
    lists: Family<Resource, Counter>,
    watch_ends: Family<WatchEnds, Counter>,
    cache_objects: Family<Resource, Gauge>,
    core_faults: Family<Fault, Counter>,
    runs: Counter,
    inputs: Counter,
    events_dropped: Counter,
    synced: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sync {
    completion_mode: &'static str,
    result: &'static str,
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Finished {
    completion_mode: &'static str,
    result: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PodsFinished {
    completion_mode: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PodsCreation {
    reason: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    resource: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Target {
    verb: &'static str,
    resource: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Flow {
    flow: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Resource {
    resource: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchEnds {
    resource: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fault {
    category: &'static str,
}

/// How a sync of a Job went, for the labels of its metrics.
#[derive(Clone, Copy, Debug)]
pub struct SyncOutcome {
    /// How completions are told apart.
    pub mode: CompletionModeView,
    /// What the sync mainly did.
    pub action: SyncAction,
    /// Whether every step of its plan succeeded.
    pub succeeded: bool,
    /// Seconds from the snapshot to the last answer.
    pub seconds: f64,
}

impl Metrics {
    /// Metrics that are all at zero; `version` and `engine` label `windlass_build_info`.
    #[must_use]
    pub fn new(version: &str, engine: &str) -> Self {
        let request_buckets = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        // Upstream's buckets: 4 ms to 65 s.
        let sync_buckets = || Histogram::new(exponential_buckets(0.004, 2.0, 15));
        let mut metrics = Self {
            registry: Registry::default(),
            job_syncs: Family::default(),
            job_sync_duration: Family::new_with_constructor(sync_buckets as fn() -> Histogram),
            jobs_finished: Family::default(),
            job_pods_finished: Family::default(),
            job_pods_creation: Family::default(),
            queue_depth: Family::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(request_buckets as fn() -> Histogram),
            in_flight: Family::default(),
            lists: Family::default(),
            watch_ends: Family::default(),
            cache_objects: Family::default(),
            core_faults: Family::default(),
            runs: Counter::default(),
            inputs: Counter::default(),
            events_dropped: Counter::default(),
            synced: Gauge::default(),
        };
        metrics.register(version, engine);
        metrics
    }

    /// All metrics in the OpenMetrics text form.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    /// Counts what a notice tells.
    pub fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Listed { kind, .. } => {
                self.lists.get_or_create(&Resource { resource: kind.resource() }).inc();
            }
            Notice::WatchEnded { kind, end } => {
                let labels = WatchEnds { resource: kind.resource(), reason: end_category(end) };
                self.watch_ends.get_or_create(&labels).inc();
            }
            Notice::PlanRefused { defect, .. } => {
                self.core_faults.get_or_create(&Fault { category: defect.category() }).inc();
            }
            Notice::EngineFault { fault, .. } => {
                self.core_faults.get_or_create(&Fault { category: fault_category(fault) }).inc();
            }
            Notice::StatusWritten { before, after } => self.status_written(before, after),
            Notice::Rewound { .. } | Notice::Planned { .. } | Notice::Synced { .. } => {}
            Notice::Refused { .. } | Notice::EventDropped => {}
        }
    }

    /// Counts a sync of a Job.
    pub fn synced(&self, outcome: SyncOutcome) {
        let labels = Sync {
            completion_mode: mode_label(outcome.mode == CompletionModeView::Indexed),
            result: if outcome.succeeded { "success" } else { "error" },
            action: match outcome.action {
                SyncAction::Reconciling => "reconciling",
                SyncAction::Tracking => "tracking",
                SyncAction::PodsCreated => "pods_created",
                SyncAction::PodsDeleted => "pods_deleted",
            },
        };
        self.job_syncs.get_or_create(&labels).inc();
        self.job_sync_duration.get_or_create(&labels).observe(outcome.seconds);
    }

    /// Counts a Pod that was created, or refused, for `job` as it was cached.
    pub fn pod_creation(&self, job: Option<&Job>, succeeded: bool) {
        let failed = job.is_some_and(|job| job.status.failed > 0);
        let terminating = job.is_some_and(|job| job.status.terminating.unwrap_or(0) > 0);
        let once_ended =
            job.is_some_and(|job| job.spec.pod_replacement_policy == Some(PodReplacementPolicy::Failed));
        let reason = match (failed, terminating) {
            (true, _) if once_ended => "recreate_failed",
            (true, _) | (_, true) => "recreate_terminating_or_failed",
            (false, false) => "new",
        };
        let status = if succeeded { "succeeded" } else { "failed" };
        self.job_pods_creation.get_or_create(&PodsCreation { reason, status }).inc();
    }

    /// Counts a request that ended; `what` is a verb and a resource, `code` absent where there was no answer.
    pub fn request(&self, what: &'static str, code: Option<u16>, seconds: f64) {
        let (verb, resource) = what.split_once(' ').unwrap_or((what, ""));
        let code = code.map_or_else(|| NO_ANSWER.to_owned(), |code| code.to_string());
        self.requests.get_or_create(&Request { verb, resource, code }).inc();
        self.request_duration.get_or_create(&Target { verb, resource }).observe(seconds);
    }

    /// Notes how many requests of a flow are in flight.
    pub fn in_flight(&self, flow: crate::request::Flow, number: usize) {
        let flow = match flow {
            crate::request::Flow::Read => "read",
            crate::request::Flow::Write => "write",
            crate::request::Flow::Event => "event",
        };
        self.in_flight.get_or_create(&Flow { flow }).set(signed(number));
    }

    /// Takes over the numbers that the state machine keeps itself.
    pub fn state(&self, stats: &Stats, cache: &Cache, queue_depth: usize, synced: bool) {
        catch_up(&self.runs, stats.runs);
        catch_up(&self.inputs, stats.inputs);
        catch_up(&self.events_dropped, stats.events_dropped);
        self.queue_depth.get_or_create(&Named { name: "job" }).set(signed(queue_depth));
        self.cache_objects.get_or_create(&Resource { resource: "jobs" }).set(signed(cache.job_count()));
        self.cache_objects.get_or_create(&Resource { resource: "pods" }).set(signed(cache.pod_count()));
        self.synced.set(i64::from(synced));
    }

    fn status_written(&self, before: &Job, after: &Job) {
        let completion_mode = mode_label(after.is_indexed());
        if !before.is_finished()
            && let Some((result, reason)) = ending(&after.status)
        {
            let labels = Finished { completion_mode, result, reason: reason.to_owned() };
            self.jobs_finished.get_or_create(&labels).inc();
        }
        let pods = [
            ("succeeded", before.status.succeeded, after.status.succeeded),
            ("failed", before.status.failed, after.status.failed),
        ];
        for (result, before, after) in pods {
            if let Ok(more) = u64::try_from(i64::from(after) - i64::from(before)) {
                self.job_pods_finished.get_or_create(&PodsFinished { completion_mode, result }).inc_by(more);
            }
        }
    }

    fn register(&mut self, version: &str, engine: &str) {
        let registry = &mut self.registry;
        let job = registry.sub_registry_with_prefix("job_controller");
        job.register("job_syncs", "The number of job syncs", self.job_syncs.clone());
        job.register(
            "job_sync_duration_seconds",
            "The time it took to sync a job",
            self.job_sync_duration.clone(),
        );
        job.register("jobs_finished", "The number of finished jobs", self.jobs_finished.clone());
        job.register(
            "job_pods_finished",
            "The number of finished Pods that are fully tracked",
            self.job_pods_finished.clone(),
        );
        job.register(
            "job_pods_creation",
            "The number of Pods created by the Job controller, by the reason for their creation",
            self.job_pods_creation.clone(),
        );
        registry.register("workqueue_depth", "Keys that wait in the workqueue", self.queue_depth.clone());
        let own = registry.sub_registry_with_prefix("windlass");
        own.register("requests", "Requests to the API server that ended", self.requests.clone());
        own.register(
            "request_duration_seconds",
            "Time from the sending of a request to its outcome",
            self.request_duration.clone(),
        );
        own.register("requests_in_flight", "Requests that wait for their answer", self.in_flight.clone());
        own.register("lists", "Lists that were completed", self.lists.clone());
        own.register(
            "watch_ends",
            "Watches that ended otherwise than in good order",
            self.watch_ends.clone(),
        );
        own.register("cache_objects", "Objects in the cache", self.cache_objects.clone());
        own.register(
            "core_faults",
            "Runs of the core without a plan that could be used",
            self.core_faults.clone(),
        );
        own.register("core_runs", "Runs of the core", self.runs.clone());
        own.register("inputs", "Inputs of the state machine", self.inputs.clone());
        own.register("events_dropped", "Events dropped because too many waited", self.events_dropped.clone());
        own.register("caches_synced", "Whether every cache holds a complete list", self.synced.clone());
        let build = [("version", version.to_owned()), ("engine", engine.to_owned())];
        own.register("build", "Version of the program, and the engine that runs the core", Info::new(build));
    }
}

fn mode_label(indexed: bool) -> &'static str {
    if indexed { "Indexed" } else { "NonIndexed" }
}

/// Result and reason of a Job that has ended.
fn ending(status: &JobStatus) -> Option<(&'static str, &str)> {
    status.conditions.iter().filter(|condition| condition.status == ConditionStatus::True).find_map(
        |condition| match &*condition.kind {
            "Complete" => Some(("succeeded", &*condition.reason)),
            "Failed" => Some(("failed", &*condition.reason)),
            _ => None,
        },
    )
}

/// Stable name of why a watch ended.
fn end_category(end: &WatchEnd) -> &'static str {
    match end {
        WatchEnd::Closed => "closed",
        WatchEnd::Broken(_) => "broken",
        WatchEnd::Refused(status) if status.is_expired() => "expired",
        WatchEnd::Refused(_) => "refused",
        WatchEnd::Undecodable(_) => "undecodable",
    }
}

/// Stable name of why the engine gave no plan.
fn fault_category(fault: &EngineFault) -> &'static str {
    match fault {
        EngineFault::Refused(_) => "snapshot_refused",
        EngineFault::Trapped(_) => "trapped",
        EngineFault::LimitExceeded(_) => "limit_exceeded",
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn catch_up(counter: &Counter<u64, AtomicU64>, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_core::kube::JobCondition;

    use super::*;

    #[test]
    fn a_job_that_ends_is_counted_once_under_upstreams_names() {
        let metrics = Metrics::new("1.2.3", "native");
        let before = Job::default();
        let complete = JobCondition {
            kind: "Complete".into(),
            status: ConditionStatus::True,
            reason: "CompletionsReached".into(),
            ..JobCondition::default()
        };
        let status = JobStatus { succeeded: 3, conditions: [complete].into(), ..JobStatus::default() };
        let after = Arc::new(Job { status, ..Job::default() });
        metrics.notice(&Notice::StatusWritten { before: Arc::new(before), after: after.clone() });
        metrics.notice(&Notice::StatusWritten { before: after.clone(), after });
        let text = metrics.encode();
        for line in [
            "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\",reason=\"CompletionsReached\"} 1",
            "job_controller_job_pods_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\"} 3",
            "windlass_build_info{version=\"1.2.3\",engine=\"native\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_request_without_an_answer_has_a_code_of_its_own() {
        let metrics = Metrics::new("1", "native");
        metrics.request("create pods", Some(201), 0.01);
        metrics.request("create pods", None, 30.0);
        let text = metrics.encode();
        for code in ["201", "<error>"] {
            let line =
                format!("windlass_requests_total{{verb=\"create\",resource=\"pods\",code=\"{code}\"}} 1");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
