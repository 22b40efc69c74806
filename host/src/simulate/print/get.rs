//! The table of `kubectl get jobs` (upstream: pkg/printers/internalversion, printJob).

use windlass_core::kube::{ConditionStatus, Job};

use super::columns::Columns;
use super::duration::human_duration;
use super::event::since;

/// Conditions by which a Job's state is named, the first that holds; each is named by its type.
const LATE_CONDITIONS: [&str; 3] = ["Suspended", "FailureTarget", "SuccessCriteriaMet"];

/// The table of `jobs` as `kubectl get jobs` shows it at `now_unix_ms`; with a column for the namespace where
/// they lie in more than one.
#[must_use]
pub fn get_jobs(jobs: &[&Job], now_unix_ms: i64) -> String {
    let namespaced = jobs.windows(2).any(|pair| pair[0].metadata.namespace != pair[1].metadata.namespace);
    let mut out = Columns::of_get();
    let namespace = if namespaced { "NAMESPACE\t" } else { "" };
    out.line(0, format_args!("{namespace}NAME\tSTATUS\tCOMPLETIONS\tDURATION\tAGE"));
    for job in jobs {
        let namespace = if namespaced { format!("{}\t", job.metadata.namespace) } else { String::new() };
        out.line(
            0,
            format_args!(
                "{namespace}{}\t{}\t{}\t{}\t{}",
                job.metadata.name,
                job_state(job),
                completions(job),
                duration(job, now_unix_ms),
                since(job.metadata.creation_timestamp, now_unix_ms)
            ),
        );
    }
    out.finish()
}

/// The word for a Job's state in the column STATUS.
#[must_use]
pub fn job_state(job: &Job) -> &'static str {
    if holds(job, "Complete") {
        "Complete"
    } else if holds(job, "Failed") {
        "Failed"
    } else if job.metadata.is_terminating() {
        "Terminating"
    } else {
        LATE_CONDITIONS.into_iter().find(|kind| holds(job, kind)).unwrap_or("Running")
    }
}

fn holds(job: &Job, kind: &str) -> bool {
    job.status
        .conditions
        .iter()
        .any(|condition| &*condition.kind == kind && condition.status == ConditionStatus::True)
}

fn completions(job: &Job) -> String {
    let succeeded = job.status.succeeded;
    match (job.spec.completions, job.spec.parallelism.unwrap_or(0)) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Job, now_unix_ms: i64) -> String {
    let Some(start) = job.status.start_time else { return String::new() };
    let end_ms = job.status.completion_time.map_or(now_unix_ms, |end| end.unix_ms());
    human_duration(end_ms.saturating_sub(start.unix_ms()))
}
