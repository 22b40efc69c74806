//! DaemonSets of a run, the nodes that they are for, and what happens to both.

pub mod small;

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_core::kube::{
    DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, IntOrPercent, LabelSelector, Labels, ObjectMeta,
    RollingUpdateDaemonSet, Str,
};
use windlass_sandbox::Propagation;

use super::{Deed, EDITION_ANNOTATION, NAMESPACE, PodFate, Workload};
use crate::simulation::random::{Random, mix};

/// A seed has DaemonSets in its run, and nothing else, if it leaves this remainder when it is divided by
/// [`EVERY`]: none of these has CronJobs.
const REMAINDER: u64 = 4;
/// See [`REMAINDER`].
const EVERY: u64 = 6;
/// Label of nodes by which templates choose.
pub const ZONE_LABEL: &str = "zone";
/// Key of the taint that is put on nodes.
pub const TAINT_KEY: &str = "dedicated";
/// Of so many editions of a template one has Pods that do not become ready.
const BAD_EDITIONS: u64 = 5;

/// One DaemonSet of a run.
#[derive(Clone, Debug)]
pub struct DaemonPlan {
    /// Name.
    pub name: Str,
    /// Its annotations.
    pub annotations: Labels,
    /// Its spec.
    pub spec: Arc<DaemonSetSpec>,
    /// When it is created, milliseconds.
    pub created_ms: u64,
    /// How its Pods fare until all is well.
    pub fate: PodFate,
}

/// One node that is there at the start.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its zone, if it has one.
    pub zone: Option<&'static str>,
    /// Whether it is there at the start; if not it may join later.
    pub is_there: bool,
}

/// Something that people and others do to a DaemonSet, its Pods and its revisions; these are meant by a place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonDeed {
    /// The template becomes another edition; going back to one that there was is no exception.
    EditTemplate(u64),
    /// The template asks for nodes of a zone, or of any.
    SetZone(Option<&'static str>),
    /// Pods are replaced, and so many may be missing.
    SetUnavailable(Limit),
    /// Pods are replaced, and so many may be too many.
    SetSurge(Limit),
    /// Pods are replaced only when somebody deletes them.
    SetOnDelete,
    /// `spec.minReadySeconds` is set.
    SetMinReady(i32),
    /// `spec.revisionHistoryLimit` is set.
    SetHistory(i32),
    /// It gets another annotation.
    Touch(u64),
    /// It is deleted.
    Delete(Propagation),
    /// It is deleted and made anew under the same name.
    Replace,
    /// A Pod is deleted.
    DeletePod(u64),
    /// A Pod is deleted without grace.
    ForceDeletePod(u64),
    /// A Pod fails.
    FailPod(u64),
    /// A Pod ends well.
    EndPod(u64),
    /// A Pod is ready no more.
    UnreadyPod(u64),
    /// A Pod gets another annotation.
    TouchPod(u64),
    /// A Pod loses its owner.
    DisownPod(u64),
    /// A Pod loses the label that the selector wants.
    RelabelPod(u64),
    /// Somebody makes a Pod for a node that the set would adopt.
    MakePod(u64),
    /// A revision is deleted.
    DeleteRevision(u64),
    /// A revision loses its owner.
    DisownRevision(u64),
    /// A revision gets another annotation.
    TouchRevision(u64),
}

/// Something that happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeDeed {
    /// It joins, if it is not there.
    Join,
    /// It leaves.
    Leave,
    /// It leaves, and another of the same name joins.
    Replace,
    /// Its kubelet falls silent.
    FallSilent,
    /// Its kubelet is heard again.
    ComeBack,
    /// It has this taint and no other of the run's.
    Taint(Option<&'static str>),
    /// It is of this zone.
    SetZone(Option<&'static str>),
    /// It gets another annotation.
    Touch(u64),
}

/// A limit of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many nodes.
    Nodes(i32),
    /// So many of a hundred.
    Percent(u32),
}

impl From<Limit> for IntOrPercent {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Nodes(number) => Self::Int(number),
            Limit::Percent(number) => Self::Text(format!("{number}%").into()),
        }
    }
}

/// The workload of `seed`, if it is one with DaemonSets.
#[must_use]
pub fn of(seed: u64) -> Option<Workload> {
    if seed % EVERY != REMAINDER {
        return None;
    }
    let random = &mut Random::new(seed, 11);
    let count = random.pick(&[1, 1, 1, 2]);
    let sets: Vec<DaemonPlan> = (0..count).map(|position| plan(seed, random, position)).collect();
    let size = random.pick(&[1, 2, 3, 5, 8, 12]);
    let nodes: Vec<NodePlan> = (0..size)
        .map(|_| NodePlan {
            zone: random.pick(&[None, Some("a"), Some("a"), Some("b")]),
            is_there: random.chance(850),
        })
        .collect();
    let end_ms = random.spread(5_000, 300_000);
    let mut deeds = deeds(random, sets.len() as u64, size, end_ms);
    deeds.push((end_ms, Deed::Heal));
    deeds.sort_by_key(|(at_ms, _)| *at_ms);
    Some(Workload { sets, nodes, deeds, ..Workload::default() })
}

/// Name of the node at that position.
#[must_use]
pub fn node_name(position: usize) -> Str {
    format!("node-{position}").into()
}

/// Whether Pods of that edition become ready.
#[must_use]
pub fn is_good(edition: Option<&Str>) -> bool {
    edition.and_then(|edition| edition.parse::<u64>().ok()).is_none_or(|edition| edition % BAD_EDITIONS != 3)
}

/// A spec whose Pods run everywhere, one after the other replaced.
#[must_use]
pub fn spec(name: &str) -> DaemonSetSpec {
    let labels = [("app".into(), name.into())].into();
    DaemonSetSpec {
        selector: Some(LabelSelector { match_labels: labels, ..LabelSelector::default() }),
        template: raw(&json!({
            "metadata": {"labels": {"app": name}, "annotations": {EDITION_ANNOTATION: "0"}},
            "spec": {"containers": [{"name": "main", "image": "registry.example/agent:1"}]},
        })),
        update_strategy: rolling(Limit::Nodes(1), Limit::Nodes(0)),
        ..DaemonSetSpec::default()
    }
}

/// A strategy that replaces Pods within these limits.
#[must_use]
pub fn rolling(max_unavailable: Limit, max_surge: Limit) -> DaemonSetUpdateStrategy {
    let limits = RollingUpdateDaemonSet {
        max_unavailable: Some(max_unavailable.into()),
        max_surge: Some(max_surge.into()),
    };
    DaemonSetUpdateStrategy { kind: "RollingUpdate".into(), rolling_update: Some(limits) }
}

/// A strategy that replaces nothing.
#[must_use]
pub fn on_delete() -> DaemonSetUpdateStrategy {
    DaemonSetUpdateStrategy { kind: "OnDelete".into(), rolling_update: None }
}

/// Makes the template another edition.
pub fn set_edition(spec: &mut DaemonSetSpec, edition: u64) {
    change_template(spec, |template| {
        template["metadata"]["annotations"][EDITION_ANNOTATION] = edition.to_string().into();
    });
}

/// Lets the template ask for nodes of a zone, or of any.
pub fn set_zone(spec: &mut DaemonSetSpec, zone: Option<&str>) {
    change_template(spec, |template| {
        template["spec"]["nodeSelector"] = zone.map_or(Value::Null, |zone| json!({ZONE_LABEL: zone}));
    });
}

/// The DaemonSet of a plan, as whoever applies its manifest sends it.
#[must_use]
pub fn manifest(plan: &DaemonPlan) -> DaemonSet {
    let metadata = ObjectMeta {
        name: plan.name.clone(),
        namespace: NAMESPACE.into(),
        annotations: Arc::new(plan.annotations.clone()),
        ..ObjectMeta::default()
    };
    DaemonSet { metadata, spec: plan.spec.clone(), ..DaemonSet::default() }
}

fn plan(seed: u64, random: &mut Random, position: u64) -> DaemonPlan {
    let name: Str = format!("set-{position}").into();
    let mut spec = spec(&name);
    spec.update_strategy = strategy(random);
    spec.min_ready_seconds = random.chance(300).then(|| random.pick(&[1, 5, 20]));
    spec.revision_history_limit = random.chance(500).then(|| random.pick(&[0, 1, 2]));
    if random.chance(300) {
        change_template(&mut spec, |template| {
            let effect = random.pick(&["NoSchedule", "NoExecute", ""]);
            template["spec"]["tolerations"] =
                json!([{"key": TAINT_KEY, "operator": "Exists", "effect": effect}]);
        });
    }
    if random.chance(150) {
        set_zone(&mut spec, Some("a"));
    }
    let slow = random.chance(200);
    let fate = PodFate {
        seed: mix(seed.wrapping_add(position)),
        failing_per_mille: random.pick(&[0, 0, 0, 100, 400]),
        start_ms: if slow { (500, 9_000) } else { (1, 60) },
        run_ms: random.pick(&[(5, 50), (1_000, 20_000)]),
        endless: false,
        lots: None,
    };
    let annotations = Labels::default();
    DaemonPlan { name, annotations, spec: Arc::new(spec), created_ms: random.below(3_000), fate }
}

fn strategy(random: &mut Random) -> DaemonSetUpdateStrategy {
    match random.below(10) {
        0..5 => rolling(limit(random), Limit::Nodes(0)),
        5..9 => rolling(Limit::Nodes(0), limit(random)),
        _ => on_delete(),
    }
}

fn limit(random: &mut Random) -> Limit {
    random.pick(&[
        Limit::Nodes(1),
        Limit::Nodes(1),
        Limit::Nodes(2),
        Limit::Nodes(5),
        Limit::Percent(10),
        Limit::Percent(50),
        Limit::Percent(100),
    ])
}

fn deeds(random: &mut Random, sets: u64, nodes: u64, end_ms: u64) -> Vec<(u64, Deed)> {
    let count = random.pick(&[1, 2, 4, 8, 16, 30]);
    let mut deeds = Vec::new();
    for _ in 0..count {
        let at_ms = random.spread(100, end_ms);
        if random.chance(400) {
            let node = random.below(nodes) as usize;
            let deed = node_deed(random);
            deeds.push((at_ms, Deed::Node(node, deed)));
            let undone = match deed {
                NodeDeed::Leave if random.chance(600) => NodeDeed::Join,
                NodeDeed::Taint(Some(_)) if random.chance(500) => NodeDeed::Taint(None),
                NodeDeed::FallSilent => NodeDeed::ComeBack,
                _ => continue,
            };
            deeds.push((at_ms + random.spread(1, 60_000), Deed::Node(node, undone)));
        } else {
            let set = random.below(sets) as usize;
            deeds.push((at_ms, Deed::Daemon(set, daemon_deed(random))));
        }
    }
    deeds
}

fn node_deed(random: &mut Random) -> NodeDeed {
    match random.below(14) {
        0..2 => NodeDeed::Join,
        2..5 => NodeDeed::Leave,
        5..7 => NodeDeed::Replace,
        7..9 => NodeDeed::FallSilent,
        9..12 => NodeDeed::Taint(random.pick(&[
            None,
            Some("NoSchedule"),
            Some("NoExecute"),
            Some("PreferNoSchedule"),
        ])),
        12 => NodeDeed::SetZone(random.pick(&[None, Some("a"), Some("b")])),
        _ => NodeDeed::Touch(random.number()),
    }
}

fn daemon_deed(random: &mut Random) -> DaemonDeed {
    let place = random.number();
    match random.below(40) {
        0..10 => DaemonDeed::EditTemplate(random.below(8)),
        10..12 => DaemonDeed::SetZone(random.pick(&[None, Some("a"), Some("b")])),
        12..14 => DaemonDeed::SetUnavailable(limit(random)),
        14..16 => DaemonDeed::SetSurge(limit(random)),
        16 => DaemonDeed::SetOnDelete,
        17 => DaemonDeed::SetMinReady(random.pick(&[0, 1, 10])),
        18 => DaemonDeed::SetHistory(random.pick(&[0, 1, 3])),
        19 => DaemonDeed::Touch(place),
        20 => DaemonDeed::Delete(random.pick(&[
            Propagation::Background,
            Propagation::Foreground,
            Propagation::Orphan,
        ])),
        21 => DaemonDeed::Replace,
        22..25 => DaemonDeed::DeletePod(place),
        25 => DaemonDeed::ForceDeletePod(place),
        26..29 => DaemonDeed::FailPod(place),
        29 => DaemonDeed::EndPod(place),
        30..32 => DaemonDeed::UnreadyPod(place),
        32 => DaemonDeed::TouchPod(place),
        33 => DaemonDeed::DisownPod(place),
        34 => DaemonDeed::RelabelPod(place),
        35 => DaemonDeed::MakePod(place),
        36 => DaemonDeed::DeleteRevision(place),
        37 => DaemonDeed::DisownRevision(place),
        _ => DaemonDeed::TouchRevision(place),
    }
}

fn change_template(spec: &mut DaemonSetSpec, change: impl FnOnce(&mut Value)) {
    let text = spec.template.as_ref().map_or("{}", |template| template.get());
    let Ok(mut template) = serde_json::from_str::<Value>(text) else { return };
    change(&mut template);
    spec.template = raw(&template);
}

fn raw(value: &Value) -> Option<Arc<RawValue>> {
    serde_json::value::to_raw_value(value).ok().map(Into::into)
}
