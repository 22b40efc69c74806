//! Validation of Jobs (upstream: pkg/apis/batch/validation).

use windlass_core::kube::Job;

use super::{metadata, pod};
use crate::field::Faults;

/// What is wrong with a new Job, its defaults filled in.
pub(crate) fn on_create(job: &Job, faults: &mut Faults) {
    metadata::on_create(&job.metadata, true, faults);
    spec(job, faults);
}

/// What is wrong with changing a Job's spec from that of `old`.
pub(crate) fn on_update(job: &Job, _old: &Job, faults: &mut Faults) {
    spec(job, faults);
}

fn spec(job: &Job, faults: &mut Faults) {
    let spec = &job.spec;
    for (field, value) in [
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("backoffLimit", spec.backoff_limit),
    ] {
        faults.not_negative(format_args!("spec.{field}"), i64::from(value.unwrap_or(0)));
    }
    pod::spec(spec.template.spec.as_ref().map_or("", |text| text.get()), "spec.template.spec", faults);
}
