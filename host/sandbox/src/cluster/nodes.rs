//! The nodes as scheduler and kubelets know them: what runs where, and who is least loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, Kind, Labels, Node, NodeSpec, Object, ObjectMeta, Pod, PodPhase, Str, Taint,
};

use super::Cluster;
use super::waiting::PodName;
use super::work::{PodRef, Work};
use crate::body::{Body, NodeBody, PodBody, Toleration};
use crate::{Actor, DeleteOptions, Store};

#[derive(Debug, Default)]
pub(super) struct Nodes {
    by_name: BTreeMap<Str, NodeState>,
    /// Nodes that take new Pods, least loaded first.
    open: BTreeSet<(usize, Str)>,
}

#[derive(Debug, Default)]
struct NodeState {
    /// Whether the Node object exists; Pods may name one that does not.
    exists: bool,
    ready: bool,
    /// Since when its kubelet has been silent, milliseconds since the start.
    silent_since_ms: Option<u64>,
    unschedulable: bool,
    capacity: usize,
    labels: Arc<Labels>,
    taints: Vec<Taint>,
    /// Pods that have not ended.
    pods: BTreeSet<(Str, Str)>,
    /// What its kubelet does once it is there, and ready, again.
    parked: Vec<Work>,
}

impl NodeState {
    fn is_open(&self) -> bool {
        self.exists && self.ready && !self.unschedulable && self.pods.len() < self.capacity
    }

    /// Whether the node takes `pod`, which may run nowhere else, now. Whether its kubelet is heard from does not matter:
    /// upstream's scheduler goes by taints.
    fn takes_pinned(&self, pod: &PodBody) -> bool {
        let closed = Taint {
            key: "node.kubernetes.io/unschedulable".into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        let is_open = !self.unschedulable || pod.tolerations.iter().any(|borne| tolerates(borne, &closed));
        self.exists && is_open && self.pods.len() < self.capacity && self.suits(pod)
    }

    fn suits(&self, pod: &PodBody) -> bool {
        pod.node_selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
            && self.taints.iter().all(|taint| {
                &*taint.effect == "PreferNoSchedule"
                    || pod.tolerations.iter().any(|toleration| tolerates(toleration, taint))
            })
    }
}

/// Whether a toleration bears a taint (upstream: Toleration.ToleratesTaint, without comparisons of numbers).
pub(super) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    (toleration.effect.is_empty() || toleration.effect == taint.effect)
        && (toleration.key.is_empty() || toleration.key == taint.key)
        && match &*toleration.operator {
            "" | "Equal" => toleration.value == taint.value,
            "Exists" => true,
            _ => false,
        }
}

impl Nodes {
    /// The node that the Pod's affinity names, or the least loaded one that suits the Pod.
    pub(super) fn pick(&self, pod: &PodBody) -> Option<&Str> {
        if let Some(node) = &pod.slim.pinned_to {
            let (name, state) = self.by_name.get_key_value(node)?;
            return state.takes_pinned(pod).then_some(name);
        }
        let mut open = self.open.iter().map(|(_, name)| name);
        open.find(|name| self.by_name.get(*name).is_some_and(|node| node.suits(pod)))
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|node| node.exists)
    }

    pub(super) fn silent_since_ms(&self, name: &str) -> Option<u64> {
        self.by_name.get(name)?.silent_since_ms
    }

    pub(super) fn taints_of(&self, name: &str) -> impl Iterator<Item = &Taint> {
        self.by_name.get(name).into_iter().flat_map(|node| &node.taints)
    }

    /// Pods on a node that have not ended.
    pub(super) fn pods_of(&self, name: &str) -> BTreeSet<(Str, Str)> {
        self.by_name.get(name).map(|node| node.pods.clone()).unwrap_or_default()
    }

    fn change(&mut self, name: &Str, change: impl FnOnce(&mut NodeState)) {
        let node = self.by_name.entry(name.clone()).or_default();
        self.open.remove(&(node.pods.len(), name.clone()));
        change(node);
        if node.is_open() {
            self.open.insert((node.pods.len(), name.clone()));
        }
    }
}

impl Cluster {
    /// Adds a ready Node.
    ///
    /// # Errors
    /// What the API server says, such as 409 AlreadyExists.
    pub fn add_node(&mut self, now_ms: u64, name: &str) -> Result<(), ApiStatus> {
        self.add_node_with(now_ms, name, Labels::new(), Vec::new())
    }

    /// Adds a ready Node with labels and taints.
    ///
    /// # Errors
    /// As for [`Cluster::add_node`], and 422 Invalid for malformed labels.
    pub fn add_node_with(
        &mut self,
        now_ms: u64,
        name: &str,
        labels: Labels,
        taints: Vec<Taint>,
    ) -> Result<(), ApiStatus> {
        let labels = Arc::new(labels);
        let node = Node {
            metadata: ObjectMeta { name: name.into(), labels, ..ObjectMeta::default() },
            spec: NodeSpec { taints, ..NodeSpec::default() },
            ..Node::default()
        };
        let text = serde_json::value::to_raw_value(&node_text(name)).unwrap_or_default();
        let body = Arc::new(NodeBody::read(text.into()));
        self.request(now_ms, |store| store.create_node(Actor::USER, node, body)).map(|_| ())
    }

    /// Makes a Node's kubelet fall silent, or come back; whether there is such a Node.
    pub fn set_node_ready(&mut self, now_ms: u64, name: &str, ready: bool) -> bool {
        let Some(Body::Node(body)) = self.store.body(Kind::Node, "", name) else { return false };
        let Some(before) = self.store.object(Kind::Node, "", name).cloned() else { return false };
        if body.ready == ready {
            return true;
        }
        let changed =
            NodeBody { text: with_readiness(&body.text, ready), ready, pod_capacity: body.pod_capacity };
        self.request(now_ms, |store: &mut Store| {
            let body = Some(Body::Node(Arc::new(changed)));
            store.store_node(Actor::KUBELET, &before, before.clone(), body);
        });
        true
    }

    /// Keeps new Pods away from a Node, or lets them come; whether there is such a Node.
    pub fn set_node_unschedulable(&mut self, now_ms: u64, name: &str, unschedulable: bool) -> bool {
        self.change_node(now_ms, name, |node| node.spec.unschedulable = unschedulable)
    }

    /// Gives a Node other labels; whether there is such a Node. Pods that are on it stay.
    pub fn set_node_labels(&mut self, now_ms: u64, name: &str, labels: Labels) -> bool {
        self.change_node(now_ms, name, |node| node.metadata.labels = Arc::new(labels))
    }

    /// Gives a Node other taints; whether there is such a Node. Pods that are on it are deleted where they do not bear a
    /// taint with the effect NoExecute, or bear it no longer.
    pub fn set_node_taints(&mut self, now_ms: u64, name: &str, taints: Vec<Taint>) -> bool {
        self.change_node(now_ms, name, |node| node.spec.taints = taints)
    }

    /// Removes a Node; whether there was such a Node. Its Pods end after [`ClusterOptions::node_loss_ms`].
    ///
    /// [`ClusterOptions::node_loss_ms`]: super::ClusterOptions::node_loss_ms
    pub fn remove_node(&mut self, now_ms: u64, name: &str) -> bool {
        let options = DeleteOptions::default();
        self.request(now_ms, |store| store.delete(Actor::USER, Kind::Node, "", name, &options)).is_ok()
    }

    fn change_node(&mut self, now_ms: u64, name: &str, change: impl FnOnce(&mut Node)) -> bool {
        let Some(before) = self.store.object(Kind::Node, "", name).cloned() else { return false };
        let mut after = before.clone();
        if let Object::Node(node) = &mut after {
            change(Arc::make_mut(node));
        }
        self.request(now_ms, |store| store.store_node(Actor::USER, &before, after, None));
        true
    }

    pub(super) fn note_node(&mut self, node: &Arc<Node>) {
        let (ready, capacity) = match self.store.body(Kind::Node, "", &node.metadata.name) {
            Some(Body::Node(body)) => (body.ready, body.pod_capacity),
            Some(Body::Slim | Body::Pod(_)) | None => return,
        };
        let mut parked = Vec::new();
        let mut is_retainted = false;
        let now_ms = self.store.now_ms();
        let mut was_silent = false;
        self.nodes.change(&node.metadata.name, |state| {
            state.exists = true;
            state.ready = ready;
            was_silent = state.silent_since_ms.is_some();
            state.silent_since_ms = (!ready).then(|| state.silent_since_ms.unwrap_or(now_ms));
            state.unschedulable = node.spec.unschedulable;
            state.capacity = capacity;
            state.labels = node.metadata.labels.clone();
            is_retainted = state.taints != node.spec.taints;
            state.taints.clone_from(&node.spec.taints);
            if ready {
                parked = std::mem::take(&mut state.parked);
            }
        });
        for work in parked {
            self.after(0, work);
        }
        if was_silent == ready {
            self.note_silence(&node.metadata.name, ready);
        }
        if is_retainted {
            self.note_taints_of_node(&node.metadata.name);
        }
        for pod in self.waiting.take_for(&node.metadata.name) {
            self.schedule_again(pod);
        }
    }

    pub(super) fn note_removed_node(&mut self, name: &Str) {
        // What its kubelet has to do stays parked: a node may come back before its Pods are given up.
        self.nodes.change(name, |state| state.exists = false);
        self.after(self.options.node_loss_ms, Work::LoseNode(name.clone()));
    }

    /// Plans the end of a Pod on a node that does not exist, as PodGC finds such Pods whenever they were bound.
    pub(super) fn note_pod_without_node(&mut self, pod: &Pod) {
        if let Some(node) = &pod.spec.node_name {
            self.after(self.options.node_loss_ms, Work::LoseNode(node.clone()));
        }
    }

    /// Counts a Pod on its node.
    pub(super) fn occupy(&mut self, pod: &Pod) {
        let Some(node) = &pod.spec.node_name else { return };
        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
        self.nodes.change(node, |state| {
            state.pods.insert(key);
        });
    }

    /// Frees a Pod's place on its node, for one that waits.
    pub(super) fn release(&mut self, pod: &Pod) {
        let Some(node) = &pod.spec.node_name else { return };
        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
        self.nodes.change(node, |state| {
            state.pods.remove(&key);
        });
        let Some(state) = self.nodes.by_name.get(node).filter(|state| state.exists) else { return };
        let body = |(namespace, name): &PodName| self.store.pod_body(namespace, name);
        let for_it =
            self.waiting.for_one(node).find(|pod| body(pod).is_some_and(|body| state.takes_pinned(body)));
        let next = for_it.or_else(|| {
            let suits = |pod: &&PodName| body(pod).is_some_and(|body| state.suits(body));
            self.waiting.for_any().filter(|_| state.is_open()).find(suits)
        });
        if let Some(next) = next.cloned()
            && let Some(Object::Pod(pod)) = self.store.object(Kind::Pod, &next.0, &next.1)
        {
            self.waiting.remove(pod);
            self.schedule_again(next);
        }
    }

    /// Whether the kubelet of the Pod's node is at work; if not, `work` waits for it.
    pub(super) fn kubelet_at_work(&mut self, pod: &Pod, work: impl FnOnce() -> Work) -> bool {
        let Some(state) = pod.spec.node_name.as_ref().and_then(|node| self.nodes.by_name.get_mut(node))
        else {
            return false;
        };
        let at_work = state.exists && state.ready;
        if !at_work {
            state.parked.push(work());
        }
        at_work
    }

    /// Ends the Pods of a node that is gone, as upstream's PodGC does.
    pub(super) fn lose_node(&mut self, node: &Str) {
        if self.nodes.by_name.get(node).is_none_or(|state| state.exists) {
            return;
        }
        let pods = self.store.objects(Kind::Pod).filter_map(|object| match object {
            Object::Pod(pod) if pod.spec.node_name.as_ref() == Some(node) => Some(pod.clone()),
            _ => None,
        });
        for pod in pods.collect::<Vec<_>>() {
            let actor = Actor::GARBAGE_COLLECTOR;
            if !pod.is_terminal() {
                let mut status = pod.status.as_ref().clone();
                status.phase = PodPhase::Failed;
                status.conditions.push(self.words.lost_node(self.store.time()));
                // The Pod was read just now from the same store, so this cannot be refused.
                let _marked = self.store.set_pod_status(actor, &pod, status);
            }
            let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
            let options = DeleteOptions {
                uid: Some(&pod.metadata.uid),
                grace_seconds: Some(0),
                ..DeleteOptions::default()
            };
            // As above; it may be gone already, where its last finalizer went with the status.
            let _deleted = self.store.delete(actor, Kind::Pod, namespace, name, &options);
        }
        self.nodes.by_name.remove(node);
    }

    fn schedule_again(&mut self, (namespace, name): PodName) {
        let Some(pod) = self.store.object(Kind::Pod, &namespace, &name) else { return };
        let uid = pod.metadata().uid.clone();
        self.after(self.options.scheduler_delay_ms, Work::Schedule(PodRef { namespace, name, uid }));
    }
}

fn node_text(name: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name },
        "status": {
            "capacity": { "cpu": "64", "memory": "256Gi", "pods": "110" },
            "allocatable": { "cpu": "64", "memory": "256Gi", "pods": "110" },
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        },
    })
}

fn with_readiness(text: &serde_json::value::RawValue, ready: bool) -> Arc<serde_json::value::RawValue> {
    let mut whole: serde_json::Value = serde_json::from_str(text.get()).unwrap_or_default();
    let status = if ready { "True" } else { "Unknown" };
    let condition = serde_json::json!({ "type": "Ready", "status": status });
    if whole.get("status").is_none_or(|status| !status.is_object()) {
        whole["status"] = serde_json::json!({});
    }
    match whole["status"]["conditions"].as_array_mut() {
        Some(conditions) => {
            conditions.retain(|condition| condition["type"] != "Ready");
            conditions.push(condition);
        }
        None => whole["status"]["conditions"] = serde_json::json!([condition]),
    }
    serde_json::value::to_raw_value(&whole).unwrap_or_default().into()
}
