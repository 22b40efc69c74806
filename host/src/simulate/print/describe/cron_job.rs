//! `kubectl describe cronjob` (upstream: k8s.io/kubectl pkg/describe, describeCronJob).

use std::fmt::Display;

use windlass_core::kube::{ConcurrencyPolicy, CronJob, CronJobSpec, CronJobStatus, JobSpec};

use super::super::columns::Columns;
use super::super::event::{PrintedEvent, describe_events};
use super::super::get::truth;
use super::super::time::rfc_1123;
use super::{annotations, describe_template, labels, selector};

/// The text of `kubectl describe cronjob` for `cron_job` and the Events about it, as seen at `now_unix_ms`.
#[must_use]
pub fn describe_cron_job(cron_job: &CronJob, events: &[PrintedEvent], now_unix_ms: i64) -> String {
    let CronJob { metadata, spec, status } = cron_job;
    let mut out = Columns::of_describe();
    out.line(0, format_args!("Name:\t{}", metadata.name));
    out.line(0, format_args!("Namespace:\t{}", metadata.namespace));
    labels(&mut out, "Labels", &metadata.labels);
    annotations(&mut out, "Annotations", &metadata.annotations);
    describe_spec(&mut out, spec);
    describe_job_template(&mut out, spec);
    describe_status(&mut out, status);
    describe_events(&mut out, events, now_unix_ms);
    out.finish()
}

fn describe_spec(out: &mut Columns, spec: &CronJobSpec) {
    let policy = match &spec.concurrency_policy {
        ConcurrencyPolicy::Allow => "Allow",
        ConcurrencyPolicy::Forbid => "Forbid",
        ConcurrencyPolicy::Replace => "Replace",
        ConcurrencyPolicy::Other(policy) => policy,
    };
    let deadline = spec.starting_deadline_seconds.map(|seconds| format!("{seconds}s"));
    out.line(0, format_args!("Schedule:\t{}", spec.schedule));
    out.line(0, format_args!("Concurrency Policy:\t{policy}"));
    out.line(0, format_args!("Suspend:\t{}", truth(spec.suspend)));
    or_unset(out, "Time Zone", spec.time_zone.as_ref());
    or_unset(out, "Successful Job History Limit", spec.successful_jobs_history_limit);
    or_unset(out, "Failed Job History Limit", spec.failed_jobs_history_limit);
    or_unset(out, "Starting Deadline Seconds", deadline);
}

fn describe_job_template(out: &mut Columns, spec: &CronJobSpec) {
    let text = spec.job_template.spec.as_ref().map_or("{}", |text| text.get());
    let job: JobSpec = serde_json::from_str(text).unwrap_or_default();
    or_unset(out, "Selector", job.selector.as_ref().map(selector));
    or_unset(out, "Parallelism", job.parallelism);
    or_unset(out, "Completions", job.completions);
    if let Some(seconds) = job.active_deadline_seconds {
        out.line(0, format_args!("Active Deadline Seconds:\t{seconds}s"));
    }
    describe_template(out, &job.template);
}

fn describe_status(out: &mut Columns, status: &CronJobStatus) {
    or_unset(out, "Last Schedule Time", status.last_schedule_time.map(rfc_1123));
    let names: Vec<&str> = status.active.iter().map(|job| &*job.name).collect();
    let names = if names.is_empty() { "<none>".to_owned() } else { names.join(", ") };
    out.line(0, format_args!("Active Jobs:\t{names}"));
}

fn or_unset(out: &mut Columns, title: &str, value: Option<impl Display>) {
    match value {
        Some(value) => out.line(0, format_args!("{title}:\t{value}")),
        None => out.line(0, format_args!("{title}:\t<unset>")),
    }
}
