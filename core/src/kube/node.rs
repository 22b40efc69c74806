//! v1 Node, as far as placement reads it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{ObjectMeta, Str};

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: NodeSpec,
    /// Observed state.
    pub status: NodeStatus,
}

/// The slim part of a Node's spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Whether new Pods are kept away.
    pub unschedulable: bool,
    /// Taints, in the order stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

/// A mark on a Node that keeps away Pods which do not tolerate it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Key.
    pub key: Str,
    /// Value, empty if none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub value: Str,
    /// NoSchedule, PreferNoSchedule or NoExecute.
    pub effect: Str,
}

/// The slim part of a Node's status: nothing is read yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {}
