//! What is to be the same with either controller: everything that was told of a namespace, without what chance,
//! time and place make of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::state::{Told, text};

/// How many letters chance adds to the name of a Pod.
const SUFFIX: usize = 5;

/// Fields that differ from run to run and say nothing.
const CHANCE: [&str; 4] = ["uid", "resourceVersion", "managedFields", "namespace"];

/// Everything of a namespace that is to be the same.
pub(super) fn namespace(told: &Told, namespace: &str) -> Value {
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
            (name, plain)
        })
        .collect();
    let mut created: Vec<Value> = told.created(namespace).into_iter().map(|pod| names.pod(pod)).collect();
    let mut left: Vec<Value> = told.pods(namespace).into_iter().map(|pod| names.rest(pod)).collect();
    for pods in [&mut created, &mut left] {
        pods.sort_by_key(Value::to_string);
    }
    json!({
        "jobs": jobs,
        "pods created": created,
        "pods left": left,
        "events": names.events(&told.events(namespace)),
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
            let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
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

/// What is called differently in each run: uids, names of Pods, the namespace.
struct Names {
    replacements: Vec<(String, String)>,
}

impl Names {
    fn of(told: &Told, namespace: &str) -> Self {
        let mut replacements = Vec::new();
        for pod in told.created(namespace) {
            let name = text(&pod["metadata"]["name"]);
            if let (false, Some(prefix)) =
                (pod["metadata"]["generateName"].is_null(), name.get(..name.len().saturating_sub(SUFFIX)))
            {
                replacements.push((name.clone(), format!("{prefix}*")));
            }
        }
        for object in told.jobs(namespace).into_iter().chain(told.created(namespace)) {
            for uid in [&object["metadata"]["uid"], &object["metadata"]["ownerReferences"][0]["uid"]] {
                replacements.push((text(uid), "UID".to_owned()));
            }
        }
        replacements.push((namespace.to_owned(), "NAMESPACE".to_owned()));
        replacements.retain(|(from, _)| !from.is_empty());
        Self { replacements }
    }

    fn plain(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .filter(|(field, _)| !CHANCE.contains(&field.as_str()))
                .map(|(field, value)| {
                    let is_time = field.ends_with("Time") || field.ends_with("Timestamp");
                    let value =
                        if is_time && value.is_string() { json!("a time") } else { self.plain(value) };
                    (field.clone(), value)
                })
                .collect(),
            Value::Array(items) => items.iter().map(|item| self.plain(item)).collect(),
            Value::String(text) => Value::String(self.text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        self.replacements.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// A Pod as it was created.
    fn pod(&self, pod: &Value) -> Value {
        let mut plain = self.plain(pod);
        if let Some(fields) = plain.as_object_mut() {
            // A watch that was late has told of one that runs already.
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
            "deleting": !metadata["deletionTimestamp"].is_null(),
            "phase": pod["status"]["phase"],
        }))
    }

    /// How often each Event was told of.
    fn events(&self, events: &[&Value]) -> Value {
        let mut counts = BTreeMap::<String, u64>::new();
        for event in events {
            let of = &event["involvedObject"];
            let source = [&event["source"]["component"], &event["reportingComponent"]]
                .into_iter()
                .map(text)
                .find(|name| !name.is_empty())
                .unwrap_or_default();
            let key = ["type", "reason", "message"].map(|field| self.text(&text(&event[field])));
            let message = without_suffix(&key[2], &format!("{}-", text(&of["name"])));
            let key = format!("{} {} {source}: {}: {}", text(&of["kind"]), key[0], key[1], message);
            let times = event["series"]["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1).max(1);
            // How often a create is tried in vain hangs on when it is tried.
            let times = if event["reason"] == "FailedCreate" { 0 } else { times };
            *counts.entry(key).or_default() += times;
        }
        json!(counts)
    }
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
    use super::*;

    #[test]
    fn the_suffix_of_a_name_is_chance() {
        let told = |name: &str| without_suffix(&format!("pods \"{name}\" is forbidden"), "it-");
        assert_eq!(told("it-ab3de"), "pods \"it-*\" is forbidden");
        assert_eq!(told("it-*"), "pods \"it-*\" is forbidden");
        assert_eq!(told("it-0"), "pods \"it-0\" is forbidden");
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
