//! What the control plane makes of a kubelet that falls silent, where the options ask for it
//! (upstream: pkg/controller/nodelifecycle).

use std::sync::Arc;

use windlass_core::kube::{ConditionStatus, Kind, Object, Pod, PodPhase, Str, Taint};

use super::Cluster;
use super::work::Work;
use crate::Actor;

/// Key of the taints of a node whose kubelet is not heard from.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

impl Cluster {
    /// Plans what follows where a kubelet fell silent, or is heard from again.
    pub(super) fn note_silence(&mut self, node: &Str, is_heard: bool) {
        if let Some(silence_ms) = self.options.silence_ms {
            self.after(if is_heard { 0 } else { silence_ms }, Work::HearNode(node.clone()));
        }
    }

    /// Taints a node that has been silent for long enough, and takes the readiness of its Pods; or takes that back.
    pub(super) fn hear_node(&mut self, name: &Str) {
        let Some(silence_ms) = self.options.silence_ms else { return };
        let Some(before @ Object::Node(node)) = self.store.object(Kind::Node, "", name) else { return };
        let now_ms = self.store.now_ms();
        let silent_since_ms = self.nodes.silent_since_ms(name);
        if silent_since_ms.is_some_and(|since_ms| now_ms < since_ms.saturating_add(silence_ms)) {
            return;
        }
        let is_heard = silent_since_ms.is_none();
        let (before, mut after) = (before.clone(), node.as_ref().clone());
        after.spec.taints.retain(|taint| &*taint.key != UNREACHABLE);
        if !is_heard {
            let taint =
                |effect: &str| Taint { key: UNREACHABLE.into(), effect: effect.into(), ..Taint::default() };
            after.spec.taints.extend(["NoSchedule", "NoExecute"].map(taint));
        }
        self.store.store_node(Actor::NODE_CONTROLLER, &before, Object::Node(Arc::new(after)), None);
        for (namespace, name) in self.nodes.pods_of(name) {
            if let Some(Object::Pod(pod)) = self.store.object(Kind::Pod, &namespace, &name) {
                self.set_readiness(&pod.clone(), is_heard);
            }
        }
    }

    /// Says that a Pod is not ready, or, as its kubelet would, that it is where its containers are.
    fn set_readiness(&mut self, pod: &Arc<Pod>, is_heard: bool) {
        let mut containers = pod.status.container_statuses.iter();
        let is_ready =
            is_heard && pod.status.phase == PodPhase::Running && containers.all(|status| status.ready);
        let wanted = if is_ready { ConditionStatus::True } else { ConditionStatus::False };
        let now = self.store.time();
        let mut status = pod.status.as_ref().clone();
        let mut conditions = status.conditions.iter_mut();
        let Some(ready) = conditions.find(|condition| &*condition.kind == "Ready") else { return };
        if ready.status != wanted {
            ready.status = wanted;
            ready.last_transition_time = Some(now);
            let actor = if is_heard { Actor::KUBELET } else { Actor::NODE_CONTROLLER };
            // The Pod was read just now from the same store, so this cannot be refused.
            let _told = self.store.set_pod_status(actor, pod, status);
        }
    }
}
