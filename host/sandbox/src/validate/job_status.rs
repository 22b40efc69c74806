//! Validation of changes of a Job's status (upstream: pkg/registry/batch/job/strategy.go).

use windlass_core::kube::Job;

use crate::field::Faults;

/// What is wrong with changing a Job's status from that of `old`.
pub(crate) fn on_update(job: &Job, _old: &Job, faults: &mut Faults) {
    let status = &job.status;
    for (field, value) in
        [("active", status.active), ("succeeded", status.succeeded), ("failed", status.failed)]
    {
        faults.not_negative(format_args!("status.{field}"), i64::from(value));
    }
}
