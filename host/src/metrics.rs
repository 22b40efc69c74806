//! Metrics: upstream's names where upstream has them, `windlass_` before the others.
//!
//! Everything is counted from values that pass the driver: notices and numbers of the state machine, and the
//! answers of the API server. Label values come from small closed sets, or from what the API server keeps small.

mod plugins;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use windlass_core::job::count_indexes;
use windlass_core::kube::{ConditionStatus, Job, JobStatus};
use windlass_core::plan::SyncAction;

use crate::apply::Creation;
use crate::cache::Cache;
use crate::controller::{JobSync, Notice, Stats};
use crate::engine::EngineFault;
use crate::key::KeyKind;
use crate::plugin::library::News;
use crate::queue::Queue;
use crate::watch::WatchEnd;

use plugins::PluginMetrics;

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
    job_finished_indexes: Family<FinishedIndexes, Counter>,
    jobs_by_external_controller: Family<ControllerName, Counter>,
    pod_failures_handled: Family<Action, Counter>,
    held_pods: Family<Event, Counter>,
    stale_sync_skips: Family<GroupResource, Counter>,
    job_deletion_duration: Histogram,
    job_creation_skew: Histogram,
    queue_depth: Family<Named, Gauge>,
    queue_adds: Family<Named, Counter>,
    queue_retries: Family<Named, Counter>,
    requests: Family<Request, Counter>,
    request_duration: Family<Target, Histogram>,
    in_flight: Family<Flow, Gauge>,
    lists: Family<Resource, Counter>,
    watch_ends: Family<WatchEnds, Counter>,
    cache_objects: Family<Resource, Gauge>,
    core_faults: Family<Fault, Counter>,
    runs: Counter,
    inputs: Counter,
    reads_refused: Family<Code, Counter>,
    events_lost: Family<Reason, Counter>,
    notices_dropped: Counter,
    synced: Gauge,
    plugins: PluginMetrics,
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
#[expect(non_snake_case, reason = "upstream spells the label so")]
struct FinishedIndexes {
    status: &'static str,
    backoffLimit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerName {
    controller_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    event: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupResource {
    group: &'static str,
    resource: &'static str,
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
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u16,
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
            job_finished_indexes: Family::default(),
            jobs_by_external_controller: Family::default(),
            pod_failures_handled: Family::default(),
            held_pods: Family::default(),
            stale_sync_skips: Family::default(),
            // Upstream's buckets: 100 ms to 27 min.
            job_deletion_duration: Histogram::new(exponential_buckets(0.1, 2.0, 14)),
            job_creation_skew: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            queue_depth: Family::default(),
            queue_adds: Family::default(),
            queue_retries: Family::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(request_buckets as fn() -> Histogram),
            in_flight: Family::default(),
            lists: Family::default(),
            watch_ends: Family::default(),
            cache_objects: Family::default(),
            core_faults: Family::default(),
            runs: Counter::default(),
            inputs: Counter::default(),
            reads_refused: Family::default(),
            events_lost: Family::default(),
            notices_dropped: Counter::default(),
            synced: Gauge::default(),
            plugins: PluginMetrics::default(),
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
            Notice::PodCreation { reason, succeeded } => self.pod_creation(*reason, *succeeded),
            Notice::FailureHandled { action } => {
                self.pod_failures_handled.get_or_create(&Action { action }).inc();
            }
            Notice::ManagedElsewhere { by, .. } => {
                let labels = ControllerName { controller_name: by.to_string() };
                self.jobs_by_external_controller.get_or_create(&labels).inc();
            }
            Notice::JobExpired { late_ms, .. } => {
                self.job_deletion_duration.observe(Duration::from_millis(*late_ms).as_secs_f64());
            }
            Notice::JobScheduled { late_ms, .. } => {
                self.job_creation_skew.observe(Duration::from_millis(*late_ms).as_secs_f64());
            }
            Notice::Synced { job: Some(sync), succeeded, .. } => self.synced(*sync, *succeeded),
            Notice::Rewound { .. } | Notice::Synced { job: None, .. } => {}
            Notice::ReadRefused { status, .. } => {
                self.reads_refused.get_or_create(&Code { code: status.code }).inc();
            }
            Notice::Refused { .. }
            | Notice::TemplateUnreadable { .. }
            | Notice::EventLost { .. }
            | Notice::PolicyTold { .. }
            | Notice::PluginRestored { .. } => {}
            Notice::PolicyAsked { call, .. } => self.plugins.called(call),
            Notice::PluginQuarantined { plugin, .. } => self.plugins.quarantined(plugin),
        }
    }

    /// Notes what became of the file of a plugin.
    pub fn plugin_news(&self, news: &News) {
        self.plugins.news(news);
    }

    fn synced(&self, sync: JobSync, succeeded: bool) {
        let labels = Sync {
            completion_mode: mode_label(sync.indexed),
            result: if succeeded { "success" } else { "error" },
            action: match sync.action {
                SyncAction::Reconciling => "reconciling",
                SyncAction::Tracking => "tracking",
                SyncAction::PodsCreated => "pods_created",
                SyncAction::PodsDeleted => "pods_deleted",
            },
        };
        self.job_syncs.get_or_create(&labels).inc();
        // Milliseconds are exact enough: the smallest bucket ends at four.
        let seconds = Duration::from_millis(sync.took_ms).as_secs_f64();
        self.job_sync_duration.get_or_create(&labels).observe(seconds);
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
        self.in_flight.get_or_create(&Flow { flow: flow.label() }).set(signed(number));
    }

    /// Takes over the numbers that the state machine keeps itself.
    pub fn state(&self, stats: &Stats, cache: &Cache, queue: &Queue, synced: bool) {
        catch_up(&self.runs, stats.runs);
        catch_up(&self.inputs, stats.inputs);
        catch_up(&self.notices_dropped, stats.notices_dropped);
        for (loss, number) in &stats.events_lost {
            catch_up(&self.events_lost.get_or_create(&Reason { reason: loss.label() }), *number);
        }
        for kind in KeyKind::ALL {
            let (name, counts) = (Named { name: kind.queue() }, queue.counts(kind));
            self.queue_depth.get_or_create(&name).set(i64::try_from(counts.depth).unwrap_or(i64::MAX));
            catch_up(&self.queue_adds.get_or_create(&name), counts.adds);
            catch_up(&self.queue_retries.get_or_create(&name), counts.retries);
        }
        let held = [("add", stats.held_pods_added), ("delete", stats.held_pods_deleted)];
        for (event, number) in held {
            catch_up(&self.held_pods.get_or_create(&Event { event }), number);
        }
        // What an upstream sync skips because its own writes have not come back is not skipped here; a Job
        // waits only for Pods that somebody else counted.
        let pods = GroupResource { group: "", resource: "pods" };
        catch_up(&self.stale_sync_skips.get_or_create(&pods), stats.held_runs);
        self.cache_objects.get_or_create(&Resource { resource: "jobs" }).set(signed(cache.job_count()));
        let cron_jobs = signed(cache.cron_job_count());
        self.cache_objects.get_or_create(&Resource { resource: "cronjobs" }).set(cron_jobs);
        let daemon_sets = signed(cache.daemon_set_count());
        self.cache_objects.get_or_create(&Resource { resource: "daemonsets" }).set(daemon_sets);
        self.cache_objects.get_or_create(&Resource { resource: "nodes" }).set(signed(cache.nodes().len()));
        self.cache_objects.get_or_create(&Resource { resource: "pods" }).set(signed(cache.pod_count()));
        self.synced.set(i64::from(synced));
    }

    fn pod_creation(&self, reason: Creation, succeeded: bool) {
        let reason = match reason {
            Creation::New => "new",
            Creation::AfterTerminatingOrFailed => "recreate_terminating_or_failed",
            Creation::AfterFailed => "recreate_failed",
        };
        let status = if succeeded { "succeeded" } else { "failed" };
        self.job_pods_creation.get_or_create(&PodsCreation { reason, status }).inc();
    }

    fn status_written(&self, before: &Job, after: &Job) {
        let completion_mode = mode_label(after.is_indexed());
        if !before.is_finished()
            && let Some((result, reason)) = ending(&after.status)
        {
            let labels = Finished { completion_mode, result, reason: reason.to_owned() };
            self.jobs_finished.get_or_create(&labels).inc();
        }
        let (old, new) = (&before.status, &after.status);
        let succeeded = if after.is_indexed() {
            self.indexes_finished(before, after)
        } else {
            grown(old.succeeded.into(), new.succeeded.into())
        };
        let failed = grown(old.failed.into(), new.failed.into());
        for (result, more) in [("succeeded", succeeded), ("failed", failed)] {
            self.job_pods_finished.get_or_create(&PodsFinished { completion_mode, result }).inc_by(more);
        }
    }

    /// Counts the indexes that have ended, as far as the Job still has them; gives how many succeeded.
    fn indexes_finished(&self, before: &Job, after: &Job) -> u64 {
        let bound = after.spec.completions.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let count = |text: Option<&str>| text.map_or(0, |text| i64::from(count_indexes(text, bound)));
        let (old, new) = (&before.status, &after.status);
        let is_per_index = after.spec.backoff_limit_per_index.is_some();
        let succeeded = grown(count(Some(&old.completed_indexes)), count(Some(&new.completed_indexes)));
        let failed = grown(count(old.failed_indexes.as_deref()), count(new.failed_indexes.as_deref()));
        for (status, more) in [("succeeded", succeeded), ("failed", failed)] {
            let labels =
                FinishedIndexes { status, backoffLimit: if is_per_index { "perIndex" } else { "global" } };
            if status == "succeeded" || is_per_index {
                self.job_finished_indexes.get_or_create(&labels).inc_by(more);
            }
        }
        succeeded
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
        job.register(
            "job_finished_indexes",
            "The number of finished indexes",
            self.job_finished_indexes.clone(),
        );
        job.register(
            "jobs_by_external_controller",
            "The number of Jobs managed by an external controller",
            self.jobs_by_external_controller.clone(),
        );
        job.register(
            "pod_failures_handled_by_failure_policy",
            "The number of failed Pods handled by a failure policy, by the action of the rule that matched",
            self.pod_failures_handled.clone(),
        );
        job.register(
            "terminated_pods_tracking_finalizer",
            "The number of ended Pods that were seen with the tracking finalizer, and without it since",
            self.held_pods.clone(),
        );
        job.register(
            "stale_sync_skips",
            "Job syncs skipped because the cache might be stale",
            self.stale_sync_skips.clone(),
        );
        registry.sub_registry_with_prefix("cronjob_controller").register(
            "job_creation_skew_duration_seconds",
            "Time from the instant at which a Job was due to its creation",
            self.job_creation_skew.clone(),
        );
        registry.sub_registry_with_prefix("ttl_after_finished_controller").register(
            "job_deletion_duration_seconds",
            "The time it took to delete the job since it became eligible for deletion",
            self.job_deletion_duration.clone(),
        );
        let queue = registry.sub_registry_with_prefix("workqueue");
        queue.register("depth", "Keys that wait in the workqueue, due or not", self.queue_depth.clone());
        queue.register("adds", "Keys added to the workqueue that were not queued", self.queue_adds.clone());
        queue.register("retries", "Keys queued again after a failure", self.queue_retries.clone());
        let own = registry.sub_registry_with_prefix("windlass");
        self.plugins.register(own);
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
        own.register(
            "reads_refused",
            "Reads on which a key waits that the server refused, by its code",
            self.reads_refused.clone(),
        );
        own.register("events_lost", "Events that are not recorded, by why", self.events_lost.clone());
        own.register(
            "notices_dropped",
            "Notices of the state machine that came too fast to be logged and counted",
            self.notices_dropped.clone(),
        );
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

/// How much a number has grown; 0 where it fell.
fn grown(before: i64, after: i64) -> u64 {
    u64::try_from(after.saturating_sub(before)).unwrap_or(0)
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn catch_up(counter: &Counter<u64, AtomicU64>, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests;
