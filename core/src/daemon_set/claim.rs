//! Adoption and release: Pods and revisions without a controller that the selector matches become the set's, and its
//! own that the selector left are let go.

use alloc::vec::Vec;

use crate::plan::{Action, DaemonSetAction, Plan, Read};
use crate::view::{LiveOwner, OwnedRevision, pod_flag};

use super::facts::Facts;
use super::history::MAX_CHANGES;

/// When a set is looked at again that is about to go, as a live read found, milliseconds; the watch is about to tell
/// the same.
const LOOK_AGAIN_MS: u64 = 1_000;

/// The plan that sets ownership right, if it is not; nothing else is decided before.
///
/// A plan of its own, because what is counted, created and deleted hangs on whose the Pods and revisions are. Before an
/// adoption the set is read live, and nothing but that is done: the cache may not know yet that it is gone.
pub(super) fn plan(facts: &Facts<'_>) -> Option<Plan> {
    let snapshot = facts.snapshot;
    let pods = |chosen: fn(u16) -> bool| positions(&snapshot.pods.flags, |flags| chosen(*flags));
    let revisions = |chosen: fn(&OwnedRevision) -> bool| positions(&snapshot.revisions, chosen);
    let adopted = (pods(is_adopted), revisions(|one| !one.owned && one.selected && !one.row.terminating));
    let released = (
        pods(|flags| flags & pod_flag::OWNED != 0 && flags & pod_flag::SELECTED == 0),
        revisions(|one| one.owned && !one.selected),
    );
    let adopts = !adopted.0.is_empty() || !adopted.1.is_empty();
    if !adopts && released.0.is_empty() && released.1.is_empty() {
        return None;
    }
    let mut plan = Plan { memo: snapshot.memo.clone(), ..Plan::default() };
    if adopts && snapshot.live_owner.is_none() {
        plan.read = Some(Read::Owner);
        return Some(plan);
    }
    push(&mut plan, DaemonSetAction::ReleasePods, released.0);
    push(&mut plan, DaemonSetAction::ReleaseRevisions, released.1);
    match snapshot.live_owner {
        Some(LiveOwner::Gone | LiveOwner::Terminating) if adopts => {
            plan.requeue_after_ms = Some(LOOK_AGAIN_MS);
        }
        Some(LiveOwner::Alive) => {
            push(&mut plan, DaemonSetAction::AdoptPods, adopted.0);
            push(&mut plan, DaemonSetAction::AdoptRevisions, adopted.1);
        }
        Some(LiveOwner::Gone | LiveOwner::Terminating) | None => {}
    }
    Some(plan)
}

fn is_adopted(flags: u16) -> bool {
    let wanted = pod_flag::ORPHAN | pod_flag::SELECTED;
    flags & (wanted | pod_flag::TERMINATING) == wanted
}

/// Positions of the chosen ones, as many as one plan changes.
fn positions<T>(all: &[T], is_chosen: impl Fn(&T) -> bool) -> Vec<u32> {
    let chosen = (0_u32..).zip(all).filter(|(_, one)| is_chosen(one));
    chosen.map(|(position, _)| position).take(MAX_CHANGES).collect()
}

fn push(plan: &mut Plan, action: fn(Vec<u32>) -> DaemonSetAction, positions: Vec<u32>) {
    if !positions.is_empty() {
        plan.push(Action::DaemonSet(action(positions)), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{actions, pod, revision, snapshot};
    use super::super::reconcile;
    use super::*;
    use crate::view::DaemonSetSnapshot;

    fn claimed(snapshot: &DaemonSetSnapshot) -> (Option<Read>, Vec<DaemonSetAction>, Option<u64>) {
        let plan = reconcile(snapshot, &crate::policy::BuiltIn::default()).unwrap();
        assert_eq!(plan.memo, snapshot.memo);
        (plan.read, actions(&plan), plan.requeue_after_ms)
    }

    #[test]
    fn before_an_adoption_the_set_is_read_and_nothing_is_done() {
        let mut snapshot = snapshot(2);
        snapshot.memo = vec![1, 2, 3];
        let orphan = pod(&mut snapshot, 0, "new", "orphan");
        pod(&mut snapshot, 1, "new", "orphan going");
        let other = pod(&mut snapshot, 1, "new", "unselected");
        assert_eq!(claimed(&snapshot), (Some(Read::Owner), vec![], None));
        let release = DaemonSetAction::ReleasePods(vec![other]);
        snapshot.live_owner = Some(LiveOwner::Alive);
        let both = vec![release.clone(), DaemonSetAction::AdoptPods(vec![orphan])];
        assert_eq!(claimed(&snapshot), (None, both, None));
        for live in [LiveOwner::Gone, LiveOwner::Terminating] {
            snapshot.live_owner = Some(live);
            assert_eq!(claimed(&snapshot), (None, vec![release.clone()], Some(LOOK_AGAIN_MS)));
        }
    }

    #[test]
    fn a_release_needs_no_read() {
        let mut snapshot = snapshot(1);
        let other = pod(&mut snapshot, 0, "new", "unselected going");
        assert_eq!(claimed(&snapshot), (None, vec![DaemonSetAction::ReleasePods(vec![other])], None));
    }

    #[test]
    fn revisions_are_adopted_and_released_like_pods() {
        let mut snapshot = snapshot(1);
        let with = |owned, selected, terminating| {
            let mut one = revision("x", 7, false);
            (one.owned, one.selected, one.row.terminating) = (owned, selected, terminating);
            one
        };
        snapshot.revisions = vec![
            with(false, true, false),
            with(false, true, true),
            with(true, false, true),
            with(true, true, false),
        ];
        assert_eq!(claimed(&snapshot), (Some(Read::Owner), vec![], None));
        snapshot.live_owner = Some(LiveOwner::Alive);
        let both = vec![DaemonSetAction::ReleaseRevisions(vec![2]), DaemonSetAction::AdoptRevisions(vec![0])];
        assert_eq!(claimed(&snapshot), (None, both, None));
    }

    #[test]
    fn one_plan_claims_as_many_as_it_may_change() {
        let mut snapshot = snapshot(1);
        for _ in 0..=MAX_CHANGES {
            pod(&mut snapshot, 0, "new", "orphan");
        }
        snapshot.live_owner = Some(LiveOwner::Alive);
        let (_, actions, _) = claimed(&snapshot);
        assert_eq!(actions, [DaemonSetAction::AdoptPods((0..250).collect())]);
    }

    #[test]
    fn a_set_that_is_about_to_go_claims_nothing() {
        let mut snapshot = snapshot(1);
        snapshot.memo = vec![1];
        pod(&mut snapshot, 0, "new", "orphan");
        pod(&mut snapshot, 0, "new", "unselected");
        super::super::fixture::set(&mut snapshot).terminating = true;
        assert_eq!(claimed(&snapshot), (None, vec![], None));
    }
}
