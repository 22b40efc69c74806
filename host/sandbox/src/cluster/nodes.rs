//! The nodes as scheduler and kubelets know them: what runs where, and who is least loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{Kind, Labels, Node, NodeSpec, ObjectMeta, Pod, PodPhase, Str, Taint};

use super::Cluster;
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
    unschedulable: bool,
    capacity: usize,
    labels: Arc<Labels>,
    taints: Vec<Taint>,
    /// Pods that have not ended.
    pods: BTreeSet<(Str, Str)>,
    /// What its kubelet does once it is ready again.
    parked: Vec<Work>,
}

impl NodeState {
    fn is_open(&self) -> bool {
        self.exists && self.ready && !self.unschedulable && self.pods.len() < self.capacity
    }

    fn suits(&self, pod: &PodBody) -> bool {
        pod.node_selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
            && self.taints.iter().all(|taint| {
                &*taint.effect == "PreferNoSchedule"
                    || pod.tolerations.iter().any(|toleration| tolerates(toleration, taint))
            })
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    (toleration.effect.is_empty() || toleration.effect == taint.effect)
        && (toleration.key.is_empty() || toleration.key == taint.key)
        && (&*toleration.operator == "Exists" || toleration.value == taint.value)
}

impl Nodes {
    /// The least loaded node that suits the Pod.
    pub(super) fn pick(&self, pod: &PodBody) -> Option<&Str> {
        let mut open = self.open.iter().map(|(_, name)| name);
        open.find(|name| self.by_name.get(*name).is_some_and(|node| node.suits(pod)))
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
    pub fn add_node(&mut self, now_ms: u64, name: &str) -> Result<(), windlass_core::kube::ApiStatus> {
        let node = Node {
            metadata: ObjectMeta { name: name.into(), ..ObjectMeta::default() },
            spec: NodeSpec::default(),
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
        let Some(before) = self.store.object(Kind::Node, "", name).cloned() else { return false };
        let mut after = before.clone();
        if let windlass_core::kube::Object::Node(node) = &mut after {
            Arc::make_mut(node).spec.unschedulable = unschedulable;
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
        self.nodes.change(&node.metadata.name, |state| {
            state.exists = true;
            state.ready = ready;
            state.unschedulable = node.spec.unschedulable;
            state.capacity = capacity;
            state.labels = node.metadata.labels.clone();
            state.taints.clone_from(&node.spec.taints);
            if ready {
                parked = std::mem::take(&mut state.parked);
            }
        });
        for work in parked {
            self.after(0, work);
        }
        for (namespace, name) in std::mem::take(&mut self.unschedulable) {
            self.schedule_again(namespace, name);
        }
    }

    pub(super) fn note_removed_node(&mut self, name: &Str) {
        self.nodes.change(name, |state| {
            state.exists = false;
            state.parked.clear();
        });
        self.after(self.options.node_loss_ms, Work::LoseNode(name.clone()));
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
        let Some(state) = self.nodes.by_name.get(node).filter(|state| state.is_open()) else { return };
        let waiting = self.unschedulable.iter().find(|(namespace, name)| {
            self.store.pod_body(namespace, name).is_some_and(|body| state.suits(body))
        });
        if let Some((namespace, name)) = waiting.cloned() {
            self.unschedulable.remove(&(namespace.clone(), name.clone()));
            self.schedule_again(namespace, name);
        }
    }

    /// Whether the kubelet of the Pod's node is at work; if not, `work` waits for it.
    pub(super) fn kubelet_at_work(&mut self, pod: &Pod, work: impl FnOnce() -> Work) -> bool {
        let Some(state) = pod.spec.node_name.as_ref().and_then(|node| self.nodes.by_name.get_mut(node))
        else {
            return false;
        };
        if state.exists && !state.ready {
            state.parked.push(work());
        }
        state.exists && state.ready
    }

    /// Ends the Pods of a node that is gone, as upstream's PodGC does.
    pub(super) fn lose_node(&mut self, node: &Str) {
        let Some(state) = self.nodes.by_name.get(node).filter(|state| !state.exists) else { return };
        let pods = state.pods.clone();
        for (namespace, name) in pods {
            let Some(windlass_core::kube::Object::Pod(pod)) = self.store.object(Kind::Pod, &namespace, &name)
            else {
                continue;
            };
            let pod = pod.clone();
            let mut status = pod.status.as_ref().clone();
            status.phase = PodPhase::Failed;
            status.conditions.push(self.words.disruption(self.store.time()));
            let actor = Actor::GARBAGE_COLLECTOR;
            let options = DeleteOptions {
                uid: Some(&pod.metadata.uid),
                grace_seconds: Some(0),
                ..DeleteOptions::default()
            };
            // Both were read just now from the same store, so neither can be refused.
            let _marked = self.store.set_pod_status(actor, &pod, status);
            let _deleted = self.store.delete(actor, Kind::Pod, &namespace, &name, &options);
        }
        self.nodes.by_name.remove(node);
    }

    fn schedule_again(&mut self, namespace: Str, name: Str) {
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
