//! Validation of Jobs (upstream: pkg/apis/batch/validation and pkg/registry/batch/job/strategy.go).

use std::fmt::Display;

use windlass_core::kube::{
    CONTROLLER_UID_LABEL, CompletionMode, JOB_NAME_LABEL, Job, JobSpec, Labels, PodReplacementPolicy, Str,
};

use super::{job_policies, job_template, metadata, pod, selector};
use crate::defaults::{LEGACY_CONTROLLER_UID_LABEL, LEGACY_JOB_NAME_LABEL};
use crate::field::Faults;
use crate::names::{dns_label_faults, dns_subdomain_faults};

/// Largest parallelism and number of failed indexes of an Indexed Job.
const MAX_INDEXED: i32 = 100_000;
/// Largest parallelism and number of failed indexes above so many completions with a limit per index.
const MAX_INDEXED_FOR_MANY: i32 = 10_000;
/// Longest `managedBy`.
const MAX_MANAGED_BY: usize = 63;

/// What is wrong with a new Job, its defaults and its selector filled in.
pub(crate) fn on_create(job: &Job, faults: &mut Faults) {
    metadata::on_create(&job.metadata, true, faults);
    generated_selector(job, faults);
    spec(&job.spec, faults);
    selector(&job.spec, faults);
    name_with_index(job, faults);
}

/// What is wrong with changing a Job's spec from that of `old`.
pub(crate) fn on_update(job: &Job, old: &Job, faults: &mut Faults) {
    let (new, before) = (&job.spec, &old.spec);
    spec(new, faults);
    selector(new, faults);
    completions_update(new, before, faults);
    immutable("selector", &new.selector, &before.selector, faults);
    job_template::on_update(job, old, faults);
    immutable("completionMode", &new.completion_mode, &before.completion_mode, faults);
    immutable("podFailurePolicy", &new.pod_failure_policy, &before.pod_failure_policy, faults);
    immutable("backoffLimitPerIndex", &new.backoff_limit_per_index, &before.backoff_limit_per_index, faults);
    immutable("managedBy", &new.managed_by, &before.managed_by, faults);
    immutable("successPolicy", &new.success_policy, &before.success_policy, faults);
    name_with_index(job, faults);
}

/// A value as refusals show it: its JSON.
pub(super) fn shown(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn immutable<T: PartialEq + serde::Serialize>(field: &str, new: &T, old: &T, faults: &mut Faults) {
    if new != old {
        faults.invalid(format_args!("spec.{field}"), shown(new), "field is immutable");
    }
}

fn completions_update(new: &JobSpec, old: &JobSpec, faults: &mut Faults) {
    if new.completions == old.completions {
        return;
    }
    if new.completion_mode != Some(CompletionMode::Indexed) {
        faults.invalid("spec.completions", shown(&new.completions), "field is immutable");
    } else if new.completions.is_some() && new.completions != new.parallelism {
        faults.invalid(
            "spec.completions",
            shown(&new.completions),
            "can only be modified in tandem with spec.parallelism",
        );
    }
}

fn generated_selector(job: &Job, faults: &mut Faults) {
    let Some(selector) = job.spec.selector.as_ref().filter(|_| job.spec.manual_selector != Some(true)) else {
        return;
    };
    let (uid, name) = (&job.metadata.uid, &job.metadata.name);
    let expected: [(&str, &Str); 4] = [
        (LEGACY_CONTROLLER_UID_LABEL, uid),
        (LEGACY_JOB_NAME_LABEL, name),
        (CONTROLLER_UID_LABEL, uid),
        (JOB_NAME_LABEL, name),
    ];
    let labels = &job.spec.template.metadata.labels;
    for (label, value) in expected {
        let path = format_args!("spec.template.metadata.labels[{label}]");
        match labels.get(label) {
            None => faults.required(path, &format!("must be '{value}'")),
            Some(found) if found != value => {
                faults.invalid(path, selector::shown_labels(labels), &format!("must be '{value}'"));
            }
            Some(_) => {}
        }
    }
    let expected: Labels = expected.into_iter().map(|(label, value)| (label.into(), value.clone())).collect();
    if selector::is_usable(selector) && !selector.matches(&expected) {
        faults.invalid("spec.selector", shown(selector), "`selector` not auto-generated");
    }
}

/// The name of an Indexed Job becomes the host names of its Pods, with the index.
fn name_with_index(job: &Job, faults: &mut Faults) {
    let Some(completions) = job.spec.completions.filter(|completions| *completions > 0) else { return };
    if job.spec.completion_mode != Some(CompletionMode::Indexed) {
        return;
    }
    let longest = format!("{}-{}", job.metadata.name, completions.saturating_sub(1));
    if !dns_label_faults(&longest).is_empty() {
        faults.invalid_text(
            "metadata.name",
            &job.metadata.name,
            &format!("will not able to create pod with invalid DNS label: {longest}"),
        );
    }
}

/// What is wrong with a Job's spec, in a Job and in the template of a CronJob alike (upstream: validateJobSpec).
pub(super) fn spec(spec: &JobSpec, faults: &mut Faults) {
    numbers(spec, faults);
    if let Some(name) = &spec.managed_by {
        managed_by(name, faults);
    }
    match &spec.completion_mode {
        Some(CompletionMode::Other(mode)) => {
            faults.not_supported("spec.completionMode", mode, &["NonIndexed", "Indexed"]);
        }
        Some(CompletionMode::Indexed) => indexed(spec, faults),
        Some(CompletionMode::NonIndexed) | None => {
            let detail = "requires indexed completion mode";
            for (field, value) in [
                ("backoffLimitPerIndex", spec.backoff_limit_per_index),
                ("maxFailedIndexes", spec.max_failed_indexes),
            ] {
                if let Some(value) = value {
                    faults.invalid(format_args!("spec.{field}"), value, detail);
                }
            }
        }
    }
    job_policies::check(spec, faults);
    replacement_policy(spec, faults);
    template(spec, faults);
}

fn numbers(spec: &JobSpec, faults: &mut Faults) {
    let fields = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ];
    for (field, value) in fields {
        faults.not_negative(format_args!("spec.{field}"), value.unwrap_or(0));
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        faults.required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified");
    }
}

fn indexed(spec: &JobSpec, faults: &mut Faults) {
    if spec.completions.is_none() {
        faults.required("spec.completions", "when completion mode is Indexed");
    }
    let completions = spec.completions;
    at_most(
        "parallelism",
        spec.parallelism,
        MAX_INDEXED,
        format_args!("must be less than or equal to {MAX_INDEXED} when completion mode is Indexed"),
        faults,
    );
    if let Some(completions) = completions {
        at_most(
            "maxFailedIndexes",
            spec.max_failed_indexes,
            completions,
            "must be less than or equal to completions",
            faults,
        );
    }
    at_most(
        "maxFailedIndexes",
        spec.max_failed_indexes,
        MAX_INDEXED,
        format_args!("must be less than or equal to {MAX_INDEXED}"),
        faults,
    );
    if completions.unwrap_or(0) > MAX_INDEXED && spec.backoff_limit_per_index.is_some() {
        if spec.max_failed_indexes.is_none() {
            faults.required(
                "spec.maxFailedIndexes",
                &format!("must be specified when completions is above {MAX_INDEXED}"),
            );
        }
        for (field, value) in
            [("parallelism", spec.parallelism), ("maxFailedIndexes", spec.max_failed_indexes)]
        {
            let detail = format_args!(
                "must be less than or equal to {MAX_INDEXED_FOR_MANY} when completions are above {MAX_INDEXED} and \
                 used with backoff limit per index"
            );
            at_most(field, value, MAX_INDEXED_FOR_MANY, detail, faults);
        }
    }
}

fn at_most(field: &str, value: Option<i32>, limit: i32, detail: impl Display, faults: &mut Faults) {
    if let Some(value) = value.filter(|value| *value > limit) {
        faults.invalid(format_args!("spec.{field}"), value, &detail.to_string());
    }
}

/// A name such as `example.com/controller`.
fn managed_by(name: &str, faults: &mut Faults) {
    let path = "spec.managedBy";
    if name.is_empty() {
        faults.required(path, "");
    }
    match name.split_once('/') {
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            for fault in dns_subdomain_faults(host) {
                faults.invalid_text(path, host, &fault);
            }
            let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
            if !rest.bytes().all(is_path) {
                let form = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
                faults.invalid_text(
                    path,
                    rest,
                    &format!("Invalid path (regex used for validation is '{form}')"),
                );
            }
        }
        Some(_) | None if name.is_empty() => {}
        Some(_) | None => {
            faults.invalid_text(path, name, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        }
    }
    if name.len() > MAX_MANAGED_BY {
        faults.too_long(path, MAX_MANAGED_BY);
    }
}

fn replacement_policy(spec: &JobSpec, faults: &mut Faults) {
    let Some(policy) = &spec.pod_replacement_policy else { return };
    let name = match policy {
        PodReplacementPolicy::TerminatingOrFailed => "TerminatingOrFailed",
        PodReplacementPolicy::Failed => "Failed",
        PodReplacementPolicy::Other(name) => name,
    };
    let supported: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if !supported.contains(&name) {
        faults.not_supported("spec.podReplacementPolicy", name, supported);
    }
}

fn template(spec: &JobSpec, faults: &mut Faults) {
    let metadata = &spec.template.metadata;
    metadata::labels(&metadata.labels, "spec.template.labels", faults);
    metadata::annotations(&metadata.annotations, "spec.template.annotations", faults);
    let text = spec.template.spec.as_ref().map_or("{}", |text| text.get());
    let policy = pod::spec(text, "spec.template.spec", faults);
    let path = "spec.template.spec.restartPolicy";
    match policy.as_str() {
        "Always" | "" => faults.required(path, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.pod_failure_policy.is_some() => {
            faults.invalid_text(
                path,
                &policy,
                "only \"Never\" is supported when podFailurePolicy is specified",
            );
        }
        "OnFailure" | "Never" => {}
        _ => faults.not_supported(path, &policy, &["OnFailure", "Never"]),
    }
}

fn selector(spec: &JobSpec, faults: &mut Faults) {
    let Some(selector) = &spec.selector else {
        faults.required("spec.selector", "");
        selector::absent(&spec.template.metadata.labels, faults);
        return;
    };
    selector::check(selector, &spec.template.metadata.labels, faults);
}
