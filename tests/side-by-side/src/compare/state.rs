//! What the API server has told of CronJobs, Jobs, DaemonSets, Pods and Events so far, and waiting for it to tell more.

use std::collections::{BTreeMap, BTreeSet};
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
    cron_jobs: BTreeMap<Place, Value>,
    /// The Jobs that each CronJob has listed as active, whenever the list changed.
    active: BTreeMap<Place, Vec<Value>>,
    jobs: BTreeMap<Place, Value>,
    /// Every Job as it was when it was first told of, by namespace and uid.
    created_jobs: BTreeMap<Place, Value>,
    /// Finalizers that a Job was ever seen to have, by namespace and uid: they tell how it was deleted.
    finalizers: BTreeMap<Place, BTreeSet<String>>,
    daemon_sets: BTreeMap<Place, Value>,
    revisions: BTreeMap<Place, Value>,
    /// Every ControllerRevision as it was when it was first told of, by namespace and uid.
    created_revisions: BTreeMap<Place, Value>,
    /// The hashes of the ControllerRevisions of each namespace, in the order in which they were first told of.
    hashes: BTreeMap<String, Vec<String>>,
    /// Namespaces of whose nodes it is chance which comes first.
    alike: BTreeSet<String>,
    /// What a namespace had at once of Pods, of those that want to know.
    extremes: BTreeMap<String, Extremes>,
    quotas: BTreeMap<Place, Value>,
    pods: BTreeMap<Place, Value>,
    events: BTreeMap<Place, Value>,
    /// Every Pod as it was when it was first told of, by namespace and uid: a name may be used again.
    created: BTreeMap<Place, Value>,
    /// Conditions of Jobs in the order in which they were first seen.
    conditions: BTreeMap<Place, Vec<Value>>,
}

type Place = (String, String);

/// Of the Pods that are not about to go: how few were ready at once, and how many there were.
#[derive(Clone, Copy)]
pub(super) struct Extremes {
    pub(super) fewest_ready: usize,
    pub(super) most: usize,
}

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
            Some("CronJob") => {
                note_active(told.active.entry(place.clone()).or_default(), object);
                &mut told.cron_jobs
            }
            Some("Job") => {
                let identity = (place.0.clone(), text(&object["metadata"]["uid"]));
                let finalizers = object["metadata"]["finalizers"].as_array().into_iter().flatten();
                told.finalizers.entry(identity.clone()).or_default().extend(finalizers.map(text));
                told.created_jobs.entry(identity).or_insert_with(|| object.clone());
                note_conditions(told.conditions.entry(place.clone()).or_default(), object);
                &mut told.jobs
            }
            Some("Pod") => {
                let identity = (place.0.clone(), text(&object["metadata"]["uid"]));
                told.created.entry(identity).or_insert_with(|| object.clone());
                &mut told.pods
            }
            Some("DaemonSet") => &mut told.daemon_sets,
            Some("ControllerRevision") => {
                let identity = (place.0.clone(), text(&object["metadata"]["uid"]));
                told.created_revisions.entry(identity).or_insert_with(|| object.clone());
                note_hash(told.hashes.entry(place.0.clone()).or_default(), object);
                &mut told.revisions
            }
            Some("Event") => &mut told.events,
            Some("ResourceQuota") => &mut told.quotas,
            _ => return,
        };
        let namespace = place.0.clone();
        if gone {
            kind.remove(&place);
        } else {
            kind.insert(place, object.clone());
        }
        told.count(&namespace);
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
    /// A CronJob, or null.
    pub(super) fn cron_job(&self, namespace: &str, name: &str) -> &Value {
        self.cron_jobs.get(&(namespace.to_owned(), name.to_owned())).unwrap_or(&Value::Null)
    }

    /// The CronJobs of a namespace.
    pub(super) fn cron_jobs(&self, namespace: &str) -> Vec<&Value> {
        of(&self.cron_jobs, namespace)
    }

    /// The names of the Jobs that a CronJob has listed as active, whenever the list changed.
    pub(super) fn active(&self, namespace: &str, name: &str) -> &[Value] {
        self.active.get(&(namespace.to_owned(), name.to_owned())).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every Job that a namespace ever had, as it was created, with the finalizers that it was ever seen to have.
    pub(super) fn created_jobs(&self, namespace: &str) -> Vec<(&Value, &BTreeSet<String>)> {
        let all = self.created_jobs.iter().zip(self.finalizers.values());
        all.filter(|(((place, _), _), _)| place == namespace)
            .map(|((_, job), finalizers)| (job, finalizers))
            .collect()
    }

    /// A DaemonSet, or null.
    pub(super) fn daemon_set(&self, namespace: &str, name: &str) -> &Value {
        self.daemon_sets.get(&(namespace.to_owned(), name.to_owned())).unwrap_or(&Value::Null)
    }

    /// The DaemonSets of a namespace.
    pub(super) fn daemon_sets(&self, namespace: &str) -> Vec<&Value> {
        of(&self.daemon_sets, namespace)
    }

    /// The ControllerRevisions of a namespace, by name.
    pub(super) fn revisions(&self, namespace: &str) -> Vec<&Value> {
        of(&self.revisions, namespace)
    }

    /// Every ControllerRevision that a namespace ever had, as it was created.
    pub(super) fn created_revisions(&self, namespace: &str) -> Vec<&Value> {
        of(&self.created_revisions, namespace)
    }

    /// The hashes of the ControllerRevisions that a namespace ever had, in the order in which they came.
    pub(super) fn hashes(&self, namespace: &str) -> &[String] {
        self.hashes.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    /// Counts from now on how many Pods a namespace has at once.
    pub(super) fn start_counting(&mut self, namespace: &str) {
        let unknown = Extremes { fewest_ready: usize::MAX, most: 0 };
        self.extremes.insert(namespace.to_owned(), unknown);
        self.count(namespace);
    }

    /// How many Pods a namespace had at once since it was to be counted.
    pub(super) fn extremes(&self, namespace: &str) -> Option<Extremes> {
        self.extremes.get(namespace).copied()
    }

    fn count(&mut self, namespace: &str) {
        let Some(known) = self.extremes(namespace) else { return };
        let pods = self.pods(namespace).into_iter();
        let living: Vec<&Value> = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect();
        let ready = living.iter().filter(|pod| is_ready(pod)).count();
        let extremes =
            Extremes { fewest_ready: known.fewest_ready.min(ready), most: known.most.max(living.len()) };
        self.extremes.insert(namespace.to_owned(), extremes);
    }

    /// Notes that it is chance which of a namespace's nodes comes first.
    pub(super) fn note_alike(&mut self, namespace: &str) {
        self.alike.insert(namespace.to_owned());
    }

    /// Whether it is chance which of a namespace's nodes comes first.
    pub(super) fn are_alike(&self, namespace: &str) -> bool {
        self.alike.contains(namespace)
    }

    /// The quotas of a namespace.
    pub(super) fn quotas(&self, namespace: &str) -> Vec<&Value> {
        of(&self.quotas, namespace)
    }

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

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
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

/// Adds the names of the Jobs that `cron_job` lists as active, unless the list is as before.
fn note_active(seen: &mut Vec<Value>, cron_job: &Value) {
    let active = cron_job["status"]["active"].as_array().into_iter().flatten();
    let active: Value = active.map(|job| job["name"].clone()).collect();
    if seen.last() != Some(&active) {
        seen.push(active);
    }
}

/// Adds the hash that ends the name of a ControllerRevision, unless it is known.
fn note_hash(seen: &mut Vec<String>, revision: &Value) {
    let name = text(&revision["metadata"]["name"]);
    let hash = name.rsplit('-').next().unwrap_or_default();
    if !seen.iter().any(|known| known == hash) {
        seen.push(hash.to_owned());
    }
}

/// How often what an Event tells has happened.
pub(super) fn times(event: &Value) -> u64 {
    event["series"]["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1).max(1)
}

/// A string, or nothing where there is none.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
