//! Pods that a plan creates and deletes, within the limits of one plan.

use alloc::vec::Vec;

use crate::plan::EventRecord;

/// Most Events of one plan about Pods that have ended; the others are deleted without a word. Upstream's recorder folds
/// what is more than 25 at once (client-go, record.NewEventCorrelator).
const MAX_EVENTS: usize = 20;

/// Pods to create and to delete. What is beyond the limits is left to the next plan, which the writes of this one
/// bring.
pub(super) struct Changes {
    /// Positions of the nodes that get a Pod, each once.
    pub(super) creates: Vec<u32>,
    /// Positions of the Pods to delete.
    pub(super) deletes: Vec<u32>,
    /// What is told of Pods to delete.
    pub(super) events: Vec<EventRecord>,
    /// The node with which they begin, where others may have to wait: creates start slowly and stop where one is refused,
    /// and a rollout goes on with so many at once.
    pub(super) turn: Option<u32>,
    limit: usize,
}

impl Changes {
    /// No change yet, and at most `limit` creates and as many deletes.
    pub(super) fn within(limit: u32) -> Self {
        let limit = limit as usize;
        Self { creates: Vec::new(), deletes: Vec::new(), events: Vec::new(), turn: None, limit }
    }

    /// Whether nothing is to be created or deleted.
    pub(super) fn is_empty(&self) -> bool {
        self.creates.is_empty() && self.deletes.is_empty()
    }

    /// Whether there is room for another delete.
    pub(super) fn can_delete(&self) -> bool {
        self.deletes.len() < self.limit
    }

    /// Creates a Pod on the node at this position.
    pub(super) fn create(&mut self, node: u32) {
        if self.creates.len() < self.limit {
            self.begin_with(node);
            self.creates.push(node);
        }
    }

    /// Notes that it is this node's turn, if it is nobody's yet.
    pub(super) fn begin_with(&mut self, node: u32) {
        self.turn.get_or_insert(node);
    }

    /// Deletes the Pod at this position.
    pub(super) fn delete(&mut self, pod: u32) {
        if self.can_delete() {
            self.deletes.push(pod);
        }
    }

    /// Tells of a Pod to delete.
    pub(super) fn tell(&mut self, event: EventRecord) {
        if self.events.len() < MAX_EVENTS {
            self.events.push(event);
        }
    }
}
