//! Create: names, defaults, validation, and the system's metadata.

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, Job, JobManifest, JobStatus, Kind, Node, Object, ObjectMeta, Pod, PodManifest, PodStatus,
    ResourceVersion, Str,
};

use super::{Actor, Store, Verb};
use crate::body::{Body, NodeBody};
use crate::field::Faults;
use crate::{Resource, defaults, refusal, validate};

/// Most bytes of a generated name's prefix (upstream: apiserver, pkg/storage/names).
const MAX_GENERATED_PREFIX: usize = 58;

impl Store {
    /// Creates a Pod and gives it back as stored.
    ///
    /// # Errors
    /// 409 AlreadyExists, 403 Forbidden or 404 NotFound for its namespace, 422 Invalid.
    pub fn create_pod(&mut self, actor: Actor, manifest: &PodManifest) -> Result<Arc<Pod>, ApiStatus> {
        let mut metadata = manifest.metadata.clone();
        self.name_and_admit(actor, Resource::Pod, &mut metadata)?;
        let body = self.bodies.of(&manifest.spec);
        let mut faults = Faults::default();
        validate::metadata::on_create(&metadata, true, &mut faults);
        faults.append(&body.faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::Pod, &metadata.name, &faults));
        }
        self.admit_by_quota(Kind::Pod, &metadata)?;
        self.must_be_absent(Kind::Pod, &metadata)?;
        metadata.generation = 1;
        let mut spec = body.slim.clone();
        if manifest.hostname.is_some() {
            Arc::make_mut(&mut spec).hostname.clone_from(&manifest.hostname);
        }
        let pod = Pod { metadata, spec, status: Arc::new(PodStatus::default()) };
        let body = Some(Body::Pod(body));
        let Object::Pod(pod) = self.put(actor, Verb::Create, None, Object::Pod(Arc::new(pod)), body) else {
            return Err(refusal::bad_request("a Pod was created and something else stored"));
        };
        Ok(pod)
    }

    /// Creates a Job and gives it back as stored, with its defaults, selector and labels.
    ///
    /// # Errors
    /// As for [`Store::create_pod`].
    pub fn create_job(&mut self, actor: Actor, mut job: Job) -> Result<Arc<Job>, ApiStatus> {
        defaults::job_spec(Arc::make_mut(&mut job.spec));
        // A Job without labels gets those of its template. Upstream shares one map between the two, so that the Job
        // gets the selector's labels too, unless the map was copied before because a name was to be made. Where the
        // template has none either, the Job gets them when it is read, unchecked.
        let has_labels = !job.spec.template.metadata.labels.is_empty();
        if has_labels && job.metadata.name.is_empty() {
            defaults::job_labels(&mut job);
        }
        self.name_and_admit(actor, Resource::Job, &mut job.metadata)?;
        defaults::job_selector(&mut job);
        if has_labels {
            defaults::job_labels(&mut job);
        }
        job.status = JobStatus::default();
        job.metadata.generation = 1;
        let mut faults = Faults::default();
        validate::job::on_create(&job, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::Job, &job.metadata.name, &faults));
        }
        self.admit_by_quota(Kind::Job, &job.metadata)?;
        self.must_be_absent(Kind::Job, &job.metadata)?;
        defaults::job_labels(&mut job);
        let stored = self.put(actor, Verb::Create, None, Object::Job(Arc::new(job)), Some(Body::Slim));
        let Object::Job(job) = stored else {
            return Err(refusal::bad_request("a Job was created and something else stored"));
        };
        Ok(job)
    }

    /// Creates the Job of `manifest`, which a CronJob made.
    ///
    /// # Errors
    /// As for [`Store::create_pod`], and 400 BadRequest where its spec is not that of a Job.
    pub fn create_job_of(&mut self, actor: Actor, manifest: &JobManifest) -> Result<Arc<Job>, ApiStatus> {
        let text = manifest.spec.as_ref().map_or("{}", |spec| spec.get());
        let spec = serde_json::from_str(text).map_err(|error| refusal::bad_request(error.to_string()))?;
        let metadata = manifest.metadata.clone();
        self.create_job(actor, Job { metadata, spec, status: JobStatus::default() })
    }

    /// Creates a Node whose whole text is in `body`.
    pub(crate) fn create_node(
        &mut self,
        actor: Actor,
        mut node: Node,
        body: Arc<NodeBody>,
    ) -> Result<Object, ApiStatus> {
        self.generate_name(&mut node.metadata);
        self.fill_system_metadata(&mut node.metadata);
        let mut faults = Faults::default();
        validate::metadata::on_create(&node.metadata, false, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::Node, &node.metadata.name, &faults));
        }
        self.must_be_absent(Kind::Node, &node.metadata)?;
        Ok(self.put(actor, Verb::Create, None, Object::Node(Arc::new(node)), Some(Body::Node(body))))
    }

    /// Gives a name and the system's metadata, where the namespace takes something new.
    pub(super) fn name_and_admit(
        &mut self,
        actor: Actor,
        resource: Resource,
        metadata: &mut ObjectMeta,
    ) -> Result<(), ApiStatus> {
        self.generate_name(metadata);
        self.admit_to_namespace(actor, resource, &metadata.namespace, &metadata.name)?;
        self.fill_system_metadata(metadata);
        Ok(())
    }

    fn generate_name(&mut self, metadata: &mut ObjectMeta) {
        let Some(prefix) = metadata.generate_name.as_ref().filter(|prefix| !prefix.is_empty()) else {
            return;
        };
        if metadata.name.is_empty() {
            let end = prefix.floor_char_boundary(MAX_GENERATED_PREFIX);
            metadata.name = Str::from(format!("{}{}", &prefix[..end], self.dice.suffix()));
        }
    }

    fn fill_system_metadata(&mut self, metadata: &mut ObjectMeta) {
        metadata.uid = self.dice.uid();
        metadata.creation_timestamp = Some(self.time());
        metadata.deletion_timestamp = None;
        metadata.deletion_grace_period_seconds = None;
        metadata.generation = 0;
    }

    pub(super) fn must_be_absent(&self, kind: Kind, metadata: &ObjectMeta) -> Result<(), ApiStatus> {
        if metadata.resource_version != ResourceVersion::default() {
            return Err(refusal::version_on_create());
        }
        let Some(existing) = self.object(kind, &metadata.namespace, &metadata.name) else { return Ok(()) };
        let terminating = existing.metadata().is_terminating();
        // Upstream words the refusal as a collision of the server's making wherever a generateName was sent.
        let has_prefix = metadata.generate_name.as_ref().is_some_and(|prefix| !prefix.is_empty());
        Err(if has_prefix {
            refusal::generated_name_exists(Resource::from(kind), &metadata.name, terminating)
        } else {
            refusal::already_exists(Resource::from(kind), &metadata.name, terminating)
        })
    }
}
