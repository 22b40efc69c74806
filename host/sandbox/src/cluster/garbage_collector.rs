//! The garbage collector: what a deletion means for dependents, owners and Namespaces
//! (upstream: pkg/controller/garbagecollector).

use windlass_core::kube::{Object, Str, Uid};

use super::work::Work;
use super::{Cluster, owner_key};
use crate::validate::metadata::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use crate::{Actor, DeleteOptions, MetadataPatch, ObjectKey, Propagation};

/// What the owners of an object have come to.
#[derive(Default)]
struct Owners {
    /// Owners that exist, or of which nothing is known here.
    solid: usize,
    /// Owners that are gone.
    dangling: Vec<Uid>,
    /// Owners that wait for their dependents to go.
    waiting: Vec<Uid>,
}

impl Cluster {
    /// Plans what a change means for the object's dependents and owners.
    pub(super) fn note_ownership(&mut self, before: Option<&Object>, after: Option<&Object>) {
        let delay_ms = self.options.garbage_collector_delay_ms;
        match (before, after) {
            (None, Some(object)) => {
                if !object.metadata().owner_references.is_empty() && !self.owners(object).dangling.is_empty()
                {
                    self.after(delay_ms, Work::Collect(ObjectKey::of(object), object.metadata().uid.clone()));
                }
            }
            (Some(old), Some(new)) => {
                if waits_for_dependents(new) && !waits_for_dependents(old) {
                    self.after(delay_ms, Work::Finalize(ObjectKey::of(new), new.metadata().uid.clone()));
                }
            }
            (Some(gone), None) => self.note_removal(gone),
            (None, None) => {}
        }
    }

    fn note_removal(&mut self, gone: &Object) {
        let delay_ms = self.options.garbage_collector_delay_ms;
        let metadata = gone.metadata();
        let dependents: Vec<ObjectKey> = self.store.dependents(&metadata.uid).cloned().collect();
        for key in dependents {
            if let Some(uid) = self.uid_of(&key) {
                self.after(delay_ms, Work::Collect(key, uid));
            }
        }
        for reference in metadata.owner_references.iter() {
            let Some(key) = owner_key(reference, &metadata.namespace) else { continue };
            let owner = self.store.object(key.kind, &key.namespace, &key.name);
            if owner.is_some_and(|owner| owner.metadata().uid == reference.uid && waits_for_dependents(owner))
            {
                self.after(delay_ms, Work::Finalize(key, reference.uid.clone()));
            }
        }
        let ending = self.store.namespace(&metadata.namespace).is_some_and(|found| found.deleted.is_some());
        if ending && self.store.objects_in(&metadata.namespace).next().is_none() {
            self.after(delay_ms, Work::EmptyNamespace(metadata.namespace.clone()));
        }
    }

    /// Deletes a dependent that no owner holds any more, or cuts it loose from owners that are gone.
    pub(super) fn collect(&mut self, key: &ObjectKey, uid: &Uid) {
        let Some(object) = self.incarnation(key, uid) else { return };
        let metadata = object.metadata();
        if metadata.is_terminating() && !metadata.has_finalizer(FOREGROUND_FINALIZER) {
            return;
        }
        let owners = self.owners(&object);
        if metadata.owner_references.is_empty() || (owners.dangling.is_empty() && owners.waiting.is_empty()) {
            return;
        }
        let actor = Actor::GARBAGE_COLLECTOR;
        if owners.solid > 0 {
            for owner in owners.dangling.iter().chain(&owners.waiting) {
                let patch =
                    MetadataPatch { uid: Some(uid), remove_owner: Some(owner), ..MetadataPatch::default() };
                // Read just now from the same store: it is there, and has this uid.
                let _cut = self.store.patch(actor, key.kind, &key.namespace, &key.name, &patch);
            }
            return;
        }
        let has_dependents = self.store.dependents(uid).next().is_some();
        let propagation = if !owners.waiting.is_empty() && has_dependents {
            Propagation::Foreground
        } else if metadata.has_finalizer(ORPHAN_FINALIZER) {
            Propagation::Orphan
        } else if metadata.has_finalizer(FOREGROUND_FINALIZER) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let options =
            DeleteOptions { uid: Some(uid), propagation: Some(propagation), ..DeleteOptions::default() };
        // As above.
        let _deleted = self.store.delete(actor, key.kind, &key.namespace, &key.name, &options);
    }

    /// Sees to the dependents of a deleted owner, and removes its finalizer once none is left that holds it.
    pub(super) fn finalize(&mut self, key: &ObjectKey, uid: &Uid) {
        let Some(owner) = self.incarnation(key, uid) else { return };
        if !waits_for_dependents(&owner) {
            return;
        }
        let actor = Actor::GARBAGE_COLLECTOR;
        let dependents: Vec<ObjectKey> = self.store.dependents(uid).cloned().collect();
        let finalizer = if owner.metadata().has_finalizer(ORPHAN_FINALIZER) {
            for dependent in dependents {
                let patch = MetadataPatch { remove_owner: Some(uid), ..MetadataPatch::default() };
                let ObjectKey { kind, namespace, name } = &dependent;
                // The index of owners says that it is there.
                let _cut = self.store.patch(actor, *kind, namespace, name, &patch);
            }
            ORPHAN_FINALIZER
        } else {
            let blocking: Vec<ObjectKey> =
                dependents.into_iter().filter(|dependent| self.blocks(dependent, uid)).collect();
            if !blocking.is_empty() {
                for dependent in blocking {
                    if let Some(uid) = self.uid_of(&dependent) {
                        self.after(0, Work::Collect(dependent, uid));
                    }
                }
                return;
            }
            FOREGROUND_FINALIZER
        };
        let patch =
            MetadataPatch { uid: Some(uid), remove_finalizer: Some(finalizer), ..MetadataPatch::default() };
        // Read just now from the same store: it is there, and has this uid.
        let _released = self.store.patch(actor, key.kind, &key.namespace, &key.name, &patch);
    }

    /// Deletes everything in a Namespace that is ending, and the Namespace once it is empty.
    pub(super) fn empty_namespace(&mut self, namespace: &Str) {
        if self.store.namespace(namespace).is_none_or(|found| found.deleted.is_none()) {
            return;
        }
        let actor = Actor::GARBAGE_COLLECTOR;
        self.store.forget_events_in(namespace);
        let keys: Vec<ObjectKey> = self.store.objects_in(namespace).map(ObjectKey::of).collect();
        if keys.is_empty() {
            self.store.finalize_namespace(actor, namespace);
        }
        for key in keys {
            let options =
                DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
            // It may have gone with an object before it.
            let _deleted = self.store.delete(actor, key.kind, &key.namespace, &key.name, &options);
        }
    }

    fn owners(&self, object: &Object) -> Owners {
        let metadata = object.metadata();
        let mut owners = Owners::default();
        for reference in metadata.owner_references.iter() {
            let Some(key) = owner_key(reference, &metadata.namespace) else {
                owners.solid += 1;
                continue;
            };
            match self.store.object(key.kind, &key.namespace, &key.name) {
                Some(owner) if owner.metadata().uid == reference.uid => {
                    if owner.metadata().is_terminating()
                        && owner.metadata().has_finalizer(FOREGROUND_FINALIZER)
                    {
                        owners.waiting.push(reference.uid.clone());
                    } else {
                        owners.solid += 1;
                    }
                }
                Some(_) | None => owners.dangling.push(reference.uid.clone()),
            }
        }
        owners
    }

    /// Whether a dependent holds up the deletion of the owner with `uid`.
    fn blocks(&self, dependent: &ObjectKey, uid: &Uid) -> bool {
        let object = self.store.object(dependent.kind, &dependent.namespace, &dependent.name);
        object.is_some_and(|object| {
            let mut references = object.metadata().owner_references.iter();
            references.any(|reference| reference.uid == *uid && reference.block_owner_deletion == Some(true))
        })
    }

    fn incarnation(&self, key: &ObjectKey, uid: &Uid) -> Option<Object> {
        let object = self.store.object(key.kind, &key.namespace, &key.name)?;
        (object.metadata().uid == *uid).then(|| object.clone())
    }

    fn uid_of(&self, key: &ObjectKey) -> Option<Uid> {
        Some(self.store.object(key.kind, &key.namespace, &key.name)?.metadata().uid.clone())
    }
}

fn waits_for_dependents(object: &Object) -> bool {
    let metadata = object.metadata();
    metadata.is_terminating()
        && (metadata.has_finalizer(FOREGROUND_FINALIZER) || metadata.has_finalizer(ORPHAN_FINALIZER))
}
