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

/// What is reconciled as one: an object with its children, or a Pod that may have lost its Job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A Job and its Pods.
    Job(Name),
    /// A Pod with the tracking finalizer whose Job is gone, finished or not to be found.
    OrphanPod(Name),
}

impl Key {
    /// Name of the object that the key stands for.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Job(name) | Self::OrphanPod(name) => name,
        }
    }

    /// Kind of key, as logs and metrics label it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Job(_) => "job",
            Self::OrphanPod(_) => "orphan-pod",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind(), self.name())
    }
}
