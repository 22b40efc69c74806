//! Validation of changes of a Job's status (upstream: pkg/registry/batch/job/strategy.go, getStatusValidationOptions,
//! and pkg/apis/batch/validation, ValidateJobStatusUpdate).

use std::collections::BTreeSet;

use windlass_core::kube::{ConditionStatus, Job, JobStatus, Uid};

use super::indexes;
use super::job::shown;
use crate::field::Faults;

/// The conditions that decide, of one status.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Verdict {
    complete: bool,
    failed: bool,
    failure_target: bool,
    success_criteria_met: bool,
}

impl Verdict {
    fn of(status: &JobStatus) -> Self {
        let holds = |kind: &str| has_condition(status, kind, ConditionStatus::True);
        Self {
            complete: holds("Complete"),
            failed: holds("Failed"),
            failure_target: holds("FailureTarget"),
            success_criteria_met: holds("SuccessCriteriaMet"),
        }
    }

    fn is_finished(self) -> bool {
        self.complete || self.failed
    }
}

/// What is wrong with changing a Job's status from that of `old`; most rules hold only for what changed.
pub(crate) fn on_update(job: &Job, old: &Job, faults: &mut Faults) {
    let (new, before) = (&job.status, &old.status);
    if new == before {
        return;
    }
    let (verdict, verdict_before) = (Verdict::of(new), Verdict::of(before));
    numbers(new, faults);
    uncounted(new, faults);
    let failed_indexes_changed = new.failed_indexes != before.failed_indexes;
    conditions(job, verdict, verdict_before, failed_indexes_changed, faults);
    completion_time(job, old, verdict, verdict_before, faults);
    if verdict.is_finished() {
        finished(job, before, verdict_before, faults);
    }
    index_sets(job, before, faults);
    if (new.ready != before.ready || new.active != before.active)
        && let Some(ready) = new.ready.filter(|ready| *ready > new.active)
    {
        faults.invalid("status.ready", ready, "cannot set more ready pods than active");
    }
    transitions(job, old, verdict, verdict_before, faults);
}

fn has_condition(status: &JobStatus, kind: &str, wanted: ConditionStatus) -> bool {
    status.conditions.iter().any(|condition| &*condition.kind == kind && condition.status == wanted)
}

fn numbers(status: &JobStatus, faults: &mut Faults) {
    let fields = [
        ("active", Some(status.active)),
        ("succeeded", Some(status.succeeded)),
        ("failed", Some(status.failed)),
        ("ready", status.ready),
        ("terminating", status.terminating),
    ];
    for (field, value) in fields {
        faults.not_negative(format_args!("status.{field}"), i64::from(value.unwrap_or(0)));
    }
}

fn uncounted(status: &JobStatus, faults: &mut Faults) {
    let Some(uncounted) = &status.uncounted_terminated_pods else { return };
    let mut seen: BTreeSet<&Uid> = BTreeSet::new();
    for (field, uids) in [("succeeded", &uncounted.succeeded), ("failed", &uncounted.failed)] {
        for (index, uid) in uids.iter().enumerate() {
            let path = format_args!("status.uncountedTerminatedPods.{field}[{index}]");
            if uid.is_empty() {
                faults.invalid_text(path, uid, "must not be empty");
            } else if !seen.insert(uid) {
                faults.duplicate(path, format_args!("{uid:?}"));
            }
        }
    }
}

fn conditions(job: &Job, now: Verdict, before: Verdict, failed_indexes_changed: bool, faults: &mut Faults) {
    let path = "status.conditions";
    let complete_changed = now.complete != before.complete;
    let failed_changed = now.failed != before.failed;
    let rules = [
        (
            (complete_changed || failed_changed) && now.complete && now.failed,
            "cannot set Complete=True and Failed=true conditions",
        ),
        (
            (complete_changed || now.failure_target != before.failure_target)
                && now.complete
                && now.failure_target,
            "cannot set Complete=True and FailureTarget=true conditions",
        ),
        (
            (failed_changed || failed_indexes_changed) && now.failed && !now.failure_target,
            "cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            (complete_changed || now.success_criteria_met != before.success_criteria_met)
                && now.complete
                && !now.success_criteria_met,
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (
            now.success_criteria_met && now.failed,
            "cannot set SuccessCriteriaMet=True and Failed=true conditions",
        ),
        (
            now.success_criteria_met && now.failure_target,
            "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        ),
        (
            job.spec.success_policy.is_some() && !now.success_criteria_met && now.complete,
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        ),
    ];
    for (broken, detail) in rules {
        if broken {
            faults.invalid_unshown(path, detail);
        }
    }
}

fn completion_time(job: &Job, old: &Job, now: Verdict, before: Verdict, faults: &mut Faults) {
    let (new_status, old_status) = (&job.status, &old.status);
    let path = "status.completionTime";
    let time_changed = new_status.completion_time != old_status.completion_time;
    if time_changed || now.complete != before.complete {
        match (new_status.completion_time, now.complete) {
            (Some(time), false) => {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                faults.invalid(path, shown(&time), detail);
            }
            (None, true) => faults.required(path, "completionTime is required for Complete jobs"),
            (Some(_), true) | (None, false) => {}
        }
    }
    if (time_changed || new_status.start_time != old_status.start_time)
        && let (Some(start), Some(end)) = (new_status.start_time, new_status.completion_time)
        && end < start
    {
        faults.invalid(path, shown(&end), "must be equal to or after `startTime`");
    }
}

/// The rules for a Job that has ended; each holds where its end or its own field changed.
fn finished(job: &Job, before: &JobStatus, verdict_before: Verdict, faults: &mut Faults) {
    let status = &job.status;
    let just_finished = !verdict_before.is_finished();
    if (just_finished || status.active != before.active) && status.active > 0 {
        faults.invalid("status.active", status.active, "active>0 is invalid for finished job");
    }
    let nothing_to_do = job.spec.suspend == Some(true) && job.spec.completions == Some(0);
    if (just_finished || status.start_time != before.start_time)
        && status.start_time.is_none()
        && !nothing_to_do
    {
        faults.required("status.startTime", "startTime is required for finished job");
    }
    if (just_finished || status.uncounted_terminated_pods != before.uncounted_terminated_pods)
        && let Some(uncounted) = &status.uncounted_terminated_pods
        && !(uncounted.succeeded.is_empty() && uncounted.failed.is_empty())
    {
        let detail = "must be empty for finished job";
        faults.invalid("status.uncountedTerminatedPods", shown(uncounted), detail);
    }
    if (just_finished || status.terminating != before.terminating)
        && let Some(terminating) = status.terminating.filter(|terminating| *terminating > 0)
    {
        faults.invalid("status.terminating", terminating, "terminating>0 is invalid for finished job");
    }
}

fn index_sets(job: &Job, before: &JobStatus, faults: &mut Faults) {
    let (spec, status) = (&job.spec, &job.status);
    let completed_changed = status.completed_indexes != before.completed_indexes;
    let failed_changed = status.failed_indexes != before.failed_indexes;
    let (completed_path, failed_path) = ("status.completedIndexes", "status.failedIndexes");
    if completed_changed {
        if let Some(completions) = spec.completions
            && let Err(fault) = indexes::count(&status.completed_indexes, completions)
        {
            let detail = format!("error parsing completedIndexes: {fault}");
            faults.invalid_text(completed_path, &status.completed_indexes, &detail);
        }
        if !status.completed_indexes.is_empty() && !job.is_indexed() {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            faults.invalid_text(completed_path, &status.completed_indexes, detail);
        }
    }
    let Some(failed) = &status.failed_indexes else { return };
    if failed_changed {
        match (spec.completions, spec.backoff_limit_per_index) {
            (Some(completions), Some(_)) => {
                if let Err(fault) = indexes::count(failed, completions) {
                    faults.invalid_text(
                        failed_path,
                        failed,
                        &format!("error parsing failedIndexes: {fault}"),
                    );
                }
            }
            (_, None) => {
                let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
                faults.invalid_text(failed_path, failed, detail);
            }
            (None, Some(_)) => {}
        }
    }
    if (completed_changed || failed_changed)
        && let Some(completions) = spec.completions
        && let Some(index) = indexes::overlap(&status.completed_indexes, failed, completions)
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        faults.invalid_text(failed_path, failed, &detail);
    }
}

/// The rules about where a status may come from.
fn transitions(job: &Job, old: &Job, now: Verdict, before: Verdict, faults: &mut Faults) {
    let (status, old_status) = (&job.status, &old.status);
    let path = "status.conditions";
    let terminal = [
        ("Failed", before.failed, now.failed),
        ("Complete", before.complete, now.complete),
        ("FailureTarget", before.failure_target, now.failure_target),
    ];
    for (kind, held, holds) in terminal {
        if held && !holds {
            faults.invalid_unshown(path, &format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    if status.failed < old_status.failed {
        faults.invalid("status.failed", status.failed, "cannot decrease the failed counter");
    }
    let may_shrink = job.is_indexed() && job.spec.completions == job.spec.parallelism;
    if !may_shrink && status.succeeded < old_status.succeeded {
        faults.invalid("status.succeeded", status.succeeded, "cannot decrease the succeeded counter");
    }
    if let (Some(new), Some(old)) = (status.completion_time, old_status.completion_time)
        && new != old
    {
        faults.invalid("status.completionTime", shown(&new), "field is immutable");
    }
    let resumes = has_condition(old_status, "Suspended", ConditionStatus::True)
        && has_condition(status, "Suspended", ConditionStatus::False);
    if !resumes
        && old_status.start_time.is_some()
        && status.start_time != old_status.start_time
        && job.spec.suspend != Some(true)
    {
        let detail = "field is immutable for unsuspended job once set";
        faults.invalid("status.startTime", shown(&status.start_time), detail);
    }
    if before.success_criteria_met && !now.success_criteria_met {
        faults.invalid_unshown(path, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if before.complete && !before.success_criteria_met && now.success_criteria_met {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        faults.invalid_unshown(path, detail);
    }
}
