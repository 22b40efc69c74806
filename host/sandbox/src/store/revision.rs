//! The verbs of ControllerRevisions (upstream: pkg/registry/apps/controllerrevision/strategy.go).

use std::sync::Arc;

use windlass_core::kube::{ApiStatus, ControllerRevision, Kind, Object, RevisionManifest};

use super::update::{check_preconditions, keep_system_metadata, not_of_kind};
use super::{Actor, Store, Verb};
use crate::body::Body;
use crate::field::Faults;
use crate::{Resource, refusal, validate};

impl Store {
    /// Creates a ControllerRevision, whose data is kept to the byte, and gives it back as stored.
    ///
    /// # Errors
    /// As for [`Store::create_pod`].
    pub fn create_revision(
        &mut self,
        actor: Actor,
        mut new: ControllerRevision,
    ) -> Result<Arc<ControllerRevision>, ApiStatus> {
        // Nothing counts here, so that the server leaves a client's generation as it is.
        let generation = new.metadata.generation;
        self.name_and_admit(actor, Resource::ControllerRevision, &mut new.metadata)?;
        new.metadata.generation = generation;
        let mut faults = Faults::default();
        validate::controller_revision::on_create(&new, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::ControllerRevision, &new.metadata.name, &faults));
        }
        self.must_be_absent(Kind::ControllerRevision, &new.metadata)?;
        let new = Object::ControllerRevision(Arc::new(new));
        let Object::ControllerRevision(stored) = self.put(actor, Verb::Create, None, new, Some(Body::Slim))
        else {
            return Err(not_of_kind(Kind::ControllerRevision));
        };
        Ok(stored)
    }

    /// Creates the ControllerRevision of `manifest`, which a controller made of a template.
    ///
    /// # Errors
    /// As for [`Store::create_pod`].
    pub fn create_revision_of(
        &mut self,
        actor: Actor,
        manifest: &RevisionManifest,
    ) -> Result<Arc<ControllerRevision>, ApiStatus> {
        let new = ControllerRevision {
            metadata: manifest.metadata.clone(),
            revision: manifest.revision,
            data: Some(manifest.data.clone()),
        };
        self.create_revision(actor, new)
    }

    /// Replaces a ControllerRevision's metadata and number; metadata may carry the uid and the resourceVersion that
    /// are required.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid, above all for other data.
    pub fn update_revision(
        &mut self,
        actor: Actor,
        new: &ControllerRevision,
    ) -> Result<Arc<ControllerRevision>, ApiStatus> {
        let before = self.get(Kind::ControllerRevision, &new.metadata.namespace, &new.metadata.name)?;
        let Object::ControllerRevision(old) = &before else {
            return Err(not_of_kind(Kind::ControllerRevision));
        };
        check_preconditions(Kind::ControllerRevision, &new.metadata, &old.metadata)?;
        let mut after = new.clone();
        keep_system_metadata(&mut after.metadata, &old.metadata);
        let mut faults = Faults::default();
        validate::metadata::on_update(&after.metadata, &old.metadata, true, &mut faults);
        validate::controller_revision::on_update(&after, old, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::ControllerRevision, &after.metadata.name, &faults));
        }
        let after = Object::ControllerRevision(Arc::new(after));
        let Object::ControllerRevision(stored) = self.store_change(actor, Verb::Update, &before, after, None)
        else {
            return Err(not_of_kind(Kind::ControllerRevision));
        };
        Ok(stored)
    }
}
