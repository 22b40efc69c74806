//! From a request of the state machine to a call of the sandbox, and from what it says to an outcome.

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, CONTROLLER_REVISION_HASH_LABEL, ControllerRevision, JOB_TRACKING_FINALIZER, Kind, Object, Time,
};
use windlass_sandbox::{
    Actor, DeleteOptions, Deletion, Event, MetadataPatch, Propagation, Regarding, Store, WatchEventKind,
};

use crate::request::{self, DaemonSetOperation, EventManifest, ObjectRef, Operation, Outcome};
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
        Operation::DaemonSet(operation) => daemon_set(store, actor, operation),
        Operation::Get { kind, namespace, name } => store.get(*kind, namespace, name).map(Some),
        Operation::RecordEvent(event) if event.count > 1 => {
            let last = Time::from_unix_ms(event.unix_ms);
            store.repeat_event(actor, &event.namespace, &event.name, event.count, last).map(|()| None)
        }
        Operation::RecordEvent(event) => store.create_event(actor, to_event(event)).map(|()| None),
    }
}

fn daemon_set(
    store: &mut Store,
    actor: Actor,
    operation: &DaemonSetOperation,
) -> Result<Option<Object>, ApiStatus> {
    let mut patch_object = |kind: Kind, object: &ObjectRef, patch: &MetadataPatch<'_>| {
        store.patch(actor, kind, &object.namespace, &object.name, patch).map(Some)
    };
    match operation {
        DaemonSetOperation::Adopt { kind, object, owner, resource_version } => {
            let patch = MetadataPatch {
                uid: Some(&object.uid),
                resource_version: Some(*resource_version),
                add_owner: Some(owner),
                ..MetadataPatch::default()
            };
            patch_object(*kind, object, &patch)
        }
        DaemonSetOperation::Release { kind, object, owner } => {
            let patch = MetadataPatch {
                uid: Some(&object.uid),
                remove_owner: Some(owner),
                ..MetadataPatch::default()
            };
            patch_object(*kind, object, &patch)
        }
        DaemonSetOperation::Label { kind, object, hash } => {
            let labels = [(CONTROLLER_REVISION_HASH_LABEL.into(), Some(hash.clone()))];
            let patch = MetadataPatch { uid: Some(&object.uid), labels: &labels, ..MetadataPatch::default() };
            patch_object(*kind, object, &patch)
        }
        DaemonSetOperation::CreateRevision(manifest) => {
            Ok(Some(Object::ControllerRevision(store.create_revision_of(actor, manifest)?)))
        }
        DaemonSetOperation::RenumberRevision { revision, number, resource_version } => {
            let stored = store.get(Kind::ControllerRevision, &revision.namespace, &revision.name)?;
            let Object::ControllerRevision(stored) = stored else {
                return Err(ApiStatus::new(404, "NotFound", "there is no such revision".to_owned()));
            };
            let mut changed = ControllerRevision::clone(&stored);
            changed.metadata.uid = revision.uid.clone();
            changed.metadata.resource_version = *resource_version;
            changed.revision = *number;
            Ok(Some(Object::ControllerRevision(store.update_revision(actor, &changed)?)))
        }
        DaemonSetOperation::DeleteRevision(revision) => {
            delete(store, actor, Kind::ControllerRevision, revision, None)
        }
        DaemonSetOperation::WriteStatus(set) => {
            Ok(Some(Object::DaemonSet(store.update_daemon_set_status(actor, set)?)))
        }
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
