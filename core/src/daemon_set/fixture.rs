//! Small snapshots for the tests of single decisions, and what their plans say.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::history::RevisionRow;
use super::placement::NodeShape;
use super::reconcile;
use crate::kube::{IntOrPercent, PodPhase, Str, Taint};
use crate::plan::{Action, DaemonSetAction, EventRecord, Plan};
use crate::policy::BuiltIn;
use crate::view::{
    DaemonPodColumns, DaemonPodRow, DaemonSetFlags, DaemonSetSnapshot, DaemonSetStatusView, DaemonSetView,
    NodeColumns, OwnedRevision, pod_flag,
};

/// 2026-01-01T10:00:00Z.
pub(super) const NOW_S: i64 = 1_767_261_600;

/// Shapes of nodes: as any, with a taint that keeps new Pods away, and with one that drives Pods off.
pub(super) const PLAIN: u32 = 0;
pub(super) const NO_SCHEDULE: u32 = 1;
pub(super) const NO_EXECUTE: u32 = 2;

/// A set at generation 1 with so many plain nodes and no Pod, whose status is up to date but for the counters, and
/// which has two revisions: `old`, and `new` for its template.
pub(super) fn snapshot(nodes: usize) -> DaemonSetSnapshot {
    let taint = |effect: &str| Taint { key: "dedicated".into(), value: "".into(), effect: effect.into() };
    let shape = |taints| NodeShape { labels: Vec::new(), taints };
    let set = DaemonSetView {
        owner: "default/set".into(),
        uid: "uid".into(),
        generation: 1,
        placement: "{}".into(),
        max_unavailable: Some(IntOrPercent::Int(1)),
        max_surge: Some(IntOrPercent::Int(0)),
        revision_history_limit: Some(10),
        template_hash: "new".into(),
        status: DaemonSetStatusView { observed_generation: 1, ..DaemonSetStatusView::default() },
        ..DaemonSetView::default()
    };
    DaemonSetSnapshot {
        now_ms: NOW_S * 1_000,
        flags: DaemonSetFlags::default(),
        set: Arc::new(set),
        shapes: vec![
            shape(Vec::new()),
            shape(vec![taint("NoSchedule")]),
            shape(vec![taint("NoSchedule"), taint("NoExecute")]),
        ],
        nodes: NodeColumns {
            name: (0..nodes).map(|number| format!("node-{number:05}").into()).collect(),
            shape: vec![PLAIN; nodes],
        },
        settled: 0,
        pods: DaemonPodColumns::default(),
        revisions: vec![revision("new", 2, true), revision("old", 1, false)],
        taken: None,
        rollout_policy: None,
        live_owner: None,
        memo: Vec::new(),
    }
}

/// The revision `set-HASH` of the set.
pub(super) fn revision(hash: &str, number: i64, holds_template: bool) -> OwnedRevision {
    let row = RevisionRow {
        name: format!("set-{hash}").into(),
        label: hash.into(),
        number,
        holds_template,
        terminating: false,
        created_s: number,
    };
    OwnedRevision { row, owned: true, selected: true }
}

/// Adds a Pod of the set; `words` say what differs from one that has run and been ready for a long time: `pending`,
/// `unready`, `failed`, `succeeded`, `unbound`, `going`, `generation`, `orphan`, `unselected`.
pub(super) fn pod(snapshot: &mut DaemonSetSnapshot, node: u32, hash: &str, words: &str) -> u32 {
    let has = |word: &str| words.split_whitespace().any(|other| other == word);
    let phase = if has("failed") {
        PodPhase::Failed
    } else if has("succeeded") {
        PodPhase::Succeeded
    } else if has("pending") || has("unbound") {
        PodPhase::Pending
    } else {
        PodPhase::Running
    };
    let is_ready = phase == PodPhase::Running && !has("unready");
    let flags = [
        (pod_flag::READY, is_ready),
        (pod_flag::BOUND, !has("unbound")),
        (pod_flag::TERMINATING, has("going")),
        (pod_flag::OWNED, !has("orphan")),
        (pod_flag::ORPHAN, has("orphan")),
        (pod_flag::SELECTED, !has("unselected")),
        (pod_flag::OF_GENERATION, has("generation")),
    ];
    let flags = flags.iter().filter(|(_, holds)| *holds).fold(0, |all, (flag, _)| all | flag);
    let row = DaemonPodRow {
        phase,
        flags,
        node,
        hash: hash.into(),
        created_s: NOW_S - 1_000,
        ready_changed_s: if is_ready { NOW_S - 900 } else { 0 },
    };
    push(snapshot, &row)
}

/// Adds a Pod.
pub(super) fn push(snapshot: &mut DaemonSetSnapshot, row: &DaemonPodRow) -> u32 {
    let pods = &mut snapshot.pods;
    let known = pods.hashes.iter().position(|hash| *hash == row.hash);
    let hash = known.unwrap_or_else(|| {
        pods.hashes.push(row.hash.clone());
        pods.hashes.len() - 1
    });
    let position = u32::try_from(pods.len()).unwrap();
    let has_ended = matches!(row.phase, PodPhase::Failed | PodPhase::Succeeded);
    if has_ended && row.flags & pod_flag::TERMINATING == 0 {
        pods.ended.push((position, format!("pod-{position:05}").into()));
    }
    pods.push(row, u32::try_from(hash).unwrap());
    position
}

/// The set, to be changed.
pub(super) fn set(snapshot: &mut DaemonSetSnapshot) -> &mut DaemonSetView {
    Arc::make_mut(&mut snapshot.set)
}

/// A snapshot with one Pod on each of so many nodes.
pub(super) fn with_pods(pods: &[(&str, &str)]) -> DaemonSetSnapshot {
    let mut snapshot = snapshot(pods.len());
    for (node, (hash, words)) in pods.iter().enumerate() {
        pod(&mut snapshot, u32::try_from(node).unwrap(), hash, words);
    }
    snapshot
}

/// Lets so many Pods surge.
pub(super) fn surge(snapshot: &mut DaemonSetSnapshot, limit: i32) {
    set(snapshot).max_unavailable = Some(IntOrPercent::Int(0));
    set(snapshot).max_surge = Some(IntOrPercent::Int(limit));
}

/// The plan.
pub(super) fn plan(snapshot: &DaemonSetSnapshot) -> Plan {
    reconcile(snapshot, &BuiltIn::default()).unwrap()
}

/// The nodes that get a Pod, and the Pods that go.
pub(super) fn changes(snapshot: &DaemonSetSnapshot) -> (Vec<u32>, Vec<u32>) {
    let (mut creates, mut deletes) = (Vec::new(), Vec::new());
    for action in actions(&plan(snapshot)) {
        match action {
            DaemonSetAction::CreatePods { nodes, .. } => creates.extend(nodes),
            DaemonSetAction::DeletePods(pods) => deletes.extend(pods),
            _ => {}
        }
    }
    (creates, deletes)
}

/// What the plan does for the set.
pub(super) fn actions(plan: &Plan) -> Vec<DaemonSetAction> {
    let action = |action: &Action| match action {
        Action::DaemonSet(action) => Some(action.clone()),
        _ => None,
    };
    plan.steps.iter().filter_map(|step| action(&step.action)).collect()
}

/// What the plan tells.
pub(super) fn events(plan: &Plan) -> Vec<EventRecord> {
    let event = |action: &Action| match action {
        Action::RecordEvent(event) => Some(event.clone()),
        _ => None,
    };
    plan.steps.iter().filter_map(|step| event(&step.action)).collect()
}

/// The status that the plan writes.
pub(super) fn written(plan: &Plan) -> Option<DaemonSetStatusView> {
    actions(plan).into_iter().find_map(|action| match action {
        DaemonSetAction::WriteStatus(status) => Some(status),
        _ => None,
    })
}

/// Texts.
pub(super) fn texts(texts: &[&str]) -> Vec<Str> {
    texts.iter().map(|text| Str::from(*text)).collect()
}

/// Positions from `from` to before `to`.
pub(super) fn range(from: u32, to: u32) -> Vec<u32> {
    (from..to).collect()
}

/// The message of a fault.
pub(super) fn fault(snapshot: &DaemonSetSnapshot) -> Option<alloc::string::String> {
    reconcile(snapshot, &BuiltIn::default()).err().map(|fault| fault.category().to_string())
}
