//! Nodes, what runs on them for DaemonSets, and what is done to these.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, ConditionStatus, ControllerRevision, DaemonSet, DaemonSetSpec, Kind,
    Labels, Node, Object, ObjectMeta, Pod, PodCondition, PodManifest, PodPhase, PodStatus, Str, Taint, Time,
    Uid,
};
use windlass_sandbox::{Actor, Commit, DeleteOptions, Manifest, MetadataPatch, Propagation, Store};

use super::{Cluster, Life, Turn, delete_pod, end_pod, remove_by_force, touch};
use crate::simulation::workload::daemon::{
    DaemonDeed, DaemonPlan, Limit, NodeDeed, TAINT_KEY, ZONE_LABEL, is_good, manifest, node_name, on_delete,
    rolling, set_edition, set_zone,
};
use crate::simulation::workload::{EDITION_ANNOTATION, NAMESPACE, Place, PodFate};

/// The taint of a node whose kubelet is not heard; every Pod of a DaemonSet bears it.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Shortest and longest time until the Pods of a node that is gone are collected, milliseconds.
const COLLECTED_WITHIN_MS: (u64, u64) = (2_000, 60_000);
/// Longest time until the scheduler binds a Pod, milliseconds.
const BOUND_WITHIN_MS: u64 = 400;

/// The nodes that are there, and what their kubelets have yet to do.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// Whether the kubelet of each is heard.
    nodes: BTreeMap<Str, bool>,
    /// What waits for a kubelet.
    parked: BTreeMap<Str, Vec<Turn>>,
    /// All is well from now on.
    is_healed: bool,
}

impl Cluster {
    /// What a commit means for nodes and the Pods on them.
    pub(super) fn react_on_ground(&mut self, commit: &Commit, turns: &mut Vec<(u64, Turn)>) {
        match (&commit.before, &commit.after) {
            (None, Some(Object::Node(node))) => {
                let name = &node.metadata.name;
                self.ground.nodes.insert(name.clone(), true);
                self.unpark(name, turns);
                let waiting = self.pods.iter().filter(|(_, life)| life.node.as_ref() == Some(name));
                turns.extend(waiting.map(|(uid, _)| (1, Turn::Bind(uid.clone()))));
                self.probe_again(name, turns);
            }
            (Some(Object::Node(node)), None) => {
                let name = &node.metadata.name;
                self.ground.nodes.remove(name);
                let after_ms = self.random.spread(COLLECTED_WITHIN_MS.0, COLLECTED_WITHIN_MS.1);
                turns.push((after_ms, Turn::LoseNode(name.clone())));
            }
            _ => {}
        }
    }

    /// Gives a life to a Pod that is tied to a node.
    pub(super) fn welcome_to_node(&mut self, pod: &Pod, node: &Str, turns: &mut Vec<(u64, Turn)>) {
        let metadata = &pod.metadata;
        let set = metadata.labels.get("app").cloned().unwrap_or_default();
        let fate = self.workload.sets.iter().find(|plan| plan.name == set).map(|plan| plan.fate);
        let attempt = self.attempts.entry((set, node.clone())).or_default();
        *attempt += 1;
        let index = node.rsplit('-').next().and_then(|number| number.parse().ok());
        let mut lot = fate.unwrap_or(PodFate::default()).lot(Place { index, attempt: *attempt });
        if lot.exit_code == 0 {
            // It runs until somebody stops it.
            lot.run_ms = None;
        }
        lot.becomes_ready = is_good(metadata.annotations.get(EDITION_ANNOTATION));
        if self.ground.is_healed {
            (lot.run_ms, lot.becomes_ready) = (None, true);
        }
        let life = Life { name: metadata.name.clone(), lot, stopping: false, node: Some(node.clone()) };
        self.pods.insert(metadata.uid.clone(), life);
        turns.push((self.random.spread(1, BOUND_WITHIN_MS), Turn::Bind(metadata.uid.clone())));
    }

    /// Whether a turn is a kubelet's that is not at work; it waits until it is.
    pub(super) fn parks(&mut self, turn: &Turn) -> bool {
        let (Turn::Start(uid) | Turn::Ready(uid) | Turn::End(uid) | Turn::Stop(uid)) = turn else {
            return false;
        };
        let Some(node) = self.pods.get(uid).and_then(|life| life.node.clone()) else { return false };
        if self.ground.nodes.get(&node) == Some(&true) {
            return false;
        }
        self.ground.parked.entry(node).or_default().push(turn.clone());
        true
    }

    fn unpark(&mut self, node: &Str, turns: &mut Vec<(u64, Turn)>) {
        let parked = self.ground.parked.remove(node).unwrap_or_default();
        turns.extend(parked.into_iter().map(|turn| (1, turn)));
    }

    /// The scheduler binds a Pod to the node that it is tied to, if that is there.
    pub(super) fn bind(&mut self, store: &mut Store, uid: &Uid, turns: &mut Vec<(u64, Turn)>) {
        let Some(life) = self.pods.get(uid) else { return };
        let Some(node) = life.node.as_ref().filter(|node| self.ground.nodes.contains_key(*node)) else {
            return;
        };
        let Ok(Object::Pod(pod)) = store.get(Kind::Pod, NAMESPACE, &life.name) else { return };
        let is_waiting = pod.metadata.uid == *uid && pod.spec.node_name.is_none();
        if is_waiting && !pod.metadata.is_terminating() && !pod.is_terminal() {
            let status = pod.status.as_ref().clone();
            if store.bind(Actor::SCHEDULER, &pod, node, status).is_ok() {
                turns.push((life.lot.start_ms, Turn::Start(uid.clone())));
            }
        }
    }

    /// A Pod on a node passes its readiness probe, if it has not yet.
    pub(super) fn be_ready(&self, store: &mut Store, uid: &Uid) {
        let applies = |pod: &Pod| pod.status.phase == PodPhase::Running && !is_ready(pod);
        self.with_pod(store, uid, applies, |_, now| readiness(ConditionStatus::True, now));
    }

    /// Removes the Pods that were bound to a node that is gone.
    pub(super) fn lose_node(&self, store: &mut Store, node: &Str) {
        if self.ground.nodes.contains_key(node) {
            return;
        }
        for pod in pods(store).filter(|pod| pod.spec.node_name.as_ref() == Some(node)).collect::<Vec<_>>() {
            if !pod.is_terminal() {
                end_pod(store, &pod, 137);
            }
            let uid = Some(&pod.metadata.uid);
            let options = DeleteOptions {
                uid: uid.map(|uid| &**uid),
                grace_seconds: Some(0),
                ..DeleteOptions::default()
            };
            let actor = Actor::GARBAGE_COLLECTOR;
            let _ = store.delete(actor, Kind::Pod, NAMESPACE, &pod.metadata.name, &options);
        }
    }

    /// Something happens to a node.
    pub(super) fn perform_on_node(
        &mut self,
        store: &mut Store,
        position: usize,
        deed: NodeDeed,
        turns: &mut Vec<(u64, Turn)>,
    ) {
        let name = node_name(position);
        let zone = self.workload.nodes.get(position).and_then(|plan| plan.zone);
        match deed {
            NodeDeed::Join => join(store, &name, zone),
            NodeDeed::Leave => leave(store, &name),
            NodeDeed::Replace => {
                leave(store, &name);
                join(store, &name, zone);
            }
            NodeDeed::FallSilent => self.fall_silent(store, &name),
            NodeDeed::ComeBack => self.come_back(store, &name, turns),
            NodeDeed::Taint(effect) => change_node(store, &name, |node| {
                node.spec.taints.retain(|taint| &*taint.key != TAINT_KEY);
                node.spec.taints.extend(effect.map(|effect| taint(TAINT_KEY, effect)));
            }),
            NodeDeed::SetZone(zone) => {
                change_node(store, &name, |node| node.metadata.labels = Arc::new(labels(zone)));
            }
            NodeDeed::Touch(value) => change_node(store, &name, |node| {
                let value = Str::from(value.to_string());
                Arc::make_mut(&mut node.metadata.annotations).insert("touched".into(), value);
            }),
        }
    }

    fn fall_silent(&mut self, store: &mut Store, name: &Str) {
        let Some(is_up) = self.ground.nodes.get_mut(name) else { return };
        *is_up = false;
        change_node(store, name, |node| {
            node.spec.taints.retain(|taint| &*taint.key != UNREACHABLE);
            node.spec.taints.push(taint(UNREACHABLE, "NoExecute"));
        });
        for pod in pods(store).filter(|pod| pod.spec.node_name.as_ref() == Some(name)).collect::<Vec<_>>() {
            be_unready(store, &pod);
        }
    }

    fn come_back(&mut self, store: &mut Store, name: &Str, turns: &mut Vec<(u64, Turn)>) {
        let Some(is_up) = self.ground.nodes.get_mut(name) else { return };
        *is_up = true;
        change_node(store, name, |node| node.spec.taints.retain(|taint| &*taint.key != UNREACHABLE));
        self.unpark(name, turns);
        self.probe_again(name, turns);
    }

    /// A kubelet that has come back looks at what runs there.
    fn probe_again(&self, name: &Str, turns: &mut Vec<(u64, Turn)>) {
        let ready = self.pods.iter().filter(|(_, life)| life.node.as_ref() == Some(name));
        let ready = ready.filter(|(_, life)| life.lot.becomes_ready);
        turns.extend(ready.map(|(uid, _)| (5, Turn::Ready(uid.clone()))));
    }

    /// Lets every node work, and every Pod of a DaemonSet be ready and stay so.
    pub(super) fn heal(&mut self, store: &mut Store, turns: &mut Vec<(u64, Turn)>) {
        self.ground.is_healed = true;
        let names: Vec<Str> = self.ground.nodes.keys().cloned().collect();
        for life in self.pods.values_mut().filter(|life| life.node.is_some()) {
            life.lot.becomes_ready = true;
        }
        for name in names {
            self.come_back(store, &name, turns);
        }
    }

    /// Does something to a DaemonSet.
    pub(super) fn perform_on_set(&self, store: &mut Store, position: usize, deed: DaemonDeed) {
        let Some(plan) = self.workload.sets.get(position) else { return };
        match deed {
            DaemonDeed::EditTemplate(edition) => edit(store, plan, |spec| set_edition(spec, edition)),
            DaemonDeed::SetZone(zone) => edit(store, plan, |spec| set_zone(spec, zone)),
            DaemonDeed::SetUnavailable(limit) => {
                edit(store, plan, |spec| spec.update_strategy = rolling(limit, Limit::Nodes(0)));
            }
            DaemonDeed::SetSurge(limit) => {
                edit(store, plan, |spec| spec.update_strategy = rolling(Limit::Nodes(0), limit));
            }
            DaemonDeed::SetOnDelete => edit(store, plan, |spec| spec.update_strategy = on_delete()),
            DaemonDeed::SetMinReady(seconds) => {
                edit(store, plan, |spec| spec.min_ready_seconds = Some(seconds));
            }
            DaemonDeed::SetHistory(limit) => {
                edit(store, plan, |spec| spec.revision_history_limit = Some(limit));
            }
            DaemonDeed::Touch(value) => touch(store, Kind::DaemonSet, &plan.name, value),
            DaemonDeed::Delete(propagation) => delete(store, plan, propagation),
            DaemonDeed::Replace => {
                delete(store, plan, Propagation::Background);
                create(store, plan);
            }
            DaemonDeed::MakePod(place) => self.make_pod(store, plan, place),
            DaemonDeed::DeleteRevision(place)
            | DaemonDeed::DisownRevision(place)
            | DaemonDeed::TouchRevision(place) => change_revision(store, plan, deed, place),
            DaemonDeed::DeletePod(place)
            | DaemonDeed::ForceDeletePod(place)
            | DaemonDeed::FailPod(place)
            | DaemonDeed::EndPod(place)
            | DaemonDeed::UnreadyPod(place)
            | DaemonDeed::TouchPod(place)
            | DaemonDeed::DisownPod(place)
            | DaemonDeed::RelabelPod(place) => change_pod(store, plan, deed, place),
        }
    }

    /// Somebody makes a Pod as the set would, but for its owner.
    fn make_pod(&self, store: &mut Store, plan: &DaemonPlan, place: u64) {
        let node = node_name((place % self.workload.nodes.len().max(1) as u64) as usize);
        let labels = Labels::from([("app".into(), plan.name.clone())]);
        let metadata = ObjectMeta {
            name: format!("{}-by-hand-{}", plan.name, place % 1_000).into(),
            namespace: NAMESPACE.into(),
            labels: Arc::new(labels),
            ..ObjectMeta::default()
        };
        let spec = serde_json::json!({
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [&*node]}]}
            ]}}},
            "containers": [{"name": "main", "image": "registry.example/agent:0"}],
        });
        if let Ok(spec) = serde_json::value::to_raw_value(&spec) {
            let manifest = PodManifest { metadata, spec: spec.into(), hostname: None };
            let _ = store.create_pod(Actor::USER, &manifest);
        }
    }
}

/// Creates the DaemonSet of a plan.
pub(super) fn create(store: &mut Store, plan: &DaemonPlan) {
    let _ = store.create_daemon_set(Actor::USER, manifest(plan));
}

/// Adds a node, unless it is there.
pub fn join(store: &mut Store, name: &Str, zone: Option<&str>) {
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": &**name, "labels": labels(zone)},
    });
    if let Ok(manifest) = Manifest::parse(&text.to_string()) {
        let _ = store.create(Actor::USER, manifest);
    }
}

/// Removes a node.
pub fn leave(store: &mut Store, name: &str) {
    let _ = store.delete(Actor::USER, Kind::Node, "", name, &DeleteOptions::default());
}

/// Changes a node, if it is there.
pub fn change_node(store: &mut Store, name: &str, change: impl FnOnce(&mut Node)) {
    let Ok(Object::Node(node)) = store.get(Kind::Node, "", name) else { return };
    let mut new = Node::clone(&node);
    change(&mut new);
    let _ = store.update_node(Actor::USER, &new);
}

/// The DaemonSet of that name, if it is there.
#[must_use]
pub fn daemon_set(store: &Store, name: &str) -> Option<Arc<DaemonSet>> {
    match store.get(Kind::DaemonSet, NAMESPACE, name) {
        Ok(Object::DaemonSet(set)) => Some(set),
        _ => None,
    }
}

/// Changes the spec of the DaemonSet of that name.
pub fn edit_daemon_set(store: &mut Store, name: &str, change: impl FnOnce(&mut DaemonSetSpec)) {
    let Some(set) = daemon_set(store, name) else { return };
    let mut new = DaemonSet::clone(&set);
    change(Arc::make_mut(&mut new.spec));
    let _ = store.update_daemon_set(Actor::USER, &new);
}

/// Makes a Pod unready that is ready.
pub fn be_unready(store: &mut Store, pod: &Pod) {
    if is_ready(pod) {
        let mut new = pod.clone();
        let now = Time::from_unix_ms(store.unix_ms());
        new.status = Arc::new(readiness(ConditionStatus::False, now));
        let _ = store.update_pod_status(Actor::KUBELET, &new);
    }
}

/// Removes a revision by force and makes another of its name that nobody controls.
pub fn replace_revision(store: &mut Store, name: &str) {
    let Ok(Object::ControllerRevision(revision)) = store.get(Kind::ControllerRevision, NAMESPACE, name)
    else {
        return;
    };
    if remove_by_force(store, Kind::ControllerRevision, name) {
        let metadata = ObjectMeta { name: name.into(), namespace: NAMESPACE.into(), ..ObjectMeta::default() };
        let stranger = ControllerRevision { metadata, ..ControllerRevision::clone(&revision) };
        let _ = store.create_revision(Actor::USER, stranger);
    }
}

/// A taint with that key and effect.
#[must_use]
pub fn taint(key: &str, effect: &str) -> Taint {
    Taint { key: key.into(), effect: effect.into(), ..Taint::default() }
}

/// Whether a Pod is ready.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    pod.ready_condition().is_some_and(|ready| ready.status == ConditionStatus::True)
}

fn edit(store: &mut Store, plan: &DaemonPlan, change: impl FnOnce(&mut DaemonSetSpec)) {
    edit_daemon_set(store, &plan.name, change);
}

fn delete(store: &mut Store, plan: &DaemonPlan, propagation: Propagation) {
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    let _ = store.delete(Actor::USER, Kind::DaemonSet, NAMESPACE, &plan.name, &options);
}

fn change_pod(store: &mut Store, plan: &DaemonPlan, deed: DaemonDeed, place: u64) {
    let Some(Object::Pod(pod)) = some_dependent(store, plan, Kind::Pod, place) else { return };
    let name = pod.metadata.name.clone();
    match deed {
        DaemonDeed::ForceDeletePod(_) => {
            let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
            let _ = store.delete(Actor::USER, Kind::Pod, NAMESPACE, &name, &options);
        }
        DaemonDeed::FailPod(_) => end_pod(store, &pod, 1),
        DaemonDeed::EndPod(_) => end_pod(store, &pod, 0),
        DaemonDeed::UnreadyPod(_) => be_unready(store, &pod),
        DaemonDeed::TouchPod(_) => touch(store, Kind::Pod, &name, place),
        DaemonDeed::DisownPod(_) => disown(store, &Object::Pod(pod)),
        DaemonDeed::RelabelPod(_) => {
            let labels = [("app".into(), Some("somebody-else".into()))];
            let patch = MetadataPatch { labels: &labels, ..MetadataPatch::default() };
            let _ = store.patch(Actor::USER, Kind::Pod, NAMESPACE, &name, &patch);
        }
        _ => delete_pod(store, &pod),
    }
}

fn change_revision(store: &mut Store, plan: &DaemonPlan, deed: DaemonDeed, place: u64) {
    let Some(revision) = some_dependent(store, plan, Kind::ControllerRevision, place) else { return };
    let name = revision.metadata().name.clone();
    match deed {
        DaemonDeed::DisownRevision(_) => disown(store, &revision),
        DaemonDeed::TouchRevision(_) => touch(store, Kind::ControllerRevision, &name, place),
        _ => {
            let options = DeleteOptions::default();
            let _ = store.delete(Actor::USER, Kind::ControllerRevision, NAMESPACE, &name, &options);
        }
    }
}

fn disown(store: &mut Store, object: &Object) {
    let metadata = object.metadata();
    let owner = metadata.controller().map(|owner| owner.uid.clone());
    let patch = MetadataPatch { remove_owner: owner.as_deref(), ..MetadataPatch::default() };
    let _ = store.patch(Actor::USER, object.kind(), NAMESPACE, &metadata.name, &patch);
}

fn some_dependent(store: &Store, plan: &DaemonPlan, kind: Kind, place: u64) -> Option<Object> {
    let set = daemon_set(store, &plan.name)?;
    let keys = store.dependents(&set.metadata.uid).filter(|key| key.kind == kind);
    let names: Vec<Str> = keys.map(|key| key.name.clone()).collect();
    let name = names.get(usize::try_from(place % names.len().max(1) as u64).ok()?)?;
    store.get(kind, NAMESPACE, name).ok()
}

fn pods(store: &Store) -> impl Iterator<Item = Arc<Pod>> {
    store.objects(Kind::Pod).filter_map(|object| match object {
        Object::Pod(pod) => Some(pod.clone()),
        _ => None,
    })
}

fn labels(zone: Option<&str>) -> Labels {
    zone.map(|zone| (ZONE_LABEL.into(), zone.into())).into_iter().collect()
}

fn readiness(status: ConditionStatus, now: Time) -> PodStatus {
    let condition = PodCondition {
        kind: "Ready".into(),
        status,
        last_transition_time: Some(now),
        ..PodCondition::default()
    };
    PodStatus { phase: PodPhase::Running, conditions: [condition].into(), ..PodStatus::default() }
}

/// The revision hash that a Pod or revision says it is of.
#[must_use]
pub fn hash_of(metadata: &ObjectMeta) -> Str {
    metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL).cloned().unwrap_or_default()
}
