//! A guest's plan is checked before anything is done: the host does not trust what it returns.

mod cron_job;
mod daemon_set;

use std::fmt;

use windlass_core::kube::{ConditionStatus, Job, JobCondition};
use windlass_core::plan::{Action, JobStatusWrite, MAX_EVENT_MESSAGE_BYTES, Plan, Read, Step};
use windlass_core::view::{ActiveRow, Admission, pod_flag};

use crate::cache::PodEntry;
use crate::engine::Snapshot;
use crate::key::KeyKind;
use crate::plugin::admission::is_ahead_of;
use crate::snapshot::{Gathered, Subject};

/// Most steps of a plan.
pub const MAX_STEPS: usize = 128;
/// Most bytes of a memo.
pub const MAX_MEMO_BYTES: usize = 64 * 1024;
/// Most Pods that one plan may create, whatever the flags say.
pub const MAX_CREATES: usize = 10_000;

/// A plan that may be carried out.
#[derive(Clone, Debug)]
pub struct CheckedPlan(Plan);

impl CheckedPlan {
    /// The plan.
    #[must_use]
    pub fn into_inner(self) -> Plan {
        self.0
    }

    /// A plan of the host's own, which nobody has to check.
    pub(crate) fn unchecked(plan: Plan) -> Self {
        Self(plan)
    }
}

/// What is wrong with a plan: always the core's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanDefect {
    /// More steps than [`MAX_STEPS`].
    TooManySteps,
    /// A memo longer than [`MAX_MEMO_BYTES`].
    MemoTooLong,
    /// A step follows itself or a later one.
    StepOrder,
    /// A Pod is named that the snapshot does not have.
    UnknownPod,
    /// A Pod is to be deleted, counted or released that is not the Job's.
    ForeignPod,
    /// A Pod is to be adopted that has a controller.
    NotAnOrphan,
    /// More Pods than [`MAX_CREATES`] in one plan.
    TooManyCreates,
    /// A Pod is to be created for an index that the Job does not have.
    IndexOutOfRange,
    /// A Job is to be started, or Pods are to be created for one, that may not start yet.
    NotAdmitted,
    /// An action that the key does not allow.
    ForbiddenAction,
    /// A Job is named that the snapshot does not have, or that is another's.
    ForeignJob,
    /// Two Jobs are to be created for one instant, or one for an instant that the clock does not know.
    ScheduledTwice,
    /// A Pod is uncounted twice in one status.
    DuplicateUncounted,
    /// A node is named that the snapshot does not have, or twice, or settled as what it is not.
    UnknownNode,
    /// A revision is named that the snapshot does not have or that is another's, or a hash that no revision has.
    ForeignRevision,
    /// A status says what cannot be.
    FalseStatus,
    /// A read is asked for whose answer the snapshot holds already: it would be asked for ever.
    RepeatedRead,
    /// A read is asked for together with steps, though nothing may be decided before its answer.
    ReadWithSteps,
    /// It wants to be woken at an instant that has passed.
    WakeInThePast,
}

impl PlanDefect {
    /// Stable name for metrics and records.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::TooManySteps => "too_many_steps",
            Self::MemoTooLong => "memo_too_long",
            Self::StepOrder => "step_order",
            Self::UnknownPod => "unknown_pod",
            Self::ForeignPod => "foreign_pod",
            Self::NotAnOrphan => "not_an_orphan",
            Self::TooManyCreates => "too_many_creates",
            Self::IndexOutOfRange => "index_out_of_range",
            Self::NotAdmitted => "not_admitted",
            Self::ForbiddenAction => "forbidden_action",
            Self::ForeignJob => "foreign_job",
            Self::ScheduledTwice => "scheduled_twice",
            Self::DuplicateUncounted => "duplicate_uncounted",
            Self::UnknownNode => "unknown_node",
            Self::ForeignRevision => "foreign_revision",
            Self::FalseStatus => "false_status",
            Self::RepeatedRead => "repeated_read",
            Self::ReadWithSteps => "read_with_steps",
            Self::WakeInThePast => "wake_in_the_past",
        }
    }
}

impl fmt::Display for PlanDefect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the core's plan was refused ({}): nothing was done", self.category())
    }
}

impl std::error::Error for PlanDefect {}

/// The plan, if all of it may be carried out on what was gathered.
///
/// # Errors
/// The first [`PlanDefect`] found.
pub fn check(plan: Plan, gathered: &Gathered) -> Result<CheckedPlan, PlanDefect> {
    if plan.steps.len() > MAX_STEPS {
        return Err(PlanDefect::TooManySteps);
    }
    if plan.memo.len() > MAX_MEMO_BYTES {
        return Err(PlanDefect::MemoTooLong);
    }
    if let Some(read) = plan.read {
        check_read(read, &plan, gathered)?;
    }
    check_wake(&plan, gathered)?;
    daemon_set::check_settled(&plan.settled, gathered)?;
    if matches!(gathered.subject, Subject::CronJob(_)) {
        cron_job::check_created(&plan)?;
    }
    let mut creates = 0;
    for (position, step) in plan.steps.iter().enumerate() {
        if step.after.iter().any(|dependency| dependency.step as usize >= position) {
            return Err(PlanDefect::StepOrder);
        }
        check_step(step, gathered, &mut creates)?;
    }
    Ok(CheckedPlan(plan))
}

/// A plan that only reads costs a request and is followed by another run; so it is asked for once.
fn check_read(read: Read, plan: &Plan, gathered: &Gathered) -> Result<(), PlanDefect> {
    let is_answered = match (read, &*gathered.snapshot) {
        (Read::Owner, Snapshot::Job(snapshot)) => snapshot.live_owner.is_some(),
        (Read::Owner, Snapshot::DaemonSet(snapshot)) => snapshot.live_owner.is_some(),
        (Read::ActiveJobs, Snapshot::CronJob(snapshot)) => !snapshot.active.iter().any(ActiveRow::is_open),
        // The host itself reads the owner of a Pod before the core is asked.
        (Read::Owner, Snapshot::CronJob(_) | Snapshot::Orphan(_))
        | (Read::ActiveJobs, Snapshot::Job(_) | Snapshot::DaemonSet(_) | Snapshot::Orphan(_)) => {
            return Err(PlanDefect::ForbiddenAction);
        }
    };
    match (is_answered, plan.steps.is_empty()) {
        (true, _) => Err(PlanDefect::RepeatedRead),
        (false, false) => Err(PlanDefect::ReadWithSteps),
        (false, true) => Ok(()),
    }
}

/// Only a CronJob waits for the wall clock, and for what is to come: else it would be looked at without a pause.
fn check_wake(plan: &Plan, gathered: &Gathered) -> Result<(), PlanDefect> {
    let Some(at_ms) = plan.wake_at_ms else { return Ok(()) };
    match &*gathered.snapshot {
        Snapshot::CronJob(snapshot) if at_ms > snapshot.now_ms => Ok(()),
        Snapshot::CronJob(_) => Err(PlanDefect::WakeInThePast),
        Snapshot::Job(_) | Snapshot::DaemonSet(_) | Snapshot::Orphan(_) => Err(PlanDefect::ForbiddenAction),
    }
}

fn check_step(step: &Step, gathered: &Gathered, creates: &mut usize) -> Result<(), PlanDefect> {
    let job = match &gathered.subject {
        Subject::Job(job) => job,
        Subject::CronJob(_) => return cron_job::check_step(step, gathered),
        Subject::DaemonSet(_) => return daemon_set::check_step(step, gathered, creates),
        Subject::Orphan => {
            return match &step.action {
                Action::UntrackPods(pods) if pods.as_slice() == [0] => Ok(()),
                _ => Err(PlanDefect::ForbiddenAction),
            };
        }
    };
    if matches!(step.action, Action::DeleteJob) != (gathered.scope == KeyKind::TimeToLive) {
        return Err(PlanDefect::ForbiddenAction);
    }
    let is_ours = |entry: &PodEntry| entry.row.flags & pod_flag::OWNED != 0;
    match &step.action {
        Action::CreatePods(slots) => {
            *creates += slots.len();
            if *creates > MAX_CREATES {
                return Err(PlanDefect::TooManyCreates);
            }
            if start_is_ahead(job, gathered).is_some() {
                return Err(PlanDefect::NotAdmitted);
            }
            let completions = job.spec.completions.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
            for slot in slots {
                if job.is_indexed() != slot.index.is_some()
                    || slot.index.is_some_and(|index| index >= completions)
                {
                    return Err(PlanDefect::IndexOutOfRange);
                }
            }
            Ok(())
        }
        Action::DeletePods { pods, .. } => all(pods, gathered, is_ours, PlanDefect::ForeignPod),
        Action::UntrackPods(pods) => {
            let ours_or_orphan =
                |entry: &PodEntry| entry.row.flags & (pod_flag::OWNED | pod_flag::ORPHAN) != 0;
            all(pods, gathered, ours_or_orphan, PlanDefect::ForeignPod)
        }
        Action::ReleasePods(pods) => all(pods, gathered, is_ours, PlanDefect::ForeignPod),
        Action::AdoptPods(pods) => {
            let orphan = |entry: &PodEntry| entry.row.flags & pod_flag::ORPHAN != 0;
            all(pods, gathered, orphan, PlanDefect::NotAnOrphan)
        }
        Action::WriteJobStatus(status) => {
            check_start(job, status, gathered)?;
            check_status(status, gathered)
        }
        Action::DeleteJob => Ok(()),
        Action::RecordEvent(event) if event.message.len() <= MAX_EVENT_MESSAGE_BYTES => Ok(()),
        _ => Err(PlanDefect::ForbiddenAction),
    }
}

/// What was decided about the start of a Job that has not started.
fn start_is_ahead<'gathered>(job: &Job, gathered: &'gathered Gathered) -> Option<&'gathered Admission> {
    match &*gathered.snapshot {
        Snapshot::Job(snapshot) => snapshot.admission.as_ref().filter(|_| is_ahead_of(job)),
        Snapshot::CronJob(_) | Snapshot::DaemonSet(_) | Snapshot::Orphan(_) => None,
    }
}

/// A Job that may not start gets no start, but for one with its end, which the API server wants.
fn check_start(job: &Job, status: &JobStatusWrite, gathered: &Gathered) -> Result<(), PlanDefect> {
    let ends = |condition: &JobCondition| {
        matches!(&*condition.kind, "Complete" | "Failed") && condition.status == ConditionStatus::True
    };
    match start_is_ahead(job, gathered) {
        None | Some(Admission::Granted) => Ok(()),
        Some(Admission::Held | Admission::Refused(_))
            if status.start_time == job.status.start_time || status.conditions.iter().any(ends) =>
        {
            Ok(())
        }
        Some(Admission::Held | Admission::Refused(_)) => Err(PlanDefect::NotAdmitted),
    }
}

fn check_status(status: &JobStatusWrite, gathered: &Gathered) -> Result<(), PlanDefect> {
    let mut uncounted: Vec<u32> =
        status.uncounted.succeeded.iter().chain(&status.uncounted.failed).copied().collect();
    all(&uncounted, gathered, |_| true, PlanDefect::UnknownPod)?;
    let length = uncounted.len();
    uncounted.sort_unstable();
    uncounted.dedup();
    if uncounted.len() == length { Ok(()) } else { Err(PlanDefect::DuplicateUncounted) }
}

fn all(
    pods: &[u32],
    gathered: &Gathered,
    allowed: impl Fn(&PodEntry) -> bool,
    defect: PlanDefect,
) -> Result<(), PlanDefect> {
    for position in pods {
        let entry = gathered.children.get(*position as usize).ok_or(PlanDefect::UnknownPod)?;
        if !allowed(entry) {
            return Err(defect);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_core::kube::{CompletionMode, JobSpec, ObjectMeta, OwnerReference, Pod, Time, pod_row};
    use windlass_core::plan::{Dependency, EventRecord, PodSlot};
    use windlass_core::view::{JobSnapshot, LiveOwner, OrphanOwner, OrphanSnapshot, UncountedPods};

    use super::*;

    /// An Indexed Job of three completions with one Pod of its own, one without controller, one of another's.
    fn gathered() -> Gathered {
        let job = Job {
            metadata: ObjectMeta { name: "work".into(), uid: "job-uid".into(), ..ObjectMeta::default() },
            spec: Arc::new(JobSpec {
                completions: Some(3),
                completion_mode: Some(CompletionMode::Indexed),
                ..JobSpec::default()
            }),
            ..Job::default()
        };
        let child = |owner: Option<&str>| {
            let reference = |uid: &str| OwnerReference {
                uid: uid.into(),
                controller: Some(true),
                ..OwnerReference::default()
            };
            let metadata = ObjectMeta {
                owner_references: Arc::new(owner.map(reference).into_iter().collect()),
                ..ObjectMeta::default()
            };
            let pod = Arc::new(Pod { metadata, ..Pod::default() });
            Arc::new(PodEntry { row: pod_row(&pod, &job), pod, removed: false, arrival: 1 })
        };
        let children = vec![child(Some("job-uid")), child(None), child(Some("other-uid"))];
        let snapshot = JobSnapshot {
            now_ms: 0,
            flags: windlass_core::view::JobFlags::default(),
            job: Arc::new(windlass_core::kube::job_view(&job)),
            pods: windlass_core::view::PodColumns::default(),
            uncounted: UncountedPods::default(),
            live_owner: None,
            admission: None,
            memo: Vec::new(),
        };
        let (snapshot, subject) = (Arc::new(Snapshot::Job(snapshot)), Subject::Job(Arc::new(job)));
        Gathered {
            snapshot,
            children,
            jobs: Vec::new(),
            daemon: None,
            subject,
            scope: KeyKind::Job,
            known: crate::snapshot::KnownPods::default(),
        }
    }

    fn verdict(actions: Vec<Action>) -> Option<PlanDefect> {
        let mut plan = Plan::default();
        for action in actions {
            plan.push(action, Vec::new());
        }
        check(plan, &gathered()).err()
    }

    #[test]
    fn a_job_that_may_not_start_is_not_started() {
        let verdict = |admission: Admission, action: Action| {
            let (mut gathered, mut plan) = (gathered(), Plan::default());
            gathered.decide_start(admission);
            plan.push(action, Vec::new());
            check(plan, &gathered).err()
        };
        let creates = || Action::CreatePods(vec![slot(Some(2))]);
        for admission in [Admission::Granted, Admission::Held, Admission::Refused("no".into())] {
            assert_eq!(verdict(admission, creates()), Some(PlanDefect::NotAdmitted));
        }
        let status = |conditions: Vec<JobCondition>| {
            let start_time = Some(Time::from_unix_seconds(5));
            Action::WriteJobStatus(JobStatusWrite { start_time, conditions, ..JobStatusWrite::default() })
        };
        assert_eq!(verdict(Admission::Granted, status(Vec::new())), None);
        assert_eq!(verdict(Admission::Held, status(Vec::new())), Some(PlanDefect::NotAdmitted));
        let complete = JobCondition {
            kind: "Complete".into(),
            status: ConditionStatus::True,
            ..JobCondition::default()
        };
        assert_eq!(verdict(Admission::Held, status(vec![complete])), None, "an end needs a start");
    }

    fn slot(index: Option<u32>) -> PodSlot {
        PodSlot { index, index_failures: None, index_ignored_failures: None }
    }

    #[test]
    fn a_plan_on_the_jobs_own_pods_passes() {
        let status = JobStatusWrite {
            uncounted: UncountedPods { succeeded: vec![0], failed: Vec::new() },
            ..JobStatusWrite::default()
        };
        let actions = vec![
            Action::CreatePods(vec![slot(Some(2))]),
            Action::WriteJobStatus(status),
            Action::UntrackPods(vec![0]),
            Action::AdoptPods(vec![1]),
        ];
        assert_eq!(verdict(actions), None);
    }

    #[test]
    fn another_owners_pod_is_never_touched() {
        for action in [
            Action::DeletePods { pods: vec![2], untrack: false },
            Action::UntrackPods(vec![2]),
            Action::ReleasePods(vec![2]),
        ] {
            assert_eq!(verdict(vec![action]), Some(PlanDefect::ForeignPod));
        }
        assert_eq!(verdict(vec![Action::AdoptPods(vec![2])]), Some(PlanDefect::NotAnOrphan));
        assert_eq!(
            verdict(vec![Action::DeletePods { pods: vec![1], untrack: false }]),
            Some(PlanDefect::ForeignPod)
        );
    }

    #[test]
    fn a_position_that_the_snapshot_does_not_have_is_refused() {
        assert_eq!(verdict(vec![Action::UntrackPods(vec![3])]), Some(PlanDefect::UnknownPod));
        let status = JobStatusWrite {
            uncounted: UncountedPods { succeeded: Vec::new(), failed: vec![u32::MAX] },
            ..JobStatusWrite::default()
        };
        assert_eq!(verdict(vec![Action::WriteJobStatus(status)]), Some(PlanDefect::UnknownPod));
    }

    #[test]
    fn a_pod_is_uncounted_once() {
        let status = JobStatusWrite {
            uncounted: UncountedPods { succeeded: vec![0], failed: vec![0] },
            ..JobStatusWrite::default()
        };
        assert_eq!(verdict(vec![Action::WriteJobStatus(status)]), Some(PlanDefect::DuplicateUncounted));
    }

    #[test]
    fn a_pod_is_created_only_for_an_index_that_the_job_has() {
        assert_eq!(verdict(vec![Action::CreatePods(vec![slot(Some(3))])]), Some(PlanDefect::IndexOutOfRange));
        assert_eq!(verdict(vec![Action::CreatePods(vec![slot(None)])]), Some(PlanDefect::IndexOutOfRange));
        let many = vec![slot(Some(0)); MAX_CREATES + 1];
        assert_eq!(verdict(vec![Action::CreatePods(many)]), Some(PlanDefect::TooManyCreates));
    }

    #[test]
    fn a_step_follows_only_steps_before_it() {
        let mut plan = Plan::default();
        plan.push(Action::DeleteJob, vec![Dependency::settled(0)]);
        assert_eq!(check(plan, &gathered()).err(), Some(PlanDefect::StepOrder));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert_eq!(verdict(vec![Action::DeleteJob; MAX_STEPS + 1]), Some(PlanDefect::TooManySteps));
        let plan = Plan { memo: vec![0; MAX_MEMO_BYTES + 1], ..Plan::default() };
        assert_eq!(check(plan, &gathered()).err(), Some(PlanDefect::MemoTooLong));
        let message = "x".repeat(MAX_EVENT_MESSAGE_BYTES + 1);
        let event = EventRecord { warning: false, reason: "Completed".into(), message };
        assert_eq!(verdict(vec![Action::RecordEvent(event)]), Some(PlanDefect::ForbiddenAction));
    }

    #[test]
    fn a_read_is_asked_for_once_and_alone_and_never_for_an_orphan() {
        let read = || Plan { read: Some(Read::Owner), ..Plan::default() };
        assert!(check(read(), &gathered()).is_ok());
        let mut plan = read();
        plan.push(Action::UntrackPods(vec![0]), Vec::new());
        assert_eq!(check(plan, &gathered()).err(), Some(PlanDefect::ReadWithSteps));
        let Snapshot::Job(unread) = (*gathered().snapshot).clone() else { panic!("not a Job") };
        let answered = Snapshot::Job(JobSnapshot { live_owner: Some(LiveOwner::Gone), ..unread });
        let answered = Gathered { snapshot: Arc::new(answered), ..gathered() };
        assert_eq!(check(read(), &answered).err(), Some(PlanDefect::RepeatedRead));
        let orphan = Snapshot::Orphan(OrphanSnapshot { tracked: true, owner: OrphanOwner::Gone });
        let orphan = Gathered { snapshot: Arc::new(orphan), subject: Subject::Orphan, ..gathered() };
        assert_eq!(check(read(), &orphan).err(), Some(PlanDefect::ForbiddenAction));
        let jobs = Plan { read: Some(Read::ActiveJobs), ..Plan::default() };
        assert_eq!(check(jobs, &gathered()).err(), Some(PlanDefect::ForbiddenAction));
    }

    #[test]
    fn a_job_waits_for_no_instant_of_the_wall_clock() {
        let plan = Plan { wake_at_ms: Some(i64::MAX), ..Plan::default() };
        assert_eq!(check(plan, &gathered()).err(), Some(PlanDefect::ForbiddenAction));
    }

    #[test]
    fn only_the_key_of_the_time_to_live_deletes_the_job_and_does_nothing_else() {
        assert_eq!(verdict(vec![Action::DeleteJob]), Some(PlanDefect::ForbiddenAction));
        let aged = || Gathered { scope: KeyKind::TimeToLive, ..gathered() };
        let mut plan = Plan::default();
        plan.push(Action::DeleteJob, Vec::new());
        assert!(check(plan, &aged()).is_ok());
        let mut plan = Plan::default();
        plan.push(Action::UntrackPods(vec![0]), Vec::new());
        assert_eq!(check(plan, &aged()).err(), Some(PlanDefect::ForbiddenAction));
    }

    #[test]
    fn an_orphans_plan_is_to_untrack_it_or_nothing() {
        let orphan = || Gathered { subject: Subject::Orphan, ..gathered() };
        let mut plan = Plan::default();
        plan.push(Action::UntrackPods(vec![0]), Vec::new());
        assert!(check(plan, &orphan()).is_ok());
        let mut plan = Plan::default();
        plan.push(Action::DeletePods { pods: vec![0], untrack: true }, Vec::new());
        assert_eq!(check(plan, &orphan()).err(), Some(PlanDefect::ForbiddenAction));
    }
}
