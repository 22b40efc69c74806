//! Generators of DaemonSets, their Pods and revisions, nodes, and snapshots of them.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::value::RawValue;
use windlass_core::daemon_set::revision;
use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, ConditionStatus, ControllerRevision, DaemonSet, DaemonTemplate,
    IntOrPercent, LabelSelector, Labels, Node, ObjectMeta, OwnerReference, Pod, PodCondition, PodPhase,
    PodSpec, PodStatus, ResourceVersion, RollingUpdateDaemonSet, Str, TEMPLATE_GENERATION_ANNOTATION,
    TEMPLATE_GENERATION_LABEL, Taint, Time, daemon_pod_columns, daemon_set_view, node_columns,
};
use windlass_core::view::{DaemonSetFlags, DaemonSetSnapshot};

use super::{NOW_S, live_owner, memo, now_ms, number, phase, text};

/// Most nodes of a generated cluster.
const MOST_NODES: usize = 8;
/// Most Pods of a generated DaemonSet: more than one on many nodes.
const MOST_PODS: usize = 14;
/// Most revisions.
const MOST_REVISIONS: usize = 6;
/// Keys of labels of which nodes have the first.
const LABEL_KEYS: [&str; 2] = ["disk", "zone"];
/// What templates say of nodes, after the labels that every template has.
const SPECS: [&str; 5] = [
    r#"{"containers":[{"name":"main","image":"busybox"}]}"#,
    r#"{"nodeSelector":{"disk":"ssd"}}"#,
    r#"{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"disk","operator":"NotIn","values":["hdd"]}]},{"matchFields":[{"key":"metadata.name","operator":"In","values":["n-3"]}]}]}}}}"#,
    r#"{"tolerations":[{"key":"dedicated","operator":"Exists"}],"hostNetwork":true}"#,
    r#"{"nodeName":"n-2"}"#,
];
const SEEN_LABEL: (&str, &str) = ("app", "logs");

/// A DaemonSet, and all that its snapshot is made of; each list by name.
#[derive(Clone, Debug)]
pub struct DaemonSetScene {
    /// The DaemonSet.
    pub set: DaemonSet,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Its Pods, and those that it might adopt or never sees.
    pub pods: Vec<Pod>,
    /// Its revisions, likewise.
    pub revisions: Vec<ControllerRevision>,
}

/// DaemonSets with nodes, Pods and revisions, as the API server would hold them; instants lie near [`NOW_S`]. About a third
/// has what a rollout needs to begin: its revision, and one running Pod on every node.
pub fn daemon_set_scene() -> impl Strategy<Value = DaemonSetScene> {
    let lists =
        (vec(node(), 0..MOST_NODES), vec(pod_seed(), 0..MOST_PODS), vec(revision_seed(), 0..MOST_REVISIONS));
    (daemon_set(), lists, prop::bool::weighted(0.35)).prop_map(
        |(set, (nodes, mut pods, mut revisions), rolls)| {
            if rolls {
                pods = (0..nodes.len() as u64).map(|node| pod_of(node, pods.get(node as usize))).collect();
                revisions.insert(0, RevisionSeed::PRESENT);
            }
            let template = DaemonTemplate::read(&set).expect("each of the templates is one of a Pod");
            let nodes = (0..).zip(nodes).map(|(number, node)| named_node(number, node)).collect();
            let pods = (0..).zip(&pods).map(|(number, seed)| pod(&set, &template, number, seed)).collect();
            let mut revisions: Vec<ControllerRevision> =
                (0..).zip(&revisions).map(|(number, seed)| stored(&set, &template, number, seed)).collect();
            revisions.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
            revisions.dedup_by(|a, b| a.metadata.name == b.metadata.name);
            DaemonSetScene { set, nodes, pods, revisions }
        },
    )
}

/// Snapshots of DaemonSets; about one in eight contradicts itself.
pub fn daemon_set_snapshot() -> impl Strategy<Value = DaemonSetSnapshot> {
    let carried = (option::weighted(0.4, live_owner()), memo());
    let settled = prop_oneof![3 => Just(0), 2 => 0..1_000_u32, 1 => any::<u32>()];
    let keys = option::weighted(0.4, vec(prop::sample::select(&LABEL_KEYS[..]).prop_map(Str::from), 0..3));
    let damage = option::weighted(0.15, 0..12_usize);
    (now_ms(), flags(), (daemon_set_scene(), keys), settled, carried, damage).prop_map(
        |(now_ms, flags, (scene, keys), settled, (live_owner, memo), damage)| {
            let mut snapshot = DaemonSetSnapshot {
                now_ms,
                flags,
                settled,
                live_owner,
                memo,
                ..snapshot_of(&scene, keys.as_deref())
            };
            if let Some(damage) = damage {
                spoil(&mut snapshot, damage);
            }
            snapshot
        },
    )
}

fn snapshot_of(scene: &DaemonSetScene, keys: Option<&[Str]>) -> DaemonSetSnapshot {
    let DaemonSetScene { set, nodes, pods, revisions } = scene;
    let template = DaemonTemplate::read(set).expect("each of the templates is one of a Pod");
    let (shapes, nodes) = node_columns(nodes, &template.placement, keys.unwrap_or_default());
    let is_seen = |pod: &&Pod| match pod.metadata.controller() {
        Some(owner) => owner.uid == set.metadata.uid,
        None => pod.metadata.labels.get(SEEN_LABEL.0).is_some_and(|app| &**app == SEEN_LABEL.1),
    };
    let name = revision::name(&set.metadata.name, &template.hash);
    let taken = revisions.iter().find(|revision| revision.metadata.name == name);
    let seen = revisions.iter().filter(|revision| revision.is_seen_by(set));
    DaemonSetSnapshot {
        now_ms: NOW_S * 1000,
        flags: DaemonSetFlags::default(),
        set: Arc::new(daemon_set_view(set, &template)),
        shapes,
        settled: 0,
        pods: daemon_pod_columns(pods.iter().filter(is_seen), set, &nodes),
        nodes,
        revisions: seen.map(|revision| revision.owned_row(set, &template)).collect(),
        taken: taken.map(|revision| revision.taken(set, &template)),
        rollout_policy: keys.map(<[Str]>::to_vec),
        live_owner: None,
        memo: Vec::new(),
    }
}

/// Makes a column longer than the others, or lets a value point nowhere.
fn spoil(snapshot: &mut DaemonSetSnapshot, damage: usize) {
    let pods = &mut snapshot.pods;
    match damage {
        0 => pods.phase.push(0),
        1 => pods.flags.push(0),
        2 => pods.node.push(0),
        3 => pods.hash.push(0),
        4 => pods.created_s.push(0),
        5 => pods.ready_changed_s.push(0),
        6 => pods.hashes.clear(),
        7 => pods.ended.push((u32::MAX, "ended".into())),
        8 => snapshot.nodes.name.push("odd".into()),
        9 => snapshot.nodes.shape.push(0),
        10 => snapshot.shapes.clear(),
        _ => Arc::make_mut(&mut snapshot.set).placement = "none".into(),
    }
}

fn flags() -> impl Strategy<Value = DaemonSetFlags> {
    let odd =
        (number(), number(), number()).prop_map(|(max_pods_per_sync, backoff_base_ms, backoff_max_ms)| {
            DaemonSetFlags { max_pods_per_sync, backoff_base_ms, backoff_max_ms }
        });
    prop_oneof![3 => Just(DaemonSetFlags::default()), 1 => odd]
}

fn daemon_set() -> impl Strategy<Value = DaemonSet> {
    let strategy = (
        prop::sample::select(vec!["RollingUpdate", "RollingUpdate", "RollingUpdate", "OnDelete", "Odd"]),
        option::weighted(0.8, limit()),
        option::weighted(0.4, limit()),
    );
    let spec = (
        prop::sample::select(&SPECS[..]),
        option::of(0..60_i32),
        option::weighted(0.8, 0..4_i32),
        prop::bool::weighted(0.05),
    );
    let state = (1..4_i64, option::of(1..3_i64), prop::bool::weighted(0.05), option::weighted(0.2, 0..3_i32));
    let counts = [0..9_i32, 0..9, 0..9, 0..9, 0..9, 0..9, 0..9];
    (strategy, spec, state, counts).prop_map(|(strategy, spec, state, counts)| {
        let (generation, template_generation, terminating, collision_count) = state;
        let mut set = DaemonSet::default();
        let metadata = &mut set.metadata;
        metadata.name = "logs".into();
        metadata.namespace = "default".into();
        metadata.uid = "uid-of-logs".into();
        metadata.resource_version = ResourceVersion(7);
        metadata.generation = generation;
        metadata.deletion_timestamp = terminating.then_some(Time::from_unix_seconds(NOW_S));
        if let Some(number) = template_generation {
            let notes = Arc::make_mut(&mut metadata.annotations);
            notes.insert(TEMPLATE_GENERATION_ANNOTATION.into(), number.to_string().into());
        }
        let template = format!(r#"{{"metadata":{{"labels":{{"app":"logs"}}}},"spec":{}}}"#, spec.0);
        let desired = Arc::make_mut(&mut set.spec);
        let match_labels = if spec.3 { Labels::new() } else { labels(true) };
        desired.selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
        desired.template = Some(RawValue::from_string(template).expect("JSON").into());
        desired.update_strategy.kind = strategy.0.into();
        desired.update_strategy.rolling_update =
            Some(RollingUpdateDaemonSet { max_unavailable: strategy.1, max_surge: strategy.2 });
        desired.min_ready_seconds = spec.1;
        desired.revision_history_limit = spec.2;
        let status = &mut set.status;
        [
            status.current_number_scheduled,
            status.desired_number_scheduled,
            status.number_misscheduled,
            status.number_ready,
            status.updated_number_scheduled,
            status.number_available,
            status.number_unavailable,
        ] = counts;
        status.observed_generation = generation - 1;
        status.collision_count = collision_count;
        set
    })
}

fn limit() -> impl Strategy<Value = IntOrPercent> {
    prop_oneof![
        4 => (-1..4_i32).prop_map(IntOrPercent::Int),
        3 => (0..120_u32).prop_map(|percent| IntOrPercent::Text(format!("{percent}%").into())),
        1 => text().prop_map(IntOrPercent::Text),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let disk = option::of(prop::sample::select(vec!["ssd", "hdd"]));
    let effect = prop::sample::select(vec!["NoSchedule", "NoExecute", "PreferNoSchedule"]);
    let key = prop::sample::select(vec!["dedicated", "node.kubernetes.io/not-ready"]);
    let taint = (key, text(), effect).prop_map(|(key, value, effect)| Taint {
        key: key.into(),
        value,
        effect: effect.into(),
    });
    (disk, vec(taint, 0..2)).prop_map(|(disk, taints)| {
        let mut node = Node::default();
        node.metadata.labels = Arc::new(disk.map(|disk| ("disk".into(), disk.into())).into_iter().collect());
        node.spec.taints = taints;
        node
    })
}

fn named_node(number: u64, mut node: Node) -> Node {
    node.metadata.name = format!("n-{number}").into();
    node.metadata.uid = format!("uid-of-n-{number}").into();
    node.metadata.resource_version = ResourceVersion(10 + number);
    node
}

/// Whose a generated object is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Set,
    Nobody,
    Another,
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![8 => Just(Owner::Set), 1 => Just(Owner::Nobody), 1 => Just(Owner::Another)]
}

/// Metadata of a Pod or revision.
fn metadata(set: &DaemonSet, name: &str, owner: Owner, selected: bool, hash: &str) -> ObjectMeta {
    let reference = set.controller_reference();
    let references = match owner {
        Owner::Set => vec![reference],
        Owner::Nobody => Vec::new(),
        Owner::Another => vec![OwnerReference { uid: "uid-of-another".into(), ..reference }],
    };
    let mut labels = labels(selected);
    if !hash.is_empty() {
        labels.insert(CONTROLLER_REVISION_HASH_LABEL.into(), hash.into());
    }
    ObjectMeta {
        name: name.into(),
        namespace: set.metadata.namespace.clone(),
        uid: format!("uid-of-{name}").into(),
        labels: Arc::new(labels),
        owner_references: Arc::new(references),
        ..ObjectMeta::default()
    }
}

fn labels(selected: bool) -> Labels {
    let (key, value) = SEEN_LABEL;
    [(key.into(), if selected { value } else { "other" }.into())].into()
}

/// What tells one generated Pod from another.
#[derive(Clone, Debug)]
struct PodSeed {
    owner: Owner,
    selected: bool,
    terminating: bool,
    /// Number of its node, which may not be there.
    node: u64,
    /// Bound, pinned, or neither.
    placed: u8,
    /// The template's, one of two others, or none.
    hash: u8,
    of_generation: bool,
    phase: PodPhase,
    ready: bool,
    age_s: i64,
}

fn pod_seed() -> impl Strategy<Value = PodSeed> {
    let whose = (owner(), prop::bool::weighted(0.9), prop::bool::weighted(0.1));
    let place = (0..MOST_NODES as u64 + 2, prop_oneof![6 => Just(0_u8), 3 => Just(1), 1 => Just(2)]);
    let state = (0..4_u8, prop::bool::weighted(0.2), phase(), prop::bool::weighted(0.7), 0..120_i64);
    (whose, place, state).prop_map(
        |((owner, selected, terminating), (node, placed), (hash, of_generation, phase, ready, age_s))| {
            PodSeed { owner, selected, terminating, node, placed, hash, of_generation, phase, ready, age_s }
        },
    )
}

/// A running Pod on that node, of whatever revision the seed has.
fn pod_of(node: u64, seed: Option<&PodSeed>) -> PodSeed {
    let (hash, ready, age_s) = seed.map_or((1, true, 60), |seed| (seed.hash, seed.ready, seed.age_s));
    PodSeed {
        owner: Owner::Set,
        selected: true,
        terminating: false,
        node,
        placed: 0,
        hash,
        of_generation: false,
        phase: PodPhase::Running,
        ready,
        age_s,
    }
}

fn pod(set: &DaemonSet, template: &DaemonTemplate, number: u64, seed: &PodSeed) -> Pod {
    let time = |age_s: i64| Some(Time::from_unix_seconds(NOW_S - age_s));
    let hash = hash(template, seed.hash);
    let mut metadata = metadata(set, &format!("logs-{number:02}"), seed.owner, seed.selected, &hash);
    metadata.resource_version = ResourceVersion(200 + number);
    metadata.creation_timestamp = time(seed.age_s + 5);
    metadata.deletion_timestamp = seed.terminating.then_some(time(1)).flatten();
    if let Some(generation) = set.template_generation().filter(|_| seed.of_generation) {
        let labels = Arc::make_mut(&mut metadata.labels);
        labels.insert(TEMPLATE_GENERATION_LABEL.into(), generation.to_string().into());
    }
    let node: Str = format!("n-{}", seed.node).into();
    let spec = PodSpec {
        node_name: (seed.placed == 0).then(|| node.clone()),
        pinned_to: (seed.placed == 1).then_some(node),
        ..PodSpec::default()
    };
    let status = if seed.ready { ConditionStatus::True } else { ConditionStatus::False };
    let ready =
        PodCondition { kind: "Ready".into(), status, last_transition_time: time(seed.age_s), reason: None };
    let status = PodStatus { phase: seed.phase, conditions: vec![ready], ..PodStatus::default() };
    Pod { metadata, spec: Arc::new(spec), status: Arc::new(status) }
}

/// What tells one generated revision from another.
#[derive(Clone, Debug)]
struct RevisionSeed {
    owner: Owner,
    selected: bool,
    terminating: bool,
    /// As of a Pod.
    hash: u8,
    /// Whether it has the name that a new revision would get.
    in_the_way: bool,
    holds_template: bool,
    number: i64,
}

impl RevisionSeed {
    /// That of the present template.
    const PRESENT: Self = Self {
        owner: Owner::Set,
        selected: true,
        terminating: false,
        hash: 0,
        in_the_way: true,
        holds_template: true,
        number: 9,
    };
}

fn revision_seed() -> impl Strategy<Value = RevisionSeed> {
    let whose = (owner(), prop::bool::weighted(0.9), prop::bool::weighted(0.1));
    let what = (0..4_u8, prop::bool::weighted(0.2), prop::bool::weighted(0.4), 1..9_i64);
    (whose, what).prop_map(|((owner, selected, terminating), (hash, in_the_way, holds_template, number))| {
        RevisionSeed { owner, selected, terminating, hash, in_the_way, holds_template, number }
    })
}

fn stored(
    set: &DaemonSet,
    template: &DaemonTemplate,
    number: u64,
    seed: &RevisionSeed,
) -> ControllerRevision {
    let name = if seed.in_the_way { template.hash.clone() } else { format!("r{number}").into() };
    let name = revision::name(&set.metadata.name, &name);
    let mut metadata = metadata(set, &name, seed.owner, seed.selected, &hash(template, seed.hash));
    metadata.resource_version = ResourceVersion(300 + number);
    metadata.creation_timestamp = Some(Time::from_unix_seconds(NOW_S - 500 + seed.number));
    metadata.deletion_timestamp = seed.terminating.then_some(Time::from_unix_seconds(NOW_S));
    let data = if seed.holds_template { template.data.to_string() } else { format!(r#"{{"is":{number}}}"#) };
    let data = RawValue::from_string(data).expect("JSON");
    ControllerRevision { metadata, revision: seed.number, data: Some(data.into()) }
}

/// A revision hash: the template's, one of two others, or none.
fn hash(template: &DaemonTemplate, which: u8) -> Str {
    match which {
        0 => template.hash.clone(),
        1 => "older".into(),
        2 => "oldest".into(),
        _ => "".into(),
    }
}
