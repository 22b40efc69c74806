//! Delete: preconditions, grace, propagation and finalizers (upstream: apiserver, pkg/registry/rest/delete.go and
//! pkg/registry/generic/registry/store.go).

use std::sync::Arc;

use windlass_core::kube::{ApiStatus, Kind, Object, ObjectMeta, Pod, ResourceVersion, Str, Time};

use super::{Actor, Store, Verb, metadata_mut};
use crate::validate::metadata::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use crate::{Resource, refusal};

/// What a delete asks for; the default is what `kubectl delete --cascade` leaves to the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteOptions<'a> {
    /// Uid that the object must have.
    pub uid: Option<&'a str>,
    /// resourceVersion that the object must have.
    pub resource_version: Option<ResourceVersion>,
    /// Seconds that a Pod may take to end; the spec's where absent.
    pub grace_seconds: Option<i64>,
    /// What becomes of dependents; by the server's rule where absent: a Job's are orphaned.
    pub propagation: Option<Propagation>,
}

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Propagation {
    /// They are deleted once it is gone.
    Background,
    /// It goes once they are gone.
    Foreground,
    /// They stay, without their owner reference.
    Orphan,
}

/// What a delete came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// The object stays until its finalizers or its grace are over.
    Pending(Object),
    /// The object is gone; this is its last state.
    Removed(Object),
}

/// What a delete first does to a Pod's grace.
enum Grace {
    /// Nothing to wait for.
    None,
    /// The Pod is told to end within so many seconds, until a time.
    Begun(i64, Time),
    /// It was told before, and no sooner end is asked for.
    Pending,
}

impl Store {
    /// Deletes an object, or marks it until its finalizers are removed and its grace is over.
    ///
    /// # Errors
    /// 404 NotFound, or 409 Conflict for a precondition.
    pub fn delete(
        &mut self,
        actor: Actor,
        kind: Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions<'_>,
    ) -> Result<Deletion, ApiStatus> {
        let before = self.get(kind, namespace, name)?;
        check_preconditions(&before, options)?;
        let grace = match &before {
            Object::Pod(pod) => self.pod_grace(pod, options),
            Object::CronJob(_)
            | Object::Job(_)
            | Object::Node(_)
            | Object::DaemonSet(_)
            | Object::ControllerRevision(_) => Grace::None,
        };
        if matches!(grace, Grace::Pending) {
            return Ok(Deletion::Pending(before));
        }
        let finalizers = finalizers_for(&before, options);
        let mut after = before.clone();
        let metadata = metadata_mut(&mut after);
        if let Some(finalizers) = finalizers {
            metadata.finalizers = Arc::new(finalizers);
        }
        let pending_finalizers = !metadata.finalizers.is_empty();
        let seconds = match grace {
            Grace::Begun(seconds, until) => {
                mark(metadata, until, seconds);
                seconds
            }
            Grace::None | Grace::Pending if pending_finalizers => {
                let now = Time::from_unix_ms(self.unix_ms());
                mark(metadata, metadata.deletion_timestamp.map_or(now, |old| old.min(now)), 0);
                0
            }
            Grace::None | Grace::Pending => {
                if options.resource_version.is_some() && !before.metadata().finalizers.is_empty() {
                    // Upstream forgets the version between the two steps of such a delete, so it never succeeds.
                    return Err(forgotten_version(&before));
                }
                return Ok(Deletion::Removed(self.remove(actor, Verb::Delete, before)));
            }
        };
        let marked =
            if before == after { before } else { self.put(actor, Verb::Delete, Some(before), after, None) };
        if pending_finalizers || seconds > 0 {
            return Ok(Deletion::Pending(marked));
        }
        Ok(Deletion::Removed(self.remove(actor, Verb::Delete, marked)))
    }

    fn pod_grace(&self, pod: &Pod, options: &DeleteOptions<'_>) -> Grace {
        let now = Time::from_unix_ms(self.unix_ms());
        let metadata = &pod.metadata;
        let asked = options.grace_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
        let Some(until) = metadata.deletion_timestamp else {
            let from_spec =
                || self.pod_body(&metadata.namespace, &metadata.name).map_or(0, |body| body.grace_seconds);
            let idle = pod.spec.node_name.as_ref().is_none_or(|node| node.is_empty()) || pod.is_terminal();
            let seconds = if idle { 0 } else { asked.unwrap_or_else(from_spec) };
            let seconds = if seconds < 0 { 1 } else { seconds };
            return Grace::Begun(seconds, later(now, seconds));
        };
        let running = metadata.deletion_grace_period_seconds.unwrap_or(0);
        let Some(asked) = asked.filter(|_| running != 0) else {
            return if running == 0 { Grace::None } else { Grace::Pending };
        };
        if asked >= running {
            return Grace::Pending;
        }
        let sooner = later(until, asked.saturating_sub(running));
        if sooner >= now {
            return Grace::Begun(asked, sooner);
        }
        Grace::Begun(if asked == 0 { 0 } else { 1 }, now)
    }
}

/// Marks an object as being deleted; the first mark is a change of what is wanted.
fn mark(metadata: &mut ObjectMeta, until: Time, seconds: i64) {
    if metadata.deletion_timestamp.is_none() && metadata.generation > 0 {
        metadata.generation += 1;
    }
    metadata.deletion_timestamp = Some(until);
    metadata.deletion_grace_period_seconds = Some(seconds);
}

fn forgotten_version(object: &Object) -> ApiStatus {
    let metadata = object.metadata();
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: ResourceVersion in precondition: , ResourceVersion in object meta: {}",
        object.kind().resource(),
        metadata.namespace,
        metadata.name,
        metadata.resource_version
    );
    refusal::conflict(Resource::from(object.kind()).plural(), &metadata.name, why)
}

fn later(time: Time, seconds: i64) -> Time {
    Time::from_unix_seconds(time.unix_seconds.saturating_add(seconds))
}

fn check_preconditions(object: &Object, options: &DeleteOptions<'_>) -> Result<(), ApiStatus> {
    let metadata = object.metadata();
    let named = Resource::from(object.kind()).singular();
    if let Some(uid) = options.uid
        && uid != &*metadata.uid
    {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            metadata.uid
        );
        return Err(refusal::conflict(named, &metadata.name, why));
    }
    if let Some(version) = options.resource_version
        && version != metadata.resource_version
    {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            metadata.resource_version
        );
        return Err(refusal::conflict(named, &metadata.name, why));
    }
    Ok(())
}

/// The finalizers that a delete leaves, where they differ as a set from what there is.
fn finalizers_for(object: &Object, options: &DeleteOptions<'_>) -> Option<Vec<Str>> {
    let metadata = object.metadata();
    let has = |name: &str| metadata.has_finalizer(name);
    let propagation = options.propagation.unwrap_or_else(|| {
        let of_garbage_collector = metadata
            .finalizers
            .iter()
            .find(|finalizer| matches!(&***finalizer, ORPHAN_FINALIZER | FOREGROUND_FINALIZER));
        match (of_garbage_collector.map(|finalizer| &**finalizer), object.kind()) {
            (Some(ORPHAN_FINALIZER), _) | (None, Kind::Job) => Propagation::Orphan,
            (Some(_), _) => Propagation::Foreground,
            (None, Kind::CronJob | Kind::Pod | Kind::Node | Kind::DaemonSet | Kind::ControllerRevision) => {
                Propagation::Background
            }
        }
    });
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND_FINALIZER),
        Propagation::Orphan => Some(ORPHAN_FINALIZER),
    };
    let unchanged =
        [ORPHAN_FINALIZER, FOREGROUND_FINALIZER].iter().all(|name| has(name) == (wanted == Some(name)));
    if unchanged {
        return None;
    }
    let others = metadata
        .finalizers
        .iter()
        .filter(|finalizer| !matches!(&***finalizer, ORPHAN_FINALIZER | FOREGROUND_FINALIZER))
        .cloned();
    Some(others.chain(wanted.map(Str::from)).collect())
}
