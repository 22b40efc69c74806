//! The plan: what was decided, as steps that follow one another.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::plan::{Action, DaemonSetAction, Dependency, Plan, SettledNodes};
use crate::view::DaemonSetStatusView;

use super::changes::Changes;
use super::revisions::Revisions;

/// Everything that was decided.
pub(super) struct Decisions {
    /// What becomes of the revisions.
    pub(super) revisions: Revisions,
    /// Pods that are missing or have to go.
    pub(super) managed: Changes,
    /// Pods that the rollout creates and deletes; none if `managed` has any.
    pub(super) rolled: Changes,
    /// The status to write.
    pub(super) status: Option<DaemonSetStatusView>,
    /// When the set is looked at again though nothing happens, milliseconds from now.
    pub(super) requeue_after_ms: Option<u64>,
    /// What the next reconcile is told.
    pub(super) memo: Vec<u8>,
    /// Nodes that need not be looked at again before something happens there.
    pub(super) settled: SettledNodes,
}

impl Decisions {
    /// The plan. New Pods come, and old ones are rolled, once their revision is there under its hash; the status waits
    /// until that has been tried; all else waits for nothing, so that nothing is held back by a create that is refused.
    pub(super) fn into_plan(self) -> Plan {
        let Self { revisions, managed, rolled, status, requeue_after_ms, memo, settled } = self;
        let mut plan = Plan { requeue_after_ms, memo, settled, ..Plan::default() };
        let mut labelled = Vec::new();
        for (revision, hash) in revisions.labelled {
            labelled.push(push(&mut plan, DaemonSetAction::LabelRevision { revision, hash }, Vec::new()));
        }
        let created = revisions
            .created
            .map(|number| push(&mut plan, DaemonSetAction::CreateRevision { number }, Vec::new()));
        if let Some((revision, number)) = revisions.renumbered {
            push(&mut plan, DaemonSetAction::RenumberRevision { revision, number }, Vec::new());
        }
        let deletes: BTreeSet<u32> = managed.deletes.iter().chain(&rolled.deletes).copied().collect();
        let relabelled: Vec<u32> =
            revisions.relabelled.into_iter().filter(|pod| !deletes.contains(pod)).collect();
        if !relabelled.is_empty() {
            let hash = revisions.hash.clone();
            push(&mut plan, DaemonSetAction::RelabelPods { pods: relabelled, hash }, Vec::new());
        }
        if !revisions.deleted.is_empty() {
            push(&mut plan, DaemonSetAction::DeleteRevisions(revisions.deleted), Vec::new());
        }
        labelled.truncate(usize::from(revisions.labels_current));
        let settled = created.map(Dependency::settled).into_iter().collect();
        let known: Vec<Dependency> = labelled.into_iter().chain(created).map(Dependency::succeeded).collect();
        let nodes: Vec<u32> = managed.creates.into_iter().chain(rolled.creates).collect();
        if !nodes.is_empty() {
            let hash = revisions.hash;
            push(&mut plan, DaemonSetAction::CreatePods { nodes, hash }, known.clone());
        }
        if !managed.deletes.is_empty() {
            push(&mut plan, DaemonSetAction::DeletePods(managed.deletes), Vec::new());
        }
        if !rolled.deletes.is_empty() {
            push(&mut plan, DaemonSetAction::DeletePods(rolled.deletes), known);
        }
        if let Some(status) = status {
            push(&mut plan, DaemonSetAction::WriteStatus(status), settled);
        }
        for event in managed.events {
            plan.push(Action::RecordEvent(event), Vec::new());
        }
        plan
    }
}

fn push(plan: &mut Plan, action: DaemonSetAction, after: Vec<Dependency>) -> u32 {
    plan.push(Action::DaemonSet(action), after)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{plan, pod, revision, set, snapshot, with_pods};
    use super::*;
    use crate::plan::Needs;
    use crate::view::DaemonSetSnapshot;

    /// The step of this kind, and what it follows.
    fn step(snapshot: &DaemonSetSnapshot, is_it: fn(&DaemonSetAction) -> bool) -> (u32, Vec<(u32, Needs)>) {
        let plan = plan(snapshot);
        let is_step = |action: &Action| matches!(action, Action::DaemonSet(action) if is_it(action));
        let position = plan.steps.iter().position(|step| is_step(&step.action)).unwrap();
        let after = plan.steps[position].after.iter().map(|after| (after.step, after.needs)).collect();
        (u32::try_from(position).unwrap(), after)
    }

    const CREATE: fn(&DaemonSetAction) -> bool =
        |action| matches!(action, DaemonSetAction::CreatePods { .. });
    const DELETE: fn(&DaemonSetAction) -> bool = |action| matches!(action, DaemonSetAction::DeletePods(_));
    const STATUS: fn(&DaemonSetAction) -> bool = |action| matches!(action, DaemonSetAction::WriteStatus(_));
    const CLEANUP: fn(&DaemonSetAction) -> bool =
        |action| matches!(action, DaemonSetAction::DeleteRevisions(_));
    const REVISION: fn(&DaemonSetAction) -> bool =
        |action| matches!(action, DaemonSetAction::CreateRevision { .. });

    #[test]
    fn a_refused_create_holds_nothing_back() {
        let mut snapshot = snapshot(3);
        pod(&mut snapshot, 0, "new", "failed");
        set(&mut snapshot).revision_history_limit = Some(0);
        for kind in [CREATE, DELETE, STATUS, CLEANUP] {
            assert_eq!(step(&snapshot, kind).1, []);
        }
    }

    #[test]
    fn new_pods_wait_for_their_revision() {
        let mut snapshot = snapshot(2);
        pod(&mut snapshot, 0, "old", "failed");
        snapshot.revisions = vec![revision("old", 1, false)];
        let (created, _) = step(&snapshot, REVISION);
        assert_eq!(step(&snapshot, CREATE).1, [(created, Needs::Succeeded)]);
        assert_eq!(step(&snapshot, DELETE).1, [], "it has failed whatever the revision");
        assert_eq!(step(&snapshot, STATUS).1, [(created, Needs::Settled)]);
    }

    #[test]
    fn no_pod_is_rolled_before_its_successor_has_a_revision() {
        let mut snapshot = with_pods(&[("old", "")]);
        snapshot.revisions = vec![revision("old", 1, false)];
        let (created, _) = step(&snapshot, REVISION);
        assert_eq!(step(&snapshot, DELETE).1, [(created, Needs::Succeeded)]);
    }

    #[test]
    fn new_pods_wait_for_the_label_of_their_revision_and_for_no_other() {
        let mut snapshot = snapshot(1);
        snapshot.revisions[1].row.label = "".into();
        assert_eq!(step(&snapshot, CREATE).1, []);
        snapshot.revisions[0].row.label = "".into();
        assert_eq!(step(&snapshot, CREATE).1, [(0, Needs::Succeeded)]);
    }

    #[test]
    fn a_pod_that_goes_is_not_relabelled() {
        let mut snapshot = with_pods(&[("low", "failed"), ("low", "")]);
        snapshot.revisions = vec![revision("low", 1, true), revision("new", 2, true)];
        let relabels = Action::DaemonSet(DaemonSetAction::RelabelPods { pods: vec![1], hash: "new".into() });
        assert!(plan(&snapshot).steps.iter().any(|step| step.action == relabels));
        assert_eq!(step(&snapshot, DELETE).1, []);
    }

    #[test]
    fn at_rest_there_is_nothing_to_do() {
        let mut snapshot = with_pods(&[("new", ""), ("new", "")]);
        let status = super::super::fixture::written(&plan(&snapshot)).unwrap();
        set(&mut snapshot).status = status;
        let settled = SettledNodes { with_pod: vec![0, 1], without: vec![] };
        assert_eq!(plan(&snapshot), Plan { settled, ..Plan::default() });
    }
}
