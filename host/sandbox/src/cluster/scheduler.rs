//! The scheduler: binds each new Pod to the least loaded node that suits it, or to the one that its affinity names.

use windlass_core::kube::{ConditionStatus, PodStatus};

use super::Cluster;
use super::work::PodRef;
use crate::Actor;

impl Cluster {
    pub(super) fn schedule(&mut self, reference: &PodRef) {
        let Some(pod) = self.pod(reference) else { return };
        if pod.spec.node_name.is_some() || pod.metadata.is_terminating() || pod.is_terminal() {
            return;
        }
        let Some(body) = self.store.pod_body(&reference.namespace, &reference.name) else { return };
        let now = self.store.time();
        let mut status = PodStatus { phase: pod.status.phase, ..PodStatus::default() };
        let Some(node) = self.nodes.pick(body).cloned() else {
            self.waiting.insert(&pod);
            if pod.status.conditions.is_empty() {
                let mut condition = self.words.condition(&self.words.scheduled, ConditionStatus::False, now);
                condition.reason = Some(self.words.unschedulable.clone());
                status.conditions.push(condition);
                // The Pod was read just now from the same store, so this cannot be refused.
                let _told = self.store.set_pod_status(Actor::SCHEDULER, &pod, status);
            }
            return;
        };
        status.conditions.push(self.words.condition(&self.words.scheduled, ConditionStatus::True, now));
        // As above: nothing came between the read and the write.
        let _bound = self.store.bind(Actor::SCHEDULER, &pod, &node, status);
    }
}
