//! What is to be the same with either controller: everything that was told of a namespace, without what chance,
//! time and place make of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::state::{Told, text, times};
use super::world::daemon_sets::node;
use crate::side::Side;

/// How many letters chance adds to the name of a Pod.
const SUFFIX: usize = 5;

/// More nodes than any scenario has, and no more than one digit tells apart.
const NODES: usize = 10;

/// Fields that differ from run to run and say nothing.
const CHANCE: [&str; 4] = ["uid", "resourceVersion", "managedFields", "namespace"];

/// Where a Job tells its instant.
const INSTANT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Digits of the minute since the Unix epoch that ends the name of a CronJob's Job.
const MINUTE_DIGITS: usize = 8;

/// Events of which it is chance how often the built-in controller tells them: each attempt or look tells one, and it
/// tells again of a Job that ended when its status write was refused.
const REPEATED: [&str; 6] = [
    "FailedCreate",
    "InvalidSchedule",
    "JobAlreadyActive",
    "SawCompletedJob",
    "TooManyMissedTimes",
    "UnexpectedJob",
];

/// Those of them that Windlass repeats, too: with each attempt, and with each instant.
const REPEATED_BY_WINDLASS: [&str; 2] = ["FailedCreate", "JobAlreadyActive"];

/// Everything of a namespace that is to be the same.
pub(super) fn namespace(told: &Told, namespace: &str, side: Side) -> Value {
    let names = Names::of(told, namespace);
    let jobs: Map<String, Value> = told
        .jobs(namespace)
        .into_iter()
        .map(|job| {
            let name = text(&job["metadata"]["name"]);
            let conditions = told.conditions(namespace, &name);
            let mut plain = names.plain(job);
            plain["conditions in order"] =
                conditions.iter().map(|condition| names.plain(condition)).collect();
            (names.text(&name), plain)
        })
        .collect();
    let cron_jobs: Map<String, Value> = told
        .cron_jobs(namespace)
        .into_iter()
        .map(|cron_job| {
            let name = text(&cron_job["metadata"]["name"]);
            let mut plain = names.plain(cron_job);
            plain["active in order"] =
                told.active(namespace, &name).iter().map(|active| names.plain(active)).collect();
            plain["active refers to Jobs"] = refers_to_jobs(cron_job, told, namespace);
            (names.text(&name), plain)
        })
        .collect();
    let by_name = |objects: Vec<&Value>| -> Map<String, Value> {
        let named = |object: &&Value| names.text(&text(&object["metadata"]["name"]));
        objects.iter().map(|object| (named(object), names.plain(object))).collect()
    };
    let mut created_revisions: Vec<Value> =
        told.created_revisions(namespace).into_iter().map(|revision| names.plain(revision)).collect();
    let mut created_jobs: Vec<Value> = told
        .created_jobs(namespace)
        .into_iter()
        .map(|(job, finalizers)| {
            let mut plain = names.without_status(job);
            plain["finalizers in the end"] = json!(finalizers);
            plain
        })
        .collect();
    let mut created: Vec<Value> =
        told.created(namespace).into_iter().map(|pod| names.without_status(pod)).collect();
    let mut left: Vec<Value> = told.pods(namespace).into_iter().map(|pod| names.rest(pod)).collect();
    for objects in [&mut created, &mut left, &mut created_jobs, &mut created_revisions] {
        objects.sort_by_key(Value::to_string);
    }
    let extremes = told.extremes(namespace);
    json!({
        "fewest Pods ready at once": extremes.map(|extremes| extremes.fewest_ready),
        "most Pods at once": extremes.map(|extremes| extremes.most),
        "cron jobs": cron_jobs,
        "jobs created": created_jobs,
        "jobs": jobs,
        "daemon sets": by_name(told.daemon_sets(namespace)),
        "revisions created": created_revisions,
        "revisions": by_name(told.revisions(namespace)),
        "pods created": created,
        "pods left": left,
        "events": names.events(&told.events(namespace), side),
    })
}

/// Where two such values differ: the path, what the first has, what the second has.
pub(super) fn differences(built_in: &Value, ours: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    compare("", built_in, ours, &mut found);
    found
}

fn compare(path: &str, built_in: &Value, ours: &Value, found: &mut Vec<(String, String, String)>) {
    match (built_in, ours) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let of = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}/{key}"), &of(left), &of(right), found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (position, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}/{position}"), left, right, found);
            }
        }
        _ if built_in == ours => {}
        _ => found.push((path.to_owned(), built_in.to_string(), ours.to_string())),
    }
}

/// Whether each Job that is listed as active is named with the namespace, the uid and some version of one that was.
fn refers_to_jobs(cron_job: &Value, told: &Told, namespace: &str) -> Value {
    let jobs = told.created_jobs(namespace);
    let active = cron_job["status"]["active"].as_array().into_iter().flatten();
    active
        .map(|listed| {
            listed["namespace"] == namespace
                && !text(&listed["resourceVersion"]).is_empty()
                && jobs.iter().any(|(job, _)| {
                    ["uid", "name"].iter().all(|field| job["metadata"][field] == listed[field])
                })
        })
        .collect()
}

/// What is called differently in each run: uids, names of Pods, the namespace with its nodes, the minutes in the names
/// of Jobs, and the hashes of ControllerRevisions, which are Windlass's own.
struct Names {
    replacements: Vec<(String, String)>,
    /// The minutes for which there were Jobs, ascending.
    minutes: Vec<i64>,
}

impl Names {
    fn of(told: &Told, namespace: &str) -> Self {
        let hashes = told.hashes(namespace).iter().enumerate();
        let mut replacements: Vec<(String, String)> =
            hashes.map(|(position, hash)| (hash.clone(), format!("HASH{position}"))).collect();
        if told.are_alike(namespace) {
            replacements.extend((0..NODES).map(|number| (node(namespace, number), "NODE".to_owned())));
        }
        for pod in told.created(namespace) {
            let name = text(&pod["metadata"]["name"]);
            if let (false, Some(prefix)) =
                (pod["metadata"]["generateName"].is_null(), name.get(..name.len().saturating_sub(SUFFIX)))
            {
                replacements.push((name.clone(), format!("{prefix}*")));
            }
        }
        let jobs = told.created_jobs(namespace).into_iter().map(|(job, _)| job);
        let minutes: BTreeSet<i64> =
            jobs.clone().filter_map(|job| minute_of(&job["metadata"]["name"])).collect();
        let objects = jobs
            .chain(told.created(namespace))
            .chain(told.cron_jobs(namespace))
            .chain(told.daemon_sets(namespace));
        for object in objects {
            for uid in [&object["metadata"]["uid"], &object["metadata"]["ownerReferences"][0]["uid"]] {
                replacements.push((text(uid), "UID".to_owned()));
            }
        }
        replacements.push((namespace.to_owned(), "NAMESPACE".to_owned()));
        replacements.retain(|(from, _)| !from.is_empty());
        Self { replacements, minutes: minutes.into_iter().collect() }
    }

    fn plain(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .filter(|(field, _)| !CHANCE.contains(&field.as_str()))
                .map(|(field, value)| {
                    let is_time = field.ends_with("Time") || field.ends_with("Timestamp");
                    let value = match value.as_str() {
                        Some(time) if field == INSTANT || field == "lastScheduleTime" => {
                            json!(self.instant(time))
                        }
                        Some(_) if is_time => json!("a time"),
                        Some(_) | None => self.plain(value),
                    };
                    (field.clone(), value)
                })
                .collect(),
            Value::Array(items) => items.iter().map(|item| self.plain(item)).collect(),
            Value::String(text) => Value::String(self.text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let text = self.replacements.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            match (part.get(..digits), part.get(digits..)) {
                (Some(minute), Some(rest)) if digits == MINUTE_DIGITS => {
                    format!("{text}-{}{rest}", self.minute(minute.parse().unwrap_or_default()))
                }
                _ => format!("{text}-{part}"),
            }
        })
    }

    /// Which of the minutes that have Jobs one is. No lower case: a Pod's name ends in five such letters.
    fn minute(&self, minute: i64) -> String {
        match self.minutes.iter().position(|known| *known == minute) {
            Some(position) => format!("MINUTE{position}"),
            None => "MINUTE".to_owned(),
        }
    }

    /// Which of the minutes that have Jobs an instant is in, and how it is written.
    fn instant(&self, time: &str) -> String {
        let Ok(instant) = time.parse::<jiff::Timestamp>() else { return time.to_owned() };
        let second = instant.as_second().rem_euclid(60);
        let zone = time.get("0000-00-00T00:00:00".len()..).unwrap_or_default();
        match self.minute(instant.as_second().div_euclid(60)).as_str() {
            "MINUTE" => "a time".to_owned(),
            known => format!("{known} and {second} s, {zone}"),
        }
    }

    /// An object as it was created.
    fn without_status(&self, object: &Value) -> Value {
        let mut plain = self.plain(object);
        if let Some(fields) = plain.as_object_mut() {
            // A watch that was late has told of what was done since.
            fields.remove("status");
        }
        plain
    }

    /// What is left of a Pod.
    fn rest(&self, pod: &Value) -> Value {
        let metadata = &pod["metadata"];
        self.plain(&json!({
            "name": metadata["name"],
            "labels": metadata["labels"],
            "annotations": metadata["annotations"],
            "finalizers": metadata["finalizers"],
            "owners": metadata["ownerReferences"],
            "node": pod["spec"]["nodeName"],
            "deleting": !metadata["deletionTimestamp"].is_null(),
            "phase": pod["status"]["phase"],
        }))
    }

    /// How often each Event was told of.
    fn events(&self, events: &[&Value], side: Side) -> Value {
        let mut counts = BTreeMap::<String, u64>::new();
        let mut repeated = BTreeSet::new();
        for event in events {
            let of = &event["involvedObject"];
            let source = [&event["source"]["component"], &event["reportingComponent"]]
                .into_iter()
                .map(text)
                .find(|name| !name.is_empty())
                .unwrap_or_default();
            let key = ["type", "reason", "message"].map(|field| self.text(&text(&event[field])));
            // The built-in controller tells this of Jobs that it made itself, whenever its status is behind: by chance.
            if side == Side::BuiltIn && key[1] == "UnexpectedJob" && key[2].contains("-MINUTE") {
                continue;
            }
            let message = without_suffix(&key[2], &format!("{}-", text(&of["name"])));
            let key = format!("{} {} {source}: {}: {}", text(&of["kind"]), key[0], key[1], message);
            let is_in = |reasons: &[&str]| reasons.iter().any(|reason| event["reason"] == *reason);
            if is_in(&REPEATED) && (side == Side::BuiltIn || is_in(&REPEATED_BY_WINDLASS)) {
                repeated.insert(key.clone());
            }
            *counts.entry(key).or_default() += times(event);
        }
        // What is repeated by chance is told once or more; what is not compares as once.
        for (key, times) in &mut counts {
            if repeated.contains(key) {
                *times = 1;
            }
        }
        json!(counts)
    }
}

/// The minute since the Unix epoch in the name of a CronJob's Job.
fn minute_of(name: &Value) -> Option<i64> {
    let (_, minute) = name.as_str()?.rsplit_once('-')?;
    (minute.len() == MINUTE_DIGITS).then(|| minute.parse().ok())?
}

/// A text in which the first name that begins with `prefix` ends in a star: that of a Pod that never was.
fn without_suffix(text: &str, prefix: &str) -> String {
    let is_suffix = |text: &str| {
        text.len() == SUFFIX && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match text.split_once(prefix) {
        Some((before, rest)) if rest.get(..SUFFIX).is_some_and(is_suffix) => {
            format!("{before}{prefix}*{}", rest.get(SUFFIX..).unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::State;
    use super::*;

    #[test]
    fn the_suffix_of_a_name_is_chance() {
        let told = |name: &str| without_suffix(&format!("pods \"{name}\" is forbidden"), "it-");
        assert_eq!(told("it-ab3de"), "pods \"it-*\" is forbidden");
        assert_eq!(told("it-*"), "pods \"it-*\" is forbidden");
        assert_eq!(told("it-0"), "pods \"it-0\" is forbidden");
    }

    #[test]
    fn a_minute_is_known_by_its_place_among_those_that_have_jobs() {
        let names = Names { replacements: Vec::new(), minutes: vec![29_384_756, 29_384_758] };
        assert_eq!(names.text("it-29384758-ab3de"), "it-MINUTE1-ab3de");
        assert_eq!(names.text("Job.batch \"it-29384757\" is invalid"), "Job.batch \"it-MINUTE\" is invalid");
        assert_eq!(names.text("it-293847580"), "it-293847580");
        assert_eq!(names.instant("2025-11-14T02:56:00+01:00"), "MINUTE0 and 0 s, +01:00");
        assert_eq!(names.instant("2025-11-14T01:57:00Z"), "a time");
    }

    #[test]
    fn hashes_are_known_by_their_order_and_nodes_by_number_unless_they_are_alike() {
        let state = State::default();
        for name in ["it-6d5f", "it-84c7b", "it-6d5f"] {
            let metadata = json!({ "name": name, "namespace": "side-one" });
            state.take(
                json!({ "type": "ADDED", "object": { "kind": "ControllerRevision", "metadata": metadata } }),
            );
        }
        let plain = |text: &str| Names::of(&state.told(), "side-one").text(text);
        assert_eq!(plain("it-84c7b of it-6d5f"), "it-HASH1 of it-HASH0");
        assert_eq!(plain("side-one-node-1"), "NAMESPACE-node-1");
        state.told().note_alike("side-one");
        assert_eq!(plain("side-one-node-1"), "NODE");
    }

    #[test]
    fn a_difference_is_told_with_its_place() {
        let built_in = json!({ "a": [{ "b": 1 }, 2], "c": "x", "d": [1] });
        let ours = json!({ "a": [{ "b": 3 }, 2], "e": null, "d": [1, 2] });
        let expected = [("/a/0/b", "1", "3"), ("/c", "\"x\"", "null"), ("/d", "[1]", "[1,2]")];
        let expected =
            expected.map(|(path, left, right)| (path.to_owned(), left.to_owned(), right.to_owned()));
        assert_eq!(differences(&built_in, &ours), expected);
        assert_eq!(differences(&ours, &ours), []);
    }
}
