//! Defects put in on purpose, each of which a named checker has to find: a check that cannot fail proves
//! nothing.

mod cron;
mod daemon;
mod plugins;

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, CronJob, DaemonSet, JOB_TRACKING_FINALIZER, Job, JobCondition, JobManifest, Kind, Object,
    PodManifest, ResourceVersion, RevisionManifest,
};
use windlass_core::plan::{Action, Plan};
use windlass_core::policy::BuiltIn;
use windlass_core::view::{JobSnapshot, JobView, UncountedPods};
use windlass_host::engine::{SharedPolicy, Snapshot};
use windlass_host::request::{self, DaemonSetOperation, ObjectRef, Operation, Outcome, Request};
use windlass_sandbox::{Actor, DeleteOptions, Deletion, MetadataPatch, Propagation, Store};

use super::workload::{EDITION_ANNOTATION, Workload};
pub use plugins::Asking;

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The core creates one Pod more than it decided.
    OneTooMany,
    /// The core lets Pods go without recording them first.
    UnrecordedUntracking,
    /// The core counts each success twice.
    CountsTwice,
    /// The core says Complete as soon as one Pod succeeded.
    CompletesEarly,
    /// The core forgets successes that it counted.
    ForgetsSuccess,
    /// The core takes Pods off the list that still have the finalizer.
    SettlesEarly,
    /// The host takes deletes of Pods for done and never sends them.
    KeepsSurplus,
    /// The core never removes finalizers.
    KeepsFinalizers,
    /// The core reports an active Pod that is not there.
    LiesAboutActive,
    /// The core writes something at every run.
    NeverQuiet,
    /// The host leaves the uid out of deletes.
    DeletesWithoutUid,
    /// The host leaves the resourceVersion out of status writes.
    WritesOverChanges,
    /// The host leaves the uid and the resourceVersion out of the removal of a finalizer.
    UntracksWithoutPreconditions,
    /// The host sends a create again under another name.
    CreatesTwice,
    /// The host takes an unknown outcome for one that is known not to have happened.
    ForgetsUnknown,
    /// The host removes labels with the finalizer.
    PatchesTooMuch,
    /// The core tries again at once whatever failed.
    RetriesAtOnce,
    /// The core bears more failures than the Job does.
    BearsTooMuch,
    /// The core bears more failures of an index than the Job does.
    BearsTooMuchOfAnIndex,
    /// The core thinks that deadlines are over earlier.
    FailsEarly,
    /// The core does not see that a Job is suspended.
    IgnoresSuspension,
    /// The core takes the start from a Job that runs.
    ForgetsStart,
    /// The core lets a Pod go that fails its Job, and does not say that it does.
    HidesVerdict,
    /// The core does not wait for Pods that are about to go.
    ReplacesTooSoon,
    /// The core does not wait for the time to live.
    DeletesTooSoon,
    /// The core does not see that another controller manages a Job.
    IgnoresManager,
    /// The core makes Pods for a Job that is about to end.
    IgnoresTarget,
    /// The host makes Pods from another template.
    UsesOldTemplate,
    /// The host forgets the starts that it granted and that are not on record yet.
    ForgetsGrants,
    /// The process exits without waiting for what is in flight.
    ExitsAtOnce,
    /// The core does not know which instants had their Job.
    RunsAgain,
    /// The core thinks that it is later.
    RunsEarly,
    /// The core does not see that a schedule was edited.
    RunsThePast,
    /// The core does not see the deadline of a run.
    RunsLate,
    /// The core does not see that runs exclude each other.
    RunsSideBySide,
    /// The core tells of instants before those that had a Job.
    ForgetsInstants,
    /// The core does not see that Jobs of a CronJob end.
    MissesEnds,
    /// The core keeps no history.
    KeepsNothing,
    /// The host takes another's Job for the one that it was to create.
    TakesForOwn,
    /// The core asks for no look at the next instant.
    NeverWakes,
    /// The core asks for no look at the next instant of an interval.
    NeverWakesAfterAnInterval,
    /// The host leaves the resourceVersion out of status writes to CronJobs.
    WritesOverCronJobs,
    /// The host leaves the uid out of deletes of Jobs.
    DeletesJobsWithoutUid,
    /// The host sends the create of a Job again under another name.
    CreatesJobsTwice,
    /// The host makes Jobs from another template.
    UsesOldJobTemplate,
    /// The core sees no limit of a history.
    KeepsEverything,
    /// The core tells of no instant that had its Job.
    HidesInstants,
    /// The core tells of no success.
    HidesSuccess,
    /// The core keeps no history, and tells of no instant that had its Job: who comes after it runs it again.
    CleansWhatItHides,
    /// The core does not see which Pods are the DaemonSet's.
    OverlooksPods,
    /// The core does not see the taints of nodes.
    OverlooksTaints,
    /// The core takes down more Pods at once than may be unavailable.
    TakesTooMany,
    /// The core makes more second Pods than may be.
    SurgesTooFar,
    /// The core takes every Pod for available.
    TakesTheLast,
    /// The core replaces Pods that only people may.
    RollsOnDelete,
    /// The core makes Pods of a revision that is not there.
    NamesNoRevision,
    /// The core sees no limit of a DaemonSet's history.
    KeepsAllRevisions,
    /// The core keeps no history of a DaemonSet.
    KeepsNoRevisions,
    /// The core does not wait before it replaces a failed Pod.
    ReplacesAtOnce,
    /// The core deletes Pods that were bound to a node which is gone.
    DeletesForGoneNodes,
    /// The core replaces no Pod of an old template.
    NeverRolls,
    /// The core makes no Pod for the first node.
    MissesANode,
    /// The core reports a ready Pod that is not there.
    LiesAboutNodes,
    /// The host leaves the resourceVersion out of status writes to DaemonSets.
    WritesOverDaemonSets,
    /// The host sends the create of a revision again under another name.
    CreatesRevisionsTwice,
    /// The host leaves the uid out of deletes of revisions.
    DeletesRevisionsWithoutUid,
    /// The host runs keys with plugins where it runs the others.
    SharesTheLane,
    /// The host asks plugins for objects that are bound to none.
    AsksForAnybody,
    /// The host takes whatever a plugin answers.
    ChecksNoBounds,
    /// The host takes those answers of a batch that may be given, and the built-in ones for the rest.
    TakesPartly,
    /// The host gives the built-in answers for a plugin that failed, whatever is declared.
    IgnoresOnFailure,
    /// The host asks the plugin that is loaded in the middle of a run.
    RereadsTheSet,
    /// The host asks plugins that are in quarantine.
    NeverQuarantines,
    /// The host asks a plugin without end.
    AsksTooOften,
    /// The host never again asks a plugin that failed.
    NeverTriesAgain,
}

impl Mutant {
    /// Every defect that the seeds of a plain run find, and the predicates of which one has to find it; the others have a
    /// story of their own.
    pub const ALL: [(Self, &'static [&'static str]); 74] = [
        (Self::OneTooMany, &["J1", "J2"]),
        (Self::UnrecordedUntracking, &["J4"]),
        (Self::CountsTwice, &["J3"]),
        (Self::CompletesEarly, &["J6"]),
        (Self::ForgetsSuccess, &["J3", "J5"]),
        (Self::SettlesEarly, &["J4", "J3"]),
        (Self::KeepsSurplus, &["V1", "V2"]),
        (Self::KeepsFinalizers, &["V2", "V1"]),
        (Self::LiesAboutActive, &["C10"]),
        (Self::NeverQuiet, &["V1", "C9"]),
        (Self::DeletesWithoutUid, &["C2", "C1"]),
        (Self::WritesOverChanges, &["C2"]),
        (Self::UntracksWithoutPreconditions, &["C2"]),
        (Self::CreatesTwice, &["C7"]),
        (Self::ForgetsUnknown, &["C4", "C7", "C8"]),
        (Self::PatchesTooMuch, &["C2"]),
        (Self::RetriesAtOnce, &["J7"]),
        (Self::BearsTooMuch, &["J7"]),
        (Self::BearsTooMuchOfAnIndex, &["J7"]),
        (Self::FailsEarly, &["J8"]),
        (Self::IgnoresSuspension, &["J9"]),
        (Self::ForgetsStart, &["J9"]),
        (Self::HidesVerdict, &["J10"]),
        (Self::ReplacesTooSoon, &["J11"]),
        (Self::DeletesTooSoon, &["J12"]),
        (Self::IgnoresManager, &["C13"]),
        (Self::IgnoresTarget, &["J6"]),
        (Self::UsesOldTemplate, &["C4"]),
        (Self::ForgetsGrants, &["A1"]),
        (Self::ExitsAtOnce, &["L1"]),
        (Self::RunsAgain, &["K1"]),
        (Self::RunsEarly, &["K2"]),
        (Self::RunsThePast, &["K3"]),
        (Self::RunsLate, &["K4"]),
        (Self::RunsSideBySide, &["K5"]),
        (Self::ForgetsInstants, &["K6"]),
        (Self::MissesEnds, &["K7"]),
        (Self::KeepsNothing, &["K8"]),
        (Self::TakesForOwn, &["K9"]),
        (Self::NeverWakes, &["V3"]),
        (Self::NeverWakesAfterAnInterval, &["V3"]),
        (Self::WritesOverCronJobs, &["C2"]),
        (Self::DeletesJobsWithoutUid, &["C2"]),
        (Self::CreatesJobsTwice, &["C7"]),
        (Self::UsesOldJobTemplate, &["C4"]),
        (Self::KeepsEverything, &["K8"]),
        (Self::HidesInstants, &["K6"]),
        (Self::HidesSuccess, &["K6"]),
        (Self::CleansWhatItHides, &["K1"]),
        (Self::OverlooksPods, &["D1"]),
        (Self::OverlooksTaints, &["D2"]),
        (Self::TakesTooMany, &["D3"]),
        (Self::SurgesTooFar, &["D4"]),
        (Self::TakesTheLast, &["D3", "D4"]),
        (Self::RollsOnDelete, &["D5"]),
        (Self::NamesNoRevision, &["D6"]),
        (Self::KeepsAllRevisions, &["D6"]),
        (Self::KeepsNoRevisions, &["D6"]),
        (Self::ReplacesAtOnce, &["D7"]),
        (Self::DeletesForGoneNodes, &["D8"]),
        (Self::NeverRolls, &["V4"]),
        (Self::MissesANode, &["V4", "V1"]),
        (Self::LiesAboutNodes, &["C10"]),
        (Self::WritesOverDaemonSets, &["C2"]),
        (Self::CreatesRevisionsTwice, &["C7"]),
        (Self::SharesTheLane, &["P1"]),
        (Self::AsksForAnybody, &["P1"]),
        (Self::ChecksNoBounds, &["P2"]),
        (Self::TakesPartly, &["P3"]),
        (Self::IgnoresOnFailure, &["P3"]),
        (Self::RereadsTheSet, &["P6"]),
        (Self::NeverQuarantines, &["P7"]),
        (Self::AsksTooOften, &["P7"]),
        (Self::NeverTriesAgain, &["V10"]),
    ];
}

impl Mutant {
    /// Whether the defect is one of the controller that a workload has: that of DaemonSets, or those of Jobs and CronJobs.
    #[must_use]
    pub fn concerns(self, workload: &Workload) -> bool {
        // The defects of DaemonSets come after those of Jobs and CronJobs, and those of plugins last.
        if self as usize >= Self::SharesTheLane as usize {
            return workload.plugins.is_some();
        }
        let is_of_sets = self as usize >= Self::OverlooksPods as usize;
        is_of_sets != workload.sets.is_empty() && (self != Self::ForgetsGrants || workload.has_queues())
    }
}

/// Another snapshot than the one that the core was to see; `None` where the defect does not concern it.
#[must_use]
pub fn corrupt_snapshot(mutant: Mutant, snapshot: &Snapshot) -> Option<Snapshot> {
    let snapshot = match snapshot {
        Snapshot::Job(snapshot) => snapshot,
        Snapshot::CronJob(snapshot) => return cron::corrupt_snapshot(mutant, snapshot),
        Snapshot::DaemonSet(snapshot) => return daemon::corrupt_snapshot(mutant, snapshot),
        _ => return None,
    };
    let mut job = JobView::clone(&snapshot.job);
    match mutant {
        Mutant::BearsTooMuch => job.backoff_limit += 5,
        Mutant::BearsTooMuchOfAnIndex => {
            job.backoff_limit_per_index = job.backoff_limit_per_index.map(|limit| limit + 1);
        }
        Mutant::FailsEarly => {
            job.active_deadline_seconds = job.active_deadline_seconds.map(|seconds| (seconds - 2).max(0));
        }
        Mutant::IgnoresSuspension => job.suspended = false,
        Mutant::ReplacesTooSoon => job.replace_only_failed = false,
        Mutant::DeletesTooSoon => {
            job.ttl_seconds_after_finished = job.ttl_seconds_after_finished.map(|_| 0);
        }
        Mutant::IgnoresManager => job.managed_by = None,
        Mutant::IgnoresTarget => {
            job.status.conditions.retain(|condition| &*condition.kind != "FailureTarget");
            job.backoff_limit += 5;
        }
        _ => return None,
    }
    let job = Arc::new(job);
    Some(Snapshot::Job(JobSnapshot { job, ..snapshot.clone() }))
}

/// The answers that the core gets to its questions; `None` where the defect does not concern them.
#[must_use]
pub fn corrupt_policy(mutant: Mutant) -> Option<BuiltIn> {
    (mutant == Mutant::RetriesAtOnce).then_some(BuiltIn { backoff_base_ms: 0, backoff_max_ms: 0 })
}

/// Who answers the core's questions in a run whose object has plugins.
#[must_use]
pub fn corrupt_answers(mutant: Mutant, asking: Asking<'_>) -> SharedPolicy {
    plugins::corrupt_answers(mutant, asking)
}

/// Puts a defect into a plan of the core.
pub fn corrupt_plan(mutant: Mutant, snapshot: &Snapshot, plan: &mut Plan) {
    let snapshot = match snapshot {
        Snapshot::Job(snapshot) => snapshot,
        Snapshot::CronJob(snapshot) => return cron::corrupt_plan(mutant, snapshot, plan),
        Snapshot::DaemonSet(_) => return daemon::corrupt_plan(mutant, plan),
        _ => return,
    };
    let mut steps = std::mem::take(&mut plan.steps);
    for step in &mut steps {
        match (&mut step.action, mutant) {
            (Action::CreatePods(slots), Mutant::OneTooMany) => {
                let last = slots.last().copied();
                slots.extend(last);
            }
            (Action::WriteJobStatus(status), Mutant::UnrecordedUntracking) => {
                status.uncounted = snapshot_lists(&snapshot.uncounted);
                status.completed_indexes = snapshot.job.status.completed_indexes.clone();
                status.succeeded = snapshot.job.status.succeeded;
            }
            (Action::WriteJobStatus(status), Mutant::CountsTwice) => {
                status.succeeded += u32::from(status.succeeded > snapshot.job.status.succeeded);
            }
            (Action::WriteJobStatus(status), Mutant::CompletesEarly)
                // The server refuses the end of a Job that has Pods left.
                if status.succeeded > 0
                    && status.active == 0
                    && status.uncounted == UncountedPods::default()
                    && !status.conditions.iter().any(|condition| &*condition.kind == "Complete") =>
            {
                let complete = JobCondition { kind: "Complete".into(), ..JobCondition::default() };
                status.conditions.push(complete);
                status.completion_time = status.start_time;
            }
            (Action::WriteJobStatus(status), Mutant::ForgetsSuccess) => {
                status.succeeded = status.succeeded.saturating_sub(1);
            }
            (Action::WriteJobStatus(status), Mutant::SettlesEarly) => {
                let early = snapshot_lists(&snapshot.uncounted);
                if !early.failed.is_empty() {
                    status.uncounted.failed.retain(|position| !early.failed.contains(position));
                    status.failed += early.failed.len() as u32;
                } else if !early.succeeded.is_empty() {
                    status.uncounted.succeeded.retain(|position| !early.succeeded.contains(position));
                    status.succeeded += early.succeeded.len() as u32;
                }
            }
            (Action::UntrackPods(pods), Mutant::KeepsFinalizers) => pods.clear(),
            (Action::WriteJobStatus(status), Mutant::LiesAboutActive) => status.active += 1,
            (Action::WriteJobStatus(status), Mutant::HidesVerdict) => {
                status.conditions.retain(|condition| &*condition.reason != "PodFailurePolicy");
            }
            (Action::WriteJobStatus(status), Mutant::ForgetsStart)
                if !snapshot.job.suspended && snapshot.job.status.start_time.is_some() =>
            {
                status.start_time = None;
            }
            _ => {}
        }
    }
    plan.steps = steps;
    if mutant == Mutant::NeverQuiet {
        let event = windlass_core::plan::EventRecord {
            warning: false,
            reason: "Here".into(),
            message: "still here".to_owned(),
        };
        plan.push(Action::RecordEvent(event), Vec::new());
    }
}

fn snapshot_lists(lists: &UncountedPods) -> UncountedPods {
    let known = |list: &[u32]| {
        list.iter().copied().filter(|position| *position != windlass_core::view::NO_POD).collect()
    };
    UncountedPods { succeeded: known(&lists.succeeded), failed: known(&lists.failed) }
}

/// Carries out a request with a defect; `None` where the defect does not concern it.
pub fn perform(mutant: Mutant, store: &mut Store, actor: Actor, operation: &Operation) -> Option<Outcome> {
    let told = |result: Result<Option<Object>, ApiStatus>| match result {
        Ok(object) => Outcome::Done(object),
        Err(status) => Outcome::Rejected(status),
    };
    match (mutant, operation) {
        (Mutant::DeletesWithoutUid, Operation::DeletePod(pod)) => {
            Some(told(delete(store, actor, Kind::Pod, pod, DeleteOptions::default())))
        }
        (Mutant::DeletesJobsWithoutUid, Operation::DeleteJob { job, pods }) => {
            let propagation = Some(match pods {
                request::Propagation::Background => Propagation::Background,
                request::Propagation::Foreground => Propagation::Foreground,
            });
            let options = DeleteOptions { propagation, ..DeleteOptions::default() };
            Some(told(delete(store, actor, Kind::Job, job, options)))
        }
        (Mutant::WritesOverCronJobs, Operation::WriteCronJobStatus(cron_job)) => {
            let mut cron_job = CronJob::clone(cron_job);
            cron_job.metadata.resource_version = ResourceVersion(0);
            let written = store.update_cron_job_status(actor, &cron_job);
            Some(told(written.map(|cron_job| Some(Object::CronJob(cron_job)))))
        }
        (Mutant::CreatesJobsTwice, Operation::CreateJob(manifest)) => {
            let mut again: JobManifest = manifest.as_ref().clone();
            again.metadata.name = format!("{}-again", manifest.metadata.name).into();
            let _ = store.create_job_of(actor, &again);
            Some(told(store.create_job_of(actor, manifest).map(|job| Some(Object::Job(job)))))
        }
        (Mutant::WritesOverDaemonSets, Operation::DaemonSet(DaemonSetOperation::WriteStatus(set))) => {
            let mut set = DaemonSet::clone(set);
            set.metadata.resource_version = ResourceVersion(0);
            let written = store.update_daemon_set_status(actor, &set);
            Some(told(written.map(|set| Some(Object::DaemonSet(set)))))
        }
        (
            Mutant::CreatesRevisionsTwice,
            Operation::DaemonSet(DaemonSetOperation::CreateRevision(manifest)),
        ) => {
            let mut again: RevisionManifest = manifest.as_ref().clone();
            again.metadata.name = format!("{}-again", manifest.metadata.name).into();
            let _ = store.create_revision_of(actor, &again);
            let created = store.create_revision_of(actor, manifest);
            Some(told(created.map(|revision| Some(Object::ControllerRevision(revision)))))
        }
        (
            Mutant::DeletesRevisionsWithoutUid,
            Operation::DaemonSet(DaemonSetOperation::DeleteRevision(revision)),
        ) => Some(told(delete(store, actor, Kind::ControllerRevision, revision, DeleteOptions::default()))),
        (Mutant::KeepsSurplus, Operation::DeletePod(_)) => Some(Outcome::Done(None)),
        (Mutant::WritesOverChanges, Operation::WriteJobStatus(job)) => {
            let mut job = Job::clone(job);
            job.metadata.resource_version = ResourceVersion(0);
            Some(told(store.update_job_status(actor, &job).map(|job| Some(Object::Job(job)))))
        }
        (
            Mutant::UntracksWithoutPreconditions | Mutant::PatchesTooMuch,
            Operation::UntrackPod { pod, .. },
        ) => {
            let labels = [("batch.kubernetes.io/job-name".into(), None)];
            let patch = MetadataPatch {
                remove_finalizer: Some(JOB_TRACKING_FINALIZER),
                labels: if mutant == Mutant::PatchesTooMuch { &labels } else { &[] },
                ..MetadataPatch::default()
            };
            let kind = Kind::Pod;
            Some(told(store.patch(actor, kind, &pod.namespace, &pod.name, &patch).map(Some)))
        }
        (Mutant::CreatesTwice, Operation::CreatePod(manifest)) => {
            let mut again: PodManifest = manifest.as_ref().clone();
            again.metadata.name = format!("{}-again", manifest.metadata.name).into();
            let _ = store.create_pod(actor, &again);
            Some(told(store.create_pod(actor, manifest).map(|pod| Some(Object::Pod(pod)))))
        }
        _ => None,
    }
}

fn delete(
    store: &mut Store,
    actor: Actor,
    kind: Kind,
    target: &ObjectRef,
    options: DeleteOptions<'_>,
) -> Result<Option<Object>, ApiStatus> {
    let deleted = store.delete(actor, kind, &target.namespace, &target.name, &options);
    deleted.map(|deletion| match deletion {
        Deletion::Pending(object) => Some(object),
        Deletion::Removed(_) => None,
    })
}

/// Changes what the process is told of an outcome.
#[must_use]
pub fn distort(mutant: Mutant, store: &Store, operation: &Operation, outcome: Outcome) -> Outcome {
    if let (Mutant::TakesForOwn, Operation::CreateJob(manifest)) = (mutant, operation) {
        return cron::take_for_own(store, manifest, outcome);
    }
    match (mutant, operation, &outcome) {
        (Mutant::ForgetsUnknown, Operation::CreatePod(_), Outcome::Unknown) => Outcome::NotSent,
        _ => outcome,
    }
}

/// Changes what a process sends.
#[must_use]
pub fn corrupt_request(mutant: Mutant, mut request: Request) -> Request {
    if let (Mutant::UsesOldTemplate, Operation::CreatePod(manifest)) = (mutant, &mut request.operation) {
        let annotations = &mut Arc::make_mut(manifest).metadata.annotations;
        Arc::make_mut(annotations).remove(EDITION_ANNOTATION);
    }
    if let (Mutant::UsesOldJobTemplate, Operation::CreateJob(manifest)) = (mutant, &mut request.operation) {
        let annotations = &mut Arc::make_mut(manifest).metadata.annotations;
        Arc::make_mut(annotations).remove(EDITION_ANNOTATION);
    }
    request
}
