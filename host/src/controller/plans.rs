//! Plans under way: whose turn it is to send, and what is left of a plan all of whose steps have settled.

use windlass_core::plan::{EventRecord, Read};

use super::answers::Pending;
use super::events::Said;
use super::notice::Notice;
use super::{Controller, KeyState, MAX_STALE_RUNS};
use crate::Now;
use crate::apply::{Effect, Execution, Failure};
use crate::key::{Key, Name};
use crate::request::Operation;
use crate::snapshot::Subject;

impl Controller {
    pub(super) fn begin(&mut self, now: Now, execution: Execution) {
        let key = execution.key.clone();
        match (execution.read, execution.subject.regarding()) {
            (Some(Read::Owner), Some((kind, metadata))) => {
                let (owner, uid) = (Name::of(metadata), metadata.uid.clone());
                return self.begin_read(execution, kind, owner, uid);
            }
            (Some(Read::ActiveJobs), _) => return self.begin_reads_of_active(now, execution),
            (Some(Read::Owner), None) | (None, _) => {}
        }
        self.executing.insert(key.clone(), execution);
        self.take_turn(&key);
        self.finish_if_complete(now, &key);
    }

    /// The next write of whichever plan is at turn.
    pub(super) fn next_write(&mut self, now: Now) -> Option<(Pending, Operation)> {
        while let Some(key) = self.turn.pop_front() {
            let Some(execution) = self.executing.get_mut(&key) else { continue };
            execution.in_turn = false;
            let mut effects = Vec::new();
            let next = execution.next_request(&self.cache, &mut effects);
            let subject = execution.subject.clone();
            self.perform(now, &subject, effects);
            if let Some((ticket, operation)) = next {
                self.take_turn(&key);
                return Some((Pending::Write { key, ticket, operation: operation.clone() }, operation));
            }
            // What is left waits for an answer, which puts the key back in turn.
            self.finish_if_complete(now, &key);
        }
        None
    }

    pub(super) fn take_turn(&mut self, key: &Key) {
        if let Some(execution) = self.executing.get_mut(key)
            && !execution.in_turn
        {
            execution.in_turn = true;
            self.turn.push_back(key.clone());
        }
    }

    pub(super) fn perform(&mut self, now: Now, subject: &Subject, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Event(EventRecord { warning, reason, message }) => {
                    self.push_event(now, subject, Said { warning, of_child: false, reason, message });
                }
                Effect::FailureHandled(action) => self.notice(Notice::FailureHandled { action }),
            }
        }
    }

    /// Ends a plan all of whose steps have settled.
    pub(super) fn finish_if_complete(&mut self, now: Now, key: &Key) {
        let Some(execution) = self.executing.get_mut(key) else { return };
        let mut effects = Vec::new();
        execution.advance(&mut effects);
        let (subject, complete) = (execution.subject.clone(), execution.is_complete());
        self.perform(now, &subject, effects);
        if complete && let Some(execution) = self.executing.remove(key) {
            self.finish(now, execution);
        }
    }

    pub(super) fn finish(&mut self, now: Now, execution: Execution) {
        let key = execution.key.clone();
        self.settle_grant(now, &key);
        self.forget_reads(&key);
        let failure = execution.failure();
        let is_success = matches!(failure, None | Some(Failure::NamespaceEnding));
        self.synced(now, &key, execution.sync, execution.action, is_success);
        let due = self.planned(now, &execution);
        self.wall_clock.set(now, &key, execution.wake_at_ms);
        let state = self.carried.entry(key.clone()).or_default();
        if failure.is_none() || execution.stores_memo() {
            state.carried.memo = execution.memo;
        }
        match failure {
            // Nothing more can be created in a namespace that is ending, and nothing brings it back.
            None | Some(Failure::NamespaceEnding) => {
                state.stale_runs = 0;
                self.queue.done(&key);
                if execution.writes > 0 {
                    self.queue.add(&key, due);
                }
                if let Some(after) = execution.requeue_after_ms {
                    self.queue.add(&key, now.monotonic_ms.saturating_add(after));
                }
            }
            Some(Failure::Stale) if state.stale_runs < MAX_STALE_RUNS => {
                state.stale_runs += 1;
                self.queue.again(&key, now.monotonic_ms);
            }
            Some(Failure::Stale | Failure::Refused) => {
                self.queue.failed(&key, now.monotonic_ms);
            }
        }
        if self.carried.get(&key).is_some_and(|state| *state == KeyState::default()) {
            self.carried.remove(&key);
        }
        if self.shutting_down {
            self.queue.clear();
        }
    }

    /// Notes how a plan went for the pace of its key, where it has one; gives when what it did is looked at.
    pub(super) fn planned(&mut self, now: Now, execution: &Execution) -> u64 {
        let Some(pace) = self.paces.get_mut(&execution.key) else { return now.monotonic_ms };
        pace.planned(now, execution.writes);
        if let Some(succeeded) = execution.creates_succeeded() {
            pace.creates_succeed = succeeded;
        }
        pace.due(now)
    }
}
