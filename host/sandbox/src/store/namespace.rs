//! Namespaces: what must exist before anything can be created in it.

use windlass_core::kube::{ApiStatus, Object, ResourceVersion, Str, Time, Uid};

use super::{Actor, Store, Verb};
use crate::field::Faults;
use crate::names::dns_label_faults;
use crate::{Resource, refusal};

/// A Namespace.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    pub(crate) uid: Uid,
    pub(crate) resource_version: ResourceVersion,
    pub(crate) created: Time,
    /// When its deletion was asked for.
    pub(crate) deleted: Option<Time>,
}

impl Store {
    /// Creates a Namespace.
    ///
    /// # Errors
    /// 409 AlreadyExists, or 422 Invalid for a malformed name.
    pub fn create_namespace(&mut self, actor: Actor, name: &str) -> Result<(), ApiStatus> {
        let mut faults = Faults::default();
        for fault in dns_label_faults(name) {
            faults.invalid_text("metadata.name", name, &fault);
        }
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::Namespace, name, &faults));
        }
        if let Some(namespace) = self.namespaces.get(name) {
            return Err(refusal::already_exists(Resource::Namespace, name, namespace.deleted.is_some()));
        }
        self.insert_namespace(actor, name.into());
        Ok(())
    }

    /// Asks for the end of a Namespace: nothing new can be created in it, and the cluster empties it.
    ///
    /// # Errors
    /// 404 NotFound.
    pub fn delete_namespace(&mut self, actor: Actor, name: &str) -> Result<(), ApiStatus> {
        let now = self.time();
        let Some(namespace) = self.namespaces.get_mut(name) else {
            return Err(refusal::not_found(Resource::Namespace, name));
        };
        if namespace.deleted.is_none() {
            self.revision += 1;
            namespace.deleted = Some(now);
            namespace.resource_version = ResourceVersion(self.revision);
            self.log(actor, Verb::Delete, Resource::Namespace, None, None);
        }
        Ok(())
    }

    /// Names of the Namespaces, in order.
    pub fn namespaces(&self) -> impl Iterator<Item = &Str> {
        self.namespaces.keys()
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    pub(crate) fn terminating_namespaces(&self) -> impl Iterator<Item = &Str> {
        self.namespaces.iter().filter(|(_, namespace)| namespace.deleted.is_some()).map(|(name, _)| name)
    }

    /// Objects of every namespaced kind in `namespace`.
    pub(crate) fn objects_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Object> {
        let tables = self.tables.iter().filter_map(move |table| table.by_namespace.get(namespace));
        tables.flat_map(|objects| objects.values().map(|entry| &entry.object))
    }

    /// Removes an empty Namespace whose end was asked for.
    pub(crate) fn finalize_namespace(&mut self, actor: Actor, name: &str) {
        if self.namespaces.remove(name).is_some() {
            self.quotas.retain(|(namespace, _), _| **namespace != *name);
            self.revision += 1;
            self.log(actor, Verb::Delete, Resource::Namespace, None, None);
        }
    }

    pub(super) fn insert_namespace(&mut self, actor: Actor, name: Str) {
        self.revision += 1;
        let namespace = Namespace {
            uid: self.dice.uid(),
            resource_version: ResourceVersion(self.revision),
            created: self.time(),
            deleted: None,
        };
        self.namespaces.insert(name, namespace);
        self.log(actor, Verb::Create, Resource::Namespace, None, None);
    }

    /// Makes sure that something can be created in `namespace`.
    pub(super) fn admit_to_namespace(
        &mut self,
        actor: Actor,
        resource: Resource,
        namespace: &Str,
        name: &str,
    ) -> Result<(), ApiStatus> {
        match self.namespaces.get(namespace) {
            Some(found) if found.deleted.is_none() => Ok(()),
            Some(_) => {
                let why = format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                );
                let mut status = refusal::forbidden(resource, name, why);
                status.namespace_terminating = true;
                Err(status)
            }
            None if self.options.auto_create_namespaces && dns_label_faults(namespace).is_empty() => {
                self.insert_namespace(actor, namespace.clone());
                Ok(())
            }
            None => Err(refusal::not_found(Resource::Namespace, namespace)),
        }
    }
}
