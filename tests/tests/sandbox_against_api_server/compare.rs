//! How two answers are compared: what each server chooses for itself is named alike first, and the declared
//! differences are taken out.

use serde_json::Value;

use crate::answer::Answer;
use crate::request::Request;

/// Fields that the sandbox does not model, and the API server prints.
///
/// A path is written with dots; `*` stands for any element or key.
const NOT_MODELLED: [&str; 12] = [
    // Who changed what is for server-side apply alone.
    "metadata.managedFields",
    "metadata.selfLink",
    // Statuses of Pods are kept slim: of containers their name, readiness, restarts and end.
    "status.containerStatuses.*.image",
    "status.containerStatuses.*.imageID",
    "status.containerStatuses.*.started",
    "status.containerStatuses.*.lastState",
    "status.containerStatuses.*.state.waiting",
    "status.containerStatuses.*.state.running",
    "status.containerStatuses.*.state.terminated.startedAt",
    "status.conditions.*.lastProbeTime",
    "status.conditions.*.message",
    "status.observedGeneration",
];

/// The names that one server has given so far, in the order in which they were seen.
#[derive(Debug, Default)]
pub(crate) struct Names {
    uids: Vec<String>,
    versions: Vec<String>,
    generated: Vec<String>,
}

/// How the answers differ; `None` if they do not.
pub(crate) fn difference(
    request: &Request,
    real: &Answer,
    ours: &Answer,
    names: &mut [Names; 2],
) -> Option<String> {
    let [real_names, our_names] = names;
    let (real_body, our_body) = (comparable(real, real_names), comparable(ours, our_names));
    if real.code == ours.code && real_body == our_body {
        return None;
    }
    let mut lines = vec![format!("codes: real {}, sandbox {}", real.code, ours.code)];
    differing("", &real_body, &our_body, &mut lines);
    if let Request::Create(_, body) = request {
        lines.push(format!("body: {body}"));
    }
    Some(lines.join("\n"))
}

/// How what two watches told differs; `None` if it does not.
pub(crate) fn watch_difference(real: &[Value], ours: &[Value], names: &mut [Names; 2]) -> Option<String> {
    for (side, events) in [("the API server", real), ("the sandbox", ours)] {
        let versions: Vec<Option<u64>> = events
            .iter()
            .map(|event| event["object"]["metadata"]["resourceVersion"].as_str()?.parse().ok())
            .collect();
        if versions.contains(&None) || !versions.is_sorted_by(|earlier, later| earlier < later) {
            return Some(format!("{side} told of versions that do not grow: {versions:?}"));
        }
    }
    let [real_names, our_names] = names;
    let (real, ours) = (told(real, real_names), told(ours, our_names));
    let differs = (0..real.len().max(ours.len())).find(|index| real.get(*index) != ours.get(*index))?;
    let null = Value::Null;
    let (first, second) = (real.get(differs).unwrap_or(&null), ours.get(differs).unwrap_or(&null));
    let mut lines =
        vec![format!("event {differs} of a watch, about {}", first["object"]["metadata"]["name"])];
    differing("", first, second, &mut lines);
    for (side, events) in [("real", &real), ("sandbox", &ours)] {
        lines.push(format!("{side} told:"));
        lines.extend(events.iter().map(|event| {
            let metadata = &event["object"]["metadata"];
            format!("  {} {} {}", event["type"], metadata["name"], metadata["resourceVersion"])
        }));
    }
    Some(lines.join("\n"))
}

/// Fields of a Pod that its updates may change, and of which the sandbox keeps the newest version alone: its watches
/// carry typed objects, which do not have them.
const NEWEST_ONLY: [&str; 3] =
    ["spec.activeDeadlineSeconds", "spec.containers.*.image", "spec.initContainers.*.image"];

fn told(events: &[Value], names: &mut Names) -> Vec<Value> {
    let mut told: Vec<Value> = Vec::new();
    for event in events {
        let mut body = event["object"].clone();
        let version = body["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !names.versions.iter().any(|known| known == version) {
            // No answer has shown it, so there is nothing to hold it against but the order.
            body["metadata"]["resourceVersion"] = Value::Null;
        }
        let mut object = comparable(&Answer { code: 200, body }, names);
        if object["kind"] == "Pod" {
            for path in NEWEST_ONLY {
                remove(&mut object, &path.split('.').collect::<Vec<_>>());
            }
        }
        let event = serde_json::json!({ "type": event["type"], "object": object });
        // The write with which the API server stores a new Job's labels (see `ApiServer::ask`) changes nothing else.
        let repeats = |earlier: &Value| {
            let (earlier, later) = (&earlier["object"], &event["object"]);
            earlier["kind"] == "Job" && without_version(earlier) == without_version(later)
        };
        match told.last_mut().filter(|last| last["type"] == "ADDED" && repeats(last)) {
            Some(added) => added["object"] = event["object"].clone(),
            None => told.push(event),
        }
    }
    told
}

fn without_version(object: &Value) -> Value {
    let mut object = object.clone();
    remove(&mut object, &["metadata", "resourceVersion"]);
    object
}

fn comparable(answer: &Answer, names: &mut Names) -> Value {
    let mut body = answer.body.clone();
    if body["kind"] == "Status" {
        let message = body["message"].as_str().map(|message| sorted_faults(&masked(message, names)));
        return serde_json::json!({ "status": true, "reason": body["reason"].as_str().unwrap_or_default(), "message": message });
    }
    names.learn(&body);
    for path in NOT_MODELLED {
        let parts: Vec<&str> = path.split('.').collect();
        remove(&mut body, &parts);
    }
    rename(&mut body, names);
    prune(&mut body);
    body
}

impl Names {
    fn learn(&mut self, body: &Value) {
        let metadata = &body["metadata"];
        let fields = [("uid", &mut self.uids), ("resourceVersion", &mut self.versions)];
        for (field, known) in fields {
            let text = metadata[field].as_str().unwrap_or_default().to_owned();
            if !text.is_empty() && !known.contains(&text) {
                known.push(text);
            }
        }
        let name = metadata["name"].as_str().unwrap_or_default();
        let prefix = metadata["generateName"].as_str().unwrap_or_default();
        let is_generated = !prefix.is_empty() && name.len() == prefix.len() + 5 && name.starts_with(prefix);
        if is_generated && !self.generated.iter().any(|known| known == name) {
            self.generated.push(name.to_owned());
        }
    }
}

/// Writes uids, versions, generated names and times in words that are the same for both servers.
fn rename(value: &mut Value, names: &Names) {
    match value {
        Value::String(text) => {
            for (kind, known) in [("uid", &names.uids), ("name", &names.generated)] {
                for (number, name) in known.iter().enumerate() {
                    if text.contains(name.as_str()) {
                        *text = text.replace(name.as_str(), &format!("<{kind} {number}>"));
                    }
                }
            }
            if is_time(text) {
                "<time>".clone_into(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value.as_str()) {
                    ("resourceVersion", Some(text)) => {
                        let number = names.versions.iter().position(|known| known == text);
                        *value = format!("<version {number:?}>").into();
                    }
                    _ => rename(value, names),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_time(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}

/// A message with names as in [`rename`], and without the values and keys that each server prints in its own way.
fn masked(message: &str, names: &mut Names) -> String {
    let mut text = Value::from(message);
    rename(&mut text, names);
    let mut text = text.as_str().unwrap_or_default().to_owned();
    // A name that was generated for an object that was then refused.
    if let Some((before, after)) = text.clone().split_once('"')
        && let Some((name, after)) = after.split_once('"')
        && name.starts_with("made-")
    {
        text = format!("{before}\"<made>\"{after}").replace(name, "<made>");
    }
    // Structs are printed with Go's field names, and the store's keys are etcd's.
    for (from, to) in [("Invalid value: {", "}: "), ("Invalid value: [", "]: "), ("Key: ", ",")] {
        let mut done = 0;
        while let Some(start) = text.get(done..).and_then(|rest| rest.find(from)).map(|found| found + done) {
            let open = start + from.len();
            let Some(end) = text.get(open..).and_then(|rest| rest.find(to)).map(|found| found + open) else {
                break;
            };
            text.replace_range(open..end, "...");
            done = open;
        }
    }
    for from in ["ResourceVersion in the precondition (", "ResourceVersion in record ("] {
        if let Some(start) = text.find(from).map(|start| start + from.len())
            && let Some(end) = text.get(start..).and_then(|rest| rest.find(')')).map(|end| end + start)
        {
            text.replace_range(start..end, "...");
        }
    }
    if let Some((head, _)) = text.clone().split_once("ResourceVersion in object meta: ") {
        text = format!("{head}ResourceVersion in object meta: ...");
    }
    // The difference of two specs is Go's.
    if let Some(end) = text.find("\n") {
        text.truncate(end);
    }
    // A uid that was made for an object that was then refused.
    text.split_inclusive([' ', '=', '\'', '"'])
        .map(|word| {
            let bare = word.trim_end_matches([' ', '=', '\'', '"', ',', ']', ')', '.']);
            let is_uid = bare.len() == 36 && bare.bytes().filter(|byte| *byte == b'-').count() == 4;
            if is_uid { word.replace(bare, "<uid>") } else { word.to_owned() }
        })
        .collect()
}

/// Faults in one order, since Go's maps have none.
fn sorted_faults(message: &str) -> String {
    let Some((head, list)) = message.split_once(" is invalid: ") else { return message.to_owned() };
    let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
    let starts = ["spec", "metadata", "status"];
    let mut faults: Vec<String> = Vec::new();
    for part in list.split(", ") {
        let begins = starts
            .iter()
            .any(|start| part.strip_prefix(start).is_some_and(|rest| rest.starts_with(['.', ':', '['])));
        match faults.last_mut().filter(|_| !begins) {
            Some(last) => *last = format!("{last}, {part}"),
            None => faults.push(part.to_owned()),
        }
    }
    for fault in &mut faults {
        hide_reason_of_schedule(fault);
    }
    faults.sort();
    format!("{head} is invalid: [{}]", faults.join(", "))
}

/// A declared difference: why a text is no schedule is told in other words, which say the mend.
fn hide_reason_of_schedule(fault: &mut String) {
    let Some(rest) = fault.strip_prefix("spec.schedule: Invalid value: \"") else { return };
    let Some((schedule, reason)) = rest.split_once("\": ") else { return };
    if !reason.starts_with("cannot use") {
        *fault = format!("spec.schedule: Invalid value: {schedule:?}: <reason>");
    }
}

fn remove(value: &mut Value, path: &[&str]) {
    match (path, value) {
        ([], _) => {}
        (["*", rest @ ..], Value::Array(items)) => items.iter_mut().for_each(|item| remove(item, rest)),
        ([last], Value::Object(fields)) => {
            fields.remove(*last);
        }
        ([first, rest @ ..], Value::Object(fields)) => {
            if let Some(value) = fields.get_mut(*first) {
                remove(value, rest);
            }
        }
        (_, _) => {}
    }
}

/// Takes out nulls and what is empty: servers print them or not as their types have it.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|_, value| !is_empty(value));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn differing(path: &str, real: &Value, ours: &Value, lines: &mut Vec<String>) {
    match (real, ours) {
        (Value::Object(real), Value::Object(ours)) => {
            let keys: std::collections::BTreeSet<&String> = real.keys().chain(ours.keys()).collect();
            for key in keys {
                let (real, ours) = (real.get(key), ours.get(key));
                if real != ours {
                    let null = Value::Null;
                    differing(&format!("{path}.{key}"), real.unwrap_or(&null), ours.unwrap_or(&null), lines);
                }
            }
        }
        (real, ours) if real != ours => lines.push(format!("{path}:\n  real    {real}\n  sandbox {ours}")),
        (_, _) => {}
    }
}
