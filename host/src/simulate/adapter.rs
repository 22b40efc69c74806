//! From a request of the state machine to a call of the sandbox, and from what it says to an outcome.

use std::sync::Arc;

use windlass_core::kube::{ApiStatus, JOB_TRACKING_FINALIZER, Kind, Object, Time};
use windlass_sandbox::{
    Actor, DeleteOptions, Deletion, Event, MetadataPatch, Propagation, Regarding, Store, WatchEventKind,
};

use crate::request::{self, EventManifest, ObjectRef, Operation, Outcome};
use crate::watch::WatchBody;

/// Carries out one request as `actor`; it is answered at once, and whole.
pub fn perform(store: &mut Store, actor: Actor, operation: &Operation) -> Outcome {
    match answer(store, actor, operation) {
        Ok(object) => Outcome::Done(object),
        Err(status) => Outcome::Rejected(status),
    }
}

/// What a watch says of one event of the sandbox.
#[must_use]
pub fn watch_body(event: &windlass_sandbox::WatchEvent) -> WatchBody {
    match event.kind {
        WatchEventKind::Added | WatchEventKind::Modified => WatchBody::Applied(event.object.clone()),
        WatchEventKind::Deleted => WatchBody::Deleted(event.object.clone()),
    }
}

fn answer(store: &mut Store, actor: Actor, operation: &Operation) -> Result<Option<Object>, ApiStatus> {
    match operation {
        Operation::CreatePod(manifest) => {
            let pod = store.create_pod(actor, manifest)?;
            Ok(Some(Object::Pod(pod)))
        }
        Operation::UntrackPod { pod, resource_version } => {
            let patch = MetadataPatch {
                uid: Some(&pod.uid),
                resource_version: *resource_version,
                remove_finalizer: Some(JOB_TRACKING_FINALIZER),
                ..MetadataPatch::default()
            };
            patch_pod(store, actor, pod, &patch)
        }
        Operation::AdoptPod { pod, owner, resource_version } => {
            let patch = MetadataPatch {
                uid: Some(&pod.uid),
                resource_version: Some(*resource_version),
                add_owner: Some(owner),
                add_finalizer: Some(JOB_TRACKING_FINALIZER),
                ..MetadataPatch::default()
            };
            patch_pod(store, actor, pod, &patch)
        }
        Operation::ReleasePod { pod, owner, resource_version } => {
            let patch = MetadataPatch {
                uid: Some(&pod.uid),
                resource_version: Some(*resource_version),
                remove_owner: Some(owner),
                remove_finalizer: Some(JOB_TRACKING_FINALIZER),
                ..MetadataPatch::default()
            };
            patch_pod(store, actor, pod, &patch)
        }
        Operation::DeletePod(pod) => delete(store, actor, Kind::Pod, pod, None),
        Operation::CreateJob(manifest) => Ok(Some(Object::Job(store.create_job_of(actor, manifest)?))),
        Operation::DeleteJob { job, pods } => {
            let propagation = match pods {
                request::Propagation::Background => Propagation::Background,
                request::Propagation::Foreground => Propagation::Foreground,
            };
            delete(store, actor, Kind::Job, job, Some(propagation))
        }
        Operation::WriteCronJobStatus(cron_job) => {
            Ok(Some(Object::CronJob(store.update_cron_job_status(actor, cron_job)?)))
        }
        Operation::WriteJobStatus(job) => Ok(Some(Object::Job(store.update_job_status(actor, job)?))),
        Operation::Get { kind, namespace, name } => store.get(*kind, namespace, name).map(Some),
        Operation::RecordEvent(event) if event.count > 1 => {
            let last = Time::from_unix_ms(event.unix_ms);
            store.repeat_event(actor, &event.namespace, &event.name, event.count, last).map(|()| None)
        }
        Operation::RecordEvent(event) => store.create_event(actor, to_event(event)).map(|()| None),
    }
}

fn patch_pod(
    store: &mut Store,
    actor: Actor,
    pod: &ObjectRef,
    patch: &MetadataPatch<'_>,
) -> Result<Option<Object>, ApiStatus> {
    store.patch(actor, Kind::Pod, &pod.namespace, &pod.name, patch).map(Some)
}

fn delete(
    store: &mut Store,
    actor: Actor,
    kind: Kind,
    target: &ObjectRef,
    propagation: Option<Propagation>,
) -> Result<Option<Object>, ApiStatus> {
    let options = DeleteOptions { uid: Some(&target.uid), propagation, ..DeleteOptions::default() };
    match store.delete(actor, kind, &target.namespace, &target.name, &options)? {
        Deletion::Pending(object) => Ok(Some(object)),
        Deletion::Removed(_) => Ok(None),
    }
}

fn to_event(event: &Arc<EventManifest>) -> Event {
    Event {
        namespace: event.namespace.clone(),
        name: event.name.clone(),
        regarding: Regarding {
            api_version: event.kind.api_version().into(),
            kind: event.kind.name().into(),
            namespace: event.regarding.namespace.clone(),
            name: event.regarding.name.clone(),
            uid: event.regarding.uid.clone(),
        },
        warning: event.warning,
        reason: event.reason.clone(),
        message: event.message.clone(),
        controller: event.controller().into(),
        time: Some(Time::from_unix_ms(event.unix_ms)),
        ..Event::default()
    }
}
