//! Turns decisions into a plan: creates or deletes first, then the status that they lead to, then finalizers,
//! then the end of the Job, then Events.
//!
//! Where Pods change, there are two branches: one if that succeeded, one if it did not, so that a refused
//! create holds back neither the status nor the clean-up.

use alloc::vec::Vec;

use crate::plan::{Action, Dependency, EventRecord, Plan};

use super::batching::{self, Difference, Due, Ends};
use super::counting::{Record, Tally};
use super::ending::{self, Ending};
use super::facts::Facts;
use super::manage::{Change, Managed};
use super::memo::{Failures, Memo};
use super::progress::Progress;
use super::status::{Draft, Living};

/// Creates for which the record of Pods that ended does not wait: fewer are sent at once, or nearly so, and
/// then one status says all.
const MANY_CREATES: usize = 16;

/// What was decided.
pub(super) struct Decisions<'facts, 'snapshot> {
    /// The snapshot.
    pub(super) facts: &'facts Facts<'snapshot>,
    /// How many Pods succeeded and failed.
    pub(super) tally: &'facts Tally,
    /// How far an Indexed Job is.
    pub(super) progress: Option<&'facts Progress>,
    /// How the Job is to end, if it is to end.
    pub(super) ending: Option<Ending>,
    /// What happens to its Pods.
    pub(super) managed: Managed,
    /// Whether the number of Pods was looked after; not so for a Job that ends or is deleted.
    pub(super) is_managed: bool,
}

/// One way that the creates or deletes may have gone.
struct Branch {
    /// Pods that live then.
    living: Living,
    /// Pods that lost the finalizer with their deletion.
    untracked: Vec<u32>,
    /// Whether everything went well, so that the Job may end.
    is_success: bool,
}

/// What a branch left to the future.
#[derive(Clone, Copy)]
struct Written {
    /// Whether a status is written now.
    is_written: bool,
    /// Whether one that differs was put off, and for how long.
    put_off_ms: Option<u64>,
    /// How the status differs.
    difference: Difference,
    /// Whether something is left for the next reconcile, and in how many milliseconds at the latest.
    rest_ms: Option<u64>,
    /// Whether the Job is to end, so that no deadline counts any more.
    is_ending: bool,
}

impl Decisions<'_, '_> {
    /// The plan that does what was decided.
    pub(super) fn into_plan(mut self) -> Plan {
        let mut plan = Plan { action: self.managed.action, ..Plan::default() };
        let change = core::mem::take(&mut self.managed.change);
        let success = self.after(&change);
        let written = match step(change) {
            Some(Action::CreatePods(slots))
                if slots.len() >= MANY_CREATES
                    && let Some(written) = self.record_beside(&mut plan) =>
            {
                plan.push(Action::CreatePods(slots), Vec::new());
                written
            }
            Some(action) => {
                let step = plan.push(action, Vec::new());
                let written = self.branch(&mut plan, &success, &[Dependency::succeeded(step)]);
                self.branch(&mut plan, &self.after_failure(), &[Dependency::failed(step)]);
                written
            }
            None => self.branch(&mut plan, &success, &[]),
        };
        plan.requeue_after_ms = self.requeue_after_ms(written);
        plan.memo = self.memo(written).encode(&self.facts.job.uid);
        plan
    }

    /// Records the Pods that ended beside the creates, where some are recorded now: they have waited, and creates
    /// may take a while. The status then counts the active Pods as the snapshot shows them; the next one, which
    /// their replacements bring anyway, counts those.
    fn record_beside(&self, plan: &mut Plan) -> Option<Written> {
        if self.ending.is_some() {
            return None;
        }
        let mut beside = Plan::default();
        let written = self.branch(&mut beside, &self.after_failure(), &[]);
        let frees = beside.steps.iter().any(|step| matches!(step.action, Action::UntrackPods(_)));
        if !frees || written.is_ending {
            return None;
        }
        plan.steps = beside.steps;
        Some(written)
    }

    /// The steps of one branch; each follows `after`.
    fn branch(&self, plan: &mut Plan, branch: &Branch, after: &[Dependency]) -> Written {
        let facts = self.facts;
        let all_completed = || ending::all_completed(facts, self.tally.succeeded, branch.living.active);
        let decided = self.ending.clone().or_else(all_completed);
        // While some of the deletes failed, Pods still run: they are not failures yet.
        let counted_ending = decided.as_ref().filter(|_| branch.is_success);
        let record = Record::of(facts, self.progress, counted_ending, &branch.untracked);
        let mut draft = Draft::new(facts, self.progress, &record, branch.living);
        match &decided {
            Some(ending) => draft.announce(facts, ending),
            None if self.is_managed => draft.set_suspended(facts),
            None => {}
        }
        let finish = counted_ending.filter(|_| !record.is_full && branch.living.terminating == 0);
        let difference = Difference::between(facts.snapshot, &draft);
        let status = &facts.job.status;
        let ends = Ends {
            recorded: record.untrack.len(),
            settles: (record.succeeded, record.failed) != (status.succeeded, status.failed),
        };
        let due = match batching::due(facts, difference, ends) {
            // A full record has nothing to gather; a Job that ends, or is deleted, has somebody waiting.
            Due::InMs(_) if finish.is_some() || record.is_full || facts.deleting => Due::Now,
            due @ (Due::Now | Due::InMs(_)) => due,
        };
        let mut written = Written {
            is_written: false,
            put_off_ms: None,
            difference,
            rest_ms: None,
            is_ending: decided.is_some(),
        };
        let mut after = after.to_vec();
        match (difference, due) {
            (Difference::Nothing, _) => {}
            // What is not recorded yet keeps its finalizer, too.
            (_, Due::InMs(left_ms)) => return Written { put_off_ms: Some(left_ms), ..written },
            // With nothing to record before finalizers go, the end says it all.
            (Difference::Progress | Difference::Readiness, Due::Now)
                if finish.is_some() && record.untrack.is_empty() => {}
            (_, Due::Now) => {
                written.is_written = true;
                after = write(plan, &draft, after);
            }
        }
        if !record.untrack.is_empty() {
            let untracked = plan.push(Action::UntrackPods(record.untrack.clone()), after);
            after = [Dependency::succeeded(untracked)].into();
        }
        if let Some(ending) = finish {
            let settled = record.after_untracking();
            let mut end = Draft::new(facts, self.progress, &settled, branch.living);
            end.write.conditions.clone_from(&draft.write.conditions);
            end.finish(facts, ending);
            write(plan, &end, after);
            written.is_written = true;
        } else if record.is_full {
            written.rest_ms = Some(0);
        } else if record.has_uncounted() && !record.untrack.is_empty() {
            // What this plan frees enters the counters with whatever ends until then.
            written.rest_ms = Some(u64::from(facts.snapshot.flags.progress_window_ms));
        }
        written
    }

    /// How things stand once `change` is done.
    fn after(&self, change: &Change) -> Branch {
        let mut branch = self.after_failure();
        branch.is_success = true;
        let living = &mut branch.living;
        match change {
            Change::Nothing => {}
            Change::Create(slots) => living.active = living.active.saturating_add(length(slots)),
            Change::DeleteUncounted(pods) | Change::DeleteCounted(pods) => {
                living.active = living.active.saturating_sub(length(pods));
                living.terminating = living.terminating.saturating_add(length(pods));
                living.ready = living.ready.saturating_sub(self.facts.pods.count_ready(pods));
            }
        }
        if let Change::DeleteUncounted(pods) = change {
            branch.untracked.clone_from(pods);
        }
        branch
    }

    /// How things stand as the snapshot shows them.
    fn after_failure(&self) -> Branch {
        let pods = &self.facts.pods;
        let living =
            Living { active: length(&pods.active), ready: pods.ready, terminating: pods.terminating };
        Branch { living, untracked: Vec::new(), is_success: false }
    }

    fn requeue_after_ms(&self, written: Written) -> Option<u64> {
        let until_deadline_ms = ending::until_deadline_ms(self.facts).filter(|_| !written.is_ending);
        let wishes = [self.managed.retry_after_ms, until_deadline_ms, written.put_off_ms, written.rest_ms];
        wishes.into_iter().flatten().min()
    }

    fn memo(&self, written: Written) -> Memo {
        let before = self.facts.memo;
        let is_put_off = written.put_off_ms.is_some();
        let stored = before.map_or(Failures::NONE, |memo| memo.failures);
        Memo {
            // What is not recorded yet is new once more, and enters the run then.
            failures: if is_put_off { stored } else { self.tally.failures },
            last_write_ms: if written.is_written {
                self.facts.snapshot.now_ms
            } else {
                before.map_or(0, |memo| memo.last_write_ms)
            },
            readiness_since_ms: if is_put_off {
                batching::readiness_since_ms(self.facts, written.difference)
            } else {
                0
            },
        }
    }
}

fn step(change: Change) -> Option<Action> {
    match change {
        Change::Nothing => None,
        Change::Create(slots) => Some(Action::CreatePods(slots)),
        Change::DeleteUncounted(pods) => Some(Action::DeletePods { pods, untrack: true }),
        Change::DeleteCounted(pods) => Some(Action::DeletePods { pods, untrack: false }),
    }
}

/// Pushes a status write and the Events that follow it; returns what must have succeeded for the next step.
fn write(plan: &mut Plan, draft: &Draft, after: Vec<Dependency>) -> Vec<Dependency> {
    let stored = plan.push(Action::WriteJobStatus(draft.write.clone()), after);
    for event in &draft.events {
        plan.push(Action::RecordEvent(EventRecord::clone(event)), [Dependency::succeeded(stored)].into());
    }
    [Dependency::succeeded(stored)].into()
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}
