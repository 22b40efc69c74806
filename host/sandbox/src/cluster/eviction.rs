//! Eviction of Pods from nodes with taints that they do not bear, or no longer (upstream: pkg/controller/tainteviction).

use std::sync::Arc;

use windlass_core::kube::{Kind, Object, Pod, Str, Taint};

use super::Cluster;
use super::nodes::tolerates;
use super::work::{PodRef, Work};
use crate::body::Toleration;
use crate::{Actor, DeleteOptions};

/// For how long a Pod bears the taints of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Borne {
    ForEver,
    ForMs(u64),
}

impl Cluster {
    /// Plans the eviction of a bound Pod by what its node's taints are now; one that is planned comes no later.
    pub(super) fn note_taints(&mut self, pod: &Arc<Pod>) {
        let Some(node) = &pod.spec.node_name else { return };
        let taints: Vec<Taint> =
            self.nodes.taints_of(node).filter(|taint| is_evicting(taint)).cloned().collect();
        let body = self.store.pod_body(&pod.metadata.namespace, &pod.metadata.name);
        let Some(body) = body.filter(|_| !pod.is_terminal()) else { return };
        let borne = borne(&taints, &body.tolerations);
        let now_ms = self.store.now_ms();
        let Some(state) = self.pods.get_mut(&pod.metadata.uid) else { return };
        match borne {
            Borne::ForEver => state.eviction_ms = None,
            Borne::ForMs(delay_ms) => {
                let due_ms = now_ms.saturating_add(delay_ms);
                if state.eviction_ms.is_none_or(|planned_ms| due_ms < planned_ms) {
                    state.eviction_ms = Some(due_ms);
                    self.after(delay_ms, Work::EvictFromNode(PodRef::of(pod)));
                }
            }
        }
    }

    /// Plans evictions of all Pods of a node whose taints changed.
    pub(super) fn note_taints_of_node(&mut self, node: &Str) {
        for (namespace, name) in self.nodes.pods_of(node) {
            if let Some(Object::Pod(pod)) = self.store.object(Kind::Pod, &namespace, &name) {
                self.note_taints(&pod.clone());
            }
        }
    }

    /// Deletes a Pod that is to leave its node by now.
    pub(super) fn evict_from_node(&mut self, reference: &PodRef) {
        let now_ms = self.store.now_ms();
        let planned_ms = self.pods.get(&reference.uid).and_then(|state| state.eviction_ms);
        let Some(pod) = self.pod(reference).filter(|_| planned_ms.is_some_and(|due_ms| due_ms <= now_ms))
        else {
            return;
        };
        if pod.metadata.is_terminating() || pod.is_terminal() {
            return;
        }
        let mut status = pod.status.as_ref().clone();
        status.conditions.push(self.words.tainted_node(self.store.time()));
        let options = DeleteOptions { uid: Some(&reference.uid), ..DeleteOptions::default() };
        // Both were read just now from the same store, so neither can be refused.
        let _marked = self.store.set_pod_status(Actor::TAINT_EVICTION, &pod, status);
        let _deleted = self.store.delete(
            Actor::TAINT_EVICTION,
            Kind::Pod,
            &reference.namespace,
            &reference.name,
            &options,
        );
    }
}

fn is_evicting(taint: &Taint) -> bool {
    &*taint.effect == "NoExecute"
}

/// The least of the times for which the taints are borne, each by the first toleration that bears it.
fn borne(taints: &[Taint], tolerations: &[Toleration]) -> Borne {
    let mut least_ms: Option<u64> = None;
    for taint in taints {
        let Some(bearing) = tolerations.iter().find(|toleration| tolerates(toleration, taint)) else {
            return Borne::ForMs(0);
        };
        if let Some(seconds) = bearing.toleration_seconds {
            let ms = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
            least_ms = Some(least_ms.map_or(ms, |least_ms| least_ms.min(ms)));
        }
    }
    least_ms.map_or(Borne::ForEver, Borne::ForMs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str) -> Taint {
        Taint { key: key.into(), value: "v".into(), effect: "NoExecute".into() }
    }

    fn toleration(key: &str, seconds: Option<i64>) -> Toleration {
        Toleration {
            key: key.into(),
            operator: "Exists".into(),
            toleration_seconds: seconds,
            ..Toleration::default()
        }
    }

    #[test]
    fn a_pod_bears_its_nodes_taints_for_the_least_time_of_all() {
        let taints = [taint("a"), taint("b")];
        let of = |tolerations: &[Toleration]| borne(&taints, tolerations);
        assert_eq!(borne(&[], &[]), Borne::ForEver);
        assert_eq!(of(&[toleration("a", None)]), Borne::ForMs(0));
        assert_eq!(of(&[toleration("a", None), toleration("b", None)]), Borne::ForEver);
        assert_eq!(of(&[toleration("a", None), toleration("b", Some(7))]), Borne::ForMs(7000));
        assert_eq!(of(&[toleration("a", Some(-1)), toleration("b", Some(7))]), Borne::ForMs(0));
        assert_eq!(of(&[toleration("", None), toleration("b", Some(7))]), Borne::ForEver);
    }
}
