//! From Kubernetes objects to what reconcile sees, which is done once per object version; and back.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use super::job::ConditionStatus;
use super::{
    COMPLETION_INDEX_ANNOTATION, CompletionMode, ContainerStatus, INDEX_FAILURE_COUNT_ANNOTATION,
    INDEX_IGNORED_FAILURE_COUNT_ANNOTATION, Job, JobStatus, Pod, PodFailurePolicy, PodPhase,
    PodReplacementPolicy, Str, Time, Uid, UncountedTerminatedPods,
};
use crate::plan::JobStatusWrite;
use crate::view::{
    CompletionModeView, FailedPod, JobStatusView, JobView, NO_EXIT_CODE, NO_INDEX, NO_POD, PodRow,
    UncountedPods, pod_flag,
};

/// Failures borne where no limit is set.
const DEFAULT_BACKOFF_LIMIT: i32 = 6;

/// The view of a Job; what its spec leaves unset is what the API server would set (upstream: batch/v1 defaults.go).
#[must_use]
pub fn job_view(job: &Job) -> JobView {
    let spec = &job.spec;
    let is_plain = spec.completions.is_none() && spec.parallelism.is_none();
    let default_backoff_limit =
        if spec.backoff_limit_per_index.is_some() { i32::MAX } else { DEFAULT_BACKOFF_LIMIT };
    JobView {
        owner: format!("{}/{}", job.metadata.namespace, job.metadata.name).into(),
        uid: job.metadata.uid.clone(),
        terminating: job.metadata.is_terminating(),
        parallelism: count(spec.parallelism.unwrap_or(1)),
        completions: if is_plain { Some(1) } else { spec.completions.map(count) },
        mode: match &spec.completion_mode {
            None | Some(CompletionMode::NonIndexed) => CompletionModeView::NonIndexed,
            Some(CompletionMode::Indexed) => CompletionModeView::Indexed,
            Some(CompletionMode::Other(_)) => CompletionModeView::Unknown,
        },
        backoff_limit: count(spec.backoff_limit.unwrap_or(default_backoff_limit)),
        backoff_limit_per_index: spec.backoff_limit_per_index.map(count),
        max_failed_indexes: spec.max_failed_indexes.map(count),
        active_deadline_seconds: spec.active_deadline_seconds,
        ttl_seconds_after_finished: spec.ttl_seconds_after_finished.map(count),
        suspended: job.is_suspended(),
        replace_only_failed: match &spec.pod_replacement_policy {
            Some(policy) => *policy == PodReplacementPolicy::Failed,
            None => spec.pod_failure_policy.is_some(),
        },
        restart_on_failure: restart_policy(job).as_deref() == Some("OnFailure"),
        pod_failure_policy: spec.pod_failure_policy.clone(),
        success_policy: spec.success_policy.clone(),
        managed_by: spec.managed_by.clone(),
        status: JobStatusView {
            conditions: job.status.conditions.clone(),
            start_time: job.status.start_time,
            completion_time: job.status.completion_time,
            active: count(job.status.active),
            succeeded: count(job.status.succeeded),
            failed: count(job.status.failed),
            terminating: job.status.terminating.map(count),
            ready: job.status.ready.map(count),
            completed_indexes: job.status.completed_indexes.clone(),
            failed_indexes: job.status.failed_indexes.clone(),
        },
    }
}

/// One Pod's row, as the Job with `job` as uid and selector sees it.
#[must_use]
pub fn pod_row(pod: &Pod, job: &Job) -> PodRow {
    let controller = pod.metadata.controller();
    let ready = pod.ready_condition();
    let mut flags = 0;
    let mut set = |holds: bool, flag: u16| flags |= if holds { flag } else { 0 };
    set(pod.metadata.is_terminating(), pod_flag::TERMINATING);
    set(pod.is_tracked(), pod_flag::TRACKED);
    set(ready.is_some_and(|c| c.status == ConditionStatus::True), pod_flag::READY);
    set(controller.is_some_and(|owner| owner.uid == job.metadata.uid), pod_flag::OWNED);
    set(
        job.spec.selector.as_ref().is_some_and(|selector| selector.matches(&pod.metadata.labels)),
        pod_flag::SELECTED,
    );
    set(controller.is_none(), pod_flag::ORPHAN);
    set(pod.spec.node_name.is_some(), pod_flag::BOUND);
    PodRow {
        phase: pod.status.phase,
        flags,
        index: completion_index(pod),
        restarts: all_statuses(pod).fold(0, |sum, status| sum.saturating_add(status.restart_count)),
        most_restarts: most_restarts(pod.status.container_statuses.iter()),
        most_sidecar_restarts: most_restarts(pod.sidecar_statuses()),
        index_failures: failure_count(pod, INDEX_FAILURE_COUNT_ANNOTATION),
        index_ignored_failures: failure_count(pod, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION),
        created_s: pod.metadata.creation_timestamp.map_or(0, |time| time.unix_seconds),
        ready_changed_s: ready.and_then(|c| c.last_transition_time).map_or(0, |time| time.unix_seconds),
        finished_s: finished_s(pod),
        exit_code: exit_code(pod),
    }
}

/// What `policy` asks about the Pod at `position`; `None` if no rule can match it.
#[must_use]
pub fn failed_pod(pod: &Pod, position: u32, policy: &PodFailurePolicy) -> Option<FailedPod> {
    if pod.status.phase == PodPhase::Succeeded {
        return None;
    }
    let asks_for_exits = policy.rules.iter().any(|rule| rule.on_exit_codes.is_some());
    let exit = |status: &ContainerStatus| -> Option<(Str, i32)> {
        let exit_code = status.state.terminated.as_ref()?.exit_code;
        (exit_code != 0).then(|| (status.name.clone(), exit_code))
    };
    let exits = all_statuses(pod).filter(|_| asks_for_exits).filter_map(exit).collect::<Vec<_>>();
    let is_named = |kind: &Str| {
        policy.rules.iter().flat_map(|rule| &rule.on_pod_conditions).any(|pattern| pattern.kind == *kind)
    };
    let conditions = pod.status.conditions.iter().filter(|condition| is_named(&condition.kind));
    let conditions = conditions.map(|c| (c.kind.clone(), c.status)).collect::<Vec<_>>();
    (!exits.is_empty() || !conditions.is_empty()).then(|| FailedPod {
        pod: position,
        name: format!("{}/{}", pod.metadata.namespace, pod.metadata.name),
        exits,
        conditions,
    })
}

/// The Job's uncounted Pods by their position in `pods`, where they still have the tracking finalizer.
#[must_use]
pub fn uncounted_pods<'pods>(job: &Job, pods: impl Iterator<Item = &'pods Pod>) -> UncountedPods {
    let Some(uncounted) = &job.status.uncounted_terminated_pods else { return UncountedPods::default() };
    let mut positions: BTreeMap<&Uid, u32> =
        uncounted.succeeded.iter().chain(&uncounted.failed).map(|uid| (uid, NO_POD)).collect();
    if positions.is_empty() {
        return UncountedPods::default();
    }
    for (position, pod) in (0..).zip(pods) {
        if pod.is_tracked()
            && let Some(found) = positions.get_mut(&pod.metadata.uid)
        {
            *found = position;
        }
    }
    let resolve =
        |uids: &[Uid]| uids.iter().map(|uid| positions.get(uid).copied().unwrap_or(NO_POD)).collect();
    UncountedPods { succeeded: resolve(&uncounted.succeeded), failed: resolve(&uncounted.failed) }
}

/// A Job's status from what a plan writes, positions turned into uids.
#[must_use]
pub fn job_status(write: &JobStatusWrite, uid: impl Fn(u32) -> Option<Uid>) -> JobStatus {
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let uids = |positions: &[u32]| positions.iter().filter_map(|position| uid(*position)).collect();
    JobStatus {
        conditions: write.conditions.clone(),
        start_time: write.start_time,
        completion_time: write.completion_time,
        active: signed(write.active),
        succeeded: signed(write.succeeded),
        failed: signed(write.failed),
        terminating: write.terminating.map(signed),
        ready: write.ready.map(signed),
        completed_indexes: write.completed_indexes.clone(),
        failed_indexes: write.failed_indexes.clone(),
        uncounted_terminated_pods: Some(UncountedTerminatedPods {
            succeeded: uids(&write.uncounted.succeeded),
            failed: uids(&write.uncounted.failed),
        }),
    }
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// The Pod's completion index (upstream: getCompletionIndex); one too large for any Job is out of range, not unknown.
fn completion_index(pod: &Pod) -> u32 {
    match annotation_number(pod, COMPLETION_INDEX_ANNOTATION) {
        Some(number) if number >= 0 => u32::try_from(number.min(i64::from(i32::MAX))).unwrap_or(NO_INDEX),
        Some(_) | None => NO_INDEX,
    }
}

/// A count of failures; 0 if it is missing or no 32-bit integer of the API (upstream: parseInt32).
fn failure_count(pod: &Pod, name: &str) -> u32 {
    annotation_number(pod, name).and_then(|number| i32::try_from(number).ok()).map_or(0, count)
}

/// An integer as Go's Atoi reads it: a sign and zeros in front do not matter.
fn annotation_number(pod: &Pod, name: &str) -> Option<i64> {
    pod.metadata.annotations.get(name)?.parse().ok()
}

/// Statuses in the order in which upstream looks at them: containers before init containers.
fn all_statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses)
}

fn most_restarts<'pod>(statuses: impl Iterator<Item = &'pod ContainerStatus>) -> u32 {
    statuses.map(|status| status.restart_count).max().unwrap_or(0)
}

/// When the Pod ended, as upstream finds it (backoff_utils.go, getFinishedTime): the latest end of a container
/// or sidecar, else the change of Ready to False, else the deletion less its grace, else the creation.
fn finished_s(pod: &Pod) -> i64 {
    let failing = pod.metadata.is_terminating();
    if !pod.is_terminal() && !failing {
        return 0;
    }
    let of_containers = latest_end(None, pod.status.container_statuses.iter());
    if let Some(latest) = latest_end(of_containers, pod.sidecar_statuses()) {
        return latest.unix_seconds;
    }
    let unready = pod.ready_condition().filter(|condition| condition.status == ConditionStatus::False);
    if let Some(changed) = unready.and_then(|condition| condition.last_transition_time) {
        return changed.unix_seconds;
    }
    if let Some(deleted) = pod.metadata.deletion_timestamp {
        return deleted.unix_seconds.saturating_sub(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
    }
    pod.metadata.creation_timestamp.map_or(0, |time| time.unix_seconds)
}

/// The latest of `before` and the ends of containers; `None` if one of them has not ended (upstream: latestFinishTime).
fn latest_end<'pod>(
    before: Option<Time>,
    statuses: impl Iterator<Item = &'pod ContainerStatus>,
) -> Option<Time> {
    let mut latest = before;
    for status in statuses {
        latest = latest.max(Some(status.state.terminated.as_ref()?.finished_at?));
    }
    latest
}

fn exit_code(pod: &Pod) -> i32 {
    let mut codes = all_statuses(pod).filter_map(|status| Some(status.state.terminated.as_ref()?.exit_code));
    let Some(first) = codes.next() else { return NO_EXIT_CODE };
    if first != 0 { first } else { codes.find(|code| *code != 0).unwrap_or(0) }
}

fn restart_policy(job: &Job) -> Option<Str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct SpecHead {
        restart_policy: Option<String>,
    }
    let head: SpecHead = serde_json::from_str(job.spec.template.spec.as_ref()?.get()).ok()?;
    head.restart_policy.map(Into::into)
}
