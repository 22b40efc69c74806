//! Names of objects and keys of the workqueue.

use std::fmt;

use windlass_core::kube::{ObjectMeta, Str};

/// Namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
}

impl Name {
    /// The name in an object's metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self { namespace: metadata.namespace.clone(), name: metadata.name.clone() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Kinds of keys; upstream has a workqueue for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// [`Key::Job`].
    Job,
    /// [`Key::TimeToLive`].
    TimeToLive,
    /// [`Key::OrphanPod`].
    OrphanPod,
    /// [`Key::CronJob`].
    CronJob,
    /// [`Key::DaemonSet`].
    DaemonSet,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Job, Self::TimeToLive, Self::OrphanPod, Self::CronJob, Self::DaemonSet];

    /// Name of upstream's workqueue for such keys, as its metrics label it.
    #[must_use]
    pub const fn queue(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::TimeToLive => "ttl_jobs_to_delete",
            Self::OrphanPod => "job_orphan_pod",
            Self::CronJob => "cronjob",
            Self::DaemonSet => "daemonset",
        }
    }
}

/// What is reconciled as one: an object with its children, or a Pod that may have lost its Job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A Job and its Pods.
    Job(Name),
    /// The time to live of a Job that has ended, whoever manages it.
    TimeToLive(Name),
    /// A Pod with the tracking finalizer whose Job is gone, finished or not to be found.
    OrphanPod(Name),
    /// A CronJob and its Jobs.
    CronJob(Name),
    /// A DaemonSet with its Pods and revisions, and all nodes.
    DaemonSet(Name),
}

impl Key {
    /// Name of the object that the key stands for.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Job(name)
            | Self::TimeToLive(name)
            | Self::OrphanPod(name)
            | Self::CronJob(name)
            | Self::DaemonSet(name) => name,
        }
    }

    /// Kind of key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Job(_) => KeyKind::Job,
            Self::TimeToLive(_) => KeyKind::TimeToLive,
            Self::OrphanPod(_) => KeyKind::OrphanPod,
            Self::CronJob(_) => KeyKind::CronJob,
            Self::DaemonSet(_) => KeyKind::DaemonSet,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Job(_) => "job",
            Self::TimeToLive(_) => "time-to-live",
            Self::OrphanPod(_) => "orphan-pod",
            Self::CronJob(_) => "cron-job",
            Self::DaemonSet(_) => "daemon-set",
        };
        write!(formatter, "{kind} {}", self.name())
    }
}
