//! What a plan for a DaemonSet may do.

use windlass_core::kube::names::is_label_value;
use windlass_core::plan::{Action, DaemonSetAction, MAX_EVENT_MESSAGE_BYTES, SettledNodes, Step};
use windlass_core::view::{DaemonSetSnapshot, DaemonSetStatusView, pod_flag};

use super::{MAX_CREATES, PlanDefect};
use crate::engine::Snapshot;
use crate::snapshot::Gathered;

/// Checks one step of the plan for a DaemonSet; `creates` counts the Pods that the plan creates.
pub(super) fn check_step(step: &Step, gathered: &Gathered, creates: &mut usize) -> Result<(), PlanDefect> {
    let Snapshot::DaemonSet(snapshot) = &*gathered.snapshot else { return Err(PlanDefect::ForbiddenAction) };
    match &step.action {
        Action::DaemonSet(action) => check_action(action, snapshot, creates),
        Action::RecordEvent(event) if event.message.len() <= MAX_EVENT_MESSAGE_BYTES => Ok(()),
        _ => Err(PlanDefect::ForbiddenAction),
    }
}

/// Checks that each node is settled once, and with a Pod only where the snapshot has one of the set's.
pub(super) fn check_settled(settled: &SettledNodes, gathered: &Gathered) -> Result<(), PlanDefect> {
    let Snapshot::DaemonSet(snapshot) = &*gathered.snapshot else {
        let is_none = settled.with_pod.is_empty() && settled.without.is_empty();
        return if is_none { Ok(()) } else { Err(PlanDefect::UnknownNode) };
    };
    let all: Vec<u32> = settled.with_pod.iter().chain(&settled.without).copied().collect();
    distinct(&all, snapshot.nodes.name.len(), PlanDefect::UnknownNode)?;
    let pods = &snapshot.pods;
    let owned = pods.node.iter().zip(&pods.flags).filter(|(_, flags)| **flags & pod_flag::OWNED != 0);
    let mut with_own = vec![false; snapshot.nodes.name.len()];
    for (node, _) in owned {
        if let Some(has_own) = with_own.get_mut(*node as usize) {
            *has_own = true;
        }
    }
    let has_own = |node: &u32| with_own.get(*node as usize).copied().unwrap_or(false);
    let is_true = settled.with_pod.iter().all(has_own) && !settled.without.iter().any(has_own);
    if is_true { Ok(()) } else { Err(PlanDefect::UnknownNode) }
}

fn check_action(
    action: &DaemonSetAction,
    snapshot: &DaemonSetSnapshot,
    creates: &mut usize,
) -> Result<(), PlanDefect> {
    let pods = |positions: &[u32], wanted: u16, defect: PlanDefect| {
        distinct(positions, snapshot.pods.len(), PlanDefect::UnknownPod)?;
        let flags = |position: &u32| snapshot.pods.flags.get(*position as usize).copied().unwrap_or(0);
        let all = positions.iter().all(|position| flags(position) & wanted != 0);
        if all { Ok(()) } else { Err(defect) }
    };
    let revisions = |positions: &[u32], owned: bool| {
        distinct(positions, snapshot.revisions.len(), PlanDefect::ForeignRevision)?;
        let is_meant = |position: &u32| {
            snapshot.revisions.get(*position as usize).is_some_and(|revision| revision.owned == owned)
        };
        if positions.iter().all(is_meant) { Ok(()) } else { Err(PlanDefect::ForeignRevision) }
    };
    match action {
        DaemonSetAction::CreatePods { nodes, hash } => {
            *creates += nodes.len();
            if *creates > MAX_CREATES {
                return Err(PlanDefect::TooManyCreates);
            }
            distinct(nodes, snapshot.nodes.name.len(), PlanDefect::UnknownNode)?;
            check_hash(hash)
        }
        DaemonSetAction::DeletePods(positions) => pods(positions, pod_flag::OWNED, PlanDefect::ForeignPod),
        DaemonSetAction::ReleasePods(positions) => pods(positions, pod_flag::OWNED, PlanDefect::ForeignPod),
        DaemonSetAction::AdoptPods(positions) => pods(positions, pod_flag::ORPHAN, PlanDefect::NotAnOrphan),
        DaemonSetAction::RelabelPods { pods: positions, hash } => {
            pods(positions, pod_flag::OWNED, PlanDefect::ForeignPod)?;
            check_hash(hash)
        }
        DaemonSetAction::CreateRevision { .. } => Ok(()),
        DaemonSetAction::AdoptRevisions(positions) => revisions(positions, false),
        DaemonSetAction::ReleaseRevisions(positions) | DaemonSetAction::DeleteRevisions(positions) => {
            revisions(positions, true)
        }
        DaemonSetAction::LabelRevision { revision, hash } => {
            revisions(&[*revision], true)?;
            check_hash(hash)
        }
        DaemonSetAction::RenumberRevision { revision, .. } => revisions(&[*revision], true),
        DaemonSetAction::WriteStatus(status) => check_status(status, snapshot),
    }
}

/// Checks that every position is below `length` and named once.
fn distinct(positions: &[u32], length: usize, defect: PlanDefect) -> Result<(), PlanDefect> {
    let mut named = vec![false; length];
    for position in positions {
        match named.get_mut(*position as usize) {
            Some(is_named) if !*is_named => *is_named = true,
            Some(_) | None => return Err(defect),
        }
    }
    Ok(())
}

fn check_hash(hash: &str) -> Result<(), PlanDefect> {
    if !hash.is_empty() && is_label_value(hash) { Ok(()) } else { Err(PlanDefect::ForeignRevision) }
}

/// The generation that is observed is one that there was, and collisions are counted one at a time.
fn check_status(status: &DaemonSetStatusView, snapshot: &DaemonSetSnapshot) -> Result<(), PlanDefect> {
    let stored = &snapshot.set.status;
    let is_observed = status.observed_generation <= snapshot.set.generation;
    let (before, after) = (stored.collision_count.unwrap_or(0), status.collision_count.unwrap_or(0));
    let counts = after == before || before.checked_add(1) == Some(after);
    if is_observed && counts { Ok(()) } else { Err(PlanDefect::FalseStatus) }
}
