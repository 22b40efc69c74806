//! DaemonSets whose reconcile is dear.

use std::sync::Arc;

use windlass_core::daemon_set::history::RevisionRow;
use windlass_core::daemon_set::placement::NodeShape;
use windlass_core::kube::{IntOrPercent, PodPhase, Str, Taint};
use windlass_core::view::{
    DaemonPodColumns, DaemonPodRow, DaemonSetFlags, DaemonSetSnapshot, DaemonSetStatusView, DaemonSetView,
    GONE_NODE, NodeColumns, OwnedRevision, pod_flag,
};
use windlass_host::plugin::facts::MAX_NODE_LABELS;

use super::NOW_S;

/// A DaemonSet with so many nodes.
type Shape = fn(u32) -> DaemonSetSnapshot;

pub(crate) const SHAPES: [(&str, Shape); 10] = [
    ("no node has a Pod", empty),
    ("every node has its Pod", at_rest),
    ("every Pod is of an old template", old),
    ("every Pod is of an old template, and Pods surge", surging),
    ("two Pods on every node, where Pods surge", pairs),
    ("every Pod failed", failed),
    ("every node is of its own kind", of_all_kinds),
    ("all Pods are on one node", crowded),
    ("every Pod is for a node that is gone", gone),
    ("a policy of rollouts is asked about every node", asked),
];

fn empty(count: u32) -> DaemonSetSnapshot {
    snapshot(count)
}

fn at_rest(count: u32) -> DaemonSetSnapshot {
    with_pods(snapshot(count), count, |_, _| {})
}

fn old(count: u32) -> DaemonSetSnapshot {
    with_pods(snapshot(count), count, |_, row| row.hash = "old".into())
}

fn surging(count: u32) -> DaemonSetSnapshot {
    let mut snapshot = old(count);
    surge(&mut snapshot);
    snapshot
}

fn pairs(count: u32) -> DaemonSetSnapshot {
    let mut snapshot = snapshot(count / 2);
    surge(&mut snapshot);
    with_pods(snapshot, count, |number, row| {
        row.node = number / 2;
        row.hash = if number % 2 == 0 { "old" } else { "new" }.into();
    })
}

fn failed(count: u32) -> DaemonSetSnapshot {
    with_pods(snapshot(count), count, |_, row| row.phase = PodPhase::Failed)
}

/// Each has a host name of its own that the set asks about, and taints.
fn of_all_kinds(count: u32) -> DaemonSetSnapshot {
    let mut snapshot = at_rest(count);
    let shape = |number: u32| NodeShape {
        labels: vec![("host".into(), format!("host-{number}").into())],
        taints: vec![Taint { key: "dedicated".into(), value: "".into(), effect: "NoSchedule".into() }],
    };
    snapshot.shapes = (0..count).map(shape).collect();
    snapshot.nodes.shape = (0..count).collect();
    let terms: Vec<String> = (0..20)
        .map(|number| {
            format!(r#"{{"matchExpressions":[{{"key":"host","operator":"In","values":["host-{number}"]}}]}}"#)
        })
        .collect();
    let placement = format!(
        r#"{{"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{
            "nodeSelectorTerms":[{}]}}}}}},"tolerations":[{{"operator":"Exists"}}]}}"#,
        terms.join(",")
    );
    Arc::make_mut(&mut snapshot.set).placement = placement.as_str().into();
    snapshot
}

fn crowded(count: u32) -> DaemonSetSnapshot {
    with_pods(snapshot(1), count, |number, row| {
        row.node = 0;
        row.created_s -= i64::from(number.wrapping_mul(2_654_435_761) % 1_000);
    })
}

fn gone(count: u32) -> DaemonSetSnapshot {
    with_pods(snapshot(count), count, |_, row| {
        row.node = GONE_NODE;
        row.flags &= !pod_flag::BOUND;
    })
}

/// Each node has as many labels as a policy of rollouts may ask for.
pub(crate) fn asked(count: u32) -> DaemonSetSnapshot {
    let key = |number: usize| Str::from(format!("topology.example.com/the-label-that-is-number-{number}"));
    let value = |node: u32, number: usize| format!("value-{number}-of-node-{node:05}").into();
    let labels = |node: u32| (0..MAX_NODE_LABELS).map(|number| (key(number), value(node, number))).collect();
    let mut snapshot = old(count);
    snapshot.shapes =
        (0..count).map(|node| NodeShape { labels: labels(node), ..NodeShape::default() }).collect();
    snapshot.nodes.shape = (0..count).collect();
    snapshot.rollout_policy = Some((0..MAX_NODE_LABELS).map(key).collect());
    snapshot
}

fn surge(snapshot: &mut DaemonSetSnapshot) {
    let set = Arc::make_mut(&mut snapshot.set);
    set.max_unavailable = Some(IntOrPercent::Int(0));
    set.max_surge = Some(IntOrPercent::Text("100%".into()));
}

fn with_pods(
    mut snapshot: DaemonSetSnapshot,
    count: u32,
    change: impl Fn(u32, &mut DaemonPodRow),
) -> DaemonSetSnapshot {
    let hashes: [Str; 2] = ["new".into(), "old".into()];
    let mut pods = DaemonPodColumns { hashes: hashes.to_vec(), ..DaemonPodColumns::default() };
    for number in 0..count {
        let mut row = DaemonPodRow {
            phase: PodPhase::Running,
            flags: pod_flag::OWNED | pod_flag::SELECTED | pod_flag::BOUND | pod_flag::READY,
            node: number,
            hash: "new".into(),
            created_s: NOW_S - 500,
            ready_changed_s: NOW_S - 400,
        };
        change(number, &mut row);
        if row.phase == PodPhase::Failed {
            row.flags &= !pod_flag::READY;
            pods.ended.push((number, format!("pod-{number:06}").into()));
        }
        pods.push(&row, u32::from(*row.hash == *hashes[1]));
    }
    snapshot.pods = pods;
    snapshot
}

/// A set with so many nodes and no Pod; no limit of a plan keeps anything back.
fn snapshot(nodes: u32) -> DaemonSetSnapshot {
    let revision = |hash: &str, number: i64| OwnedRevision {
        row: RevisionRow {
            name: format!("set-{hash}").into(),
            label: hash.into(),
            number,
            holds_template: hash == "new",
            terminating: false,
            created_s: number,
        },
        owned: true,
        selected: true,
    };
    let set = DaemonSetView {
        owner: "default/set".into(),
        uid: "uid".into(),
        generation: 1,
        placement: "{}".into(),
        max_unavailable: Some(IntOrPercent::Text("100%".into())),
        max_surge: Some(IntOrPercent::Int(0)),
        revision_history_limit: Some(10),
        template_hash: "new".into(),
        status: DaemonSetStatusView { observed_generation: 1, ..DaemonSetStatusView::default() },
        ..DaemonSetView::default()
    };
    DaemonSetSnapshot {
        now_ms: NOW_S * 1_000,
        flags: DaemonSetFlags { max_pods_per_sync: u32::MAX, ..DaemonSetFlags::default() },
        set: Arc::new(set),
        shapes: vec![NodeShape { labels: Vec::new(), taints: Vec::new() }],
        nodes: NodeColumns {
            name: (0..nodes).map(|number| format!("node-{number:06}").into()).collect(),
            shape: vec![0; nodes as usize],
        },
        settled: 0,
        pods: DaemonPodColumns::default(),
        revisions: vec![revision("new", 2), revision("old", 1)],
        taken: None,
        rollout_policy: None,
        live_owner: None,
        memo: Vec::new(),
    }
}
