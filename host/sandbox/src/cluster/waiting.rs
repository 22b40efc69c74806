//! Pods that no node can take now: those that any node would do for, and those that wait for one.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::kube::{Pod, Str};

/// A Pod's namespace and name.
pub(super) type PodName = (Str, Str);

#[derive(Debug, Default)]
pub(super) struct Waiting {
    for_any: BTreeSet<PodName>,
    for_one: BTreeMap<Str, BTreeSet<PodName>>,
}

impl Waiting {
    pub(super) fn insert(&mut self, pod: &Pod) {
        match &pod.spec.pinned_to {
            Some(node) => self.for_one.entry(node.clone()).or_default().insert(name_of(pod)),
            None => self.for_any.insert(name_of(pod)),
        };
    }

    pub(super) fn remove(&mut self, pod: &Pod) {
        let Some(node) = &pod.spec.pinned_to else {
            self.for_any.remove(&name_of(pod));
            return;
        };
        if let Some(pods) = self.for_one.get_mut(node) {
            pods.remove(&name_of(pod));
            if pods.is_empty() {
                self.for_one.remove(node);
            }
        }
    }

    /// Those that `node` may be able to take, which wait no longer then.
    pub(super) fn take_for(&mut self, node: &str) -> Vec<PodName> {
        let for_any = std::mem::take(&mut self.for_any);
        for_any.into_iter().chain(self.for_one.remove(node).unwrap_or_default()).collect()
    }

    /// Those that wait for `node` alone.
    pub(super) fn for_one(&self, node: &str) -> impl Iterator<Item = &PodName> {
        self.for_one.get(node).into_iter().flatten()
    }

    /// Those that any node would do for.
    pub(super) fn for_any(&self) -> impl Iterator<Item = &PodName> {
        self.for_any.iter()
    }
}

fn name_of(pod: &Pod) -> PodName {
    (pod.metadata.namespace.clone(), pod.metadata.name.clone())
}
