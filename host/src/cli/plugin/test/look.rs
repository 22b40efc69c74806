//! What is other than expected in a simulated cluster at one time.

use std::fmt::Display;

use windlass_core::kube::{Job, Kind, Object, Time};
use windlass_host::simulate::Simulation;
use windlass_host::simulate::print::job_state;
use windlass_sandbox::Event;

use super::super::super::values::Length;
use super::case::{CronJobLook, DaemonSetLook, EventLook, JobLook, Look, Range};
use super::history::History;

/// Namespace of a name that has none.
const DEFAULT_NAMESPACE: &str = "default";
/// How much later than expected something may happen, milliseconds: nothing happens earlier than it may, and a
/// controller looks at some things once a second.
const LATE_MS: u64 = 1_000;
/// Most lines of a plugin's log that are shown where none is as expected.
const MAX_SHOWN_LINES: usize = 5;

/// A cluster at one time, and what happened until then.
pub(super) struct Seen<'a> {
    /// The cluster.
    pub(super) simulation: &'a Simulation,
    /// What happened.
    pub(super) history: &'a History,
}

/// What is other than expected, each with the field that expects it.
pub(super) fn differences(look: &Look, seen: &Seen<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, look) in &look.jobs {
        let mut found = Differences { of: format!("jobs.{name}"), wrong: &mut wrong };
        match seen.get(Kind::Job, name) {
            Some(Object::Job(job)) => found.of_job(look, &job, seen.history),
            _ => found.is_missing(seen, Kind::Job),
        }
    }
    for (name, look) in &look.cron_jobs {
        let mut found = Differences { of: format!("cron-jobs.{name}"), wrong: &mut wrong };
        match seen.get(Kind::CronJob, name) {
            Some(object) => found.of_cron_job(look, &object.metadata().uid, seen.history),
            None => found.is_missing(seen, Kind::CronJob),
        }
    }
    for (name, look) in &look.daemon_sets {
        let mut found = Differences { of: format!("daemon-sets.{name}"), wrong: &mut wrong };
        match seen.get(Kind::DaemonSet, name) {
            Some(Object::DaemonSet(set)) => found.of_daemon_set(look, &set, seen.history),
            _ => found.is_missing(seen, Kind::DaemonSet),
        }
    }
    wrong.extend(look.events.iter().filter_map(|look| seen.event(look)));
    wrong.extend(look.log.iter().filter_map(|text| seen.log(text)));
    wrong
}

impl Seen<'_> {
    fn get(&self, kind: Kind, name: &str) -> Option<Object> {
        let (namespace, name) = name.split_once('/').unwrap_or((DEFAULT_NAMESPACE, name));
        self.simulation.store().get(kind, namespace, name).ok()
    }

    fn event(&self, look: &EventLook) -> Option<String> {
        let EventLook { reason, about, message, times } = look;
        let is_meant = |event: &&Event| {
            let regarding = &event.regarding;
            *event.reason == **reason
                && about.as_ref().is_none_or(|about| {
                    *about == format!("{}/{}", regarding.kind.to_lowercase(), regarding.name)
                })
                && message.as_ref().is_none_or(|text| event.message.contains(text.as_str()))
        };
        let events = || self.simulation.store().events();
        let count = |event: &Event| event.series.map_or(1, |(count, _)| count);
        let got: u32 = events().filter(is_meant).map(count).sum();
        if times.map_or(got > 0, |times| got == times) {
            return None;
        }
        let about = about.as_ref().map_or_else(String::new, |about| format!(" about {about}"));
        let with = message.as_ref().map_or_else(String::new, |text| format!(" with {text:?} in it"));
        let wanted = times.map_or("one or more".to_owned(), |times| times.to_string());
        let alike: Vec<String> = events()
            .filter(|event| *event.reason == **reason && !is_meant(event))
            .map(|event| format!("\n    but {}: {}", event.regarding.name, event.message.trim()))
            .collect();
        Some(format!("events: expected {wanted} {reason}{about}{with}; got {got}{}", alike.concat()))
    }

    fn log(&self, text: &str) -> Option<String> {
        let tallies = self.simulation.plugin_calls().values();
        let lines: Vec<&str> =
            tallies.flat_map(|tally| &tally.log).map(|(_, line)| line.message.as_str()).collect();
        if lines.iter().any(|line| line.contains(text)) {
            return None;
        }
        let mut shown = lines.clone();
        shown.dedup();
        let shown: String =
            shown.iter().take(MAX_SHOWN_LINES).map(|line| format!("\n    {}", line.escape_debug())).collect();
        let logged =
            if lines.is_empty() { "nothing".to_owned() } else { format!("{} lines{shown}", lines.len()) };
        Some(format!("log: expected a line with {text:?} in it; the plugin logged {logged}"))
    }
}

/// What is other than expected of one object.
struct Differences<'a> {
    of: String,
    wrong: &'a mut Vec<String>,
}

impl Differences<'_> {
    fn of_job(&mut self, look: &JobLook, job: &Job, history: &History) {
        let state = job_state(job);
        self.compare("status", look.status.as_deref(), state);
        let condition = job.status.conditions.iter().find(|condition| &*condition.kind == state);
        let of_condition = |text: fn(&windlass_core::kube::JobCondition) -> &str| condition.map_or("", text);
        self.compare("reason", look.reason.as_deref(), of_condition(|condition| &condition.reason));
        let message = of_condition(|condition| &condition.message);
        if let Some(text) = look.message.as_ref().filter(|text| !message.contains(text.as_str())) {
            self.differ("message", format!("{text:?} in it"), format!("{message:?}"));
        }
        self.compare("active", look.active, job.status.active);
        self.compare("succeeded", look.succeeded, job.status.succeeded);
        self.compare("failed", look.failed, job.status.failed);
        let uid = &job.metadata.uid;
        let created = || history.pods_of(uid).into_iter().map(|(at_ms, _)| at_ms).collect();
        self.compare_times("pods-created-at", look.pods_created_at.as_deref(), created);
        let delays = || history.retry_delays_ms(job);
        self.compare_times("retried-after", look.retried_after.as_deref(), delays);
    }

    fn of_cron_job(&mut self, look: &CronJobLook, uid: &str, history: &History) {
        let (runs, made) = history.runs_of(uid);
        self.compare("jobs-made", look.jobs_made, made);
        let expected =
            look.runs.as_ref().map(|runs| runs.iter().filter_map(|text| Time::parse(text)).collect());
        self.compare_lists("runs", expected, &runs);
    }

    fn of_daemon_set(
        &mut self,
        look: &DaemonSetLook,
        set: &windlass_core::kube::DaemonSet,
        history: &History,
    ) {
        let status = &set.status;
        self.compare("desired", look.desired, status.desired_number_scheduled);
        self.compare("updated", look.updated, status.updated_number_scheduled);
        self.compare("available", look.available, status.number_available);
        if look.updated_in_order.is_some() {
            let nodes = history.updated_nodes(&set.metadata.uid);
            self.compare_lists("updated-in-order", look.updated_in_order.clone(), &nodes);
        }
    }

    fn is_missing(&mut self, seen: &Seen<'_>, kind: Kind) {
        let there = seen.simulation.store().objects(kind);
        let names: Vec<String> = there
            .map(|object| format!("{}/{}", object.metadata().namespace, object.metadata().name))
            .collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let Self { of, wrong } = self;
        wrong.push(format!("{of}: there is none of that name; there are: {names}"));
    }

    fn compare<T: PartialEq + Display>(&mut self, field: &str, expected: Option<T>, got: T) {
        if let Some(expected) = expected
            && expected != got
        {
            let got = got.to_string();
            let got = if got.is_empty() { "none".to_owned() } else { got };
            self.differ(field, expected.to_string(), got);
        }
    }

    fn compare_lists<T: PartialEq + Display>(&mut self, field: &str, expected: Option<Vec<T>>, got: &[T]) {
        if let Some(expected) = expected
            && expected != got
        {
            self.differ(field, list(&expected), list(got));
        }
    }

    fn compare_times(&mut self, field: &str, expected: Option<&[Range]>, got_ms: impl Fn() -> Vec<u64>) {
        let Some(expected) = expected else { return };
        let got_ms = got_ms();
        let is_met = |(expected, got_ms): (&Range, &u64)| {
            let latest_ms = expected.to.whole_ms().saturating_add(LATE_MS);
            (expected.from.whole_ms()..latest_ms).contains(got_ms)
        };
        if expected.len() != got_ms.len() || !expected.iter().zip(&got_ms).all(is_met) {
            let got: Vec<String> = got_ms.into_iter().map(|ms| Length::from_ms(ms).text()).collect();
            self.differ(field, list(expected), list(&got));
        }
    }

    fn differ(&mut self, field: &str, expected: impl Display, got: impl Display) {
        let Self { of, wrong } = self;
        wrong.push(format!("{of}.{field}: expected {expected}; got {got}"));
    }
}

fn list<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(", "))
}
