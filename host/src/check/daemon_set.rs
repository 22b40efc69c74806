//! What a plan for a DaemonSet may do.

use std::collections::BTreeSet;

use windlass_core::kube::names::is_label_value;
use windlass_core::plan::{Action, DaemonSetAction, MAX_EVENT_MESSAGE_BYTES, Step};
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
    let distinct: BTreeSet<&u32> = positions.iter().collect();
    let all_known = positions.iter().all(|position| (*position as usize) < length);
    if all_known && distinct.len() == positions.len() { Ok(()) } else { Err(defect) }
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
