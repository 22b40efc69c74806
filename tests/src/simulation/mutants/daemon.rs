//! Defects of the DaemonSet controller.

use std::sync::Arc;

use windlass_core::kube::{IntOrPercent, Str};
use windlass_core::plan::{Action, DaemonSetAction, Plan};
use windlass_core::view::{DaemonSetSnapshot, DaemonSetView, GONE_NODE, UpdateStrategy, pod_flag};
use windlass_host::engine::Snapshot;

use super::Mutant;

/// By how much [`Mutant::TakesTooMany`] and [`Mutant::SurgesTooFar`] go too far.
const TOO_MANY: i32 = 3;

/// Another snapshot than the one that the core was to see; `None` where the defect does not concern it.
pub(super) fn corrupt_snapshot(mutant: Mutant, snapshot: &DaemonSetSnapshot) -> Option<Snapshot> {
    let mut snapshot = snapshot.clone();
    let mut set = DaemonSetView::clone(&snapshot.set);
    match mutant {
        Mutant::OverlooksPods => snapshot.pods.flags.iter_mut().for_each(|flags| *flags &= !pod_flag::OWNED),
        Mutant::OverlooksTaints => snapshot.shapes.iter_mut().for_each(|shape| shape.taints.clear()),
        Mutant::TakesTooMany => raise(&mut set.max_unavailable),
        Mutant::SurgesTooFar => raise(&mut set.max_surge),
        Mutant::TakesTheLast => {
            // Whatever is new counts as ready.
            for (flags, ready_s) in snapshot.pods.flags.iter_mut().zip(&mut snapshot.pods.ready_changed_s) {
                *flags |= pod_flag::READY;
                *ready_s = 1;
            }
        }
        Mutant::RollsOnDelete => set.strategy = UpdateStrategy::RollingUpdate,
        Mutant::NeverRolls => set.strategy = UpdateStrategy::OnDelete,
        Mutant::KeepsAllRevisions => set.revision_history_limit = None,
        Mutant::KeepsNoRevisions => set.revision_history_limit = Some(0),
        Mutant::ReplacesAtOnce => (snapshot.flags.backoff_base_ms, snapshot.flags.backoff_max_ms) = (0, 0),
        Mutant::DeletesForGoneNodes => {
            for (flags, node) in snapshot.pods.flags.iter_mut().zip(&snapshot.pods.node) {
                if *node == GONE_NODE {
                    *flags &= !pod_flag::BOUND;
                }
            }
        }
        _ => return None,
    }
    snapshot.set = Arc::new(set);
    Some(Snapshot::DaemonSet(snapshot))
}

/// Puts a defect into a plan of the core.
pub(super) fn corrupt_plan(mutant: Mutant, plan: &mut Plan) {
    for step in &mut plan.steps {
        let Action::DaemonSet(action) = &mut step.action else { continue };
        match (mutant, action) {
            (Mutant::NamesNoRevision, DaemonSetAction::CreatePods { hash, .. }) => {
                *hash = Str::from(format!("{hash}0"));
            }
            (Mutant::MissesANode, DaemonSetAction::CreatePods { nodes, .. }) => {
                nodes.retain(|node| *node != 0);
            }
            (Mutant::LiesAboutNodes, DaemonSetAction::WriteStatus(status)) => status.ready += 1,
            _ => {}
        }
    }
}

fn raise(limit: &mut Option<IntOrPercent>) {
    if let Some(IntOrPercent::Int(number @ 1..)) = limit {
        *number += TOO_MANY;
    }
}
