//! Every write hits what it was meant for, as it was meant, and once: C2 and C7.

use std::collections::BTreeSet;

use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, ControllerRevision, JOB_TRACKING_FINALIZER, Labels, Object, ObjectMeta,
    ResourceVersion,
};
use windlass_host::request::{DaemonSetOperation, ObjectRef, Operation, RequestId};
use windlass_sandbox::{Commit, Verb};

use super::ledger::Ledger;
use super::{Cause, Violation};

/// Which creates have been committed.
#[derive(Debug, Default)]
pub(super) struct Preconditions {
    created: BTreeSet<(usize, u32, RequestId)>,
}

impl Preconditions {
    /// A commit of ours, and the request that led to it.
    pub(super) fn check(
        &mut self,
        commit: &Commit,
        cause: Option<&Cause>,
        ledger: &Ledger,
    ) -> Result<(), Violation> {
        let Some(cause) = cause else {
            return Err(Violation::new("C2", "a write of ours without a request".to_owned()));
        };
        let wrong = |why: String| {
            let what = cause.operation.describe();
            Err(Violation::new("C2", format!("{what}, request {}: {why}", cause.id.0)))
        };
        let before = commit.before.as_ref().map(Object::metadata);
        match (&cause.operation, before) {
            (Operation::RecordEvent(_), _) => Ok(()),
            (Operation::CreatePod(manifest), None) => self.made_once(&manifest.metadata, commit, cause),
            (Operation::CreateJob(manifest), None) => self.made_once(&manifest.metadata, commit, cause),
            (Operation::WriteCronJobStatus(cron_job), Some(before)) => {
                is_as_seen(&cron_job.metadata, before).or_else(wrong)?;
                stays_within(commit, &[])
            }
            (Operation::WriteJobStatus(job), Some(before)) => {
                is_as_seen(&job.metadata, before).or_else(wrong)?;
                stays_within(commit, &[])
            }
            (Operation::UntrackPod { pod, resource_version }, Some(before)) => {
                is_meant(pod, before, *resource_version).or_else(wrong)?;
                stays_within(commit, &[Field::Finalizers])?;
                needs_version(commit, resource_version.is_some(), ledger)
            }
            (
                Operation::AdoptPod { pod, resource_version, .. }
                | Operation::ReleasePod { pod, resource_version, .. },
                Some(before),
            ) => {
                is_meant(pod, before, Some(*resource_version)).or_else(wrong)?;
                stays_within(commit, &[Field::Finalizers, Field::Owners])
            }
            (Operation::DeletePod(target) | Operation::DeleteJob { job: target, .. }, Some(before)) => {
                is_meant(target, before, None).or_else(wrong)?;
                stays_within(commit, &[Field::Deletion])
            }
            (Operation::DaemonSet(operation), before) => self.daemon_set(operation, before, commit, cause),
            (operation, _) => wrong(format!("{operation:?} cannot lead to {:?}", commit.verb)),
        }
    }

    fn daemon_set(
        &mut self,
        operation: &DaemonSetOperation,
        before: Option<&ObjectMeta>,
        commit: &Commit,
        cause: &Cause,
    ) -> Result<(), Violation> {
        let wrong = |why: String| {
            Err(Violation::new("C2", format!("{}, request {}: {why}", operation.describe(), cause.id.0)))
        };
        match (operation, before) {
            (DaemonSetOperation::CreateRevision(manifest), None) => {
                self.made_once(&manifest.metadata, commit, cause)
            }
            (DaemonSetOperation::WriteStatus(set), Some(before)) => {
                is_as_seen(&set.metadata, before).or_else(wrong)?;
                stays_within(commit, &[])
            }
            (DaemonSetOperation::Adopt { object, resource_version, .. }, Some(before)) => {
                is_meant(object, before, Some(*resource_version)).or_else(wrong)?;
                stays_within(commit, &[Field::Owners])
            }
            (DaemonSetOperation::Release { object, .. }, Some(before)) => {
                is_meant(object, before, None).or_else(wrong)?;
                stays_within(commit, &[Field::Owners])
            }
            (DaemonSetOperation::Label { object, .. }, Some(before)) => {
                is_meant(object, before, None).or_else(wrong)?;
                stays_within(commit, &[Field::HashLabel])
            }
            (DaemonSetOperation::RenumberRevision { revision, resource_version, .. }, Some(before)) => {
                is_meant(revision, before, Some(*resource_version)).or_else(wrong)?;
                stays_within(commit, &[Field::Number])
            }
            (DaemonSetOperation::DeleteRevision(revision), Some(before)) => {
                is_meant(revision, before, None).or_else(wrong)?;
                stays_within(commit, &[Field::Deletion])
            }
            (operation, _) => wrong(format!("{operation:?} cannot lead to {:?}", commit.verb)),
        }
    }

    /// C7: what was made is what was asked for, and nothing was made for the request before.
    fn made_once(&mut self, asked: &ObjectMeta, commit: &Commit, cause: &Cause) -> Result<(), Violation> {
        let made = commit.after.as_ref().map(|after| &after.metadata().name);
        let is_first = self.created.insert((cause.process, cause.incarnation, cause.id));
        if made == Some(&asked.name) && is_first {
            return Ok(());
        }
        let why = format!("{} was asked for, and {made:?} was made, first: {is_first}", asked.name);
        Err(Violation::new("C7", why))
    }
}

/// A group of metadata fields that a write may change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Finalizers,
    Owners,
    Deletion,
    /// The label with the revision's hash.
    HashLabel,
    /// The number of a revision.
    Number,
}

/// A status is written to the very version that was seen.
fn is_as_seen(written: &ObjectMeta, before: &ObjectMeta) -> Result<(), String> {
    if (&before.uid, before.resource_version) == (&written.uid, written.resource_version) {
        return Ok(());
    }
    Err(format!("{} was written over as if it were {}", before.resource_version, written.resource_version))
}

fn is_meant(target: &ObjectRef, before: &ObjectMeta, version: Option<ResourceVersion>) -> Result<(), String> {
    if target.uid != before.uid {
        return Err(format!("{} was meant with uid {} and hit {}", target.name, target.uid, before.uid));
    }
    if version.is_some_and(|version| version != before.resource_version) {
        return Err(format!(
            "{} was meant at {version:?} and hit at {}",
            target.name, before.resource_version
        ));
    }
    Ok(())
}

/// A Pod that has not ended and is not recorded must be as it was seen when it loses the finalizer.
fn needs_version(commit: &Commit, has_version: bool, ledger: &Ledger) -> Result<(), Violation> {
    let Some(Object::Pod(pod)) = &commit.before else { return Ok(()) };
    if has_version || pod.is_terminal() {
        return Ok(());
    }
    let is_recorded = ledger.pod(&pod.metadata.uid).is_some_and(|record| record.recorded.is_some());
    let job = pod.metadata.controller().and_then(|owner| ledger.job(&owner.uid));
    // Once the success of the Job is said, what else its Pods come to does not count.
    let is_past = job.is_none_or(|record| {
        !record.exists || record.job.is_finished() || record.job.has_met_success_criteria()
    });
    if is_recorded || is_past {
        return Ok(());
    }
    Err(Violation::new(
        "C2",
        format!("{} lost its finalizer unrecorded and without its resourceVersion", pod.metadata.name),
    ))
}

/// What a write changes besides status stays within `allowed`.
fn stays_within(commit: &Commit, allowed: &[Field]) -> Result<(), Violation> {
    let (Some(before), Some(after)) = (&commit.before, &commit.after) else { return Ok(()) };
    let (old, new) = (before.metadata(), after.metadata());
    let may = |field: Field| allowed.contains(&field);
    let other_finalizers = |metadata: &ObjectMeta| {
        metadata
            .finalizers
            .iter()
            .filter(|name| &***name != JOB_TRACKING_FINALIZER)
            .cloned()
            .collect::<Vec<_>>()
    };
    let other_labels = |metadata: &ObjectMeta| {
        let mut labels = Labels::clone(&metadata.labels);
        labels.remove(CONTROLLER_REVISION_HASH_LABEL);
        labels
    };
    let is_same_spec = match (before, after) {
        (Object::Job(before), Object::Job(after)) => {
            std::sync::Arc::ptr_eq(&before.spec, &after.spec) || before.spec == after.spec
        }
        (Object::Pod(before), Object::Pod(after)) => {
            commit.verb != Verb::UpdateStatus && before.spec == after.spec && before.status == after.status
        }
        (Object::CronJob(before), Object::CronJob(after)) => before.spec == after.spec,
        (Object::DaemonSet(before), Object::DaemonSet(after)) => before.spec == after.spec,
        (Object::ControllerRevision(before), Object::ControllerRevision(after)) => {
            let data =
                |revision: &ControllerRevision| revision.data.as_ref().map(|data| data.get().to_owned());
            data(before) == data(after) && (may(Field::Number) || before.revision == after.revision)
        }
        _ => false,
    };
    let finalizers = old.finalizers == new.finalizers
        || may(Field::Finalizers) && other_finalizers(old) == other_finalizers(new)
        || may(Field::Deletion) && matches!(before, Object::Job(_));
    let is_within = old.uid == new.uid
        && (old.labels == new.labels || may(Field::HashLabel) && other_labels(old) == other_labels(new))
        && old.annotations == new.annotations
        && (may(Field::Owners) || old.owner_references == new.owner_references)
        && finalizers
        && (may(Field::Deletion)
            || old.deletion_timestamp == new.deletion_timestamp && old.generation == new.generation)
        && is_same_spec;
    if is_within {
        return Ok(());
    }
    Err(Violation::new("C2", format!("{} was changed beyond what was asked for", old.name)))
}
