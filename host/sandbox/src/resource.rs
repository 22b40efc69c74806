//! The resources that the sandbox serves, and how refusals spell them.

use windlass_core::kube::{Kind, Object, Str};

/// A resource that the sandbox serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// batch/v1 CronJob.
    CronJob,
    /// batch/v1 Job.
    Job,
    /// v1 Pod.
    Pod,
    /// v1 Node.
    Node,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 ControllerRevision.
    ControllerRevision,
    /// v1 Namespace.
    Namespace,
    /// events.k8s.io/v1 Event.
    Event,
}

impl Resource {
    /// Plural and group, as refusals name the resource (`jobs.batch`).
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::CronJob => "cronjobs.batch",
            Self::Job => "jobs.batch",
            Self::Pod => "pods",
            Self::Node => "nodes",
            Self::DaemonSet => "daemonsets.apps",
            Self::ControllerRevision => "controllerrevisions.apps",
            Self::Namespace => "namespaces",
            Self::Event => "events.events.k8s.io",
        }
    }

    /// Kind and group, as refusals name the kind (`Job.batch`).
    #[must_use]
    pub fn singular(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob.batch",
            Self::Job => "Job.batch",
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::DaemonSet => "DaemonSet.apps",
            Self::ControllerRevision => "ControllerRevision.apps",
            Self::Namespace => "Namespace",
            Self::Event => "Event.events.k8s.io",
        }
    }
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::CronJob => Self::CronJob,
            Kind::Job => Self::Job,
            Kind::Pod => Self::Pod,
            Kind::Node => Self::Node,
            Kind::DaemonSet => Self::DaemonSet,
            Kind::ControllerRevision => Self::ControllerRevision,
        }
    }
}

/// Where an object is kept: its kind and name, whatever its incarnation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-wide kinds.
    pub namespace: Str,
    /// Name.
    pub name: Str,
}

impl ObjectKey {
    /// Where `object` is kept.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        let metadata = object.metadata();
        Self { kind: object.kind(), namespace: metadata.namespace.clone(), name: metadata.name.clone() }
    }
}
