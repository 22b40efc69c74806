//! What a plan may ask for of a DaemonSet.

use alloc::vec::Vec;

use crate::kube::Str;
use crate::view::DaemonSetStatusView;

/// What a step does for a DaemonSet. Nodes, Pods and revisions are named by their position in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonSetAction {
    /// Create one Pod for each of the nodes, starting slowly, with this revision hash.
    CreatePods {
        /// The nodes.
        nodes: Vec<u32>,
        /// Value of the Pods' label controller-revision-hash.
        hash: Str,
    },
    /// Delete Pods, each with its uid as precondition.
    DeletePods(Vec<u32>),
    /// Add our controller reference to Pods that have no controller.
    AdoptPods(Vec<u32>),
    /// Remove our controller reference from Pods that the selector left.
    ReleasePods(Vec<u32>),
    /// Give Pods another revision hash as their label.
    RelabelPods {
        /// The Pods.
        pods: Vec<u32>,
        /// The hash.
        hash: Str,
    },
    /// Create the revision of the template, under the hash that the view says.
    CreateRevision {
        /// Its number.
        number: i64,
    },
    /// Add our controller reference to revisions that have no controller.
    AdoptRevisions(Vec<u32>),
    /// Remove our controller reference from revisions that the selector left.
    ReleaseRevisions(Vec<u32>),
    /// Give a revision without one the label controller-revision-hash.
    LabelRevision {
        /// The revision.
        revision: u32,
        /// The hash.
        hash: Str,
    },
    /// Give a revision another number.
    RenumberRevision {
        /// The revision.
        revision: u32,
        /// The number.
        number: i64,
    },
    /// Delete revisions, each with its uid as precondition.
    DeleteRevisions(Vec<u32>),
    /// Replace the DaemonSet's status.
    WriteStatus(DaemonSetStatusView),
}

/// Nodes at which nothing is to be done, and nothing will be as long as neither they, nor the set's Pods for them, nor
/// the set and its revisions change, however much time passes; by their positions in the snapshot. The next snapshots
/// need not show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettledNodes {
    /// Those that are to have a Pod and have just one, available and of the present template.
    pub with_pod: Vec<u32>,
    /// Those that are not to have one and have none.
    pub without: Vec<u32>,
}
