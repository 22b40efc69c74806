//! The chronological log of a simulation: one line for each change that the API server stored.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, ConditionStatus, CronJob, DaemonSet, Job, Object, ObjectMeta, Pod, PodPhase,
};
use windlass_sandbox::{Commit, Event, Resource, Verb};

use super::print::seconds;
use crate::plugin::LogLine;

/// The log of `commits`, oldest first; `events` says what the commits of Events recorded, and `said` when which
/// plugin said what.
#[must_use]
pub fn change_log<'a>(
    commits: &[Commit],
    events: impl Iterator<Item = &'a Event>,
    said: impl Iterator<Item = (u64, &'a str, &'a LogLine)>,
) -> String {
    let events: BTreeMap<u64, &Event> = events.map(|event| (event.resource_version.0, event)).collect();
    let mut said: Vec<_> = said.collect();
    said.sort_by_key(|(at_ms, _, _)| *at_ms);
    let mut said = said.into_iter().peekable();
    let mut log = String::new();
    for commit in commits {
        // What led to a change stands before it.
        while let Some((at_ms, plugin, line)) = said.next_if(|(at_ms, _, _)| *at_ms <= commit.time_ms) {
            log.push_str(&plugin_line(at_ms, plugin, line));
        }
        let what = if commit.resource == Resource::Event {
            events.get(&commit.revision.0).map(|event| recorded(event))
        } else {
            changed(commit)
        };
        if let Some(what) = what {
            // Writing to a String cannot fail.
            let _ = writeln!(log, "{:>10}  {:<17}  {what}", seconds(commit.time_ms), commit.actor.0);
        }
    }
    for (at_ms, plugin, line) in said {
        log.push_str(&plugin_line(at_ms, plugin, line));
    }
    log
}

/// A line of the log for one of a plugin's.
fn plugin_line(at_ms: u64, plugin: &str, line: &LogLine) -> String {
    let level = match line.level {
        0 => "error",
        1 => "warning",
        2 => "info",
        _ => "detail",
    };
    // One line of a log is one line here.
    let message = line.message.escape_debug();
    format!("{:>10}  {:<17}  {level:<7}  {message}\n", seconds(at_ms), format!("plugin/{plugin}"))
}

fn recorded(event: &Event) -> String {
    let kind = if event.warning { "Warning" } else { "Normal" };
    let about = event.regarding.kind.to_lowercase();
    format!("event    {about}/{}: {kind} {}: {}", event.regarding.name, event.reason, event.message.trim())
}

/// What a commit did; `None` for one of which nothing can be told.
fn changed(commit: &Commit) -> Option<String> {
    let object = commit.after.as_ref().or(commit.before.as_ref())?;
    let verb = match (commit.verb, &commit.after) {
        (_, None) => "removed",
        (Verb::Create, _) => "created",
        (Verb::Update, _) => "updated",
        (Verb::UpdateStatus, _) => "status",
        (Verb::Patch, _) => "patched",
        (Verb::Bind, _) => "bound",
        (Verb::Delete, _) => "deleted",
    };
    let details = details(commit.before.as_ref(), commit.after.as_ref());
    let title = format!("{}/{}", object.kind().name().to_lowercase(), object.metadata().name);
    let separator = if details.is_empty() { "" } else { ": " };
    Some(format!("{verb:<7}  {title}{separator}{}", details.join(", ")))
}

fn details(before: Option<&Object>, after: Option<&Object>) -> Vec<String> {
    let mut details = match (before, after) {
        (None, Some(Object::Pod(pod))) => created_pod(pod),
        (Some(Object::Pod(old)), Some(Object::Pod(new))) => changed_pod(old, new),
        (None, Some(Object::Job(job))) => of_controller(&job.metadata).into_iter().collect(),
        (Some(Object::Job(old)), Some(Object::Job(new))) => changed_job(old, new),
        (Some(Object::CronJob(old)), Some(Object::CronJob(new))) => changed_cron_job(old, new),
        (Some(Object::DaemonSet(old)), Some(Object::DaemonSet(new))) => changed_daemon_set(old, new),
        _ => Vec::new(),
    };
    if let (Some(before), Some(after)) = (before, after) {
        let (old, new) = (before.metadata(), after.metadata());
        details.extend(
            old.finalizers
                .iter()
                .filter(|name| !new.has_finalizer(name))
                .map(|name| format!("without finalizer {name}")),
        );
        details.extend(
            new.finalizers
                .iter()
                .filter(|name| !old.has_finalizer(name))
                .map(|name| format!("with finalizer {name}")),
        );
        if !old.is_terminating() && new.is_terminating() {
            details.push("terminating".to_owned());
        }
    }
    details
}

fn created_pod(pod: &Pod) -> Vec<String> {
    let index = pod.metadata.annotations.get(COMPLETION_INDEX_ANNOTATION);
    of_controller(&pod.metadata).into_iter().chain(index.map(|index| format!("index {index}"))).collect()
}

/// Whose the object is, if it has a controller.
fn of_controller(metadata: &ObjectMeta) -> Option<String> {
    metadata.controller().map(|owner| format!("of {}/{}", owner.kind.to_lowercase(), owner.name))
}

fn changed_cron_job(old: &CronJob, new: &CronJob) -> Vec<String> {
    let (before, after) = (&old.status, &new.status);
    let mut details = Vec::new();
    if before.active != after.active {
        details.push(format!("{} active", after.active.len()));
    }
    for (what, was, is) in [
        ("last schedule", before.last_schedule_time, after.last_schedule_time),
        ("last success", before.last_successful_time, after.last_successful_time),
    ] {
        if was != is {
            details.push(is.map_or_else(|| format!("no {what}"), |is| format!("{what} {is}")));
        }
    }
    details
}

fn changed_daemon_set(old: &DaemonSet, new: &DaemonSet) -> Vec<String> {
    let (before, after) = (&old.status, &new.status);
    let counters = [
        ("desired", before.desired_number_scheduled, after.desired_number_scheduled),
        ("current", before.current_number_scheduled, after.current_number_scheduled),
        ("misscheduled", before.number_misscheduled, after.number_misscheduled),
        ("updated", before.updated_number_scheduled, after.updated_number_scheduled),
        ("available", before.number_available, after.number_available),
    ];
    let changed = counters.into_iter().filter(|(_, was, is)| was != is);
    let mut details: Vec<String> = changed.map(|(what, _, is)| format!("{is} {what}")).collect();
    if old.metadata.generation != new.metadata.generation {
        details.push(format!("generation {}", new.metadata.generation));
    }
    details
}

fn changed_pod(old: &Pod, new: &Pod) -> Vec<String> {
    let mut details = Vec::new();
    if old.spec.node_name != new.spec.node_name
        && let Some(node) = &new.spec.node_name
    {
        details.push(format!("to {node}"));
    }
    if old.status.phase != new.status.phase {
        details.push(phase(new.status.phase).to_owned());
        let codes = new.status.container_statuses.iter().filter_map(|status| {
            let exit_code = status.state.terminated.as_ref()?.exit_code;
            (exit_code != 0).then(|| format!("exit code {exit_code}"))
        });
        details.extend(codes.take(1));
    }
    let ready = |pod: &Pod| pod.ready_condition().is_some_and(|ready| ready.status == ConditionStatus::True);
    if ready(old) != ready(new) && !new.is_terminal() {
        details.push(if ready(new) { "ready" } else { "not ready" }.to_owned());
    }
    details
}

fn changed_job(old: &Job, new: &Job) -> Vec<String> {
    let (before, after) = (&old.status, &new.status);
    let mut details = Vec::new();
    for (what, was, is) in [
        ("active", before.active, after.active),
        ("ready", before.ready.unwrap_or(0), after.ready.unwrap_or(0)),
        ("terminating", before.terminating.unwrap_or(0), after.terminating.unwrap_or(0)),
        ("succeeded", before.succeeded, after.succeeded),
        ("failed", before.failed, after.failed),
    ] {
        if was != is {
            details.push(format!("{is} {what}"));
        }
    }
    if before.completed_indexes != after.completed_indexes {
        details.push(format!("completed indexes {}", after.completed_indexes));
    }
    if before.failed_indexes != after.failed_indexes
        && let Some(indexes) = &after.failed_indexes
    {
        details.push(format!("failed indexes {indexes}"));
    }
    for condition in &after.conditions {
        let was = before.conditions.iter().find(|was| was.kind == condition.kind);
        if was.is_none_or(|was| was.status != condition.status) {
            details.push(match condition.status {
                ConditionStatus::True => format!("{} ({})", condition.kind, condition.reason),
                ConditionStatus::False | ConditionStatus::Unknown => format!("no longer {}", condition.kind),
            });
        }
    }
    let waiting = |job: &Job| {
        job.status
            .uncounted_terminated_pods
            .as_ref()
            .map_or(0, |uncounted| uncounted.succeeded.len() + uncounted.failed.len())
    };
    if waiting(old) != waiting(new) && waiting(new) > 0 {
        details.push(format!("{} ended and not yet counted", waiting(new)));
    }
    details
}

/// The phase as the API spells it.
pub(super) fn phase(phase: PodPhase) -> &'static str {
    match phase {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
        PodPhase::Unknown => "Unknown",
    }
}
