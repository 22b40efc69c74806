//! A set whose selector is empty would take every Pod of its namespace: it is told so, and nothing is done.

use alloc::vec::Vec;

use crate::plan::{Action, EventRecord, Plan};

use super::facts::Facts;
use super::memo::Memo;

/// The plan for such a set: one Event for each generation, where upstream records one with every look.
pub(super) fn plan(facts: &Facts<'_>) -> Option<Plan> {
    let set = facts.set;
    if !set.selects_all {
        return None;
    }
    let mut plan = Plan::default();
    let mut memo = Memo::decode(&facts.snapshot.memo, &set.uid);
    if memo.selecting_all != set.generation {
        memo.selecting_all = set.generation;
        let message = "This daemon set is selecting all pods. A non-empty selector is required.";
        plan.push(Action::RecordEvent(EventRecord::new(true, "SelectingAll", message)), Vec::new());
    }
    plan.memo = memo.encode(&set.uid);
    Some(plan)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{actions, events, plan, pod, set, snapshot};

    #[test]
    fn a_set_that_selects_all_pods_is_told_so_once_and_touches_nothing() {
        let mut snapshot = snapshot(3);
        pod(&mut snapshot, 0, "old", "orphan");
        set(&mut snapshot).selects_all = true;
        let first = plan(&snapshot);
        let told = events(&first);
        assert_eq!((told.len(), first.steps.len()), (1, 1));
        assert!(told[0].warning && &*told[0].reason == "SelectingAll");
        snapshot.memo = first.memo;
        let second = plan(&snapshot);
        assert!(second.steps.is_empty() && second.requeue_after_ms.is_none());
        assert_eq!(second.memo, snapshot.memo);
        set(&mut snapshot).generation = 2;
        assert_eq!(events(&plan(&snapshot)).len(), 1, "it was changed, and still does");
        set(&mut snapshot).selects_all = false;
        assert!(!actions(&plan(&snapshot)).is_empty() || plan(&snapshot).read.is_some());
    }
}
