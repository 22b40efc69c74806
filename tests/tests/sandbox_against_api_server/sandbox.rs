//! The sandbox, asked the same.

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use windlass_core::kube::{ApiStatus, Kind, Object, OwnerReference, Pod, ResourceVersion, Str};
use windlass_sandbox::{
    Actor, Applied, ApplyError, DeleteOptions, Deletion, Manifest, MetadataPatch, Propagation, Quota, Store,
    StoreOptions, WatchEvent, WatchEventKind,
};

use crate::answer::Answer;
use crate::api_server::identify;
use crate::request::{Change, Request, Sent, WRONG_UID, WRONG_VERSION, edit};

/// A store with one namespace in use.
pub(crate) struct Sandbox {
    store: Store,
    /// Version of the store before the first request.
    start: ResourceVersion,
    namespace: String,
}

impl Sandbox {
    pub(crate) fn new(seed: u64, namespace: &str) -> Self {
        let store = Store::new(StoreOptions { seed, ..StoreOptions::default() });
        Self { start: store.revision(), store, namespace: namespace.to_owned() }
    }

    /// Limits how many Jobs the namespace may hold.
    pub(crate) fn limit_jobs(&mut self, name: &str, limit: usize) {
        self.store.limit_jobs(&self.namespace, Some(Quota { name: name.into(), limit }));
    }

    /// What watches of the kinds tell since the first request, one list of events for each.
    pub(crate) fn watch(&self, kinds: &[Kind]) -> Result<Vec<Vec<Value>>> {
        let of_kind = |kind: &Kind| -> Result<Vec<Value>> {
            let events = self.store.events_after(*kind, self.start)?;
            let event = |event: &WatchEvent| {
                let kind = match event.kind {
                    WatchEventKind::Added => "ADDED",
                    WatchEventKind::Modified => "MODIFIED",
                    WatchEventKind::Deleted => "DELETED",
                };
                json!({ "type": kind, "object": self.store.to_json(&event.object) })
            };
            Ok(events.map(event).collect())
        };
        kinds.iter().map(of_kind).collect()
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Result<Answer> {
        match request {
            Request::Create(_, body) => {
                let mut body = body.clone();
                body["metadata"]["namespace"] = json!(self.namespace);
                Ok(match self.store.apply_manifest(Actor::USER, &body.to_string()) {
                    Ok(Applied::Object(object)) => self.granted(201, &object),
                    Ok(Applied::Namespace(_)) => return Err(anyhow!("a namespace was created")),
                    Err(ApplyError::Refused(status)) => refused(&status),
                    Err(error) => refused(&ApiStatus::new(400, "BadRequest", error.to_string())),
                })
            }
            Request::Get(kind, name) => {
                let found = self.store.get(*kind, &self.namespace, name);
                Ok(self.answer(found))
            }
            Request::Update { kind, name, status, edits, uid, version } => {
                let object = match self.store.get(*kind, &self.namespace, name) {
                    Ok(object) => object,
                    Err(status) => return Ok(refused(&status)),
                };
                let mut object = self.store.to_json(&object);
                edit(&mut object, edits);
                identify(&mut object, *uid, *version);
                let updated = self.update(*kind, *status, &object.to_string());
                Ok(self.answer(updated?))
            }
            Request::Patch { kind, name, change, uid, version } => {
                let object = match self.store.get(*kind, &self.namespace, name) {
                    Ok(object) => object,
                    Err(status) => return Ok(refused(&status)),
                };
                let patched = self.patch(&object, change, *uid, *version);
                Ok(self.answer(patched))
            }
            Request::Delete { .. } => self.delete(request),
        }
    }

    fn update(&mut self, kind: Kind, status: bool, text: &str) -> Result<Result<Object, ApiStatus>> {
        let unreadable =
            |error: &dyn std::fmt::Display| Err(ApiStatus::new(400, "BadRequest", error.to_string()));
        Ok(match (kind, status) {
            (Kind::CronJob, _) => match Manifest::parse(text) {
                Ok(Manifest::CronJob(cron_job)) => {
                    let updated = if status {
                        self.store.update_cron_job_status(Actor::USER, &cron_job)
                    } else {
                        self.store.update_cron_job(Actor::USER, &cron_job)
                    };
                    updated.map(Object::CronJob)
                }
                Ok(_) => return Err(anyhow!("not a CronJob: {text}")),
                Err(error) => unreadable(&error),
            },
            (Kind::Job, _) => match Manifest::parse(text) {
                Ok(Manifest::Job(job)) if status => {
                    self.store.update_job_status(Actor::USER, &job).map(Object::Job)
                }
                Ok(Manifest::Job(job)) => self.store.update_job(Actor::USER, &job).map(Object::Job),
                Ok(_) => return Err(anyhow!("not a Job: {text}")),
                Err(error) => unreadable(&error),
            },
            (Kind::Pod, true) => match serde_json::from_str::<Pod>(text) {
                Ok(pod) => self.store.update_pod_status(Actor::USER, &pod).map(Object::Pod),
                Err(error) => unreadable(&error),
            },
            (Kind::Pod, false) => match Manifest::parse(text) {
                Ok(Manifest::Pod(pod)) => self.store.update_pod(Actor::USER, &pod).map(Object::Pod),
                Ok(_) => return Err(anyhow!("not a Pod: {text}")),
                Err(error) => unreadable(&error),
            },
            (Kind::Node | Kind::DaemonSet | Kind::ControllerRevision, _) => {
                return Err(anyhow!("neither Nodes nor what belongs to DaemonSets is asked about"));
            }
        })
    }

    fn patch(
        &mut self,
        object: &Object,
        change: &Change,
        uid: Sent,
        version: Sent,
    ) -> Result<Object, ApiStatus> {
        let metadata = object.metadata();
        let mut patch = MetadataPatch {
            uid: pick(uid, &*metadata.uid, WRONG_UID),
            resource_version: pick(version, metadata.resource_version, wrong_version()),
            ..MetadataPatch::default()
        };
        let owner;
        let change_of =
            |key: &'static str, value: &Option<&'static str>| [(Str::from(key), value.map(Str::from))];
        let changed;
        match change {
            Change::Nothing => {}
            Change::AddFinalizer(name) => patch.add_finalizer = Some(name),
            Change::RemoveFinalizer(name) => patch.remove_finalizer = Some(name),
            Change::AddOwner(uid, controller) => {
                owner = OwnerReference {
                    api_version: "batch/v1".into(),
                    kind: "Job".into(),
                    name: "owner".into(),
                    uid: (*uid).into(),
                    controller: Some(*controller),
                    block_owner_deletion: None,
                };
                patch.add_owner = Some(&owner);
            }
            Change::RemoveOwner(uid) => patch.remove_owner = Some(uid),
            Change::Label(key, value) => {
                changed = change_of(key, value);
                patch.labels = &changed;
            }
            Change::Annotation(key, value) => {
                changed = change_of(key, value);
                patch.annotations = &changed;
            }
        }
        self.store.patch(Actor::USER, object.kind(), &metadata.namespace, &metadata.name, &patch)
    }

    fn delete(&mut self, request: &Request) -> Result<Answer> {
        let Request::Delete { kind, name, uid, version, grace_seconds, propagation } = request else {
            return Err(anyhow!("not a delete"));
        };
        let found = self.store.get(*kind, &self.namespace, name);
        let (right_uid, right_version) = found.map_or_else(
            |_| (Str::default(), ResourceVersion(0)),
            |object| (object.metadata().uid.clone(), object.metadata().resource_version),
        );
        let options = DeleteOptions {
            uid: pick(*uid, &*right_uid, WRONG_UID),
            resource_version: pick(*version, right_version, wrong_version()),
            grace_seconds: *grace_seconds,
            propagation: propagation.map(|name| match name {
                "Background" => Propagation::Background,
                "Foreground" => Propagation::Foreground,
                _ => Propagation::Orphan,
            }),
        };
        Ok(match self.store.delete(Actor::USER, *kind, &self.namespace, name, &options) {
            Ok(Deletion::Pending(object)) => self.granted(200, &object),
            // As upstream, only a Pod's delete answers with the Pod.
            Ok(Deletion::Removed(object)) if *kind == Kind::Pod => self.granted(200, &object),
            Ok(Deletion::Removed(_)) => {
                Answer { code: 200, body: json!({ "kind": "Status", "status": "Success" }) }
            }
            Err(status) => refused(&status),
        })
    }

    fn answer(&self, result: Result<Object, ApiStatus>) -> Answer {
        match result {
            Ok(object) => self.granted(200, &object),
            Err(status) => refused(&status),
        }
    }

    fn granted(&self, code: u16, object: &Object) -> Answer {
        Answer { code, body: self.store.to_json(object) }
    }
}

fn refused(status: &ApiStatus) -> Answer {
    let body: Value = json!({ "kind": "Status", "reason": status.reason, "message": status.message });
    Answer { code: status.code, body }
}

fn pick<T>(how: Sent, right: T, wrong: T) -> Option<T> {
    match how {
        Sent::Not => None,
        Sent::Right => Some(right),
        Sent::Wrong => Some(wrong),
    }
}

fn wrong_version() -> ResourceVersion {
    ResourceVersion(WRONG_VERSION.parse().unwrap_or(1))
}
