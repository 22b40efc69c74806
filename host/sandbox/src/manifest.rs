//! The JSON edge, inwards: from a manifest's text to an object in the store.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use windlass_core::kube::{
    ApiStatus, ControllerRevision, CronJob, DaemonSet, Job, Kind, Node, Object, ObjectMeta, PodManifest, Str,
};

use crate::body::NodeBody;
use crate::{Actor, Store, defaults};

/// The kinds that [`Store::apply_manifest`] takes.
pub const KINDS_SERVED: &str = "batch/v1 CronJob, batch/v1 Job, apps/v1 DaemonSet, apps/v1 ControllerRevision, v1 Pod, v1 Node, v1 Namespace";
/// Pods that a node takes where it does not say (the kubelet's default).
const DEFAULT_POD_CAPACITY: usize = 110;

/// A manifest, read.
#[derive(Clone, Debug)]
pub enum Manifest {
    /// A CronJob.
    CronJob(CronJob),
    /// A Job.
    Job(Job),
    /// A DaemonSet.
    DaemonSet(DaemonSet),
    /// A ControllerRevision.
    ControllerRevision(ControllerRevision),
    /// A Pod.
    Pod(PodManifest),
    /// A Node, and its whole text.
    Node(Node, Arc<RawValue>),
    /// A Namespace, by name.
    Namespace(Str),
}

/// What a manifest became.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// An object.
    Object(Object),
    /// A Namespace.
    Namespace(Str),
}

/// Why a manifest was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The text is not a manifest that the sandbox can read: its author's mistake.
    Unreadable(String),
    /// The kind is none that the sandbox serves.
    UnknownKind {
        /// Group and version as written.
        api_version: String,
        /// Kind as written.
        kind: String,
    },
    /// The API server refused it.
    Refused(ApiStatus),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => formatter.write_str(why),
            Self::UnknownKind { api_version, kind } => {
                write!(formatter, "{api_version} {kind} is not served here; these kinds are: {KINDS_SERVED}")
            }
            Self::Refused(status) => write!(formatter, "{status}"),
        }
    }
}

impl std::error::Error for ApplyError {}

impl From<ApiStatus> for ApplyError {
    fn from(status: ApiStatus) -> Self {
        Self::Refused(status)
    }
}

impl Manifest {
    /// The manifest that `text` (JSON) holds; a namespaced object without a namespace gets `default`.
    ///
    /// # Errors
    /// [`ApplyError::Unreadable`] or [`ApplyError::UnknownKind`].
    pub fn parse(text: &str) -> Result<Self, ApplyError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            #[serde(default)]
            api_version: String,
            #[serde(default)]
            kind: String,
        }
        #[derive(Deserialize)]
        struct PodText {
            #[serde(default)]
            metadata: ObjectMeta,
            spec: Option<Arc<RawValue>>,
        }
        #[derive(Deserialize)]
        struct RevisionData {
            data: Option<Arc<RawValue>>,
        }
        #[derive(Deserialize)]
        struct NamespaceText {
            metadata: ObjectMeta,
        }
        // The API server takes null for an absent field of any type.
        let as_sent = text;
        let mut whole: Map<String, Value> = read(text, "manifest")?;
        defaults::prune_nulls(&mut whole);
        let text = &Value::Object(whole).to_string();
        let head: Head = read(text, "manifest")?;
        match (head.api_version.as_str(), head.kind.as_str()) {
            ("batch/v1", "CronJob") => {
                let mut cron_job: CronJob = read(text, "CronJob")?;
                in_some_namespace(&mut cron_job.metadata);
                Ok(Self::CronJob(cron_job))
            }
            ("batch/v1", "Job") => {
                let mut job: Job = read(text, "Job")?;
                in_some_namespace(&mut job.metadata);
                Ok(Self::Job(job))
            }
            ("apps/v1", "DaemonSet") => {
                let mut set: DaemonSet = read(text, "DaemonSet")?;
                in_some_namespace(&mut set.metadata);
                Ok(Self::DaemonSet(set))
            }
            ("apps/v1", "ControllerRevision") => {
                let mut revision: ControllerRevision = read(text, "ControllerRevision")?;
                in_some_namespace(&mut revision.metadata);
                revision.data = read::<RevisionData>(as_sent, "ControllerRevision")?.data;
                Ok(Self::ControllerRevision(revision))
            }
            ("v1", "Pod") => {
                let mut pod: PodText = read(text, "Pod")?;
                in_some_namespace(&mut pod.metadata);
                let spec = match pod.spec {
                    Some(spec) => spec,
                    None => read::<Arc<RawValue>>("{}", "Pod")?,
                };
                Ok(Self::Pod(PodManifest { metadata: pod.metadata, spec, hostname: None }))
            }
            ("v1", "Node") => Ok(Self::Node(read(text, "Node")?, read(text, "Node")?)),
            ("v1", "Namespace") => {
                Ok(Self::Namespace(read::<NamespaceText>(text, "Namespace")?.metadata.name))
            }
            _ => Err(ApplyError::UnknownKind { api_version: head.api_version, kind: head.kind }),
        }
    }
}

impl Store {
    /// Creates what `text` (JSON) describes.
    ///
    /// # Errors
    /// An [`ApplyError`] that says whether the manifest cannot be read, names another kind, or was refused.
    pub fn apply_manifest(&mut self, actor: Actor, text: &str) -> Result<Applied, ApplyError> {
        Ok(self.create(actor, Manifest::parse(text)?)?)
    }

    /// Makes the cluster hold what `text` (JSON) describes: a CronJob, DaemonSet or Job that is there gets its spec,
    /// labels and annotations, and everything else is created.
    ///
    /// # Errors
    /// As [`Store::apply_manifest`].
    pub fn replace_manifest(&mut self, actor: Actor, text: &str) -> Result<Applied, ApplyError> {
        let manifest = Manifest::parse(text)?;
        let is_there =
            |kind, metadata: &ObjectMeta| self.get(kind, &metadata.namespace, &metadata.name).is_ok();
        Ok(match manifest {
            Manifest::CronJob(new) if is_there(Kind::CronJob, &new.metadata) => {
                Applied::Object(Object::CronJob(self.update_cron_job(actor, &new)?))
            }
            Manifest::DaemonSet(new) if is_there(Kind::DaemonSet, &new.metadata) => {
                Applied::Object(Object::DaemonSet(self.update_daemon_set(actor, &new)?))
            }
            Manifest::Job(new) if is_there(Kind::Job, &new.metadata) => {
                Applied::Object(Object::Job(self.update_job(actor, &new)?))
            }
            manifest => self.create(actor, manifest)?,
        })
    }

    /// Creates what `manifest` describes.
    ///
    /// # Errors
    /// As for [`Store::create_pod`].
    pub fn create(&mut self, actor: Actor, manifest: Manifest) -> Result<Applied, ApiStatus> {
        Ok(match manifest {
            Manifest::CronJob(cron_job) => {
                Applied::Object(Object::CronJob(self.create_cron_job(actor, cron_job)?))
            }
            Manifest::Job(job) => Applied::Object(Object::Job(self.create_job(actor, job)?)),
            Manifest::DaemonSet(set) => {
                Applied::Object(Object::DaemonSet(self.create_daemon_set(actor, set)?))
            }
            Manifest::ControllerRevision(revision) => {
                Applied::Object(Object::ControllerRevision(self.create_revision(actor, revision)?))
            }
            Manifest::Pod(pod) => Applied::Object(Object::Pod(self.create_pod(actor, &pod)?)),
            Manifest::Node(node, text) => {
                let body = Arc::new(NodeBody::read(text));
                Applied::Object(self.create_node(actor, node, body)?)
            }
            Manifest::Namespace(name) => {
                self.create_namespace(actor, &name)?;
                Applied::Namespace(name)
            }
        })
    }
}

impl NodeBody {
    /// What the text of a Node says about its state.
    pub(crate) fn read(text: Arc<RawValue>) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Whole {
            status: Status,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            conditions: Vec<Condition>,
            allocatable: Allocatable,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Condition {
            #[serde(rename = "type")]
            kind: String,
            status: String,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Allocatable {
            pods: Option<Value>,
        }
        let whole: Whole = serde_json::from_str(text.get()).unwrap_or_default();
        let condition = whole.status.conditions.iter().find(|condition| condition.kind == "Ready");
        let pods = whole.status.allocatable.pods.and_then(|pods| match pods {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
            _ => None,
        });
        Self {
            text,
            // Here a node's kubelet runs as soon as the node is known, so only one that says otherwise is not ready.
            ready: condition.is_none_or(|condition| condition.status == "True"),
            pod_capacity: pods.unwrap_or(DEFAULT_POD_CAPACITY),
        }
    }
}

fn in_some_namespace(metadata: &mut ObjectMeta) {
    if metadata.namespace.is_empty() {
        metadata.namespace = "default".into();
    }
}

fn read<'text, T: Deserialize<'text>>(text: &'text str, what: &str) -> Result<T, ApplyError> {
    serde_json::from_str(text).map_err(|error| ApplyError::Unreadable(format!("not a {what}: {error}")))
}
