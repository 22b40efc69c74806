//! What a DaemonSet's reconcile may ask for, by what it could see: D1 to D8, and C4 and C10 of DaemonSets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use windlass_core::daemon_set::placement::Placement;
use windlass_core::kube::{
    ControllerRevision, DaemonSet, DaemonSetStatus, DaemonTemplate, Node, Object, ObjectMeta, PlacementSpec,
    Pod, PodManifest, PodPhase, Str, TEMPLATE_GENERATION_LABEL, Taint, Uid, daemon_pod_columns,
    daemon_set_view, node_columns,
};
use windlass_core::plan::{Action, DaemonSetAction, Plan};
use windlass_core::view::DaemonSetSnapshot;
use windlass_host::controller::Run;
use windlass_host::engine::Snapshot;
use windlass_host::key::Key;
use windlass_host::request::{DaemonSetOperation, ObjectRef, Operation, Request};

use super::Violation;
use super::observer::Observer;
use crate::simulation::cluster::daemon::{hash_of, is_ready};

/// First delay before a failed Pod is replaced, milliseconds; each further one is twice as long (upstream:
/// cmd/kube-controller-manager/app/apps.go).
const BASE_MS: i64 = 1_000;
/// Longest such delay, milliseconds; a node that was quiet for twice as long starts afresh.
const MAX_MS: i64 = 900_000;

/// What a reconcile of a DaemonSet saw, and what it has asked for since.
#[derive(Debug)]
pub(super) struct Seen {
    set: Arc<DaemonSet>,
    /// Wall clock of the process.
    now_ms: i64,
    /// Of each node whether it is to have a Pod, and whether it keeps one.
    nodes: BTreeMap<Str, Answer>,
    /// Pods that the set controls and its selector matches.
    pods: Vec<Arc<Pod>>,
    /// Revisions that the set controls and its selector matches.
    revisions: Vec<Arc<ControllerRevision>>,
    /// Nodes that the snapshot left out: their Pods were available, and are until something happens there, however the
    /// clock is set.
    left_out: BTreeSet<Str>,
    /// Hashes of its revisions that the process was told of since: one that goes again meanwhile was there all the same.
    told: BTreeSet<Str>,
    /// Hashes that say that a Pod was made from the present template.
    current: BTreeSet<Str>,
    /// Data of the present template.
    data: Arc<str>,
    /// Node and hash of the Pods that were asked for.
    created: Vec<(Str, Str)>,
    deleted: BTreeSet<Uid>,
    /// Pods that the plan deletes.
    condemned: BTreeSet<Uid>,
    dropped: BTreeSet<Uid>,
}

/// Whether a node is to have a Pod, and whether it keeps one that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) runs: bool,
    pub(super) keeps: bool,
}

/// A process takes up a key.
pub(super) fn runs(observer: &mut Observer, run: &Run, plan: Option<&Plan>) -> Result<(), Violation> {
    let (Key::DaemonSet(name), Snapshot::DaemonSet(snapshot)) = (&run.key, &*run.snapshot) else {
        return Ok(());
    };
    let Some(set) = observer.view.daemon_set(&name.name).cloned() else {
        return Err(Violation::new(
            "C6",
            format!("{} runs for a DaemonSet that is known to be gone", run.key),
        ));
    };
    if let Some(what) = stale_part(observer, snapshot, &set) {
        return Err(Violation::new("C4", format!("{} sees {what} other than the newest known", run.key)));
    }
    let (now_ms, uid) = (snapshot.now_ms, &set.metadata.uid);
    // A node that was quiet for long starts afresh, and what lies in the future, by a clock that was set back, is now.
    observer.replaced.retain(|(owner, ..), (_, last_ms)| {
        let is_meant = owner == uid && plan.is_some();
        *last_ms = if is_meant { (*last_ms).min(now_ms) } else { *last_ms };
        !is_meant || now_ms - *last_ms <= 2 * MAX_MS
    });
    observer.sets.remove(&name.name);
    if let Some(plan) = plan
        && let Some(seen) = Seen::of(observer, set, snapshot, plan)
    {
        observer.sets.insert(name.name.clone(), seen);
    }
    Ok(())
}

/// A process is told of an object as it is, or was made.
pub(super) fn hears_of(observer: &mut Observer, object: &Object) {
    let Object::ControllerRevision(revision) = object else { return };
    let owner = revision.metadata.controller().map(|owner| &owner.uid);
    let seen = observer.sets.values_mut().find(|seen| Some(&seen.set.metadata.uid) == owner);
    seen.into_iter().for_each(|seen| _ = seen.told.insert(hash_of(&revision.metadata)));
}

/// A process sends a request.
pub(super) fn sends(observer: &mut Observer, request: &Request) -> Result<(), Violation> {
    match &request.operation {
        Operation::CreatePod(manifest) => create(observer, manifest),
        Operation::DeletePod(pod) => delete(observer, pod),
        Operation::DaemonSet(DaemonSetOperation::WriteStatus(set)) => status(observer, set),
        Operation::DaemonSet(DaemonSetOperation::DeleteRevision(revision)) => {
            delete_revision(observer, revision)
        }
        _ => Ok(()),
    }
}

/// Whether `node` is to have a Pod of `set`, and keeps one; found independently of the core, as far as templates of a
/// run go.
pub(super) fn answer(set: &DaemonSet, node: &Node) -> Answer {
    let text = set.spec.template.as_ref().map_or("{}", |template| template.get());
    let template: Value = serde_json::from_str(text).unwrap_or_default();
    let selector = template["spec"]["nodeSelector"].as_object().cloned().unwrap_or_default();
    let label = |key: &str| node.metadata.labels.get(key).map(|value| &**value);
    if selector.iter().any(|(key, value)| label(key) != value.as_str()) {
        return Answer::default();
    }
    let affinity = &template["spec"]["affinity"]["nodeAffinity"];
    // The only terms in a run are some that cannot be parsed, which no node meets.
    if !affinity["requiredDuringSchedulingIgnoredDuringExecution"].is_null() {
        return Answer::default();
    }
    let borne = template["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let is_borne = |taint: &&Taint| {
        // The system's own taints of this effect are borne by every Pod of a DaemonSet.
        taint.key.starts_with("node.kubernetes.io/") && &*taint.effect == "NoExecute"
            || borne.iter().any(|one| {
                let effect = one["effect"].as_str().unwrap_or_default();
                one["key"].as_str() == Some(&*taint.key) && (effect.is_empty() || effect == &*taint.effect)
            })
    };
    let mut repelled = node.spec.taints.iter().filter(|taint| !is_borne(taint));
    let evicts = repelled.clone().any(|taint| &*taint.effect == "NoExecute");
    let repels = repelled.any(|taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute"));
    Answer { runs: !repels, keeps: !evicts }
}

/// The node that a Pod is bound to, or tied to.
pub(super) fn target(pod: &Pod) -> Option<&Str> {
    pod.spec.node_name.as_ref().or(pod.spec.pinned_to.as_ref())
}

/// Whether a Pod's labels say that it was made from the present template of `set`, whose revisions have these hashes.
pub(super) fn is_updated(set: &DaemonSet, current: &BTreeSet<Str>, metadata: &ObjectMeta) -> bool {
    let generation = set.template_generation().map(|generation| Str::from(generation.to_string()));
    current.contains(&hash_of(metadata))
        || generation.is_some() && metadata.labels.get(TEMPLATE_GENERATION_LABEL) == generation.as_ref()
}

/// What a snapshot shows of a DaemonSet otherwise than it is known.
fn stale_part(
    observer: &Observer,
    snapshot: &DaemonSetSnapshot,
    set: &Arc<DaemonSet>,
) -> Option<&'static str> {
    let template = DaemonTemplate::read(set).ok()?;
    if *snapshot.set != daemon_set_view(set, &template) {
        return Some("a DaemonSet");
    }
    let placement: &Placement = &template.placement;
    let shown = Shown::of(observer, snapshot, set);
    let is_old = |pod: &&Arc<Pod>| *hash_of(&pod.metadata) != *template.hash;
    // As long as there is something to roll, that is about all nodes.
    if snapshot.rollout_policy.is_some() && !shown.left_out.is_empty() && shown.pods.iter().any(is_old) {
        return Some("nodes that a policy is to be asked about");
    }
    let keys = snapshot.rollout_policy.as_deref().unwrap_or_default();
    let (shapes, nodes) = node_columns(shown.nodes.iter().map(|node| &***node), placement, keys);
    if snapshot.shapes != shapes || snapshot.nodes != nodes {
        return Some("nodes");
    }
    let pods = daemon_pod_columns(shown.pods.iter().map(|pod| &***pod), set, &nodes);
    if snapshot.pods != pods {
        return Some("Pods");
    }
    if !shown.leaves_out_settled_ones(observer, snapshot.settled, &template) {
        return Some("nodes that it leaves out");
    }
    let revisions = observer.view.revisions_of(set).map(|revision| revision.owned_row(set, &template));
    (!revisions.eq(snapshot.revisions.iter().cloned())).then_some("revisions")
}

/// What a snapshot may show of what is known: everything, but for the nodes that it leaves out and the Pods for them.
struct Shown<'a> {
    set: &'a Arc<DaemonSet>,
    nodes: Vec<&'a Arc<Node>>,
    pods: Vec<&'a Arc<Pod>>,
    left_out: Vec<&'a Arc<Node>>,
}

impl<'a> Shown<'a> {
    fn of(observer: &'a Observer, snapshot: &DaemonSetSnapshot, set: &'a Arc<DaemonSet>) -> Self {
        let is_shown = |node: &&Arc<Node>| snapshot.nodes.name.binary_search(&node.metadata.name).is_ok();
        let (nodes, left_out): (Vec<_>, Vec<_>) = observer.view.nodes().partition(is_shown);
        let names: BTreeSet<&Str> = left_out.iter().map(|node| &node.metadata.name).collect();
        let is_shown = |pod: &&Arc<Pod>| {
            pod.metadata.controller().is_none() || target(pod).is_none_or(|node| !names.contains(node))
        };
        let pods = observer.view.pods_seen_by(set).filter(is_shown).collect();
        Self { set, nodes, pods, left_out }
    }

    /// Whether there is nothing to do at any of the nodes left out, and so many of them have a Pod.
    fn leaves_out_settled_ones(&self, observer: &Observer, count: u32, template: &DaemonTemplate) -> bool {
        let revisions: Vec<Arc<ControllerRevision>> = observer.view.revisions_of(self.set).cloned().collect();
        let current = current_hashes(&revisions, template);
        let mut with_pod = 0;
        let is_settled = |node: &&Arc<Node>| {
            let is_there = |pod: &&Arc<Pod>| {
                target(pod) == Some(&node.metadata.name) && pod.metadata.controller().is_some()
            };
            let pods: Vec<&Arc<Pod>> = observer.view.pods_seen_by(self.set).filter(is_there).collect();
            match (answer(self.set, node).runs, &pods[..]) {
                (true, [pod]) => {
                    with_pod += 1;
                    is_ready(pod)
                        && !pod.metadata.is_terminating()
                        && current.contains(&hash_of(&pod.metadata))
                }
                (false, []) => true,
                _ => false,
            }
        };
        self.left_out.iter().all(is_settled) && with_pod == count
    }
}

fn wrong(name: &str, (predicate, why): (&'static str, String)) -> Violation {
    Violation::new(predicate, format!("{name}: {why}"))
}

fn create(observer: &mut Observer, manifest: &PodManifest) -> Result<(), Violation> {
    let Some(owner) = manifest.metadata.controller() else { return Ok(()) };
    let known: BTreeSet<Str> = observer
        .view
        .daemon_set(&owner.name)
        .into_iter()
        .flat_map(|set| observer.view.revisions_of(set))
        .map(|revision| hash_of(&revision.metadata))
        .collect();
    let Some(seen) = observer.sets.get_mut(&owner.name) else { return Ok(()) };
    let name = manifest.metadata.name.clone();
    if seen.set.metadata.uid != owner.uid {
        return Err(wrong(&name, ("C4", "no reconcile asked for it".to_owned())));
    }
    let spec: Result<PlacementSpec, _> = serde_json::from_str(manifest.spec.get());
    let node = spec.ok().and_then(|spec| spec.affinity?.only_node().cloned());
    let hash = hash_of(&manifest.metadata);
    let checked = seen.may_create(node.as_ref(), &hash, &known);
    seen.created.push((node.unwrap_or_default(), hash));
    checked.map_err(|fault| wrong(&name, fault))
}

fn delete(observer: &mut Observer, pod: &ObjectRef) -> Result<(), Violation> {
    let of_pod = |seen: &Seen| seen.pods.iter().any(|known| known.metadata.uid == pod.uid);
    let Some((_, seen)) = observer.sets.iter_mut().find(|(_, seen)| of_pod(seen)) else { return Ok(()) };
    let Some(known) = seen.pods.iter().find(|known| known.metadata.uid == pod.uid).cloned() else {
        return Ok(());
    };
    let checked = seen.may_delete(&known);
    seen.deleted.insert(pod.uid.clone());
    let replaced = match checked {
        Ok(Reason::Failed(node)) => {
            let metadata = &seen.set.metadata;
            Some(((metadata.uid.clone(), seen.set.status.observed_generation, node), seen.now_ms))
        }
        Ok(Reason::Other) => None,
        Err(fault) => return Err(wrong(&pod.name, fault)),
    };
    let Some((key, now_ms)) = replaced else { return Ok(()) };
    let (count, last_ms) = observer.replaced.entry(key).or_default();
    let wait_ms = if *count == 0 { 0 } else { (BASE_MS << (*count - 1).min(20)).min(MAX_MS) };
    if *count > 0 && now_ms < *last_ms + wait_ms {
        let why = format!("replaced {} ms early, after {count} failures", *last_ms + wait_ms - now_ms);
        return Err(wrong(&pod.name, ("D7", why)));
    }
    (*count, *last_ms) = (*count + 1, now_ms);
    Ok(())
}

fn status(observer: &Observer, set: &DaemonSet) -> Result<(), Violation> {
    let name = &set.metadata.name;
    let Some(seen) = observer.sets.get(name) else {
        return Err(Violation::new("C10", format!("{name}: no reconcile asked for the status")));
    };
    let (told, stored) = (&set.status, &seen.set.status);
    let raised = DaemonSetStatus { collision_count: told.collision_count, ..stored.clone() };
    if *told == seen.status() || *told == raised && told.collision_count > stored.collision_count {
        return Ok(());
    }
    Err(Violation::new("C10", format!("{name} is told as {told:?}; seen was {:?}", seen.status())))
}

fn delete_revision(observer: &mut Observer, revision: &ObjectRef) -> Result<(), Violation> {
    let of_set = |seen: &Seen| seen.revisions.iter().any(|known| known.metadata.uid == revision.uid);
    let Some(seen) = observer.sets.values_mut().find(|seen| of_set(seen)) else {
        return Err(wrong(&revision.name, ("D6", "no reconcile saw it as a DaemonSet's".to_owned())));
    };
    let checked = seen.may_drop(&revision.uid);
    seen.dropped.insert(revision.uid.clone());
    checked.map_err(|fault| wrong(&revision.name, fault))
}

/// Why a Pod may be deleted.
enum Reason {
    /// It failed on this node.
    Failed(Str),
    Other,
}

impl Seen {
    fn of(
        observer: &Observer,
        set: Arc<DaemonSet>,
        snapshot: &DaemonSetSnapshot,
        plan: &Plan,
    ) -> Option<Self> {
        let template = DaemonTemplate::read(&set).ok()?;
        let is_own = |metadata: &ObjectMeta| {
            metadata.controller().is_some_and(|owner| owner.uid == set.metadata.uid)
                && set.spec.selector.as_ref().is_some_and(|selector| selector.matches(&metadata.labels))
        };
        let shown = Shown::of(observer, snapshot, &set);
        let left_out = shown.left_out.iter().map(|node| node.metadata.name.clone()).collect();
        let all = shown.pods;
        let condemned = plan.steps.iter().flat_map(|step| match &step.action {
            Action::DaemonSet(DaemonSetAction::DeletePods(pods)) => pods.as_slice(),
            _ => &[],
        });
        let condemned = condemned.filter_map(|position| all.get(*position as usize));
        let condemned = condemned.map(|pod| pod.metadata.uid.clone()).collect();
        let pods = observer.view.pods_seen_by(&set).filter(|pod| is_own(&pod.metadata)).cloned().collect();
        let revisions: Vec<Arc<ControllerRevision>> =
            observer.view.revisions_of(&set).filter(|one| is_own(&one.metadata)).cloned().collect();
        let current = current_hashes(&revisions, &template);
        let nodes =
            observer.view.nodes().map(|node| (node.metadata.name.clone(), answer(&set, node))).collect();
        Some(Self {
            now_ms: snapshot.now_ms,
            nodes,
            pods,
            revisions,
            left_out,
            told: BTreeSet::new(),
            current,
            data: template.data,
            created: Vec::new(),
            deleted: BTreeSet::new(),
            condemned,
            dropped: BTreeSet::new(),
            set,
        })
    }

    /// Pods that have not ended and that nobody has asked to go.
    fn living<'a>(&'a self, node: &'a Str) -> impl Iterator<Item = &'a Arc<Pod>> {
        self.alive(node).filter(|pod| !pod.is_terminal())
    }

    /// Pods that nobody has asked to go.
    fn alive<'a>(&'a self, node: &'a Str) -> impl Iterator<Item = &'a Arc<Pod>> {
        let alive = self.pods.iter().filter(move |pod| target(pod) == Some(node));
        alive.filter(|pod| !pod.metadata.is_terminating() && !self.deleted.contains(&pod.metadata.uid))
    }

    fn is_updated(&self, pod: &Pod) -> bool {
        is_updated(&self.set, &self.current, &pod.metadata)
    }

    fn is_available(&self, pod: &Pod) -> bool {
        let min_ready_ms = i64::from(self.set.spec.min_ready_seconds.unwrap_or(0)) * 1_000;
        let since = pod.ready_condition().and_then(|ready| ready.last_transition_time);
        let is_long = since.is_some_and(|since| since.unix_seconds * 1_000 + min_ready_ms <= self.now_ms);
        let is_left_out = target(pod).is_some_and(|node| self.left_out.contains(node));
        is_ready(pod) && (min_ready_ms == 0 || is_long || is_left_out)
    }

    fn is_rolling(&self) -> bool {
        &*self.set.spec.update_strategy.kind == "RollingUpdate"
    }

    /// Most nodes without an available Pod, and most with a second one.
    fn limits(&self, desired: u32) -> (u32, u32) {
        let rolling = self.set.spec.update_strategy.rolling_update.clone().unwrap_or_default();
        let of = |limit: Option<windlass_core::kube::IntOrPercent>| {
            limit.and_then(|limit| limit.of(desired)).unwrap_or(0)
        };
        match (of(rolling.max_unavailable), of(rolling.max_surge)) {
            (0, 0) => (1, 0),
            (unavailable, surge) => (unavailable, surge),
        }
    }

    fn desired(&self) -> u32 {
        u32::try_from(self.nodes.values().filter(|answer| answer.runs).count()).unwrap_or(u32::MAX)
    }

    /// Whether a node may have two Pods.
    fn surges(&self) -> bool {
        self.is_rolling() && self.limits(1).1 > 0
    }

    fn may_create(
        &self,
        node: Option<&Str>,
        hash: &Str,
        known: &BTreeSet<Str>,
    ) -> Result<(), (&'static str, String)> {
        let Some(node) = node.filter(|node| self.nodes.get(*node).is_some_and(|answer| answer.runs)) else {
            return Err(("D2", format!("is meant for {node:?}, which is not to have a Pod")));
        };
        let is_known = self.revisions.iter().any(|revision| hash_of(&revision.metadata) == *hash);
        if !is_known && !self.told.contains(hash) && !known.contains(hash) {
            return Err(("D6", format!("is of {hash}, and there is no such revision")));
        }
        if !self.current.contains(hash) {
            return Err(("D6", format!("is of {hash}, where the template's are {:?}", self.current)));
        }
        if self.created.iter().any(|(other, _)| other == node) {
            return Err(("D1", format!("a Pod for {node} was asked for already")));
        }
        let living: Vec<&Arc<Pod>> = self.living(node).collect();
        let told =
            || format!("{node} has {:?}", living.iter().map(|pod| &pod.metadata.name).collect::<Vec<_>>());
        if !self.surges() {
            let in_the_way = self.pods.iter().find(|pod| {
                target(pod) == Some(node) && !(pod.is_terminal() && pod.metadata.is_terminating())
            });
            return match in_the_way {
                Some(pod) => Err(("D1", format!("{node} has {} still", pod.metadata.name))),
                None => Ok(()),
            };
        }
        if living.len() > 1 || living.iter().any(|pod| hash_of(&pod.metadata) == *hash) {
            return Err(("D1", told()));
        }
        let waits = |pod: &&Arc<Pod>| {
            pod.status.phase == PodPhase::Failed
                && self.current.contains(&hash_of(&pod.metadata))
                && !self.condemned.contains(&pod.metadata.uid)
        };
        if self.alive(node).filter(waits).count() > 0 {
            return Err(("D1", format!("a failed Pod of {node} is not replaced yet")));
        }
        if !living.iter().any(|pod| self.is_available(pod)) {
            return Ok(());
        }
        let extra = self.nodes.keys().filter(|node| self.has_extra(node)).count();
        let most = self.limits(self.desired()).1;
        if u32::try_from(extra).is_ok_and(|extra| extra < most) {
            return Ok(());
        }
        Err(("D4", format!("{extra} nodes have a second Pod, where {most} may")))
    }

    /// Whether a node has an available old Pod and a newer one that is not available, or has been asked for.
    fn has_extra(&self, node: &Str) -> bool {
        let is_old = |pod: &&Arc<Pod>| self.is_available(pod) && !self.is_updated(pod);
        let mut newer = self.living(node).filter(|pod| self.is_updated(pod)).peekable();
        let is_asked = self.created.iter().any(|(other, _)| other == node);
        let is_coming = newer.peek().is_some() && !newer.any(|pod| self.is_available(pod));
        self.living(node).any(|pod| is_old(&pod)) && (is_asked || is_coming)
    }

    fn may_delete(&self, pod: &Arc<Pod>) -> Result<Reason, (&'static str, String)> {
        let Some(node) = target(pod) else {
            return Err(("D8", "is deleted, and is meant for no node".to_owned()));
        };
        let Some(answer) = self.nodes.get(node) else {
            return if pod.spec.node_name.is_none() {
                Ok(Reason::Other)
            } else {
                Err(("D8", format!("is deleted, and was bound to {node}, which is not there")))
            };
        };
        if !answer.keeps || pod.status.phase == PodPhase::Succeeded {
            return Ok(Reason::Other);
        }
        let is_rolled = self.is_rolling() && !self.is_updated(pod);
        if pod.status.phase == PodPhase::Failed {
            return Ok(if is_rolled { Reason::Other } else { Reason::Failed(node.clone()) });
        }
        let others = self.living(node).filter(|other| other.metadata.uid != pod.metadata.uid);
        let others: Vec<&Arc<Pod>> = others.collect();
        if self.surges() {
            self.may_surge_delete(pod, node, *answer, &others)
        } else if others.is_empty() {
            self.may_roll(pod)
        } else {
            Ok(Reason::Other)
        }
    }

    /// Where Pods surge.
    fn may_surge_delete(
        &self,
        pod: &Arc<Pod>,
        node: &Str,
        answer: Answer,
        others: &[&Arc<Pod>],
    ) -> Result<Reason, (&'static str, String)> {
        let has_current = |pod: &Pod| self.current.contains(&hash_of(&pod.metadata));
        let is_duplicate = others.iter().any(|other| has_current(other) == has_current(pod));
        if is_duplicate || !answer.runs {
            return Ok(Reason::Other);
        }
        if self.is_updated(pod) {
            return Err(("D4", format!("is of the present template, and alone so on {node}")));
        }
        let is_followed = others.iter().any(|other| self.is_updated(other) && self.is_available(other));
        if is_followed || !self.is_available(pod) && !others.is_empty() {
            return Ok(Reason::Other);
        }
        Err(("D4", format!("is deleted, and nothing takes its place on {node}")))
    }

    /// Where a Pod is replaced by the rollout alone.
    fn may_roll(&self, pod: &Arc<Pod>) -> Result<Reason, (&'static str, String)> {
        if !self.is_rolling() {
            return Err(("D5", "is deleted, though only people may".to_owned()));
        }
        if self.is_updated(pod) {
            return Err(("D3", "is deleted, and is of the present template".to_owned()));
        }
        if !self.is_available(pod) {
            return Ok(Reason::Other);
        }
        let lacks = |node: &Str| !self.alive(node).any(|pod| self.is_available(pod));
        let lacking = self.nodes.iter().filter(|(node, answer)| answer.runs && lacks(node)).count();
        let most = self.limits(self.desired()).0;
        if u32::try_from(lacking).is_ok_and(|lacking| lacking < most) {
            return Ok(Reason::Other);
        }
        Err(("D3", format!("{lacking} nodes lack an available Pod, where {most} may")))
    }

    /// D6: a revision goes if no Pod is of it and there are too many, or if another is for the same template.
    fn may_drop(&self, uid: &Uid) -> Result<(), (&'static str, String)> {
        let left: Vec<&Arc<ControllerRevision>> =
            self.revisions.iter().filter(|one| !self.dropped.contains(&one.metadata.uid)).collect();
        let Some(revision) = left.iter().find(|one| one.metadata.uid == *uid) else { return Ok(()) };
        let holding = left.iter().filter(|one| one.holds(&self.data)).count();
        if revision.holds(&self.data) {
            return if holding > 1 { Ok(()) } else { Err(("D6", "holds the present template".to_owned())) };
        }
        let is_used = |revision: &ControllerRevision| {
            let hash = hash_of(&revision.metadata);
            revision.holds(&self.data) || self.pods.iter().any(|pod| hash_of(&pod.metadata) == hash)
        };
        if is_used(revision) {
            return Err(("D6", "is deleted, and a Pod is of it".to_owned()));
        }
        // As upstream, those that Pods are of count and stay.
        let old = left.iter().filter(|one| !one.holds(&self.data)).count();
        let limit = self.set.spec.revision_history_limit.and_then(|limit| usize::try_from(limit).ok());
        match limit {
            Some(limit) if old > limit => Ok(()),
            _ => Err(("D6", format!("is deleted, of {old} old ones where {limit:?} may stay"))),
        }
    }

    /// The status that this shows.
    fn status(&self) -> DaemonSetStatus {
        let stored = &self.set.status;
        let mut status = DaemonSetStatus {
            observed_generation: self.set.metadata.generation,
            collision_count: stored.collision_count,
            conditions: stored.conditions.clone(),
            desired_number_scheduled: i32::try_from(self.desired()).unwrap_or(i32::MAX),
            ..DaemonSetStatus::default()
        };
        for (node, answer) in &self.nodes {
            let is_counted = |pod: &&Arc<Pod>| {
                target(pod) == Some(node) && !(pod.is_terminal() && pod.metadata.is_terminating())
            };
            let oldest = self.pods.iter().filter(is_counted).min_by_key(|pod| {
                let created = pod.metadata.creation_timestamp;
                (pod.spec.node_name.is_none(), created, pod.metadata.name.clone())
            });
            let Some(oldest) = oldest else { continue };
            if answer.runs {
                status.current_number_scheduled += 1;
                status.number_ready += i32::from(is_ready(oldest));
                status.number_available += i32::from(self.is_available(oldest));
                status.updated_number_scheduled += i32::from(self.is_updated(oldest));
            } else {
                status.number_misscheduled += 1;
            }
        }
        status.number_unavailable = (status.desired_number_scheduled - status.number_available).max(0);
        status
    }
}

/// The hashes of the revisions that hold the template; that of one which is yet to be made where there is none.
pub(super) fn current_hashes(
    revisions: &[Arc<ControllerRevision>],
    template: &DaemonTemplate,
) -> BTreeSet<Str> {
    let hash = |revision: &Arc<ControllerRevision>| {
        let hash = hash_of(&revision.metadata);
        if hash.is_empty() { revision.metadata.name.clone() } else { hash }
    };
    let holding = revisions.iter().filter(|revision| revision.holds(&template.data));
    let mut hashes: BTreeSet<Str> = holding.map(hash).collect();
    if hashes.is_empty() && !revisions.iter().any(|revision| hash(revision) == template.hash) {
        hashes.insert(template.hash.clone());
    }
    hashes
}
