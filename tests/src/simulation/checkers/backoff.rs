//! Retries wait: the part of J7 about delays, for the Job and for each index.
//!
//! Judged for one process from its own beginning, by the failures that it knows it has recorded: a new process
//! may know of fewer and wait less, and so may one that never heard of its own write.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::kube::{Pod, PodPhase, Uid};
use windlass_core::plan::{Action, Plan};
use windlass_core::policy::backoff;
use windlass_host::controller::Run;
use windlass_host::engine::Snapshot;
use windlass_host::key::Key;
use windlass_host::plugin::decision::Decision;
use windlass_host::request::RequestId;

use super::Violation;
use super::ledger::Ledger;
use super::observer::Observer;
use super::plugins::plugin_of;
use crate::simulation::plugins::{Answers, Asked, Questions};
use crate::simulation::view::{Sight, View};

/// Delay of the first retry, milliseconds; each further one waits twice as long (upstream: DefaultJobPodFailureBackOff).
const BASE_MS: i64 = 10_000;
/// Longest delay, milliseconds (upstream: MaxJobPodFailureBackOff).
const MAX_MS: i64 = 600_000;

/// The failures of a Job since its last success, as one process saw them.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Each failed Pod, with which others it was noted first, and when it ended, seconds since the Unix epoch.
    pods: BTreeMap<Uid, (u64, i64)>,
    batches: u64,
    last_success_s: i64,
}

/// A process takes up a key.
pub(super) fn runs(
    observer: &mut Observer,
    run: &Run,
    (plan, asked): (Option<&Plan>, &[Asked]),
    ledger: &Ledger,
) -> Result<(), Violation> {
    let (Key::Job(name), Snapshot::Job(snapshot), Some(plan)) = (&run.key, &*run.snapshot, plan) else {
        return Ok(());
    };
    let Some(job) = observer.view.job(&name.name).cloned() else { return Ok(()) };
    let uid = &job.metadata.uid;
    let is_bound = plugin_of(&job.metadata.annotations, Decision::Backoff).is_some();
    let said = if is_bound { said(asked) } else { BTreeMap::new() };
    let indexes = plan.steps.iter().flat_map(|step| match &step.action {
        Action::CreatePods(slots) => slots.as_slice(),
        _ => &[],
    });
    let early = |what: String, due_ms: i64| {
        let why = format!("{}: {what} is tried again {} ms early", name.name, due_ms - snapshot.now_ms);
        Err(Violation::new("J7", why))
    };
    if job.spec.backoff_limit_per_index.is_some() {
        let due = due_by_index(&observer.view, uid, &said);
        for index in indexes.filter_map(|slot| slot.index) {
            if let Some(due_ms) = due.get(&index).filter(|due_ms| **due_ms > snapshot.now_ms) {
                return early(format!("index {index}"), *due_ms);
            }
        }
        return Ok(());
    }
    let bound = job.is_indexed().then(|| job.spec.completions.unwrap_or(0));
    let uncounted = job.status.uncounted_terminated_pods.clone().unwrap_or_default();
    let is_new = |pod: &Pod, sight: Sight| {
        sight.is_tracked
            && bound.is_none_or(|bound| i64::from(sight.index) < i64::from(bound))
            && !uncounted.succeeded.contains(&pod.metadata.uid)
            && !uncounted.failed.contains(&pod.metadata.uid)
    };
    let failures = observer.failures.entry(uid.clone()).or_default();
    failures.note(&observer.view, uid, is_new, (observer.identity, &observer.statuses), ledger);
    let due_ms = failures.due_ms(said.get(&None).copied());
    if indexes.count() > 0 && due_ms > snapshot.now_ms {
        return early(format!("failure {}", failures.pods.len()), due_ms);
    }
    Ok(())
}

impl Failures {
    /// Takes in what a reconcile sees for the first time; a success ends the run of failures before it.
    fn note(
        &mut self,
        view: &View,
        job: &Uid,
        is_new: impl Fn(&Pod, Sight) -> bool,
        (identity, own): ((usize, u32), &BTreeSet<RequestId>),
        ledger: &Ledger,
    ) {
        let (mut failed, mut present) = (Vec::new(), Vec::new());
        let mut success_s = None;
        for pod in view.pods_of(job) {
            let sight = Sight::of(pod);
            present.push(&pod.metadata.uid);
            if !is_new(pod, sight) {
                continue;
            }
            match sight.phase {
                PodPhase::Succeeded => success_s = success_s.max(ended_s(pod)),
                PodPhase::Failed if !self.pods.contains_key(&pod.metadata.uid) => failed.push(pod),
                _ => {}
            }
        }
        // What went unrecorded is forgotten by everybody, and what another recorded is not this process' to know.
        self.pods.retain(|uid, _| match ledger.pod(uid).and_then(|record| record.recorded_by) {
            Some((process, incarnation, request)) => {
                (process, incarnation) == identity && own.contains(&request)
            }
            None => present.contains(&uid),
        });
        if let Some(success_s) = success_s {
            self.last_success_s = self.last_success_s.max(success_s);
            self.pods.clear();
        }
        self.batches += 1;
        let (batch, success_s) = (self.batches, self.last_success_s);
        let new = failed.into_iter().filter_map(|pod| {
            let ended_s = ended_s(pod).filter(|ended_s| *ended_s > success_s)?;
            Some((pod.metadata.uid.clone(), (batch, ended_s)))
        });
        self.pods.extend(new);
    }

    /// The delay counts from the latest end of those that were noted last; it is what a plugin `said`, if one did.
    fn due_ms(&self, said: Option<i64>) -> i64 {
        let count = i64::try_from(self.pods.len()).unwrap_or(i64::MAX);
        let delay_ms = said.unwrap_or_else(|| delay_ms(count));
        self.pods.values().max().map_or(0, |(_, last_s)| (last_s * 1000).saturating_add(delay_ms))
    }
}

/// The delays that a plugin said instead of those that are built in, milliseconds, by index: for ever, where there is to
/// be no other try for now. What it was allowed to say is P2's matter.
fn said(asked: &[Asked]) -> BTreeMap<Option<u32>, i64> {
    let mut said: BTreeMap<Option<u32>, i64> = BTreeMap::new();
    for batch in asked {
        let (Questions::Backoff(questions), Answers::Backoff(answers)) = (&batch.questions, &batch.told)
        else {
            continue;
        };
        for (question, answer) in questions.iter().zip(answers) {
            let delay_ms = match answer {
                backoff::Answer::RetryAfterMs(delay_ms) => i64::from(*delay_ms),
                backoff::Answer::Stop(_) | backoff::Answer::Hold(_) => i64::MAX,
                backoff::Answer::NotCounted | backoff::Answer::Other(_) => continue,
            };
            said.entry(question.index)
                .and_modify(|least| *least = (*least).min(delay_ms))
                .or_insert(delay_ms);
        }
    }
    said
}

/// When each index whose Pod failed may be tried again.
fn due_by_index(view: &View, job: &Uid, said: &BTreeMap<Option<u32>, i64>) -> BTreeMap<u32, i64> {
    let mut due: BTreeMap<u32, i64> = BTreeMap::new();
    for pod in view.pods_of(job) {
        let sight = Sight::of(pod);
        let Some(ended_s) = ended_s(pod).filter(|_| sight.phase == PodPhase::Failed && sight.is_tracked)
        else {
            continue;
        };
        let count = i64::from(sight.index_failures) + i64::from(sight.index_ignored_failures) + 1;
        let delay_ms = said.get(&Some(sight.index)).copied().unwrap_or_else(|| delay_ms(count));
        let due_ms = (ended_s * 1000).saturating_add(delay_ms);
        // Of two failed Pods of one index either may be the one that counts.
        due.entry(sight.index).and_modify(|earliest| *earliest = (*earliest).min(due_ms)).or_insert(due_ms);
    }
    due
}

pub(super) fn delay_ms(failures: i64) -> i64 {
    let doublings = u32::try_from(failures - 1).unwrap_or(0).min(20);
    (BASE_MS << doublings).min(MAX_MS)
}

/// When the Pod's containers ended, seconds since the Unix epoch.
fn ended_s(pod: &Pod) -> Option<i64> {
    let ends = pod.status.container_statuses.iter();
    ends.filter_map(|container| container.state.terminated.as_ref()?.finished_at)
        .map(|time| time.unix_seconds)
        .max()
}
