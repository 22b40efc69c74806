//! `kubectl describe job` (upstream: k8s.io/kubectl pkg/describe, describeJob and DescribePodTemplate).

mod container;
mod cron_job;
mod daemon_set;
mod volume;

pub use cron_job::describe_cron_job;
pub use daemon_set::describe_daemon_set;

use windlass_core::kube::{
    CompletionMode, Job, LabelSelector, Labels, PodTemplate, SelectorOperator, SelectorRequirement, Str,
};

use super::columns::Columns;
use super::duration::human_duration;
use super::event::{PrintedEvent, describe_events};
use super::template::{TemplateSpec, Toleration, TopologySpreadConstraint};
use super::time::rfc_1123;

/// Bytes after which a list of indexes ends at the next comma.
const INDEXES_LENGTH: usize = 50;
/// Bytes of an annotation's line; a longer one starts below its key, and is cut.
const ANNOTATION_LENGTH: usize = 140;
/// The one annotation that is not shown: `kubectl apply` keeps the whole manifest in it.
const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The text of `kubectl describe job` for `job` and the Events about it, as seen at `now_unix_ms`.
#[must_use]
pub fn describe_job(job: &Job, events: &[PrintedEvent], now_unix_ms: i64) -> String {
    let mut out = Columns::of_describe();
    describe_metadata(&mut out, job);
    describe_spec(&mut out, job);
    describe_status(&mut out, job);
    describe_template(&mut out, &job.spec.template);
    describe_events(&mut out, events, now_unix_ms);
    out.finish()
}

fn describe_metadata(out: &mut Columns, job: &Job) {
    out.line(0, format_args!("Name:\t{}", job.metadata.name));
    out.line(0, format_args!("Namespace:\t{}", job.metadata.namespace));
    out.line(0, format_args!("Selector:\t{}", job.spec.selector.as_ref().map(selector).unwrap_or_default()));
    labels(out, "Labels", &job.metadata.labels);
    annotations(out, "Annotations", &job.metadata.annotations);
    if let Some(owner) = job.metadata.controller() {
        out.line(0, format_args!("Controlled By:\t{}/{}", owner.kind, owner.name));
    }
}

fn describe_spec(out: &mut Columns, job: &Job) {
    let spec = &job.spec;
    if let Some(parallelism) = spec.parallelism {
        out.line(0, format_args!("Parallelism:\t{parallelism}"));
    }
    match spec.completions {
        Some(completions) => out.line(0, format_args!("Completions:\t{completions}")),
        None => out.line(0, format_args!("Completions:\t<unset>")),
    }
    match &spec.completion_mode {
        Some(CompletionMode::Indexed) => out.line(0, format_args!("Completion Mode:\tIndexed")),
        Some(CompletionMode::NonIndexed) => out.line(0, format_args!("Completion Mode:\tNonIndexed")),
        Some(CompletionMode::Other(mode)) => out.line(0, format_args!("Completion Mode:\t{mode}")),
        None => {}
    }
    if let Some(suspend) = spec.suspend {
        out.line(0, format_args!("Suspend:\t{suspend}"));
    }
    if let Some(limit) = spec.backoff_limit {
        out.line(0, format_args!("Backoff Limit:\t{limit}"));
    }
    if let Some(seconds) = spec.ttl_seconds_after_finished {
        out.line(0, format_args!("TTL Seconds After Finished:\t{seconds}"));
    }
}

fn describe_status(out: &mut Columns, job: &Job) {
    let status = &job.status;
    if let Some(start) = status.start_time {
        out.line(0, format_args!("Start Time:\t{}", rfc_1123(start)));
    }
    if let Some(end) = status.completion_time {
        out.line(0, format_args!("Completed At:\t{}", rfc_1123(end)));
    }
    if let (Some(start), Some(end)) = (status.start_time, status.completion_time) {
        let duration_ms = end.unix_ms().saturating_sub(start.unix_ms());
        out.line(0, format_args!("Duration:\t{}", human_duration(duration_ms)));
    }
    if let Some(seconds) = job.spec.active_deadline_seconds {
        out.line(0, format_args!("Active Deadline Seconds:\t{seconds}s"));
    }
    let ready = status.ready.map(|ready| format!(" ({ready} Ready)")).unwrap_or_default();
    out.line(
        0,
        format_args!(
            "Pods Statuses:\t{} Active{ready} / {} Succeeded / {} Failed",
            status.active, status.succeeded, status.failed
        ),
    );
    if job.is_indexed() {
        out.line(0, format_args!("Completed Indexes:\t{}", indexes(&status.completed_indexes)));
    }
}

fn describe_template(out: &mut Columns, template: &PodTemplate) {
    let spec = TemplateSpec::of(template);
    out.line(0, format_args!("Pod Template:"));
    labels(out, "  Labels", &template.metadata.labels);
    if !template.metadata.annotations.is_empty() {
        annotations(out, "  Annotations", &template.metadata.annotations);
    }
    if !spec.service_account_name.is_empty() {
        out.line(1, format_args!("Service Account:\t{}", spec.service_account_name));
    }
    if !spec.init_containers.is_empty() {
        container::describe_all(out, "Init Containers", &spec.init_containers);
    }
    container::describe_all(out, "Containers", &spec.containers);
    volume::describe_all(out, &spec.volumes);
    topology(out, &spec.topology_spread_constraints);
    if !spec.priority_class_name.is_empty() {
        out.line(1, format_args!("Priority Class Name:\t{}", spec.priority_class_name));
    }
    labels(out, "  Node-Selectors", &spec.node_selector);
    tolerations(out, &spec.tolerations);
    if let Some(group) = &spec.scheduling_group {
        out.line(1, format_args!("SchedulingGroup:"));
        out.line(1, format_args!("PodGroupName:\t{}", group.pod_group_name));
    }
}

fn labels(out: &mut Columns, title: &str, labels: &Labels) {
    out.start(0, format_args!("{title}:"));
    if labels.is_empty() {
        out.line(0, format_args!("\t<none>"));
    }
    for (key, value) in labels {
        out.line(0, format_args!("\t{key}={value}"));
    }
}

fn annotations(out: &mut Columns, title: &str, annotations: &Labels) {
    out.start(0, format_args!("{title}:"));
    let shown: Vec<(&Str, &Str)> =
        annotations.iter().filter(|(key, _)| &***key != LAST_APPLIED_ANNOTATION).collect();
    if shown.is_empty() {
        out.line(0, format_args!("\t<none>"));
    }
    for (key, value) in shown {
        let value = value.strip_suffix('\n').unwrap_or(value);
        if key.len() + value.len() + 2 <= ANNOTATION_LENGTH && !value.contains('\n') {
            out.line(0, format_args!("\t{key}: {value}"));
            continue;
        }
        out.line(0, format_args!("\t{key}:"));
        for line in value.split('\n') {
            let cut = shortened(line, ANNOTATION_LENGTH - 2);
            let dots = if cut.len() < line.len() { "..." } else { "" };
            out.line(0, format_args!("\t  {cut}{dots}"));
        }
    }
}

/// The first `length` bytes of `text`, less a character that would be cut in two.
fn shortened(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

fn indexes(indexes: &str) -> String {
    if indexes.is_empty() {
        return "<none>".to_owned();
    }
    let comma = indexes.bytes().enumerate().skip(INDEXES_LENGTH).find(|(_, byte)| *byte == b',');
    comma.map_or_else(|| indexes.to_owned(), |(at, _)| format!("{}...", &indexes[..=at]))
}

/// The selector as a query spells it, its requirements in order of their keys.
fn selector(selector: &LabelSelector) -> String {
    let mut requirements: Vec<(&Str, String)> =
        selector.match_labels.iter().map(|(key, value)| (key, format!("{key}={value}"))).collect();
    requirements.extend(selector.match_expressions.iter().map(|rule| (&rule.key, requirement(rule))));
    requirements.sort_by_key(|(key, _)| *key);
    let parts: Vec<String> = requirements.into_iter().map(|(_, text)| text).collect();
    parts.join(",")
}

fn requirement(rule: &SelectorRequirement) -> String {
    let mut values: Vec<&str> = rule.values.iter().map(|value| &**value).collect();
    values.sort_unstable();
    let (key, values) = (&rule.key, values.join(","));
    match &rule.operator {
        SelectorOperator::In => format!("{key} in ({values})"),
        SelectorOperator::NotIn => format!("{key} notin ({values})"),
        SelectorOperator::Exists => key.to_string(),
        SelectorOperator::DoesNotExist => format!("!{key}"),
        SelectorOperator::Other(operator) => format!("{key} {operator} ({values})"),
    }
}

fn topology(out: &mut Columns, constraints: &[TopologySpreadConstraint]) {
    if constraints.is_empty() {
        return;
    }
    let mut sorted: Vec<&TopologySpreadConstraint> = constraints.iter().collect();
    sorted.sort_by_key(|constraint| &constraint.topology_key);
    for (position, constraint) in sorted.into_iter().enumerate() {
        let title = if position == 0 { "  Topology Spread Constraints:" } else { "  " };
        let (key, otherwise, skew) =
            (&constraint.topology_key, &constraint.when_unsatisfiable, constraint.max_skew);
        out.start(0, format_args!("{title}\t{key}:{otherwise} when max skew {skew} is exceeded"));
        if let Some(labels) = &constraint.label_selector {
            let text = selector(labels);
            let text = if text.is_empty() { "<none>" } else { &text };
            out.start(0, format_args!(" for selector {text}"));
        }
        out.line(0, format_args!(""));
    }
}

fn tolerations(out: &mut Columns, tolerations: &[Toleration]) {
    out.start(0, format_args!("  Tolerations:"));
    if tolerations.is_empty() {
        out.line(0, format_args!("\t<none>"));
    }
    let mut sorted: Vec<&Toleration> = tolerations.iter().collect();
    sorted.sort_by_key(|toleration| &toleration.key);
    for toleration in sorted {
        out.start(0, format_args!("\t{}", toleration.key));
        if !toleration.value.is_empty() {
            out.start(0, format_args!("={}", toleration.value));
        }
        if !toleration.effect.is_empty() {
            out.start(0, format_args!(":{}", toleration.effect));
        }
        if &*toleration.operator == "Exists" && toleration.value.is_empty() {
            let names_something = !toleration.key.is_empty() || !toleration.effect.is_empty();
            out.start(0, format_args!("{}op=Exists", if names_something { " " } else { "" }));
        }
        if let Some(seconds) = toleration.toleration_seconds {
            out.start(0, format_args!(" for {seconds}s"));
        }
        out.line(0, format_args!(""));
    }
}

#[cfg(test)]
mod tests;
