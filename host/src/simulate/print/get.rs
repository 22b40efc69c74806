//! The tables of `kubectl get` of Jobs, CronJobs and DaemonSets (upstream: pkg/printers/internalversion, printJob,
//! printCronJob and printDaemonSet).

use serde::Deserialize;
use windlass_core::kube::{ConditionStatus, CronJob, DaemonSet, Job, Labels, ObjectMeta};

use super::columns::Columns;
use super::duration::human_duration;
use super::event::since;

/// Conditions by which a Job's state is named, the first that holds; each is named by its type.
const LATE_CONDITIONS: [&str; 3] = ["Suspended", "FailureTarget", "SuccessCriteriaMet"];

/// The table of `jobs` as `kubectl get jobs` shows it at `now_unix_ms`; with a column for the namespace where
/// they lie in more than one.
#[must_use]
pub fn get_jobs(jobs: &[&Job], now_unix_ms: i64) -> String {
    let row = |job: &Job| {
        format!(
            "{}\t{}\t{}\t{}\t{}",
            job.metadata.name,
            job_state(job),
            completions(job),
            duration(job, now_unix_ms),
            since(job.metadata.creation_timestamp, now_unix_ms)
        )
    };
    table("NAME\tSTATUS\tCOMPLETIONS\tDURATION\tAGE", jobs, |job| (&job.metadata, row(job)))
}

/// The table of `cron_jobs` as `kubectl get cronjobs` shows it at `now_unix_ms`; with a column for the namespace
/// where they lie in more than one.
#[must_use]
pub fn get_cron_jobs(cron_jobs: &[&CronJob], now_unix_ms: i64) -> String {
    let row = |cron_job: &CronJob| {
        let CronJob { metadata, spec, status } = cron_job;
        let last = status.last_schedule_time;
        format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}",
            metadata.name,
            spec.schedule,
            spec.time_zone.as_deref().unwrap_or("<none>"),
            truth(spec.suspend),
            status.active.len(),
            last.map_or_else(|| "<none>".to_owned(), |last| since(Some(last), now_unix_ms)),
            since(metadata.creation_timestamp, now_unix_ms)
        )
    };
    let head = "NAME\tSCHEDULE\tTIMEZONE\tSUSPEND\tACTIVE\tLAST SCHEDULE\tAGE";
    table(head, cron_jobs, |cron_job| (&cron_job.metadata, row(cron_job)))
}

/// The table of `sets` as `kubectl get daemonsets` shows it at `now_unix_ms`; with a column for the namespace where
/// they lie in more than one.
#[must_use]
pub fn get_daemon_sets(sets: &[&DaemonSet], now_unix_ms: i64) -> String {
    let row = |set: &DaemonSet| {
        let DaemonSet { metadata, status, .. } = set;
        format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            metadata.name,
            status.desired_number_scheduled,
            status.current_number_scheduled,
            status.number_ready,
            status.updated_number_scheduled,
            status.number_available,
            node_selector(set),
            since(metadata.creation_timestamp, now_unix_ms)
        )
    };
    let head = "NAME\tDESIRED\tCURRENT\tREADY\tUP-TO-DATE\tAVAILABLE\tNODE SELECTOR\tAGE";
    table(head, sets, |set| (&set.metadata, row(set)))
}

/// The node selector of a DaemonSet's template in one line (upstream: labels.FormatLabels).
pub(super) fn node_selector(set: &DaemonSet) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Template {
        spec: Spec,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        node_selector: Labels,
    }
    let text = set.spec.template.as_ref().map_or("{}", |text| text.get());
    let template: Template = serde_json::from_str(text).unwrap_or_default();
    let pairs: Vec<String> =
        template.spec.node_selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A field that may be unset as kubectl writes it (upstream: printBoolPtr).
pub(super) fn truth(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    }
}

/// A table with `head` and a row for each object, and the namespaces in front where they are more than one.
fn table<'a, T>(head: &str, objects: &[&'a T], row: impl Fn(&'a T) -> (&'a ObjectMeta, String)) -> String {
    let rows: Vec<(&ObjectMeta, String)> = objects.iter().map(|object| row(object)).collect();
    let namespaced = rows.windows(2).any(|pair| pair[0].0.namespace != pair[1].0.namespace);
    let mut out = Columns::of_get();
    let namespace = if namespaced { "NAMESPACE\t" } else { "" };
    out.line(0, format_args!("{namespace}{head}"));
    for (metadata, row) in rows {
        let namespace = if namespaced { format!("{}\t", metadata.namespace) } else { String::new() };
        out.line(0, format_args!("{namespace}{row}"));
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
