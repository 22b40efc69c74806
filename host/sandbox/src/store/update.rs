//! Update: whole objects and their status, under preconditions.

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, Job, Kind, Node, Object, ObjectMeta, Pod, PodManifest, PodStatus, ResourceVersion, Str,
};

use super::{Actor, Store, Verb, metadata_mut};
use crate::body::Body;
use crate::field::Faults;
use crate::{Resource, defaults, refusal, validate};

impl Store {
    /// Replaces a Job but for its status; metadata may carry the uid and the resourceVersion that are required.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid.
    pub fn update_job(&mut self, actor: Actor, new: &Job) -> Result<Arc<Job>, ApiStatus> {
        let before = self.get(Kind::Job, &new.metadata.namespace, &new.metadata.name)?;
        let Object::Job(old) = &before else { return Err(not_of_kind(Kind::Job)) };
        check_preconditions(Kind::Job, &new.metadata, &old.metadata)?;
        let mut job = new.clone();
        defaults::job_spec(Arc::make_mut(&mut job.spec));
        job.status = old.status.clone();
        keep_system_metadata(&mut job.metadata, &old.metadata);
        defaults::job_labels(&mut job);
        if Arc::ptr_eq(&job.spec, &old.spec) || job.spec == old.spec {
            job.spec = old.spec.clone();
        } else {
            job.metadata.generation = old.metadata.generation.saturating_add(1);
        }
        let mut faults = Faults::default();
        validate::metadata::on_update(&job.metadata, &old.metadata, true, &mut faults);
        validate::job::on_update(&job, old, &mut faults);
        self.store_job(actor, Verb::Update, &before, job, &faults)
    }

    /// Replaces a Job's status; metadata carries the resourceVersion that is required.
    ///
    /// # Errors
    /// As for [`Store::update_job`]; the status must follow from the old one by upstream's rules.
    pub fn update_job_status(&mut self, actor: Actor, new: &Job) -> Result<Arc<Job>, ApiStatus> {
        let before = self.get(Kind::Job, &new.metadata.namespace, &new.metadata.name)?;
        let Object::Job(old) = &before else { return Err(not_of_kind(Kind::Job)) };
        check_preconditions(Kind::Job, &new.metadata, &old.metadata)?;
        let mut job =
            Job { metadata: new.metadata.clone(), spec: old.spec.clone(), status: new.status.clone() };
        keep_system_metadata(&mut job.metadata, &old.metadata);
        defaults::job_labels(&mut job);
        let mut faults = Faults::default();
        validate::metadata::on_update(&job.metadata, &old.metadata, true, &mut faults);
        validate::job_status::on_update(&job, old, &mut faults);
        self.store_job(actor, Verb::UpdateStatus, &before, job, &faults)
    }

    /// Replaces a Pod's status, as its kubelet does.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid.
    pub fn update_pod_status(&mut self, actor: Actor, new: &Pod) -> Result<Arc<Pod>, ApiStatus> {
        let before = self.get(Kind::Pod, &new.metadata.namespace, &new.metadata.name)?;
        let Object::Pod(old) = &before else { return Err(not_of_kind(Kind::Pod)) };
        check_preconditions(Kind::Pod, &new.metadata, &old.metadata)?;
        let mut pod =
            Pod { metadata: new.metadata.clone(), spec: old.spec.clone(), status: new.status.clone() };
        pod.metadata.deletion_timestamp = None;
        pod.metadata.owner_references = old.metadata.owner_references.clone();
        keep_system_metadata(&mut pod.metadata, &old.metadata);
        let mut faults = Faults::default();
        validate::metadata::on_update(&pod.metadata, &old.metadata, true, &mut faults);
        validate::pod::status_update(&pod, old, &mut faults);
        self.store_pod(actor, Verb::UpdateStatus, &before, pod, &faults)
    }

    /// Replaces a Pod but for its status; of its spec only images, deadline and more tolerations may change.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid.
    pub fn update_pod(&mut self, actor: Actor, new: &PodManifest) -> Result<Arc<Pod>, ApiStatus> {
        let before = self.get(Kind::Pod, &new.metadata.namespace, &new.metadata.name)?;
        let Object::Pod(old) = &before else { return Err(not_of_kind(Kind::Pod)) };
        check_preconditions(Kind::Pod, &new.metadata, &old.metadata)?;
        let Some(old_body) = self.pod_body(&new.metadata.namespace, &new.metadata.name).cloned() else {
            return Err(not_of_kind(Kind::Pod));
        };
        let body = self.bodies.of(&new.spec);
        let mut pod = Pod { metadata: new.metadata.clone(), ..old.as_ref().clone() };
        keep_system_metadata(&mut pod.metadata, &old.metadata);
        let mut faults = Faults::default();
        validate::metadata::on_update(&pod.metadata, &old.metadata, true, &mut faults);
        faults.append(&body.faults);
        let (new_spec, old_spec) =
            (body.whole_spec(&body.slim, new.hostname.as_ref()), old_body.whole_spec(&old.spec, None));
        validate::pod_update::spec(&new_spec, &old_spec, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::Pod, &pod.metadata.name, &faults));
        }
        let mut changed_body = None;
        if new_spec != old_spec {
            pod.metadata.generation = pod.metadata.generation.saturating_add(1);
            changed_body = Some(Body::Pod(body));
        }
        let after = Object::Pod(Arc::new(pod));
        let Object::Pod(pod) = self.store_change(actor, Verb::Update, &before, after, changed_body) else {
            return Err(not_of_kind(Kind::Pod));
        };
        Ok(pod)
    }

    /// Binds a Pod to a node and says so in its conditions, as the binding subresource does.
    ///
    /// # Errors
    /// None but 500, where the store is at fault: `pod` is as it was just read.
    pub fn bind(
        &mut self,
        actor: Actor,
        pod: &Arc<Pod>,
        node: &Str,
        status: PodStatus,
    ) -> Result<Arc<Pod>, ApiStatus> {
        let before = Object::Pod(pod.clone());
        let mut bound = pod.as_ref().clone();
        Arc::make_mut(&mut bound.spec).node_name = Some(node.clone());
        bound.status = Arc::new(status);
        self.store_pod(actor, Verb::Bind, &before, bound, &Faults::default())
    }

    /// Replaces the status of a stored Pod; what only a kubelet or the sandbox's own controllers do.
    pub(crate) fn set_pod_status(
        &mut self,
        actor: Actor,
        pod: &Arc<Pod>,
        status: PodStatus,
    ) -> Result<Arc<Pod>, ApiStatus> {
        let before = Object::Pod(pod.clone());
        let changed = Pod { status: Arc::new(status), ..pod.as_ref().clone() };
        self.store_pod(actor, Verb::UpdateStatus, &before, changed, &Faults::default())
    }

    /// Stores `after` in place of `before`, or removes it where its last finalizer went; a write that changes
    /// nothing is none. Gives the object as the client is told.
    pub(super) fn store_change(
        &mut self,
        actor: Actor,
        verb: Verb,
        before: &Object,
        after: Object,
        body: Option<Body>,
    ) -> Object {
        let (old, new) = (before.metadata(), after.metadata());
        let ended = new.finalizers.is_empty()
            && old.is_terminating()
            && old.deletion_grace_period_seconds.unwrap_or(0) == 0;
        if ended {
            self.remove(actor, verb, before.clone());
            // The client is told what it asked for, so that is what is printed for it.
            if let Some(body) = body {
                self.removed.push_back((after.metadata().uid.clone(), body));
            }
            return after;
        }
        if body.is_none() && same(before, &after) {
            return before.clone();
        }
        self.put(actor, verb, Some(before.clone()), after, body)
    }

    fn store_job(
        &mut self,
        actor: Actor,
        verb: Verb,
        before: &Object,
        job: Job,
        faults: &Faults,
    ) -> Result<Arc<Job>, ApiStatus> {
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::Job, &job.metadata.name, faults));
        }
        let Object::Job(job) = self.store_change(actor, verb, before, Object::Job(Arc::new(job)), None)
        else {
            return Err(not_of_kind(Kind::Job));
        };
        Ok(job)
    }

    fn store_pod(
        &mut self,
        actor: Actor,
        verb: Verb,
        before: &Object,
        pod: Pod,
        faults: &Faults,
    ) -> Result<Arc<Pod>, ApiStatus> {
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::Pod, &pod.metadata.name, faults));
        }
        let Object::Pod(pod) = self.store_change(actor, verb, before, Object::Pod(Arc::new(pod)), None)
        else {
            return Err(not_of_kind(Kind::Pod));
        };
        Ok(pod)
    }

    /// Replaces a Node's labels, annotations, taints and schedulability.
    ///
    /// # Errors
    /// 404 NotFound, and 409 Conflict for a precondition.
    pub fn update_node(&mut self, actor: Actor, new: &Node) -> Result<(), ApiStatus> {
        let before = self.get(Kind::Node, "", &new.metadata.name)?;
        check_preconditions(Kind::Node, &new.metadata, before.metadata())?;
        self.store_node(actor, &before, Object::Node(Arc::new(new.clone())), None);
        Ok(())
    }

    /// Stores a Node with changed metadata, taints, schedulability or text.
    pub(crate) fn store_node(&mut self, actor: Actor, before: &Object, after: Object, body: Option<Body>) {
        let mut after = after;
        keep_system_metadata(metadata_mut(&mut after), before.metadata());
        self.store_change(actor, Verb::Update, before, after, body);
    }
}

/// The refusal for a table that holds another kind; the store's own mistake.
pub(super) fn not_of_kind(kind: Kind) -> ApiStatus {
    ApiStatus::new(
        500,
        "InternalError",
        format!("Internal error occurred: the stored object is no {}", kind.name()),
    )
}

/// Compares what the client sent with what is stored: a uid and a resourceVersion, where sent, must be the same.
pub(super) fn check_preconditions(kind: Kind, new: &ObjectMeta, old: &ObjectMeta) -> Result<(), ApiStatus> {
    let resource = Resource::from(kind);
    if !new.uid.is_empty() && new.uid != old.uid {
        return Err(uid_conflict(kind, old, &new.uid));
    }
    if new.resource_version != ResourceVersion(0) && new.resource_version != old.resource_version {
        return Err(refusal::modified(resource, &old.name));
    }
    Ok(())
}

/// The refusal of a write that is meant for another incarnation (upstream: storage.Preconditions.Check).
fn uid_conflict(kind: Kind, stored: &ObjectMeta, asked: &str) -> ApiStatus {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {asked}, UID in object meta: {}",
        kind.resource(),
        stored.namespace,
        stored.name,
        stored.uid
    );
    refusal::conflict(Resource::from(kind).plural(), &stored.name, why)
}

/// What a client cannot change: identity, generation, and the marks of deletion.
pub(super) fn keep_system_metadata(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.generation = old.generation;
    new.resource_version = old.resource_version;
    if new.uid.is_empty() {
        new.uid = old.uid.clone();
    }
    new.creation_timestamp = old.creation_timestamp;
    if old.deletion_timestamp.is_some() {
        new.deletion_timestamp = old.deletion_timestamp;
    }
    if new.deletion_grace_period_seconds.is_none() {
        new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
}

/// Whether two versions of an object differ in nothing that is stored here.
fn same(before: &Object, after: &Object) -> bool {
    match (before, after) {
        (Object::Job(before), Object::Job(after)) => {
            before.metadata == after.metadata
                && before.status == after.status
                && (Arc::ptr_eq(&before.spec, &after.spec) || before.spec == after.spec)
        }
        (Object::DaemonSet(before), Object::DaemonSet(after)) => {
            before.metadata == after.metadata
                && before.status == after.status
                && (Arc::ptr_eq(&before.spec, &after.spec) || before.spec == after.spec)
        }
        (before, after) => before == after,
    }
}
