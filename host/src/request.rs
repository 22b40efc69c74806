//! Requests to the API server and their outcomes: values, whoever carries them.

mod daemon_set;

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, CronJob, Job, JobManifest, Kind, Object, ObjectMeta, OwnerReference, PodManifest,
    ResourceVersion, Str, Uid,
};

pub use daemon_set::DaemonSetOperation;

/// Identity of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A period of leadership; a write of an ended term is never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(pub u64);

/// Requests that share a bound on how many are in flight; in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// Reads that settle an outcome or that a plan asked for.
    Read,
    /// Everything that changes objects, status included.
    Write,
    /// Events, which are never worth a delay of anything else.
    Event,
}

impl Flow {
    /// Every flow, in order of precedence.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Event];

    /// Most requests of the flow that a process has in flight.
    ///
    /// Measured: some 500 creates in flight make the API server close lagging Pod watches; 24 did not and were
    /// no slower. A third of that is for reads, and little for Events.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::Read => 8,
            Self::Write => 24,
            Self::Event => 4,
        }
    }

    /// How metrics label the flow.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Event => "event",
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Identity, for the answer.
    pub id: RequestId,
    /// Bound that it falls under.
    pub flow: Flow,
    /// Term in which it was made.
    pub term: Term,
    /// What is asked.
    pub operation: Operation,
}

/// An object by name, and the incarnation that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// Uid, sent as a precondition.
    pub uid: Uid,
}

impl ObjectRef {
    /// The object with that metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self { namespace: metadata.namespace.clone(), name: metadata.name.clone(), uid: metadata.uid.clone() }
    }
}

/// What becomes of the children of an object that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
}

impl Propagation {
    /// Name as the API spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
        }
    }
}

/// What is asked of the API server. Every delete and patch carries the uid, every update the resourceVersion.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Create a Pod.
    CreatePod(Arc<PodManifest>),
    /// Remove the tracking finalizer from a Pod.
    UntrackPod {
        /// The Pod.
        pod: ObjectRef,
        /// Also required, where the Pod was not recorded before.
        resource_version: Option<ResourceVersion>,
    },
    /// Add a controller reference and the tracking finalizer to a Pod.
    AdoptPod {
        /// The Pod.
        pod: ObjectRef,
        /// The reference to add.
        owner: OwnerReference,
        /// Also required: one that arrives late would give back the finalizer of a Pod that was counted.
        resource_version: ResourceVersion,
    },
    /// Remove our controller reference and the tracking finalizer from a Pod.
    ReleasePod {
        /// The Pod.
        pod: ObjectRef,
        /// Uid of the reference to remove.
        owner: Uid,
        /// Also required: one that arrives late would take the finalizer off a Pod that was adopted again.
        resource_version: ResourceVersion,
    },
    /// Delete a Pod.
    DeletePod(ObjectRef),
    /// Replace a Job's status; metadata carries the resourceVersion.
    WriteJobStatus(Arc<Job>),
    /// Create a Job.
    CreateJob(Arc<JobManifest>),
    /// Delete a Job.
    DeleteJob {
        /// The Job.
        job: ObjectRef,
        /// What becomes of its Pods.
        pods: Propagation,
    },
    /// Replace a CronJob's status; metadata carries the resourceVersion.
    WriteCronJobStatus(Arc<CronJob>),
    /// What only DaemonSets ask.
    DaemonSet(DaemonSetOperation),
    /// Read one object, not from a lagging cache.
    Get {
        /// Kind.
        kind: Kind,
        /// Namespace.
        namespace: Str,
        /// Name.
        name: Str,
    },
    /// Record an Event, or how often one has happened that is recorded.
    RecordEvent(Arc<EventManifest>),
}

/// An Event to record, in the form of events.k8s.io/v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventManifest {
    /// Name of the Event, unique in its namespace.
    pub name: Str,
    /// Namespace.
    pub namespace: Str,
    /// Kind that it is about.
    pub kind: Kind,
    /// Object that it is about.
    pub regarding: ObjectRef,
    /// resourceVersion of that object.
    pub resource_version: ResourceVersion,
    /// Whether it is of type Warning; else Normal.
    pub warning: bool,
    /// Why, in CamelCase.
    pub reason: Str,
    /// For people.
    pub message: Str,
    /// When it happened, milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// How often it has happened; where that is more than once, the Event of this name exists, and this is the last
    /// time.
    pub count: u32,
}

impl EventManifest {
    /// Component that the Event names, as upstream's do: `kubectl describe` shows it in its From column.
    #[must_use]
    pub fn controller(&self) -> &'static str {
        match self.kind {
            Kind::CronJob => "cronjob-controller",
            Kind::DaemonSet | Kind::ControllerRevision => "daemonset-controller",
            Kind::Job | Kind::Pod | Kind::Node => "job-controller",
        }
    }
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It never left: a lost term, a passed deadline, or a connection that could not be opened.
    NotSent,
    /// The server refused it, so nothing changed.
    Rejected(ApiStatus),
    /// The server did it; the object as it is now, where it told.
    Done(Option<Object>),
    /// It may or may not have happened.
    Unknown,
}

impl Operation {
    /// Verb and resource, as logs and metrics label the request.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Self::CreatePod(_) => "create pods",
            Self::UntrackPod { .. } | Self::AdoptPod { .. } | Self::ReleasePod { .. } => "patch pods",
            Self::DeletePod(_) => "delete pods",
            Self::WriteJobStatus(_) => "update jobs/status",
            Self::CreateJob(_) => "create jobs",
            Self::DeleteJob { .. } => "delete jobs",
            Self::WriteCronJobStatus(_) => "update cronjobs/status",
            Self::DaemonSet(operation) => operation.describe(),
            Self::Get { kind: Kind::DaemonSet, .. } => "get daemonsets",
            Self::Get { kind: Kind::ControllerRevision, .. } => "get controllerrevisions",
            Self::Get { kind: Kind::CronJob, .. } => "get cronjobs",
            Self::Get { kind: Kind::Job, .. } => "get jobs",
            Self::Get { kind: Kind::Pod, .. } => "get pods",
            Self::Get { kind: Kind::Node, .. } => "get nodes",
            Self::RecordEvent(event) if event.count > 1 => "patch events",
            Self::RecordEvent(_) => "create events",
        }
    }
}
