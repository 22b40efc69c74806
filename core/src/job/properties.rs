//! What must hold for every Job: each Pod counts once whatever step fails, and no snapshot makes the core panic.

mod admission;
mod against_upstream;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::indexes::CompletionIndexes;
use super::reconcile;
use crate::fault::Fault;
use crate::kube::{ConditionStatus, JobCondition, PodPhase, Time};
use crate::plan::{Action, JobStatusWrite, Needs, Plan, PodSlot};
use crate::policy::backoff::{Answer, Hold, Question, exponential};
use crate::policy::{BuiltIn, Policy};
use crate::view::{
    Admission, CompletionModeView, FailedPod, JobFlags, JobSnapshot, JobStatusView, JobView, LiveOwner,
    NO_INDEX, NO_POD, PodColumns, PodRow, UncountedPods, pod_flag,
};

const START_MS: i64 = 1_767_225_600_000;
const OURS: u16 = pod_flag::OWNED | pod_flag::SELECTED | pod_flag::TRACKED | pod_flag::BOUND;

fn naive(set: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for index in set {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => runs.push((*index, *index)),
        }
    }
    let text = |(first, last): (u32, u32)| match last - first {
        0 => format!("{first}"),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    runs.into_iter().map(text).collect::<Vec<_>>().join(",")
}

fn of(set: &BTreeSet<u32>) -> CompletionIndexes {
    CompletionIndexes::from_sorted(&set.iter().copied().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn index_sets_are_what_naive_sets_are(
        one in prop::collection::btree_set(0_u32..60, 0..40),
        two in prop::collection::btree_set(0_u32..60, 0..40),
        count in 0_u32..70,
        bound in 0_u32..70,
    ) {
        let (left, right) = (of(&one), of(&two));
        prop_assert_eq!(left.to_string(), naive(&one));
        let (parsed, is_whole) = CompletionIndexes::parse(&naive(&one), 60);
        prop_assert!(is_whole);
        prop_assert_eq!(&parsed, &left);
        let (cut, _) = CompletionIndexes::parse(&naive(&one), bound);
        prop_assert_eq!(cut, of(&one.iter().copied().filter(|index| *index < bound).collect()));
        let both: BTreeSet<u32> = one.union(&two).copied().collect();
        prop_assert_eq!(left.union(&right), of(&both));
        prop_assert_eq!(left.total(), one.len() as u32);
        prop_assert_eq!(left.overlap(&right), one.intersection(&two).count() as u32);
        for index in 0..61 {
            prop_assert_eq!(left.contains(index), one.contains(&index));
        }
        let missing: Vec<u32> =
            (0..bound).filter(|index| !one.contains(index)).take(count as usize).collect();
        prop_assert_eq!(left.lowest_missing(count, bound), missing);
    }

    #[test]
    fn index_text_of_any_kind_parses_to_a_well_formed_set(text in "[0-9,+a-]{0,40}", bound in any::<u32>()) {
        let (set, _) = CompletionIndexes::parse(&text, bound);
        let (again, is_whole) = CompletionIndexes::parse(&set.to_string(), bound);
        prop_assert!(is_whole);
        prop_assert_eq!(again, set);
    }

    #[test]
    fn delays_never_shrink_as_failures_grow(base in any::<u32>(), max in any::<u32>(), failures in 0_u32..100) {
        let settings = BuiltIn { backoff_base_ms: base, backoff_max_ms: max };
        let delay = |failures| match exponential(settings, failures) {
            Answer::RetryAfterMs(delay) => delay,
            Answer::NotCounted | Answer::Stop(_) | Answer::Hold(_) | Answer::Other(_) => {
                panic!("the built-in policy always names a delay")
            }
        };
        prop_assert!(delay(failures) <= delay(failures + 1));
        prop_assert!(delay(failures) <= max);
    }

    #[test]
    fn no_snapshot_makes_the_core_panic(snapshot in any_snapshot(), answer in any_answer()) {
        match reconcile(&snapshot, &Fixed(answer)) {
            Ok(plan) => prop_assert!(steps_are_in_order(&plan), "{plan:?}"),
            Err(fault) => prop_assert!(fault != Fault::UnsupportedKind),
        }
    }

    #[test]
    fn each_pod_counts_once_whatever_step_fails(
        job in any_job(),
        is_asked in any::<bool>(),
        turns in prop::collection::vec(any::<[u8; 4]>(), 5..40),
    ) {
        let mut world = World { is_asked, is_held: is_asked, ..World::new(job) };
        for turn in turns {
            world.happen(turn);
            world.step(turn[3])?;
        }
        world.come_to_rest()?;
        world.run_to_the_end()?;
    }
}

/// Answers every question in the same way, and one question too few.
struct Fixed(Answer);

impl Policy for Fixed {
    fn backoff(&self, questions: &[Question]) -> Vec<Answer> {
        questions.iter().skip(1).map(|_| self.0.clone()).collect()
    }
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<u32>().prop_map(Answer::RetryAfterMs),
        Just(Answer::NotCounted),
        any::<String>().prop_map(Answer::Stop),
        any::<u32>().prop_map(|ask_again_ms| Answer::Hold(Hold { reason: String::new(), ask_again_ms })),
        Just(Answer::Other("later".into())),
    ]
}

fn steps_are_in_order(plan: &Plan) -> bool {
    let in_order = |(position, step): (usize, &crate::plan::Step)| {
        step.after.iter().all(|dependency| (dependency.step as usize) < position)
    };
    plan.steps.len() < 20 && plan.steps.iter().enumerate().all(in_order)
}

/// A Job of the sizes at which things go wrong.
fn any_job() -> impl Strategy<Value = JobView> {
    let limits = (0_u32..4, prop::option::of(0_u32..3), prop::option::of(0_u32..3), any::<bool>());
    (1_u32..5, prop::option::of(0_u32..6), any::<bool>(), limits).prop_map(
        |(parallelism, completions, indexed, (backoff_limit, per_index, max_failed, replace_only_failed))| {
            let is_indexed = indexed && completions.is_some();
            JobView {
                owner: "default/job".into(),
                uid: "uid".into(),
                parallelism,
                completions,
                mode: if is_indexed { CompletionModeView::Indexed } else { CompletionModeView::NonIndexed },
                backoff_limit: if is_indexed && per_index.is_some() { 1_000_000 } else { backoff_limit },
                backoff_limit_per_index: per_index.filter(|_| is_indexed),
                max_failed_indexes: max_failed.filter(|_| is_indexed && per_index.is_some()),
                replace_only_failed,
                ..JobView::default()
            }
        },
    )
}

fn any_admission() -> impl Strategy<Value = Option<Admission>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Admission::Granted)),
        1 => Just(Some(Admission::Held)),
        1 => Just(Some(Admission::Refused("no".into()))),
    ]
}

fn any_phase() -> impl Strategy<Value = PodPhase> {
    use PodPhase::{Failed, Pending, Running, Succeeded, Unknown};
    prop::sample::select(vec![Pending, Running, Succeeded, Failed, Unknown])
}

fn any_row() -> impl Strategy<Value = PodRow> {
    let numbers = (any::<u32>(), 0_u32..4, any::<u32>(), any::<i64>(), any::<i64>(), any::<i64>());
    (any_phase(), 0_u16..128, prop_oneof![0_u32..6, Just(NO_INDEX)], numbers, any::<i32>()).prop_map(
        |(phase, flags, index, (restarts, failures, ignored, created_s, ready_s, finished_s), exit_code)| {
            PodRow {
                phase,
                flags,
                index,
                restarts,
                most_restarts: restarts / 2,
                most_sidecar_restarts: restarts % 3,
                index_failures: failures,
                index_ignored_failures: ignored,
                created_s,
                ready_changed_s: ready_s,
                finished_s,
                exit_code,
            }
        },
    )
}

fn any_status() -> impl Strategy<Value = JobStatusView> {
    let kinds = vec!["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet", "Suspended", "Other"];
    let condition =
        (prop::sample::select(kinds), any::<bool>(), any::<i64>()).prop_map(|(kind, holds, at)| {
            JobCondition {
                kind: kind.into(),
                status: if holds { ConditionStatus::True } else { ConditionStatus::False },
                last_transition_time: Some(Time::from_unix_seconds(at)),
                ..JobCondition::default()
            }
        });
    (
        prop::collection::vec(condition, 0..2),
        prop::option::of(any::<i64>()),
        any::<[u32; 3]>(),
        "[0-9,-]{0,12}",
        prop::option::of("[0-9,-]{0,12}"),
    )
        .prop_map(|(conditions, start, [active, succeeded, failed], completed, failed_indexes)| {
            JobStatusView {
                conditions,
                start_time: start.map(Time::from_unix_seconds),
                active,
                succeeded,
                failed,
                completed_indexes: completed.as_str().into(),
                failed_indexes: failed_indexes.map(|text| text.as_str().into()),
                ..JobStatusView::default()
            }
        })
}

/// A snapshot of any kind, malformed ones included.
fn any_snapshot() -> impl Strategy<Value = JobSnapshot> {
    let position = || prop_oneof![8 => 0_u32..8, 1 => Just(NO_POD), 1 => any::<u32>()];
    let positions = move || prop::collection::vec(position(), 0..4);
    let live = prop::option::of(prop::sample::select(vec![
        LiveOwner::Alive,
        LiveOwner::Terminating,
        LiveOwner::Gone,
    ]));
    let switches = any::<[bool; 5]>();
    let seconds = (prop::option::of(any::<i64>()), prop::option::of(any::<u32>()));
    (
        (any_job(), any_status(), switches, seconds),
        prop::collection::vec(any_row(), 0..8),
        (positions(), positions(), prop::option::weighted(0.1, position())),
        (any::<i64>(), live, any_admission(), prop::collection::vec(any::<u8>(), 0..40)),
    )
        .prop_map(
            |(
                (mut job, status, switches, seconds),
                rows,
                uncounted,
                (now_ms, live_owner, admission, memo),
            )| {
                let [terminating, suspended, on_failure, uneven, no_completions] = switches;
                job.status = status;
                (job.terminating, job.suspended, job.restart_on_failure) =
                    (terminating, suspended, on_failure);
                (job.active_deadline_seconds, job.ttl_seconds_after_finished) = seconds;
                if no_completions {
                    job.completions = None;
                }
                let mut pods = PodColumns::with_capacity(rows.len());
                rows.into_iter().for_each(|row| pods.push(row));
                if uneven && memo.len() % 5 == 0 {
                    pods.index.push(1);
                }
                if let Some(pod) = uncounted.2 {
                    pods.failed_details.push(FailedPod { pod, ..FailedPod::default() });
                }
                JobSnapshot {
                    now_ms,
                    flags: JobFlags { max_uncounted_pods: 3, max_pods_per_sync: 2, ..JobFlags::default() },
                    job: Arc::new(job),
                    pods,
                    uncounted: UncountedPods { succeeded: uncounted.0, failed: uncounted.1 },
                    live_owner,
                    admission,
                    memo,
                }
            },
        )
}

/// A Pod of the model.
#[derive(Clone, Copy)]
struct ModelPod {
    row: PodRow,
    /// Removed from the API server.
    is_gone: bool,
    /// Lost the finalizer without being counted, on purpose.
    is_let_go: bool,
}

/// A cluster with one Job, in which any step of a plan may fail.
struct World {
    job: JobView,
    pods: Vec<ModelPod>,
    uncounted: [Vec<usize>; 2],
    settled: BTreeMap<usize, usize>,
    memo: Vec<u8>,
    now_ms: i64,
    next_ms: Option<u64>,
    /// Whether somebody is asked before the Job starts, and whether the answer is to wait for now.
    is_asked: bool,
    is_held: bool,
}

type Verdict = Result<(), TestCaseError>;

impl World {
    fn new(job: JobView) -> Self {
        Self {
            job,
            pods: Vec::new(),
            uncounted: [Vec::new(), Vec::new()],
            settled: BTreeMap::new(),
            memo: Vec::new(),
            now_ms: START_MS,
            next_ms: None,
            is_asked: false,
            is_held: false,
        }
    }

    /// Time passes and a Pod gets on: it runs, ends, is deleted, or is removed.
    fn happen(&mut self, [which, what, time, _]: [u8; 4]) {
        self.now_ms += i64::from(time) * 100;
        let now_s = self.now_ms.div_euclid(1000);
        let length = self.pods.len().max(1);
        let Some(pod) = self.pods.get_mut(usize::from(which) % length) else { return };
        let has_ended = matches!(pod.row.phase, PodPhase::Succeeded | PodPhase::Failed);
        match what % 7 {
            0 | 1 if !has_ended => (pod.row.phase, pod.row.finished_s) = (PodPhase::Succeeded, now_s),
            2 if !has_ended => (pod.row.phase, pod.row.finished_s) = (PodPhase::Failed, now_s),
            3 if !has_ended => pod.row.phase = PodPhase::Running,
            4 => pod.row.flags |= pod_flag::TERMINATING,
            5 => {
                let is_free = pod.row.flags & pod_flag::TRACKED == 0;
                pod.is_gone |= is_free && (has_ended || pod.row.flags & pod_flag::TERMINATING != 0);
            }
            6 if time % 4 == 0 => self.job.suspended = !self.job.suspended,
            6 => self.is_held = self.is_asked && time % 3 == 0,
            _ => {}
        }
    }

    /// One reconcile, of whose plan every step fails whose bit is set in `failing`; whether anything was tried.
    fn step(&mut self, failing: u8) -> Result<bool, TestCaseError> {
        let crossing: Vec<usize> = (0..self.pods.len()).filter(|pod| self.crosses(*pod)).collect();
        let mut pods = PodColumns::with_capacity(crossing.len());
        crossing.iter().for_each(|pod| pods.push(self.pods[*pod].row));
        let place = |pod: &usize| {
            let found = crossing.iter().position(|other| other == pod);
            found.filter(|_| self.is_tracked(*pod)).map_or(NO_POD, |place| place as u32)
        };
        let uncounted = UncountedPods {
            succeeded: self.uncounted[0].iter().map(place).collect(),
            failed: self.uncounted[1].iter().map(place).collect(),
        };
        let snapshot = JobSnapshot {
            now_ms: self.now_ms,
            flags: JobFlags { max_uncounted_pods: 3, max_pods_per_sync: 2, ..JobFlags::default() },
            job: Arc::new(self.job.clone()),
            pods,
            uncounted,
            live_owner: None,
            admission: self.is_asked.then_some(if self.is_held {
                Admission::Held
            } else {
                Admission::Granted
            }),
            memo: core::mem::take(&mut self.memo),
        };
        let plan = reconcile(&snapshot, &BuiltIn::default())
            .map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        let mut went: Vec<Option<bool>> = Vec::new();
        for (number, step) in plan.steps.into_iter().enumerate() {
            let may_run = step.after.iter().all(|dependency| {
                let before = went[dependency.step as usize];
                match dependency.needs {
                    Needs::Succeeded => before == Some(true),
                    Needs::Settled => true,
                    Needs::Failed => before != Some(true),
                }
            });
            let succeeds = failing & (1 << (number % 8)) == 0;
            went.push(may_run.then_some(succeeds));
            if may_run && succeeds {
                self.act(step.action, &crossing)?;
            }
        }
        if !went.contains(&Some(false)) {
            self.memo = plan.memo;
        }
        self.next_ms = plan.requeue_after_ms;
        Ok(!went.is_empty())
    }

    fn act(&mut self, action: Action, crossing: &[usize]) -> Verdict {
        match action {
            Action::CreatePods(slots) => slots.into_iter().for_each(|slot| self.create(slot)),
            Action::DeletePods { pods, untrack } => {
                for pod in pods {
                    let pod = &mut self.pods[crossing[pod as usize]];
                    pod.row.flags |= pod_flag::TERMINATING;
                    if untrack {
                        pod.row.flags &= !pod_flag::TRACKED;
                        pod.is_let_go = true;
                    }
                }
            }
            Action::UntrackPods(pods) => {
                pods.iter().try_for_each(|pod| self.untrack(crossing[*pod as usize]))?;
            }
            Action::WriteJobStatus(write) => self.store(write, crossing)?,
            Action::RecordEvent(_) => {}
            Action::AdoptPods(_)
            | Action::DaemonSet(_)
            | Action::ReleasePods(_)
            | Action::DeleteJob
            | Action::CreateJobs(_)
            | Action::DeleteJobs(_)
            | Action::WriteCronJobStatus(_) => {
                return Err(TestCaseError::fail(
                    "nothing here is adopted, released or expired, or a CronJob's",
                ));
            }
        }
        Ok(())
    }

    fn create(&mut self, slot: PodSlot) {
        let row = PodRow {
            phase: PodPhase::Pending,
            flags: OURS,
            index: slot.index.unwrap_or(NO_INDEX),
            restarts: 0,
            most_restarts: 0,
            most_sidecar_restarts: 0,
            index_failures: slot.index_failures.unwrap_or(0),
            index_ignored_failures: 0,
            created_s: self.now_ms.div_euclid(1000),
            ready_changed_s: 0,
            finished_s: 0,
            exit_code: 0,
        };
        self.pods.push(ModelPod { row, is_gone: false, is_let_go: false });
    }

    /// The finalizer goes only from a Pod that is recorded, or that does not count.
    fn untrack(&mut self, pod: usize) -> Verdict {
        let is_recorded = self.uncounted.iter().any(|list| list.contains(&pod));
        let row = self.pods[pod].row;
        let index_is_known = self.job.mode == CompletionModeView::Indexed && {
            let bound = self.job.completions.unwrap_or(0);
            let (completed, _) = CompletionIndexes::parse(&self.job.status.completed_indexes, bound);
            let text = self.job.status.failed_indexes.clone().unwrap_or_default();
            let (failed, _) = CompletionIndexes::parse(&text, bound);
            row.phase == PodPhase::Succeeded && (completed.contains(row.index) || failed.contains(row.index))
        };
        let is_success = self.condition("SuccessCriteriaMet");
        let has_ended = matches!(row.phase, PodPhase::Succeeded | PodPhase::Failed);
        prop_assert!(
            is_recorded || index_is_known || (is_success && !has_ended),
            "Pod {pod} lost its finalizer: {row:?}"
        );
        self.pods[pod].is_let_go |= !is_recorded && !index_is_known;
        self.pods[pod].row.flags &= !pod_flag::TRACKED;
        Ok(())
    }

    /// Stores a status, after the checks of the API server and of the counting.
    fn store(&mut self, write: JobStatusWrite, crossing: &[usize]) -> Verdict {
        let old = &self.job.status;
        prop_assert!(write.succeeded >= old.succeeded && write.failed >= old.failed);
        prop_assert!(write.ready <= Some(write.active));
        let holds = |kind: &str| {
            write.conditions.iter().any(|c| &*c.kind == kind && c.status == ConditionStatus::True)
        };
        let is_finished = holds("Complete") || holds("Failed");
        let is_empty = write.uncounted.succeeded.is_empty() && write.uncounted.failed.is_empty();
        if is_finished {
            prop_assert!(
                is_empty && write.active == 0 && write.terminating == Some(0) && write.start_time.is_some()
            );
            let announced = if holds("Complete") { "SuccessCriteriaMet" } else { "FailureTarget" };
            prop_assert!(holds(announced));
        }
        prop_assert!(!(holds("SuccessCriteriaMet") && holds("FailureTarget")));
        prop_assert_eq!(holds("Complete"), write.completion_time.is_some());
        let new = [&write.uncounted.succeeded, &write.uncounted.failed]
            .map(|list| list.iter().map(|pod| crossing[*pod as usize]).collect::<Vec<_>>());
        for (list, pods) in new.iter().enumerate() {
            for pod in pods {
                prop_assert!(!self.settled.contains_key(pod), "Pod {pod} is recorded after it was counted");
                prop_assert!(!new[1 - list].contains(pod), "Pod {pod} is in both lists");
                prop_assert!(!self.uncounted[1 - list].contains(pod), "Pod {pod} changed lists");
            }
        }
        for (list, kept) in new.iter().enumerate() {
            for pod in self.uncounted[list].clone() {
                if !kept.contains(&pod) {
                    prop_assert!(!self.is_tracked(pod), "Pod {pod} is counted before its finalizer is gone");
                    self.settled.insert(pod, list);
                }
            }
        }
        self.uncounted = new;
        let count = |list| self.settled.values().filter(|settled| **settled == list).count() as u32;
        prop_assert_eq!(write.failed, count(1));
        if self.job.mode == CompletionModeView::NonIndexed {
            prop_assert_eq!(write.succeeded, count(0));
        }
        self.job.status = JobStatusView {
            conditions: write.conditions,
            start_time: write.start_time,
            completion_time: write.completion_time,
            active: write.active,
            succeeded: write.succeeded,
            failed: write.failed,
            terminating: write.terminating,
            ready: write.ready,
            completed_indexes: write.completed_indexes,
            failed_indexes: write.failed_indexes,
        };
        Ok(())
    }

    /// Nothing happens and nothing fails any more: the Job comes to rest, and then nothing was left undone.
    fn come_to_rest(&mut self) -> Verdict {
        for _ in 0..400 {
            let has_acted = self.step(0)?;
            match self.next_ms {
                _ if has_acted => {}
                Some(next_ms) => self.now_ms += i64::try_from(next_ms).unwrap_or(i64::MAX),
                None => {
                    self.now_ms += 3_600_000;
                    self.memo.clear();
                    prop_assert!(!self.step(0)?, "something was left undone that nothing would have woken");
                    return Ok(());
                }
            }
        }
        Err(TestCaseError::fail("the Job does not come to rest"))
    }

    /// Every Pod ends well and nothing fails any more: the Job ends, and every Pod that ended was counted.
    fn run_to_the_end(&mut self) -> Verdict {
        self.job.suspended = false;
        self.is_held = false;
        for _ in 0..400 {
            self.step(0)?;
            if self.condition("Complete") || self.condition("Failed") {
                return self.check_end();
            }
            self.now_ms += i64::try_from(self.next_ms.unwrap_or(1000)).unwrap_or(i64::MAX);
            let now_s = self.now_ms.div_euclid(1000);
            for pod in &mut self.pods {
                if !matches!(pod.row.phase, PodPhase::Succeeded | PodPhase::Failed) {
                    let is_stopped = pod.row.flags & pod_flag::TERMINATING != 0;
                    pod.row.phase = if is_stopped { PodPhase::Failed } else { PodPhase::Succeeded };
                    pod.row.finished_s = now_s;
                }
            }
        }
        Err(TestCaseError::fail(format!("the Job does not end: {:?}", self.job)))
    }

    fn check_end(&self) -> Verdict {
        for (number, pod) in self.pods.iter().enumerate() {
            let is_indexed_success =
                self.job.mode == CompletionModeView::Indexed && pod.row.phase == PodPhase::Succeeded;
            prop_assert!(!self.is_tracked(number) || pod.is_gone, "Pod {number} kept its finalizer");
            if !pod.is_let_go && !is_indexed_success {
                prop_assert!(
                    self.settled.contains_key(&number),
                    "Pod {number} was never counted: {:?}",
                    pod.row
                );
            }
        }
        Ok(())
    }

    fn crosses(&self, pod: usize) -> bool {
        let has_ended = matches!(self.pods[pod].row.phase, PodPhase::Succeeded | PodPhase::Failed);
        !self.pods[pod].is_gone && (!has_ended || self.is_tracked(pod))
    }

    fn is_tracked(&self, pod: usize) -> bool {
        !self.pods[pod].is_gone && self.pods[pod].row.flags & pod_flag::TRACKED != 0
    }

    fn condition(&self, kind: &str) -> bool {
        self.job.status.conditions.iter().any(|c| &*c.kind == kind && c.status == ConditionStatus::True)
    }
}
