//! A plan as text.

use std::fmt::Write;

use windlass_core::kube::{JobCondition, JobStatus, Str, Time};
use windlass_core::plan::{Action, Dependency, JobStatusWrite, Needs, Plan, PodSlot, Read, SyncAction};

use super::world::EPOCH_S;

/// Longest list of slots or Pods that is printed whole.
const MAX_LISTED: usize = 12;

/// `plan` as text; of a status only what differs from the stored one.
pub(super) fn plan(plan: &Plan, stored: &JobStatus, names: &[Str]) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(&plan.steps) {
        let _ = write!(text, "{number}. {}", action(&step.action, stored, names));
        let conditions: Vec<String> = step.after.iter().map(dependency).collect();
        if !conditions.is_empty() {
            let _ = write!(text, "   [{}]", conditions.join(", "));
        }
        text.push('\n');
    }
    if plan.read == Some(Read::Owner) {
        text += "read the Job live\n";
    }
    if let Some(after_ms) = plan.requeue_after_ms {
        let _ = writeln!(text, "again in {}", duration(after_ms));
    }
    text += match plan.action {
        SyncAction::Reconciling => "action reconciling\n",
        SyncAction::Tracking => "action tracking\n",
        SyncAction::PodsCreated => "action pods_created\n",
        SyncAction::PodsDeleted => "action pods_deleted\n",
    };
    text
}

/// What a step waits for.
pub(super) fn dependency(dependency: &Dependency) -> String {
    let step = dependency.step.saturating_add(1);
    match dependency.needs {
        Needs::Succeeded => format!("if {step} succeeded"),
        Needs::Settled => format!("after {step}"),
        Needs::Failed => format!("if {step} failed"),
    }
}

fn action(action: &Action, stored: &JobStatus, names: &[Str]) -> String {
    match action {
        Action::CreatePods(slots) => format!("create {}", created(slots)),
        Action::DeletePods { pods, untrack: false } => format!("delete {}", pods_text(pods, names)),
        Action::DeletePods { pods, untrack: true } => {
            format!("untrack and delete {}", pods_text(pods, names))
        }
        Action::UntrackPods(pods) => format!("untrack {}", pods_text(pods, names)),
        Action::AdoptPods(pods) => format!("adopt {}", pods_text(pods, names)),
        Action::ReleasePods(pods) => format!("release {}", pods_text(pods, names)),
        Action::WriteJobStatus(write) => format!("status {}", status(write, stored, names)),
        Action::DeleteJob => "delete the Job".to_owned(),
        // No plan for a Job has them, which a case would show.
        Action::CreateJobs(_)
        | Action::DeleteJobs(_)
        | Action::WriteCronJobStatus(_)
        | Action::DaemonSet(_) => "an action for another kind".to_owned(),
        Action::RecordEvent(event) => {
            let kind = if event.warning { "Warning" } else { "Normal" };
            format!("event {kind} {} \"{}\"", event.reason, event.message)
        }
    }
}

fn created(slots: &[PodSlot]) -> String {
    if slots.iter().all(|slot| slot.index.is_none()) {
        return format!("{} Pod{}", slots.len(), if slots.len() == 1 { "" } else { "s" });
    }
    let one = |slot: &PodSlot| {
        let mut text = slot.index.map_or("?".to_owned(), |index| index.to_string());
        match (slot.index_failures, slot.index_ignored_failures) {
            (Some(failures), Some(ignored)) => text += &format!("(failures {failures}, ignored {ignored})"),
            (Some(failures), None) => text += &format!("(failures {failures})"),
            (None, _) => {}
        }
        text
    };
    format!("index {}", list(slots.iter().map(one).collect()))
}

fn pods_text(pods: &[u32], names: &[Str]) -> String {
    list(
        pods.iter()
            .map(|pod| names.get(*pod as usize).map_or("?".to_owned(), |name| name.to_string()))
            .collect(),
    )
}

fn list(mut items: Vec<String>) -> String {
    let length = items.len();
    if length > MAX_LISTED {
        let last = items.split_off(length - 2);
        items.truncate(MAX_LISTED - 3);
        items.push(format!("... {} more ...", length - MAX_LISTED + 1));
        items.extend(last);
    }
    items.join(" ")
}

fn status(write: &JobStatusWrite, stored: &JobStatus, names: &[Str]) -> String {
    let mut parts = Vec::new();
    let mut number = |name: &str, new: Option<u32>, old: Option<i32>| {
        let old = old.and_then(|old| u32::try_from(old).ok());
        if new != old {
            parts.push(format!("{name}={}", new.map_or("none".to_owned(), |new| new.to_string())));
        }
    };
    number("active", Some(write.active), Some(stored.active));
    number("ready", write.ready, stored.ready);
    number("terminating", write.terminating, stored.terminating);
    number("succeeded", Some(write.succeeded), Some(stored.succeeded));
    number("failed", Some(write.failed), Some(stored.failed));
    if write.completed_indexes != stored.completed_indexes {
        parts.push(format!("completedIndexes={}", write.completed_indexes));
    }
    if write.failed_indexes != stored.failed_indexes {
        parts.push(format!("failedIndexes={}", write.failed_indexes.as_deref().unwrap_or("none")));
    }
    uncounted(&mut parts, write, stored, names);
    if write.start_time != stored.start_time {
        parts.push(format!("startTime={}", instant(write.start_time)));
    }
    if write.completion_time != stored.completion_time {
        parts.push(format!("completionTime={}", instant(write.completion_time)));
    }
    for new in &write.conditions {
        if !stored.conditions.contains(new) {
            parts.push(condition(new));
        }
    }
    for old in &stored.conditions {
        if !write.conditions.iter().any(|new| new.kind == old.kind) {
            parts.push(format!("without {}", old.kind));
        }
    }
    if parts.is_empty() { "unchanged".to_owned() } else { parts.join(" ") }
}

fn uncounted(parts: &mut Vec<String>, write: &JobStatusWrite, stored: &JobStatus, names: &[Str]) {
    let stored = stored.uncounted_terminated_pods.clone().unwrap_or_default();
    let pairs = [
        ("succeeded", &write.uncounted.succeeded, stored.succeeded),
        ("failed", &write.uncounted.failed, stored.failed),
    ];
    for (name, new, old) in pairs {
        let uids: Vec<_> =
            new.iter().filter_map(|pod| Some(super::world::uid(names.get(*pod as usize)?))).collect();
        if uids != old {
            parts.push(format!("uncounted.{name}=[{}]", pods_text(new, names)));
        }
    }
}

fn condition(condition: &JobCondition) -> String {
    let status = format!("{:?}", condition.status);
    let mut text = format!("{}={status}({})", condition.kind, condition.reason);
    if condition.last_transition_time != condition.last_probe_time {
        text += " times differ";
    }
    format!("{text}@{} \"{}\"", instant(condition.last_transition_time), condition.message)
}

fn instant(time: Option<Time>) -> String {
    time.map_or("none".to_owned(), |time| format!("{}s", time.unix_seconds - EPOCH_S))
}

/// A span as text.
pub(super) fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}
