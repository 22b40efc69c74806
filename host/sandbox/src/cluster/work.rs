//! What the surroundings have still to do, in order of time and then of planning.

use std::collections::BTreeMap;

use windlass_core::kube::{Pod, Str, Uid};

use crate::ObjectKey;

/// One incarnation of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodRef {
    pub(super) namespace: Str,
    pub(super) name: Str,
    pub(super) uid: Uid,
}

impl PodRef {
    pub(super) fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        Self { namespace: metadata.namespace.clone(), name: metadata.name.clone(), uid: metadata.uid.clone() }
    }
}

/// Something to do. Each looks again at what it is about, so that one which came too late does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Bind a Pod.
    Schedule(PodRef),
    /// Start a bound Pod's containers.
    Start(PodRef),
    /// Find a Pod's containers ready, if they are those that were started after so many restarts.
    Ready(PodRef, u32),
    /// Evict a running Pod, as a kubelet does that runs out of something.
    EvictFromKubelet(PodRef),
    /// Delete a Pod that bears its node's taints no longer.
    EvictFromNode(PodRef),
    /// End a running Pod's containers.
    Finish(PodRef),
    /// Start a Pod's containers again.
    Restart(PodRef),
    /// End a terminating Pod, and let it go.
    Stop(PodRef),
    /// Delete a dependent whose owners are gone or wait for it.
    Collect(ObjectKey, Uid),
    /// See to the dependents of a deleted owner that has a finalizer for them.
    Finalize(ObjectKey, Uid),
    /// Empty a Namespace that is ending.
    EmptyNamespace(Str),
    /// Say by taints and by Pods' readiness whether a node's kubelet is heard from.
    HearNode(Str),
    /// End the Pods of a node that is gone.
    LoseNode(Str),
}

#[derive(Debug, Default)]
pub(super) struct WorkQueue {
    by_time: BTreeMap<(u64, u64), Work>,
    sequence: u64,
}

impl WorkQueue {
    pub(super) fn push(&mut self, due_ms: u64, work: Work) {
        self.sequence += 1;
        self.by_time.insert((due_ms, self.sequence), work);
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.by_time.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }

    /// The first work that is due by `now_ms`, and when it was.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<(u64, Work)> {
        if self.next_ms()? > now_ms {
            return None;
        }
        self.by_time.pop_first().map(|((due_ms, _), work)| (due_ms, work))
    }
}
