//! What the API server has told of Jobs, Pods and Events so far, and waiting for it to tell more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

/// What was told, shared by the watches that fill it and the scripts that wait for it.
#[derive(Clone)]
pub(super) struct State {
    told: Arc<Mutex<Told>>,
    changes: watch::Sender<u64>,
}

/// Objects by namespace and name.
#[derive(Default)]
pub(super) struct Told {
    jobs: BTreeMap<Place, Value>,
    pods: BTreeMap<Place, Value>,
    events: BTreeMap<Place, Value>,
    /// Every Pod as it was when it was first told of, by namespace and uid: a name may be used again.
    created: BTreeMap<Place, Value>,
    /// Conditions of Jobs in the order in which they were first seen.
    conditions: BTreeMap<Place, Vec<Value>>,
}

type Place = (String, String);

impl Default for State {
    fn default() -> Self {
        Self { told: Arc::default(), changes: watch::Sender::new(0) }
    }
}

impl State {
    /// Takes one event of a watch.
    pub(super) fn take(&self, event: Value) {
        let object = &event["object"];
        let place = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
        let gone = event["type"] == "DELETED";
        let mut told = self.told();
        let told = &mut *told;
        let kind = match object["kind"].as_str() {
            Some("Job") => {
                note_conditions(told.conditions.entry(place.clone()).or_default(), object);
                &mut told.jobs
            }
            Some("Pod") => {
                let identity = (place.0.clone(), text(&object["metadata"]["uid"]));
                told.created.entry(identity).or_insert_with(|| object.clone());
                &mut told.pods
            }
            Some("Event") => &mut told.events,
            _ => return,
        };
        if gone {
            kind.remove(&place);
        } else {
            kind.insert(place, object.clone());
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// What was told, for as long as nothing else needs it.
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl Told {
    /// A Job, or null.
    pub(super) fn job(&self, namespace: &str, name: &str) -> &Value {
        self.jobs.get(&(namespace.to_owned(), name.to_owned())).unwrap_or(&Value::Null)
    }

    /// The Jobs of a namespace.
    pub(super) fn jobs(&self, namespace: &str) -> Vec<&Value> {
        of(&self.jobs, namespace)
    }

    /// The Pods of a namespace, by name.
    pub(super) fn pods(&self, namespace: &str) -> Vec<&Value> {
        of(&self.pods, namespace)
    }

    /// Every Pod that a namespace ever had, as it was created.
    pub(super) fn created(&self, namespace: &str) -> Vec<&Value> {
        of(&self.created, namespace)
    }

    /// The Events of a namespace.
    pub(super) fn events(&self, namespace: &str) -> Vec<&Value> {
        of(&self.events, namespace)
    }

    /// Conditions of a Job in the order in which they were first seen.
    pub(super) fn conditions(&self, namespace: &str, name: &str) -> &[Value] {
        self.conditions.get(&(namespace.to_owned(), name.to_owned())).map(Vec::as_slice).unwrap_or_default()
    }
}

fn of<'a>(objects: &'a BTreeMap<Place, Value>, namespace: &str) -> Vec<&'a Value> {
    objects.iter().filter(|((place, _), _)| place == namespace).map(|(_, object)| object).collect()
}

fn note_conditions(seen: &mut Vec<Value>, job: &Value) {
    for condition in job["status"]["conditions"].as_array().into_iter().flatten() {
        let mut condition = condition.clone();
        if let Some(fields) = condition.as_object_mut() {
            fields.retain(|field, _| !field.ends_with("Time"));
        }
        // A condition that comes back, as Suspended does, is noted again.
        let last = seen.iter().rev().find(|other| other["type"] == condition["type"]);
        if last != Some(&condition) {
            seen.push(condition);
        }
    }
}

/// A string, or nothing where there is none.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
