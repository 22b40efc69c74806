//! What a simulation came to: for people as kubectl shows it, for machines as a `v1 List`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use windlass_core::kube::{Job, Kind, Object, Pod, PodPhase};
use windlass_sandbox::{Event, Store};

use super::Simulation;
use super::change_log::{change_log, phase};
use super::print::{PrintedEvent, Regarding, Series, describe_job, get_jobs, human_duration, job_state};

/// Most Jobs that are described one by one; beyond it the table has to do.
const MAX_DESCRIBED: usize = 50;
/// Most unfinished Jobs that are explained one by one.
const MAX_EXPLAINED: usize = 20;

/// The report for people: with `with_log` the log of changes, then the Jobs as `kubectl get jobs` lists them and
/// `kubectl describe job` describes each, then what is left to say.
///
/// Ages and times are of simulated time, so that the same simulation gives the same text.
#[must_use]
pub fn text_report(simulation: &mut Simulation, with_log: bool) -> String {
    let mut report = String::new();
    if with_log {
        log(&mut report, simulation);
    }
    let store = simulation.store();
    let jobs = jobs(store);
    let now_unix_ms = store.unix_ms();
    if jobs.is_empty() {
        report.push_str("No resources found.\n");
    } else {
        report.push_str(&get_jobs(&jobs, now_unix_ms));
    }
    let mut events = events_by_object(store);
    for (position, job) in jobs.iter().take(MAX_DESCRIBED).enumerate() {
        let about = events.remove(&*job.metadata.uid).unwrap_or_default();
        report.push_str(if position == 0 { "\n" } else { "\n\n" });
        report.push_str(&describe_job(job, &about, now_unix_ms));
    }
    if jobs.len() > MAX_DESCRIBED {
        let rest = jobs.len() - MAX_DESCRIBED;
        let _ = writeln!(report, "\n{rest} more Jobs are not described here; -o json has all of them.");
    }
    report.push('\n');
    report.push_str(&outcome(simulation, &jobs));
    report
}

/// The final Jobs, Pods and Events as one `v1 List`, in order of kind, namespace and name; Events by time.
#[must_use]
pub fn list_report(simulation: &Simulation) -> Value {
    let store = simulation.store();
    let objects = [Kind::Job, Kind::Pod].into_iter().flat_map(|kind| store.objects(kind));
    let items: Vec<Value> =
        objects.map(|object| store.to_json(object)).chain(store.events().map(Store::event_json)).collect();
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": items })
}

/// The closing line: wall time against simulated time, steps, and requests by verb.
#[must_use]
pub fn closing_line(simulation: &Simulation, wall_ms: u64) -> String {
    let progress = simulation.progress();
    let writes: Vec<String> = progress
        .requests
        .iter()
        .filter(|(what, _)| !what.starts_with("get "))
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    let writes = if writes.is_empty() { "none".to_owned() } else { writes.join(", ") };
    format!(
        "{} of simulated time in {} ms of wall time; {} steps handled; writes: {writes}.",
        human_duration(i64::try_from(progress.virtual_ms).unwrap_or(i64::MAX)),
        wall_ms,
        progress.steps
    )
}

fn log(report: &mut String, simulation: &mut Simulation) {
    let lost = simulation.store().lost_commits();
    let commits = simulation.take_commits();
    if lost > 0 {
        let _ =
            writeln!(report, "The first {lost} changes are not in this log, which keeps the latest only.");
    }
    report.push_str(&change_log(&commits, simulation.store().events()));
    report.push('\n');
}

fn jobs(store: &Store) -> Vec<&Job> {
    store
        .objects(Kind::Job)
        .filter_map(|object| match object {
            Object::Job(job) => Some(&**job),
            Object::CronJob(_) | Object::Pod(_) | Object::Node(_) => None,
        })
        .collect()
}

fn events_by_object(store: &Store) -> BTreeMap<&str, Vec<PrintedEvent>> {
    let mut events: BTreeMap<&str, Vec<PrintedEvent>> = BTreeMap::new();
    for event in store.events() {
        events.entry(&*event.regarding.uid).or_default().push(printed(event));
    }
    events
}

fn printed(event: &Event) -> PrintedEvent {
    PrintedEvent {
        kind: if event.warning { "Warning" } else { "Normal" }.into(),
        reason: event.reason.clone(),
        message: event.message.clone(),
        involved_object: Regarding {
            kind: event.regarding.kind.clone(),
            uid: event.regarding.uid.clone(),
            ..Regarding::default()
        },
        reporting_component: event.controller.clone(),
        event_time: event.time,
        count: 1,
        series: event.series.map(|(count, last)| Series {
            count: i32::try_from(count).unwrap_or(i32::MAX),
            last_observed_time: Some(last),
        }),
        ..PrintedEvent::default()
    }
}

/// How many Jobs ended how, which are gone, and why the others have not ended.
fn outcome(simulation: &Simulation, jobs: &[&Job]) -> String {
    let mut text = String::new();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for job in jobs {
        *states.entry(job_state(job)).or_default() += 1;
    }
    let present: BTreeSet<&str> = jobs.iter().map(|job| &*job.metadata.uid).collect();
    let gone: Vec<&str> = simulation
        .applied_jobs()
        .filter(|(_, uid)| !present.contains(&***uid))
        .map(|(name, _)| &**name)
        .collect();
    let mut parts: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if !gone.is_empty() {
        parts.push(format!("{} deleted ({})", gone.len(), gone.join(", ")));
    }
    let parts = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
    let _ = writeln!(text, "Jobs: {parts}.");
    let unfinished: Vec<&&Job> = jobs.iter().filter(|job| !job.is_finished()).collect();
    if unfinished.is_empty() {
        return text;
    }
    let after = human_duration(i64::try_from(simulation.progress().virtual_ms).unwrap_or(i64::MAX));
    if simulation.progress().at_rest {
        let _ = writeln!(text, "Nothing more will happen by itself after {after}:");
    } else {
        let _ = writeln!(text, "The simulation stopped after {after}; --until makes it longer:");
    }
    let pods = pods_by_owner(simulation.store());
    for job in unfinished.iter().take(MAX_EXPLAINED) {
        let pods = pods.get(&*job.metadata.uid).map_or(&[][..], Vec::as_slice);
        let _ = writeln!(text, "  job/{} is {}: {}", job.metadata.name, job_state(job), why(job, pods));
    }
    if unfinished.len() > MAX_EXPLAINED {
        let _ = writeln!(text, "  and {} more", unfinished.len() - MAX_EXPLAINED);
    }
    text
}

fn pods_by_owner(store: &Store) -> BTreeMap<&str, Vec<&Pod>> {
    let mut pods: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for object in store.objects(Kind::Pod) {
        if let Object::Pod(pod) = object
            && let Some(owner) = pod.metadata.controller()
        {
            pods.entry(&*owner.uid).or_default().push(pod);
        }
    }
    pods
}

/// What an unfinished Job is waiting for, as far as its Pods show it.
fn why(job: &Job, pods: &[&Pod]) -> String {
    if job.is_suspended() {
        return "spec.suspend is true".to_owned();
    }
    let count = |wanted: PodPhase| pods.iter().filter(|pod| pod.status.phase == wanted).count();
    let unplaced = pods.iter().filter(|pod| pod.spec.node_name.is_none() && !pod.is_terminal()).count();
    let mut parts: Vec<String> =
        [PodPhase::Pending, PodPhase::Running, PodPhase::Succeeded, PodPhase::Failed]
            .into_iter()
            .map(|wanted| (wanted, count(wanted)))
            .filter(|(_, count)| *count > 0)
            .map(|(wanted, count)| format!("{count} {}", phase(wanted)))
            .collect();
    if unplaced > 0 {
        parts.push(format!("{unplaced} of them without a node that takes them"));
    }
    if parts.is_empty() { "it has no Pods".to_owned() } else { format!("Pods: {}", parts.join(", ")) }
}
