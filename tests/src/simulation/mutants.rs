//! Defects put in on purpose, each of which a named checker has to find: a check that cannot fail proves
//! nothing.

use windlass_core::kube::{
    ApiStatus, JOB_TRACKING_FINALIZER, Job, JobCondition, Kind, Object, PodManifest, ResourceVersion,
};
use windlass_core::plan::{Action, Plan};
use windlass_core::view::UncountedPods;
use windlass_host::engine::Snapshot;
use windlass_host::request::{Operation, Outcome};
use windlass_sandbox::{Actor, DeleteOptions, MetadataPatch, Store};

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
    /// The core never deletes surplus Pods.
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
}

impl Mutant {
    /// Every defect, and the predicates of which one has to find it.
    pub const ALL: [(Self, &'static [&'static str]); 16] = [
        (Self::OneTooMany, &["J1", "J2"]),
        (Self::UnrecordedUntracking, &["J4"]),
        (Self::CountsTwice, &["J3"]),
        (Self::CompletesEarly, &["J6"]),
        (Self::ForgetsSuccess, &["J3", "J5"]),
        (Self::SettlesEarly, &["J4", "J3"]),
        (Self::KeepsSurplus, &["V1", "V2"]),
        (Self::KeepsFinalizers, &["V2", "V1"]),
        (Self::LiesAboutActive, &["C10", "V1", "J6"]),
        (Self::NeverQuiet, &["V1", "C9"]),
        (Self::DeletesWithoutUid, &["C2", "C1"]),
        (Self::WritesOverChanges, &["C2"]),
        (Self::UntracksWithoutPreconditions, &["C2"]),
        (Self::CreatesTwice, &["C7"]),
        (Self::ForgetsUnknown, &["C4", "C7", "C8"]),
        (Self::PatchesTooMuch, &["C2"]),
    ];
}

/// Puts a defect into a plan of the core.
pub fn corrupt_plan(mutant: Mutant, snapshot: &Snapshot, plan: &mut Plan) {
    let Snapshot::Job(snapshot) = snapshot else { return };
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
            (Action::DeletePods { pods, .. }, Mutant::KeepsSurplus) => pods.clear(),
            (Action::UntrackPods(pods), Mutant::KeepsFinalizers) => pods.clear(),
            (Action::WriteJobStatus(status), Mutant::LiesAboutActive) => status.active += 1,
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
            let kind = Kind::Pod;
            let deleted = store.delete(actor, kind, &pod.namespace, &pod.name, &DeleteOptions::default());
            Some(told(deleted.map(|deletion| match deletion {
                windlass_sandbox::Deletion::Pending(object) => Some(object),
                windlass_sandbox::Deletion::Removed(_) => None,
            })))
        }
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

/// Changes what the process is told of an outcome.
#[must_use]
pub fn distort(mutant: Mutant, operation: &Operation, outcome: Outcome) -> Outcome {
    match (mutant, operation, &outcome) {
        (Mutant::ForgetsUnknown, Operation::CreatePod(_), Outcome::Unknown) => Outcome::NotSent,
        _ => outcome,
    }
}
