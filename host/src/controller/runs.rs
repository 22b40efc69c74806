//! Runs of the core: from a key that is due to a snapshot, and from a plan to its execution.

use windlass_core::kube::{CompletionMode, ConcurrencyPolicy, Job, Kind, Time};
use windlass_core::plan::{Plan, SyncAction};

use super::notice::{JobSync, Notice};
use super::policies::Due;
use super::{Controller, Lane, Run, RunId, RunningKey};
use crate::Now;
use crate::apply::{Execution, SyncStart};
use crate::check::check;
use crate::engine::{EngineFault, SharedPolicy};
use crate::key::{Key, KeyKind, Name};
use crate::request::Term;
use crate::snapshot::{self, Gathered, Sight};

/// How long a CronJob waits, milliseconds, before it is looked at again whose Jobs cannot be seen for now.
const JOBS_UNSEEN_WAIT_MS: u64 = 1_000;

impl Controller {
    /// The next run of a lane that is due; what is due in [`Lane::Plugins`] is found as [`Lane::BuiltIn`] is asked.
    pub fn poll_run(&mut self, now: Now, lane: Lane) -> Option<Run> {
        let term = self.leading?;
        if self.shutting_down || !self.watches.are_synced() {
            return None;
        }
        while let Some(key) = self.next_key(now, lane) {
            if let Some(run) = self.start(now, term, key) {
                return Some(run);
            }
        }
        None
    }

    /// The next key of a lane that is due.
    fn next_key(&mut self, now: Now, lane: Lane) -> Option<Key> {
        match lane {
            Lane::Plugins => loop {
                match self.policies.lane.pop_front()? {
                    Due::Key(key) if self.awaits_answer(&key) => self.line_up(&key),
                    Due::Key(key) => return Some(key),
                    Due::Start(namespace) => {
                        if let Some(key) = self.next_start(&namespace) {
                            return Some(key);
                        }
                    }
                }
            },
            Lane::BuiltIn => loop {
                let key = self.queue.take(now.monotonic_ms)?;
                if self.awaits_answer(&key) {
                    self.line_up(&key);
                } else if self.is_bound(&key) {
                    self.policies.lane.push_back(Due::Key(key));
                } else {
                    return Some(key);
                }
            },
        }
    }

    /// Takes in what a worker made of a run.
    pub fn handle_run(&mut self, now: Now, id: RunId, result: Result<Plan, EngineFault>) {
        self.stats.inputs += 1;
        let Some(mut run) = self.running.remove(&id) else { return };
        self.policies_asked(now, &run);
        self.start_answered(now, &mut run);
        if self.leading != Some(run.term) || self.shutting_down {
            self.queue.done(&run.key);
            return;
        }
        let plan = match result {
            Ok(plan) => plan,
            Err(fault) => {
                let notice = Notice::EngineFault { key: run.key.clone(), fault };
                return self.core_fault(now, &run, notice);
            }
        };
        let settled = plan.settled.clone();
        let checked = match check(plan, &run.gathered) {
            Ok(checked) => checked,
            Err(defect) => {
                let notice = Notice::PlanRefused { key: run.key.clone(), defect };
                return self.core_fault(now, &run, notice);
            }
        };
        if let Key::DaemonSet(name) = &run.key {
            self.learn_of_nodes(name, &run.gathered, &settled);
        }
        let mut execution = Execution::new(run.key.clone(), run.term, checked, run.gathered);
        execution.sync = run.sync;
        execution.start_creates_fast = self.paces.get(&run.key).is_some_and(|pace| pace.creates_succeed);
        if run.superseded {
            execution.stop();
        }
        self.begin(now, execution);
    }

    /// Takes the snapshot of a key, or settles the key at once where there is nothing to reconcile.
    fn start(&mut self, now: Now, term: Term, key: Key) -> Option<Run> {
        if self.held.contains_key(&key) {
            self.stats.held_runs += 1;
            self.forget_reads(&key);
            self.queue.done(&key);
            return None;
        }
        let flags = &self.config.job;
        let carried = self.carried.get(&key).map(|state| state.carried.clone()).unwrap_or_default();
        let gathered = match &key {
            Key::Job(name) => {
                let pace = self.paces.entry(key.clone()).or_default();
                let gathered = snapshot::job(&self.cache, name, &pace.flags(flags), now, &carried);
                pace.looks(now, gathered.as_ref().map_or(0, |gathered| gathered.children.len()));
                gathered.map(Gathered::without_time_to_live)
            }
            Key::TimeToLive(name) => snapshot::time_to_live(&self.cache, name, flags, now, &carried),
            Key::OrphanPod(name) => {
                let unread = carried.live_owner.is_none();
                if let Some(job) = snapshot::orphan_needs_read(&self.cache, name, flags).filter(|_| unread) {
                    self.begin_read_of_job(Execution::waiting_for_read(key, term), job);
                    return None;
                }
                snapshot::orphan(&self.cache, name, flags, carried.live_owner)
            }
            Key::DaemonSet(name) => {
                let rollout_labels = self.rollout_labels(name);
                let pace = self.paces.entry(key.clone()).or_default();
                let flags = &self.config.daemon_set;
                let look = self.attention.entry(name.clone()).or_default().look();
                let sight = Sight { look, rollout_labels };
                let gathered = snapshot::daemon_set(&self.cache, name, flags, now, &carried, &sight);
                pace.looks(now, gathered.as_ref().map_or(0, |gathered| gathered.children.len()));
                gathered
            }
            Key::CronJob(name) => {
                if self.must_wait_for_jobs(name) {
                    self.forget_reads(&key);
                    self.queue.again(&key, now.monotonic_ms.saturating_add(JOBS_UNSEEN_WAIT_MS));
                    return None;
                }
                let rescheduled_s = self.rescheduled_by(name, now);
                snapshot::cron_job(&self.cache, name, &self.config.cron_job, now, rescheduled_s, &carried)
            }
        };
        let Some(mut gathered) = gathered else {
            self.carried.remove(&key);
            match &key {
                Key::Job(_) => drop(self.paces.remove(&key)),
                Key::DaemonSet(name) => self.forget_daemon_set(&name.clone()),
                Key::CronJob(name) => self.forget_cron_job(&name.clone()),
                Key::TimeToLive(_) | Key::OrphanPod(_) => {}
            }
            self.queue.done(&key);
            return None;
        };
        self.sequence += 1;
        let id = RunId(self.sequence);
        self.stats.runs += 1;
        let job = gathered.subject.job().filter(|_| gathered.scope == KeyKind::Job);
        let sync = job.and_then(|job| self.sync_of(job, now));
        let bound = self.bind(now, &key, &gathered);
        let policy: SharedPolicy = match &bound {
            Some(bound) => bound.clone(),
            None => self.built_in.clone(),
        };
        let (start, asked) = self.ask_about_start(now, &key, &mut gathered, bound.as_ref()).unzip();
        let snapshot = gathered.snapshot.clone();
        let running = RunningKey { key: key.clone(), term, gathered, superseded: false, sync, bound, asked };
        self.running.insert(id, running);
        Some(Run { id, key, snapshot, policy, start })
    }

    /// When a CronJob was seen to get another schedule or zone, seconds since the Unix epoch: not later than now,
    /// whatever the wall clock showed then.
    fn rescheduled_by(&mut self, name: &Name, now: Now) -> Option<i64> {
        let rescheduled_s = self.rescheduled.get_mut(name)?;
        *rescheduled_s = (*rescheduled_s).min(Time::from_unix_ms(now.unix_ms).unix_seconds);
        Some(*rescheduled_s)
    }

    /// Whether nothing may be decided about a CronJob for now: its runs exclude each other, and Jobs are not
    /// being watched, so that one may run which nobody here knows of.
    fn must_wait_for_jobs(&self, name: &Name) -> bool {
        let excludes = self.cache.cron_job(name).is_some_and(|entry| {
            matches!(
                entry.cron_job.spec.concurrency_policy,
                ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Replace
            )
        });
        excludes && !self.watches.follows(Kind::Job)
    }
    fn core_fault(&mut self, now: Now, run: &RunningKey, notice: Notice) {
        self.stats.core_faults += 1;
        self.notice(notice);
        self.settle_grant(now, &run.key);
        self.synced(now, &run.key, run.sync, SyncAction::default(), false);
        self.forget_reads(&run.key);
        self.queue.failed(&run.key, now.monotonic_ms);
    }

    /// Whatever was read for a run is old by the next.
    pub(super) fn forget_reads(&mut self, key: &Key) {
        if let Some(state) = self.carried.get_mut(key) {
            state.carried.forget_reads();
        }
    }

    /// What upstream counts as a sync of `job` that begins now: not one that it passes over.
    fn sync_of(&self, job: &Job, now: Now) -> Option<SyncStart> {
        let is_passed_over = job.is_finished()
            || snapshot::managed_elsewhere(job, &self.config.job)
            || matches!(job.spec.completion_mode, Some(CompletionMode::Other(_)));
        (!is_passed_over).then_some(SyncStart { indexed: job.is_indexed(), began_ms: now.monotonic_ms })
    }

    pub(super) fn synced(
        &mut self,
        now: Now,
        key: &Key,
        sync: Option<SyncStart>,
        action: SyncAction,
        succeeded: bool,
    ) {
        let job = sync.map(|sync| JobSync {
            indexed: sync.indexed,
            action,
            took_ms: now.monotonic_ms.saturating_sub(sync.began_ms),
        });
        self.notice(Notice::Synced { key: key.clone(), succeeded, job });
    }
}
