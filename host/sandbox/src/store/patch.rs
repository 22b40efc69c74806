//! Patch: the changes of metadata that controllers make.

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, Kind, Labels, Object, ObjectMeta, OwnerReference, ResourceVersion, Str,
};

use super::daemon_set::keep_template_generation;
use super::update::keep_system_metadata;
use super::{Actor, Store, Verb, metadata_mut};
use crate::field::Faults;
use crate::{Resource, refusal, validate};

/// A change of metadata, as a strategic merge patch makes it; the default changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetadataPatch<'a> {
    /// Uid that the object must have.
    pub uid: Option<&'a str>,
    /// resourceVersion that the object must have.
    pub resource_version: Option<ResourceVersion>,
    /// Finalizer to add, where it is absent.
    pub add_finalizer: Option<&'a str>,
    /// Finalizer to remove, where it is present.
    pub remove_finalizer: Option<&'a str>,
    /// Owner reference to add, or to put in place of one with the same uid.
    pub add_owner: Option<&'a OwnerReference>,
    /// Uid of the owner reference to remove, where it is present.
    pub remove_owner: Option<&'a str>,
    /// Labels to set, or to remove where there is no value.
    pub labels: &'a [(Str, Option<Str>)],
    /// Annotations to set, or to remove where there is no value.
    pub annotations: &'a [(Str, Option<Str>)],
}

impl Store {
    /// Changes the metadata of an object and gives it back as it is then; it is gone if its last finalizer went.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a resourceVersion that is not the stored one, 422 Invalid for another uid, and
    /// 400 BadRequest where the annotation that counts a DaemonSet's templates would be no number.
    pub fn patch(
        &mut self,
        actor: Actor,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &MetadataPatch<'_>,
    ) -> Result<Object, ApiStatus> {
        let before = self.get(kind, namespace, name)?;
        if patch.resource_version.is_some_and(|version| version != before.metadata().resource_version) {
            return Err(refusal::modified(Resource::from(kind), name));
        }
        let mut after = before.clone();
        let metadata = metadata_mut(&mut after);
        patch.apply(metadata);
        keep_system_metadata(metadata, before.metadata());
        if let Object::Job(job) = &mut after {
            crate::defaults::job_labels(Arc::make_mut(job));
        }
        if kind == Kind::DaemonSet {
            keep_template_generation(metadata_mut(&mut after), before.metadata())?;
        }
        let mut faults = Faults::default();
        validate::metadata::on_update(after.metadata(), before.metadata(), kind != Kind::Node, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::from(kind), name, &faults));
        }
        Ok(self.store_change(actor, Verb::Patch, &before, after, None))
    }
}

impl MetadataPatch<'_> {
    fn apply(&self, metadata: &mut ObjectMeta) {
        if let Some(uid) = self.uid
            && uid != &*metadata.uid
        {
            metadata.uid = uid.into();
        }
        if let Some(name) = self.remove_finalizer
            && metadata.has_finalizer(name)
        {
            Arc::make_mut(&mut metadata.finalizers).retain(|finalizer| &**finalizer != name);
        }
        if let Some(name) = self.add_finalizer
            && !metadata.has_finalizer(name)
        {
            // A strategic merge puts what is new in front.
            Arc::make_mut(&mut metadata.finalizers).insert(0, name.into());
        }
        let owned_by = |uid: &str| metadata.owner_references.iter().any(|reference| &*reference.uid == uid);
        if let Some(uid) = self.remove_owner
            && owned_by(uid)
        {
            Arc::make_mut(&mut metadata.owner_references).retain(|reference| &*reference.uid != uid);
        }
        if let Some(owner) = self.add_owner {
            let references = Arc::make_mut(&mut metadata.owner_references);
            match references.iter_mut().find(|reference| reference.uid == owner.uid) {
                Some(reference) => *reference = owner.clone(),
                None => references.insert(0, owner.clone()),
            }
        }
        merge(&mut metadata.labels, self.labels);
        merge(&mut metadata.annotations, self.annotations);
    }
}

fn merge(map: &mut Arc<Labels>, changes: &[(Str, Option<Str>)]) {
    for (key, value) in changes {
        let map = Arc::make_mut(map);
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}
