//! The same for DaemonSets.

use windlass_core::daemon_set::history::{Holder, RevisionRow, Taken};
use windlass_core::daemon_set::placement::NodeShape;
use windlass_core::kube::{IntOrPercent, Taint};
use windlass_core::plan::DaemonSetAction;
use windlass_core::view::{
    DaemonPodColumns, DaemonSetFlags, DaemonSetSnapshot, DaemonSetStatusView, DaemonSetView, NodeColumns,
    OwnedRevision, UpdateStrategy,
};

use super::live_owner;
use crate::bindings::exports::windlass::core::daemon_set as wit_daemon_set;
use crate::bindings::windlass::core::types as wit;

/// The core's snapshot of a DaemonSet.
pub(crate) fn daemon_set_snapshot(snapshot: wit_daemon_set::Snapshot) -> DaemonSetSnapshot {
    let wit_daemon_set::Settings { max_pods_per_sync, backoff_base_ms, backoff_max_ms } = snapshot.settings;
    DaemonSetSnapshot {
        now_ms: snapshot.now_ms,
        flags: DaemonSetFlags { max_pods_per_sync, backoff_base_ms, backoff_max_ms },
        set: view(snapshot.daemon_set).into(),
        shapes: snapshot.shapes.into_iter().map(shape).collect(),
        nodes: NodeColumns {
            name: snapshot.nodes.name.into_iter().map(Into::into).collect(),
            shape: snapshot.nodes.shape,
        },
        settled: snapshot.settled,
        pods: columns(snapshot.pods),
        revisions: snapshot.revisions.into_iter().map(owned_revision).collect(),
        taken: snapshot.taken.map(taken),
        rollout_policy: snapshot.rollout_policy.map(|keys| keys.into_iter().map(Into::into).collect()),
        live_owner: snapshot.live_owner.map(live_owner),
        memo: snapshot.memo,
    }
}

/// The contract's action on a DaemonSet.
pub(super) fn action(action: DaemonSetAction) -> wit::DaemonSetAction {
    match action {
        DaemonSetAction::CreatePods { nodes, hash } => {
            wit::DaemonSetAction::CreatePods(wit::DaemonPodCreation { nodes, hash: (&*hash).into() })
        }
        DaemonSetAction::DeletePods(pods) => wit::DaemonSetAction::DeletePods(pods),
        DaemonSetAction::AdoptPods(pods) => wit::DaemonSetAction::AdoptPods(pods),
        DaemonSetAction::ReleasePods(pods) => wit::DaemonSetAction::ReleasePods(pods),
        DaemonSetAction::RelabelPods { pods, hash } => {
            wit::DaemonSetAction::RelabelPods(wit::PodRelabelling { pods, hash: (&*hash).into() })
        }
        DaemonSetAction::CreateRevision { number } => wit::DaemonSetAction::CreateRevision(number),
        DaemonSetAction::AdoptRevisions(revisions) => wit::DaemonSetAction::AdoptRevisions(revisions),
        DaemonSetAction::ReleaseRevisions(revisions) => wit::DaemonSetAction::ReleaseRevisions(revisions),
        DaemonSetAction::LabelRevision { revision, hash } => {
            wit::DaemonSetAction::LabelRevision(wit::RevisionLabelling { revision, hash: (&*hash).into() })
        }
        DaemonSetAction::RenumberRevision { revision, number } => {
            wit::DaemonSetAction::RenumberRevision(wit::RevisionRenumbering { revision, number })
        }
        DaemonSetAction::DeleteRevisions(revisions) => wit::DaemonSetAction::DeleteRevisions(revisions),
        DaemonSetAction::WriteStatus(status) => wit::DaemonSetAction::WriteStatus(status_out(status)),
    }
}

fn view(view: wit_daemon_set::View) -> DaemonSetView {
    DaemonSetView {
        owner: view.owner.into(),
        uid: view.uid.into(),
        terminating: view.terminating,
        generation: view.generation,
        selects_all: view.selects_all,
        placement: view.placement.into(),
        strategy: match view.strategy {
            wit_daemon_set::UpdateStrategy::RollingUpdate => UpdateStrategy::RollingUpdate,
            wit_daemon_set::UpdateStrategy::OnDelete => UpdateStrategy::OnDelete,
        },
        max_unavailable: view.max_unavailable.map(int_or_percent),
        max_surge: view.max_surge.map(int_or_percent),
        min_ready_seconds: view.min_ready_seconds,
        revision_history_limit: view.revision_history_limit,
        template_hash: view.template_hash.into(),
        status: status(view.status),
    }
}

fn int_or_percent(limit: wit_daemon_set::IntOrPercent) -> IntOrPercent {
    match limit {
        wit_daemon_set::IntOrPercent::Int(number) => IntOrPercent::Int(number),
        wit_daemon_set::IntOrPercent::Text(text) => IntOrPercent::Text(text.into()),
    }
}

fn status(status: wit::DaemonSetStatus) -> DaemonSetStatusView {
    DaemonSetStatusView {
        observed_generation: status.observed_generation,
        current: status.current,
        desired: status.desired,
        misscheduled: status.misscheduled,
        ready: status.ready,
        updated: status.updated,
        available: status.available,
        unavailable: status.unavailable,
        collision_count: status.collision_count,
    }
}

fn status_out(status: DaemonSetStatusView) -> wit::DaemonSetStatus {
    wit::DaemonSetStatus {
        observed_generation: status.observed_generation,
        current: status.current,
        desired: status.desired,
        misscheduled: status.misscheduled,
        ready: status.ready,
        updated: status.updated,
        available: status.available,
        unavailable: status.unavailable,
        collision_count: status.collision_count,
    }
}

fn shape(shape: wit_daemon_set::Shape) -> NodeShape {
    let taint = |wit_daemon_set::Taint { key, value, effect }| Taint {
        key: key.into(),
        value: value.into(),
        effect: effect.into(),
    };
    NodeShape {
        labels: shape.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        taints: shape.taints.into_iter().map(taint).collect(),
    }
}

fn columns(pods: wit_daemon_set::PodColumns) -> DaemonPodColumns {
    DaemonPodColumns {
        phase: pods.phase,
        flags: pods.flags,
        node: pods.node,
        hash: pods.hash,
        created_s: pods.created_s,
        ready_changed_s: pods.ready_changed_s,
        hashes: pods.hashes.into_iter().map(Into::into).collect(),
        ended: pods.ended.into_iter().map(|(pod, name)| (pod, name.into())).collect(),
    }
}

fn owned_revision(revision: wit_daemon_set::OwnedRevision) -> OwnedRevision {
    let wit_daemon_set::OwnedRevision { row, owned, selected } = revision;
    let row = RevisionRow {
        name: row.name.into(),
        label: row.label.into(),
        number: row.number,
        holds_template: row.holds_template,
        terminating: row.terminating,
        created_s: row.created_s,
    };
    OwnedRevision { row, owned, selected }
}

fn taken(taken: wit_daemon_set::Taken) -> Taken {
    Taken {
        holds_template: taken.holds_template,
        holder: match taken.holder {
            wit_daemon_set::Holder::Set => Holder::Set,
            wit_daemon_set::Holder::Nobody => Holder::Nobody,
            wit_daemon_set::Holder::Other => Holder::Other,
        },
        matches_selector: taken.matches_selector,
        terminating: taken.terminating,
    }
}
