//! The rules that a plan keeps, told from its snapshot alone and in another way than the code that makes it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::fixture::{NO_EXECUTE, PLAIN};
use crate::kube::{PodPhase, Str};
use crate::plan::{Action, DaemonSetAction, MAX_EVENT_MESSAGE_BYTES, Plan, Read};
use crate::view::{
    DaemonPodRow, DaemonSetSnapshot, DaemonSetStatusView, GONE_NODE, LiveOwner, UpdateStrategy, pod_flag,
};

/// What host/src/check.rs allows.
const MAX_STEPS: usize = 128;
const MAX_MEMO_BYTES: usize = 64 * 1024;

type Checked = Result<(), TestCaseError>;

/// What a plan does, gathered from its steps.
#[derive(Default)]
struct Done {
    creates: Vec<u32>,
    created_hash: Option<Str>,
    deletes: BTreeSet<u32>,
    relabelled: BTreeSet<u32>,
    /// Revisions that are written or deleted.
    revisions: BTreeSet<u32>,
    status: Option<DaemonSetStatusView>,
    other_steps: usize,
}

/// Checks everything that a plan promises.
pub(super) fn check(plan: &Plan, snapshot: &DaemonSetSnapshot) -> Checked {
    prop_assert!(plan.steps.len() <= MAX_STEPS, "{} steps", plan.steps.len());
    prop_assert!(plan.memo.len() <= MAX_MEMO_BYTES);
    let mut done = Done::default();
    for (position, step) in plan.steps.iter().enumerate() {
        prop_assert!(step.after.iter().all(|dependency| (dependency.step as usize) < position));
        match &step.action {
            Action::DaemonSet(action) => gather(action, snapshot, &mut done)?,
            Action::RecordEvent(event) => prop_assert!(event.message.len() <= MAX_EVENT_MESSAGE_BYTES),
            other => prop_assert!(false, "{other:?}"),
        }
    }
    let seen = Seen { snapshot, current: current_hashes(snapshot) };
    let set = &*snapshot.set;
    if set.selects_all || set.terminating {
        let none = done.creates.is_empty() && done.deletes.is_empty() && done.other_steps == 0;
        prop_assert!(none && done.status.is_none() && plan.read.is_none());
        return Ok(());
    }
    let adopts = seen.rows().any(|row| is_orphan(&row)) || snapshot.revisions.iter().any(is_orphan_revision);
    prop_assert_eq!(plan.read, (adopts && snapshot.live_owner.is_none()).then_some(Read::Owner));
    let limit = snapshot.flags.max_pods_per_sync as usize;
    prop_assert!(done.creates.len() <= limit && done.deletes.len() <= limit);
    prop_assert!(done.relabelled.is_disjoint(&done.deletes), "a Pod that goes gets no label");
    seen.check_creates(&done)?;
    for position in &done.deletes {
        seen.check_delete(*position, &done)?;
    }
    seen.check_limits(&done)?;
    if let Some(status) = done.status {
        let stored = &set.status;
        if status.collision_count == stored.collision_count {
            prop_assert_eq!(status, seen.status());
        } else {
            let raised = stored.collision_count.unwrap_or(0) + 1;
            let expected = DaemonSetStatusView { collision_count: Some(raised), ..*stored };
            prop_assert_eq!((status, plan.steps.len()), (expected, 1));
        }
    }
    Ok(())
}

/// What host/src/check/daemon_set.rs asks of an action.
fn gather(action: &DaemonSetAction, snapshot: &DaemonSetSnapshot, done: &mut Done) -> Checked {
    let distinct = |positions: &[u32], length: usize| {
        let distinct: BTreeSet<_> = positions.iter().collect();
        !positions.is_empty()
            && distinct.len() == positions.len()
            && positions.iter().all(|position| (*position as usize) < length)
    };
    let pods = |positions: &[u32], flag: u16| {
        distinct(positions, snapshot.pods.len())
            && positions.iter().all(|position| snapshot.pods.flags[*position as usize] & flag != 0)
    };
    let revisions = |positions: &[u32], owned: bool| {
        distinct(positions, snapshot.revisions.len())
            && positions.iter().all(|position| snapshot.revisions[*position as usize].owned == owned)
    };
    let is_fine = match action {
        DaemonSetAction::CreatePods { nodes, hash } => {
            prop_assert!(done.created_hash.is_none(), "one step creates");
            done.created_hash = Some(hash.clone());
            done.creates.clone_from(nodes);
            prop_assert!(distinct(nodes, snapshot.nodes.name.len()) && !hash.is_empty());
            return Ok(());
        }
        DaemonSetAction::DeletePods(positions) => {
            prop_assert!(done.deletes.is_empty(), "one step deletes");
            done.deletes.extend(positions);
            prop_assert!(pods(positions, pod_flag::OWNED));
            return Ok(());
        }
        DaemonSetAction::WriteStatus(status) => {
            prop_assert!(done.status.replace(*status).is_none(), "one step writes the status");
            prop_assert!(*status != snapshot.set.status);
            return Ok(());
        }
        DaemonSetAction::AdoptPods(positions) => {
            prop_assert_eq!(snapshot.live_owner, Some(LiveOwner::Alive));
            pods(positions, pod_flag::ORPHAN)
        }
        DaemonSetAction::AdoptRevisions(positions) => {
            prop_assert_eq!(snapshot.live_owner, Some(LiveOwner::Alive));
            revisions(positions, false)
        }
        DaemonSetAction::ReleasePods(positions) => pods(positions, pod_flag::OWNED),
        DaemonSetAction::RelabelPods { pods: positions, hash } => {
            prop_assert!(done.relabelled.is_empty(), "one step relabels");
            done.relabelled.extend(positions);
            pods(positions, pod_flag::OWNED) && !hash.is_empty()
        }
        DaemonSetAction::CreateRevision { number } => *number > 0,
        DaemonSetAction::ReleaseRevisions(positions) | DaemonSetAction::DeleteRevisions(positions) => {
            let is_first = positions.iter().all(|position| done.revisions.insert(*position));
            revisions(positions, true) && is_first
        }
        DaemonSetAction::LabelRevision { revision, hash } => {
            revisions(&[*revision], true) && !hash.is_empty() && done.revisions.insert(*revision)
        }
        DaemonSetAction::RenumberRevision { revision, number } => {
            let row = &snapshot.revisions[*revision as usize].row;
            row.holds_template && row.number < *number && done.revisions.insert(*revision)
        }
    };
    done.other_steps += 1;
    prop_assert!(is_fine, "{action:?}");
    Ok(())
}

/// A snapshot, looked at by brute force.
struct Seen<'snapshot> {
    snapshot: &'snapshot DaemonSetSnapshot,
    /// Hash labels of Pods of the set's template.
    current: BTreeSet<Str>,
}

impl Seen<'_> {
    fn rows(&self) -> impl Iterator<Item = DaemonPodRow> {
        (0..self.snapshot.pods.len()).filter_map(|position| self.snapshot.pods.get(position))
    }

    /// Pods of the set on a node with their positions, without those that have ended and go.
    fn on(&self, node: u32) -> Vec<(u32, DaemonPodRow)> {
        let is_there = |row: &DaemonPodRow| {
            row.node == node && is_claimed(row) && !(has_ended(row) && has(row, pod_flag::TERMINATING))
        };
        (0_u32..).zip(self.rows()).filter(|(_, row)| is_there(row)).collect()
    }

    fn should_run(&self, node: u32) -> bool {
        self.snapshot.nodes.shape[node as usize] == PLAIN
    }

    fn should_continue(&self, node: u32) -> bool {
        self.snapshot.nodes.shape[node as usize] != NO_EXECUTE
    }

    fn is_available(&self, row: &DaemonPodRow) -> bool {
        let min_ready_s = i128::from(self.snapshot.set.min_ready_seconds);
        let since_s = i128::from(row.ready_changed_s);
        let is_long =
            row.ready_changed_s != 0 && (since_s + min_ready_s) * 1_000 <= i128::from(self.snapshot.now_ms);
        has(row, pod_flag::READY) && (min_ready_s == 0 || is_long)
    }

    fn is_updated(&self, row: &DaemonPodRow) -> bool {
        self.current.contains(&row.hash) || has(row, pod_flag::OF_GENERATION)
    }

    fn surges(&self) -> bool {
        let set = &self.snapshot.set;
        let surge = set.max_surge.as_ref().and_then(|surge| surge.of(1)).unwrap_or(0);
        set.strategy == UpdateStrategy::RollingUpdate && surge > 0
    }

    fn desired(&self) -> u32 {
        (0..self.nodes()).map(|node| u32::from(self.should_run(node))).sum()
    }

    fn nodes(&self) -> u32 {
        u32::try_from(self.snapshot.nodes.name.len()).unwrap()
    }

    /// New Pods come only where they may run, with the hash of the template, and beside no other of their kind.
    fn check_creates(&self, done: &Done) -> Checked {
        for node in &done.creates {
            prop_assert!(self.should_run(*node), "node {node} is not to have one");
            let others = self.on(*node);
            if self.surges() {
                let running: Vec<_> = others.iter().filter(|(_, row)| is_running(row)).collect();
                prop_assert!(running.len() <= 1, "{running:?}");
                let lingers = |(position, row): &(u32, DaemonPodRow)| {
                    row.phase == PodPhase::Failed
                        && is_asked_for(row)
                        && self.current.contains(&row.hash)
                        && !done.deletes.contains(position)
                };
                prop_assert!(!others.iter().any(lingers), "Pods that fail would pile up: {others:?}");
                prop_assert!(running.iter().all(|(_, row)| !self.is_updated(row)), "{running:?}");
            } else {
                prop_assert!(others.is_empty(), "{others:?}");
            }
        }
        let is_current = |hash: &Str| self.current.contains(hash) || *hash == self.snapshot.set.template_hash;
        prop_assert!(done.created_hash.iter().all(is_current));
        Ok(())
    }

    /// A Pod goes for a reason that its node gives, or, where Pods roll, for its template.
    fn check_delete(&self, position: u32, done: &Done) -> Checked {
        let row = self.snapshot.pods.get(position as usize).unwrap();
        prop_assert!(is_claimed(&row) && !has(&row, pod_flag::TERMINATING), "{row:?}");
        if row.node == GONE_NODE {
            prop_assert!(!has(&row, pod_flag::BOUND));
            return Ok(());
        }
        if !self.should_continue(row.node) || has_ended(&row) {
            return Ok(());
        }
        let others = self.on(row.node);
        let running = |kind: &dyn Fn(&DaemonPodRow) -> bool| {
            others.iter().filter(|(_, other)| is_running(other) && kind(other)).count()
        };
        if self.snapshot.set.strategy == UpdateStrategy::OnDelete {
            prop_assert!(running(&|_| true) > 1, "only a duplicate goes");
            return Ok(());
        }
        let is_duplicate = if self.surges() {
            let is_new = |row: &DaemonPodRow| self.current.contains(&row.hash);
            running(&|other| is_new(other) == is_new(&row)) > 1
        } else {
            running(&|_| true) > 1
        };
        if is_duplicate {
            let stays = others.iter().any(|(other, row)| is_running(row) && !done.deletes.contains(other));
            prop_assert!(stays, "one of several stays");
            return Ok(());
        }
        let is_new = if self.surges() { self.current.contains(&row.hash) } else { self.is_updated(&row) };
        prop_assert!(!is_new, "{row:?}");
        if self.surges() && self.is_available(&row) && self.should_run(row.node) {
            let is_heir = |(other, heir): &(u32, DaemonPodRow)| {
                *other != position && is_running(heir) && self.is_updated(heir) && self.is_available(heir)
            };
            prop_assert!(others.iter().any(is_heir), "it has no heir: {others:?}");
        }
        Ok(())
    }

    /// What the rollout takes away or adds stays within the limits.
    fn check_limits(&self, done: &Done) -> Checked {
        let set = &self.snapshot.set;
        if set.strategy == UpdateStrategy::OnDelete {
            return Ok(());
        }
        let is_old = |row: &DaemonPodRow| !self.is_updated(row) && self.is_available(row);
        let old = |node: u32| self.on(node).iter().any(|(_, row)| is_old(row) && is_running(row));
        if set.max_surge.as_ref().is_some_and(|surge| surge.of(self.desired()).is_none_or(|surge| surge > 0))
        {
            let waits = |node: &u32| {
                let is_waiting = |row: &DaemonPodRow| self.is_updated(row) && !self.is_available(row);
                old(*node) && self.on(*node).iter().any(|(_, row)| is_waiting(row) && is_asked_for(row))
            };
            let surging = (0..self.nodes()).filter(waits).count();
            let added = done.creates.iter().filter(|node| old(**node)).count();
            let limit = set.max_surge.as_ref().and_then(|surge| surge.of(self.desired())).unwrap_or(0);
            prop_assert!(added == 0 || surging + added <= limit as usize);
            return Ok(());
        }
        // Available Pods of an old template that are alone on their nodes.
        let takes = |position: &u32| {
            let row = self.snapshot.pods.get(*position as usize).unwrap();
            row.node < GONE_NODE
                && self.should_continue(row.node)
                && is_running(&row)
                && is_old(&row)
                && self.on(row.node).iter().filter(|(_, other)| is_asked_for(other)).count() == 1
        };
        if !done.deletes.iter().any(takes) {
            return Ok(());
        }
        let has_available = |node: &u32| {
            let serves = |(position, row): &(u32, DaemonPodRow)| {
                is_asked_for(row) && self.is_available(row) && !done.deletes.contains(position)
            };
            self.on(*node).iter().any(serves)
        };
        let lacking = (0..self.nodes()).filter(|node| self.should_run(*node) && !has_available(node)).count();
        let limit = set.max_unavailable.as_ref().map_or(Some(0), |limit| limit.of(self.desired()));
        prop_assert!(limit.is_some(), "the limit cannot be read");
        prop_assert!(lacking <= limit.unwrap_or(0).max(1) as usize, "{lacking} nodes");
        Ok(())
    }

    /// The status, counted by brute force.
    fn status(&self) -> DaemonSetStatusView {
        let mut status = DaemonSetStatusView {
            observed_generation: self.snapshot.set.generation,
            collision_count: self.snapshot.set.status.collision_count,
            desired: self.desired(),
            ..DaemonSetStatusView::default()
        };
        for node in 0..self.nodes() {
            let pods = self.on(node);
            let age = |(position, row): &&(u32, DaemonPodRow)| {
                (!has(row, pod_flag::BOUND), row.created_s, *position)
            };
            let Some((_, oldest)) = pods.iter().min_by_key(age) else { continue };
            if !self.should_run(node) {
                status.misscheduled += 1;
                continue;
            }
            status.current += 1;
            status.ready += u32::from(has(oldest, pod_flag::READY));
            status.available += u32::from(self.is_available(oldest));
            status.updated += u32::from(self.is_updated(oldest));
        }
        status.unavailable = status.desired - status.available;
        status
    }
}

/// The hash labels that say that a Pod is of the set's template.
fn current_hashes(snapshot: &DaemonSetSnapshot) -> BTreeSet<Str> {
    let claimed = snapshot.revisions.iter().filter(|one| one.owned && one.selected).map(|one| &one.row);
    let (holding, old): (Vec<_>, Vec<_>) = claimed.partition(|row| row.holds_template);
    let mut current: BTreeSet<Str> = holding.iter().map(|row| row.hash()).collect();
    if holding.is_empty() {
        current.insert(snapshot.set.template_hash.clone());
    }
    current.retain(|hash| old.iter().all(|row| row.hash() != *hash));
    current
}

fn has(row: &DaemonPodRow, flag: u16) -> bool {
    row.flags & flag != 0
}

fn is_claimed(row: &DaemonPodRow) -> bool {
    has(row, pod_flag::OWNED) && has(row, pod_flag::SELECTED)
}

fn has_ended(row: &DaemonPodRow) -> bool {
    matches!(row.phase, PodPhase::Failed | PodPhase::Succeeded)
}

/// Whether nobody has asked for its deletion.
fn is_asked_for(row: &DaemonPodRow) -> bool {
    !has(row, pod_flag::TERMINATING)
}

fn is_running(row: &DaemonPodRow) -> bool {
    is_asked_for(row) && !has_ended(row)
}

fn is_orphan(row: &DaemonPodRow) -> bool {
    has(row, pod_flag::ORPHAN) && has(row, pod_flag::SELECTED) && is_asked_for(row)
}

fn is_orphan_revision(one: &crate::view::OwnedRevision) -> bool {
    !one.owned && one.selected && !one.row.terminating
}
