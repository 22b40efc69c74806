//! The same for DaemonSets, and for the questions about their rollouts.

use windlass_core::daemon_set::history::{Holder, Taken};
use windlass_core::daemon_set::placement::NodeShape;
use windlass_core::kube::IntOrPercent;
use windlass_core::plan::DaemonSetAction;
use windlass_core::policy::rollout;
use windlass_core::view::{
    DaemonPodColumns, DaemonSetSnapshot, DaemonSetStatusView, DaemonSetView, OwnedRevision, UpdateStrategy,
};

use super::super::bindings::{daemon_set as wit_daemon_set, rollout as wit_rollout, types as wit};
use super::live_owner;

/// The contract's snapshot of a DaemonSet.
pub(in super::super) fn daemon_set_snapshot(snapshot: &DaemonSetSnapshot) -> wit_daemon_set::Snapshot {
    wit_daemon_set::Snapshot {
        now_ms: snapshot.now_ms,
        settings: wit_daemon_set::Settings {
            max_pods_per_sync: snapshot.flags.max_pods_per_sync,
            backoff_base_ms: snapshot.flags.backoff_base_ms,
            backoff_max_ms: snapshot.flags.backoff_max_ms,
        },
        daemon_set: view(&snapshot.set),
        shapes: snapshot.shapes.iter().map(shape).collect(),
        nodes: wit_daemon_set::NodeColumns {
            name: snapshot.nodes.name.iter().map(|name| (&**name).into()).collect(),
            shape: snapshot.nodes.shape.clone(),
        },
        settled: snapshot.settled,
        pods: columns(&snapshot.pods),
        revisions: snapshot.revisions.iter().map(owned_revision).collect(),
        taken: snapshot.taken.as_ref().map(taken),
        rollout_policy: snapshot
            .rollout_policy
            .as_ref()
            .map(|keys| keys.iter().map(|key| (&**key).into()).collect()),
        live_owner: snapshot.live_owner.map(live_owner),
        memo: snapshot.memo.clone(),
    }
}

/// A question of the core about a rollout.
pub(in super::super) fn rollout_question(question: wit_rollout::Question) -> rollout::Question {
    let node = |node: wit_rollout::Node| rollout::Node {
        name: node.name,
        labels: node.labels,
        state: node.state,
        available: node.available,
        since_ms: node.since_ms,
    };
    rollout::Question {
        owner: question.owner,
        revision: question.revision,
        nodes: question.nodes.into_iter().map(node).collect(),
        max_unavailable: question.max_unavailable,
        max_surge: question.max_surge,
        age_ms: question.age_ms,
        seed: question.seed,
        facts: question.facts,
    }
}

/// An answer to the core about a rollout.
pub(in super::super) fn rollout_answer(answer: rollout::Answer) -> wit_rollout::Answer {
    match answer {
        rollout::Answer::Update(rollout::Update { nodes, budget, ask_again_ms }) => {
            wit_rollout::Answer::Update(wit_rollout::Update { nodes, budget, ask_again_ms })
        }
        rollout::Answer::Pause(rollout::Hold { reason, ask_again_ms }) => {
            wit_rollout::Answer::Pause(wit_rollout::Hold { reason, ask_again_ms })
        }
        rollout::Answer::Other(name) => wit_rollout::Answer::Other(name),
    }
}

/// The core's action on a DaemonSet.
pub(super) fn action(action: wit::DaemonSetAction) -> DaemonSetAction {
    match action {
        wit::DaemonSetAction::CreatePods(wit::DaemonPodCreation { nodes, hash }) => {
            DaemonSetAction::CreatePods { nodes, hash: hash.into() }
        }
        wit::DaemonSetAction::DeletePods(pods) => DaemonSetAction::DeletePods(pods),
        wit::DaemonSetAction::AdoptPods(pods) => DaemonSetAction::AdoptPods(pods),
        wit::DaemonSetAction::ReleasePods(pods) => DaemonSetAction::ReleasePods(pods),
        wit::DaemonSetAction::RelabelPods(wit::PodRelabelling { pods, hash }) => {
            DaemonSetAction::RelabelPods { pods, hash: hash.into() }
        }
        wit::DaemonSetAction::CreateRevision(number) => DaemonSetAction::CreateRevision { number },
        wit::DaemonSetAction::AdoptRevisions(revisions) => DaemonSetAction::AdoptRevisions(revisions),
        wit::DaemonSetAction::ReleaseRevisions(revisions) => DaemonSetAction::ReleaseRevisions(revisions),
        wit::DaemonSetAction::LabelRevision(wit::RevisionLabelling { revision, hash }) => {
            DaemonSetAction::LabelRevision { revision, hash: hash.into() }
        }
        wit::DaemonSetAction::RenumberRevision(wit::RevisionRenumbering { revision, number }) => {
            DaemonSetAction::RenumberRevision { revision, number }
        }
        wit::DaemonSetAction::DeleteRevisions(revisions) => DaemonSetAction::DeleteRevisions(revisions),
        wit::DaemonSetAction::WriteStatus(status) => DaemonSetAction::WriteStatus(status_in(status)),
    }
}

fn view(view: &DaemonSetView) -> wit_daemon_set::View {
    wit_daemon_set::View {
        owner: (&*view.owner).into(),
        uid: (&*view.uid).into(),
        terminating: view.terminating,
        generation: view.generation,
        selects_all: view.selects_all,
        placement: (&*view.placement).into(),
        strategy: match view.strategy {
            UpdateStrategy::RollingUpdate => wit_daemon_set::UpdateStrategy::RollingUpdate,
            UpdateStrategy::OnDelete => wit_daemon_set::UpdateStrategy::OnDelete,
        },
        max_unavailable: view.max_unavailable.as_ref().map(int_or_percent),
        max_surge: view.max_surge.as_ref().map(int_or_percent),
        min_ready_seconds: view.min_ready_seconds,
        revision_history_limit: view.revision_history_limit,
        template_hash: (&*view.template_hash).into(),
        status: status(&view.status),
    }
}

fn int_or_percent(limit: &IntOrPercent) -> wit_daemon_set::IntOrPercent {
    match limit {
        IntOrPercent::Int(number) => wit_daemon_set::IntOrPercent::Int(*number),
        IntOrPercent::Text(text) => wit_daemon_set::IntOrPercent::Text((&**text).into()),
    }
}

fn status(status: &DaemonSetStatusView) -> wit::DaemonSetStatus {
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

fn status_in(status: wit::DaemonSetStatus) -> DaemonSetStatusView {
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

fn shape(shape: &NodeShape) -> wit_daemon_set::Shape {
    let taints = shape.taints.iter().map(|taint| wit_daemon_set::Taint {
        key: (&*taint.key).into(),
        value: (&*taint.value).into(),
        effect: (&*taint.effect).into(),
    });
    wit_daemon_set::Shape {
        labels: shape.labels.iter().map(|(key, value)| ((&**key).into(), (&**value).into())).collect(),
        taints: taints.collect(),
    }
}

fn columns(pods: &DaemonPodColumns) -> wit_daemon_set::PodColumns {
    wit_daemon_set::PodColumns {
        phase: pods.phase.clone(),
        flags: pods.flags.clone(),
        node: pods.node.clone(),
        hash: pods.hash.clone(),
        created_s: pods.created_s.clone(),
        ready_changed_s: pods.ready_changed_s.clone(),
        hashes: pods.hashes.iter().map(|hash| (&**hash).into()).collect(),
        ended: pods.ended.iter().map(|(pod, name)| (*pod, (&**name).into())).collect(),
    }
}

fn owned_revision(revision: &OwnedRevision) -> wit_daemon_set::OwnedRevision {
    let row = wit_daemon_set::Revision {
        name: (&*revision.row.name).into(),
        label: (&*revision.row.label).into(),
        number: revision.row.number,
        holds_template: revision.row.holds_template,
        terminating: revision.row.terminating,
        created_s: revision.row.created_s,
    };
    wit_daemon_set::OwnedRevision { row, owned: revision.owned, selected: revision.selected }
}

fn taken(taken: &Taken) -> wit_daemon_set::Taken {
    wit_daemon_set::Taken {
        holds_template: taken.holds_template,
        holder: match taken.holder {
            Holder::Set => wit_daemon_set::Holder::Set,
            Holder::Nobody => wit_daemon_set::Holder::Nobody,
            Holder::Other => wit_daemon_set::Holder::Other,
        },
        matches_selector: taken.matches_selector,
        terminating: taken.terminating,
    }
}
