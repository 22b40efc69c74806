//! Stories of one DaemonSet.

use std::cell::OnceCell;
use std::sync::Arc;

use windlass_core::kube::{DaemonSet, DaemonSetSpec, Labels, Object, PlacementSpec, Pod, Str};
use windlass_host::request::Operation;
use windlass_sandbox::{Commit, Store};

use super::{Story, Told};
use crate::simulation::cluster::daemon::edit_daemon_set;
use crate::simulation::history::is_ours;
use crate::simulation::workload::daemon::{DaemonPlan, NodePlan, spec};
use crate::simulation::workload::{LotOf, PodFate};

/// Name of the story's DaemonSet.
pub const NAME: &str = "agent";

impl Story {
    /// Adds so many nodes, and a DaemonSet for them that is created at the start, but for what `change` says of its
    /// spec: its Pods are ready within a tenth of a second and run on.
    #[must_use]
    pub fn daemon_set(mut self, nodes: usize, change: impl FnOnce(&mut DaemonSetSpec)) -> Self {
        let mut spec = spec(NAME);
        change(&mut spec);
        let fate = PodFate { start_ms: (5, 50), run_ms: (300, 900), ..PodFate::default() };
        let plan = DaemonPlan {
            name: NAME.into(),
            annotations: Labels::default(),
            spec: Arc::new(spec),
            created_ms: 0,
            fate,
        };
        self.plot.workload.sets.push(plan);
        self.plot.workload.nodes = vec![NodePlan { zone: None, is_there: true }; nodes];
        self
    }

    /// Adds another DaemonSet for the same nodes.
    #[must_use]
    pub fn another_daemon_set(mut self, name: &str, change: impl FnOnce(&mut DaemonSetSpec)) -> Self {
        let mut spec = spec(name);
        change(&mut spec);
        let fate = PodFate { start_ms: (5, 50), run_ms: (300, 900), ..PodFate::default() };
        let plan = DaemonPlan {
            name: name.into(),
            annotations: Labels::default(),
            spec: Arc::new(spec),
            created_ms: 0,
            fate,
        };
        self.plot.workload.sets.push(plan);
        self
    }

    /// Says what becomes of each Pod of the DaemonSet, from what would become of it otherwise.
    #[must_use]
    pub fn lots(mut self, lots: LotOf) -> Self {
        if let Some(plan) = self.plot.workload.sets.last_mut() {
            plan.fate.lots = Some(lots);
        }
        self
    }
}

impl Told {
    /// The Pods that we created, as they were then, and when.
    pub fn pods_made(&self) -> impl Iterator<Item = (u64, &Arc<Pod>)> {
        self.created().filter(|(_, pod)| pod.spec.pinned_to.is_some())
    }

    /// When we deleted which Pods.
    pub fn pods_deleted(&self) -> impl Iterator<Item = (u64, &Arc<Pod>)> {
        self.commits().iter().filter_map(|commit| match &commit.before {
            Some(Object::Pod(pod)) if deletes_our_pod(commit) => Some((commit.time_ms, pod)),
            _ => None,
        })
    }

    /// The states of the DaemonSet, each with the instant at which it began.
    pub fn daemon_sets(&self) -> impl Iterator<Item = (u64, &Arc<DaemonSet>)> {
        self.commits().iter().filter_map(|commit| match &commit.after {
            Some(Object::DaemonSet(set)) => Some((commit.time_ms, set)),
            _ => None,
        })
    }
}

/// Whether a commit is our asking for the deletion of a Pod.
#[must_use]
pub fn deletes_our_pod(commit: &Commit) -> bool {
    let goes = |object: &Option<Object>| match object {
        Some(Object::Pod(pod)) => pod.metadata.is_terminating(),
        _ => true,
    };
    is_ours(commit)
        && matches!(&commit.before, Some(Object::Pod(pod)) if !pod.metadata.is_terminating())
        && goes(&commit.after)
}

/// Whether a request deletes a Pod.
#[must_use]
pub fn deletes(operation: &Operation) -> bool {
    matches!(operation, Operation::DeletePod(_))
}

/// Whether a request creates a Pod for the node of that name.
pub fn creates_on(node: Str) -> impl Fn(&Operation) -> bool + 'static {
    move |operation| {
        let Operation::CreatePod(manifest) = operation else { return false };
        let spec: Result<PlacementSpec, _> = serde_json::from_str(manifest.spec.get());
        spec.is_ok_and(|spec| spec.affinity.is_some_and(|affinity| affinity.only_node() == Some(&node)))
    }
}

/// Whether a request deletes the Pod that was the first to be deleted.
pub fn deletes_the_first() -> impl Fn(&Operation) -> bool + 'static {
    let first = OnceCell::new();
    move |operation| {
        let Operation::DeletePod(pod) = operation else { return false };
        *first.get_or_init(|| pod.uid.clone()) == pod.uid
    }
}

/// Changes the spec of the story's DaemonSet.
pub fn edit_set(store: &mut Store, change: impl FnOnce(&mut DaemonSetSpec)) {
    edit_daemon_set(store, NAME, change);
}
