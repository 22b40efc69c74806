//! What a simulation came to: for people as kubectl shows it, for machines as a `v1 List`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use windlass_core::kube::{CronJob, DaemonSet, Job, Kind, Object, Pod, PodPhase};
use windlass_sandbox::{Event, Store};

use super::Simulation;
use super::change_log::{change_log, phase};
use super::driver::PluginTally;
use super::print::{
    PrintedEvent, Regarding, Series, describe_cron_job, describe_daemon_set, describe_job, get_cron_jobs,
    get_daemon_sets, get_jobs, human_duration, job_state,
};
use crate::plugin::report::Report;
use crate::plugin::resource::Condition;

/// Most CronJobs, DaemonSets and Jobs that are described one by one; beyond it the table has to do.
const MAX_DESCRIBED: usize = 50;
/// Characters of a digest that are shown: its algorithm and twelve digits.
const SHORT_DIGEST: usize = "sha256:".len() + 12;
/// Most unfinished Jobs that are explained one by one.
const MAX_EXPLAINED: usize = 20;

/// The report for people: with `with_log` the log of changes, then CronJobs, DaemonSets and Jobs as `kubectl get` lists them and
/// `kubectl describe` describes each, then what is left to say. Of the Jobs that a CronJob made, only the newest is
/// described.
///
/// Ages and times are of simulated time, so that the same simulation gives the same text.
#[must_use]
pub fn text_report(simulation: &mut Simulation, with_log: bool) -> String {
    let mut report = String::new();
    if with_log {
        log(&mut report, simulation);
    }
    let store = simulation.store();
    let (cron_jobs, sets, jobs) = (cron_jobs(store), daemon_sets(store), jobs(store));
    let now_unix_ms = store.unix_ms();
    report.push_str(&tables(&cron_jobs, &sets, &jobs, now_unix_ms));
    let mut events = events_by_object(store);
    let (telling, alike) = worth_describing(&jobs);
    let mut about = |uid: &str| events.remove(uid).unwrap_or_default();
    let mut descriptions: Vec<String> = Vec::new();
    descriptions.extend(
        cron_jobs
            .iter()
            .take(MAX_DESCRIBED)
            .map(|cron_job| describe_cron_job(cron_job, &about(&cron_job.metadata.uid), now_unix_ms)),
    );
    let pods = pods_by_owner(store);
    let pods_of = |uid: &str| pods.get(uid).map_or(&[][..], Vec::as_slice);
    let room = MAX_DESCRIBED - descriptions.len();
    descriptions.extend(sets.iter().take(room).map(|set| {
        let uid = &set.metadata.uid;
        describe_daemon_set(set, pods_of(uid), &about(uid), now_unix_ms)
    }));
    let room = MAX_DESCRIBED - descriptions.len();
    descriptions.extend(
        telling.iter().take(room).map(|job| describe_job(job, &about(&job.metadata.uid), now_unix_ms)),
    );
    let left_out = cron_jobs.len() + sets.len() + telling.len() - descriptions.len();
    for (position, description) in descriptions.iter().enumerate() {
        report.push_str(if position == 0 { "\n" } else { "\n\n" });
        report.push_str(description);
    }
    report.push_str(&not_described(left_out, alike));
    report.push('\n');
    report.push_str(&runs(simulation, &cron_jobs));
    if !jobs.is_empty() || sets.is_empty() {
        report.push_str(&outcome(simulation, &jobs));
    }
    report.push_str(&rollouts(&sets));
    report.push_str(&plugins(simulation));
    report.push_str(&policies(simulation));
    report
}

/// The final CronJobs, DaemonSets with their revisions, Jobs, Pods and Events as one `v1 List`, in order of kind, namespace and name; Events by time.
#[must_use]
pub fn list_report(simulation: &Simulation) -> Value {
    let store = simulation.store();
    let kinds = [Kind::CronJob, Kind::DaemonSet, Kind::ControllerRevision, Kind::Job, Kind::Pod];
    let objects = kinds.into_iter().flat_map(|kind| store.objects(kind));
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
    let news = simulation.policy_news().map(|(at_ms, plugin, line)| (*at_ms, &**plugin, line));
    let said =
        news.chain(simulation.plugin_calls().iter().flat_map(|((plugin, _), tally)| {
            tally.log.iter().map(|(at_ms, line)| (*at_ms, &**plugin, line))
        }));
    report.push_str(&change_log(&commits, simulation.store().events(), said));
    report.push('\n');
}

fn tables(cron_jobs: &[&CronJob], sets: &[&DaemonSet], jobs: &[&Job], now_unix_ms: i64) -> String {
    let mut tables = Vec::new();
    if !cron_jobs.is_empty() {
        tables.push(get_cron_jobs(cron_jobs, now_unix_ms));
    }
    if !sets.is_empty() {
        tables.push(get_daemon_sets(sets, now_unix_ms));
    }
    if !jobs.is_empty() {
        tables.push(get_jobs(jobs, now_unix_ms));
    }
    if tables.is_empty() { "No resources found.\n".to_owned() } else { tables.join("\n") }
}

/// What each plugin did, a line each.
fn plugins(simulation: &Simulation) -> String {
    let mut text = String::new();
    for ((plugin, decision), tally) in simulation.plugin_calls() {
        let PluginTally { calls, answered, faults, .. } = tally;
        let faults: Vec<String> = faults.iter().map(|(fault, number)| format!("{number} {fault}")).collect();
        let faults = if faults.is_empty() { String::new() } else { format!(" ({})", faults.join(", ")) };
        let _ = writeln!(
            text,
            "plugin/{plugin} was asked {calls} times about {decision} and answered {answered}{faults}."
        );
    }
    text
}

/// What is said of each PolicyPlugin and PolicyBinding: what is loaded, and a line a condition.
fn policies(simulation: &Simulation) -> String {
    let mut text = String::new();
    for report in simulation.policy_reports() {
        let (title, version, digest, conditions) = match &report {
            Report::Plugin(name, replica) => {
                (format!("policyplugin/{name}"), &replica.version, &replica.digest, &replica.conditions)
            }
            Report::Binding(name, replica) => (
                format!("policybinding/{}", name.name),
                &replica.version,
                &replica.digest,
                &replica.conditions,
            ),
        };
        let loaded = match (version, digest) {
            (Some(version), Some(digest)) => {
                let short = digest.get(..digest.len().min(SHORT_DIGEST)).unwrap_or(digest);
                format!("version {version}, {short}")
            }
            _ => "nothing is loaded".to_owned(),
        };
        let _ = writeln!(text, "{title}: {loaded}");
        for Condition { kind, status, reason, message, .. } in conditions {
            let _ = writeln!(text, "  {kind:<10} {status:<8} {reason:<18} {message}");
        }
    }
    text
}

/// How far each DaemonSet has got, as `kubectl rollout status` says it.
fn rollouts(sets: &[&DaemonSet]) -> String {
    let mut text = String::new();
    for set in sets.iter().take(MAX_DESCRIBED) {
        let (name, status) = (&set.metadata.name, &set.status);
        let desired = status.desired_number_scheduled;
        let _ = if status.observed_generation < set.metadata.generation {
            writeln!(text, "daemonset/{name}: its latest change has not been observed.")
        } else if status.updated_number_scheduled < desired {
            let updated = status.updated_number_scheduled;
            writeln!(text, "daemonset/{name}: {updated} out of {desired} new pods have been updated.")
        } else if status.number_available < desired {
            let available = status.number_available;
            writeln!(text, "daemonset/{name}: {available} of {desired} updated pods are available.")
        } else {
            writeln!(text, "daemonset/{name} runs on {desired} nodes.")
        };
    }
    if sets.len() > MAX_DESCRIBED {
        let _ = writeln!(text, "and {} more DaemonSets", sets.len() - MAX_DESCRIBED);
    }
    text
}

/// The Jobs that are to be described, and how many are not: of a CronJob's, all but the newest are like it.
fn worth_describing<'a>(jobs: &[&'a Job]) -> (Vec<&'a Job>, usize) {
    let cron_job = |job: &'a Job| job.metadata.controller().filter(|owner| owner.names(Kind::CronJob));
    let age = |job: &Job| (job.metadata.creation_timestamp, job.metadata.name.clone());
    let mut newest: BTreeMap<&str, &Job> = BTreeMap::new();
    for job in jobs {
        if let Some(owner) = cron_job(job) {
            let known = newest.entry(&owner.uid).or_insert(job);
            if age(job) > age(known) {
                *known = job;
            }
        }
    }
    let is_telling = |job: &&&'a Job| {
        cron_job(job).is_none_or(|owner| {
            newest.get(&*owner.uid).is_some_and(|newest| newest.metadata.uid == job.metadata.uid)
        })
    };
    let telling: Vec<&Job> = jobs.iter().filter(is_telling).copied().collect();
    let alike = jobs.len() - telling.len();
    (telling, alike)
}

fn not_described(left_out: usize, alike: usize) -> String {
    let mut text = String::new();
    if left_out > 0 {
        let _ = writeln!(text, "\n{left_out} more are not described here; -o json has all of them.");
    }
    if alike > 0 {
        let _ = writeln!(
            text,
            "\nOf each CronJob's Jobs only the newest is described; -o json has the other {alike}, too."
        );
    }
    text
}

/// What became of the Jobs of each CronJob, those that the history limits removed included.
fn runs(simulation: &Simulation, cron_jobs: &[&CronJob]) -> String {
    let mut text = String::new();
    for cron_job in cron_jobs.iter().take(MAX_DESCRIBED) {
        let runs = simulation.runs_of(&cron_job.metadata.uid);
        let running = runs.made.saturating_sub(runs.complete + runs.failed + runs.cut_short);
        let parts: Vec<String> = [
            (runs.complete, "Complete"),
            (runs.failed, "Failed"),
            (runs.cut_short, "deleted before they ended"),
            (running, "not ended"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        let separator = if parts.is_empty() { "" } else { ": " };
        let (name, parts) = (&cron_job.metadata.name, parts.join(", "));
        let jobs = if runs.made == 1 { "1 Job".to_owned() } else { format!("{} Jobs", runs.made) };
        let _ = writeln!(text, "cronjob/{name} made {jobs}{separator}{parts}.");
    }
    if cron_jobs.len() > MAX_DESCRIBED {
        let _ = writeln!(text, "and {} more CronJobs", cron_jobs.len() - MAX_DESCRIBED);
    }
    text
}

fn cron_jobs(store: &Store) -> Vec<&CronJob> {
    store
        .objects(Kind::CronJob)
        .filter_map(|object| match object {
            Object::CronJob(cron_job) => Some(&**cron_job),
            Object::Job(_)
            | Object::Pod(_)
            | Object::Node(_)
            | Object::DaemonSet(_)
            | Object::ControllerRevision(_) => None,
        })
        .collect()
}

fn daemon_sets(store: &Store) -> Vec<&DaemonSet> {
    let sets = store.objects(Kind::DaemonSet);
    sets.filter_map(|object| if let Object::DaemonSet(set) = object { Some(&**set) } else { None }).collect()
}

fn jobs(store: &Store) -> Vec<&Job> {
    store
        .objects(Kind::Job)
        .filter_map(|object| match object {
            Object::Job(job) => Some(&**job),
            Object::CronJob(_)
            | Object::Pod(_)
            | Object::Node(_)
            | Object::DaemonSet(_)
            | Object::ControllerRevision(_) => None,
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
