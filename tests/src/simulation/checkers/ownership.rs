//! Only what is ours is touched, and only in the ways that are declared: C1 and C13.

use std::sync::Arc;

use windlass_core::kube::{Job, Kind, Object, OwnerReference, Pod};
use windlass_sandbox::{Commit, Resource, Verb};

use super::Violation;
use super::cron_ledger::CronLedger;
use super::daemon_ledger::DaemonLedger;
use super::ledger::Ledger;
use crate::simulation::workload::OTHER_CONTROLLER;

/// A commit of ours.
pub(super) fn check(
    commit: &Commit,
    ledger: &Ledger,
    crons: &CronLedger,
    sets: &DaemonLedger,
) -> Result<(), Violation> {
    match (commit.resource, commit.verb) {
        (Resource::Event, Verb::Create | Verb::Patch) => Ok(()),
        (Resource::Job, Verb::UpdateStatus) => match &commit.before {
            Some(Object::Job(job)) if is_foreign(job) => {
                Err(Violation::new("C13", format!("{} is another controller's to write", job.metadata.name)))
            }
            _ => Ok(()),
        },
        (Resource::CronJob | Resource::DaemonSet, Verb::UpdateStatus) => Ok(()),
        (Resource::ControllerRevision, Verb::Create | Verb::Update | Verb::Patch | Verb::Delete) => {
            let metadata = |object: &Option<Object>| object.as_ref().map(Object::metadata).cloned();
            sets.check_revision(metadata(&commit.before).as_ref(), metadata(&commit.after).as_ref())
        }
        (Resource::Job, Verb::Create) => {
            let owner = commit.after.as_ref().and_then(|job| job.metadata().controller());
            match owner {
                Some(owner) if crons.knows(&owner.uid) => Ok(()),
                _ => Err(Violation::new("C1", "a Job was created for no CronJob".to_owned())),
            }
        }
        // Whose it is, whoever sends it has to know: see K8. That of a time to live is anybody's.
        (Resource::Job, Verb::Delete) => Ok(()),
        (Resource::Pod, Verb::Create | Verb::Patch | Verb::Delete) => {
            let pod = |object: &Option<Object>| match object {
                Some(Object::Pod(pod)) => Some(pod.clone()),
                _ => None,
            };
            check_pod(pod(&commit.before), pod(&commit.after), commit.verb, (ledger, sets))
        }
        (resource, verb) => {
            Err(Violation::new("C13", format!("{verb:?} of {resource:?} is none of our verbs")))
        }
    }
}

/// Whether another controller manages the Job.
pub(super) fn is_foreign(job: &Job) -> bool {
    job.spec.managed_by.as_deref().is_some_and(|name| name == OTHER_CONTROLLER)
}

fn check_pod(
    before: Option<Arc<Pod>>,
    after: Option<Arc<Pod>>,
    verb: Verb,
    (ledger, sets): (&Ledger, &DaemonLedger),
) -> Result<(), Violation> {
    let owner = |pod: &Option<Arc<Pod>>| pod.as_ref().and_then(|pod| pod.metadata.controller()).cloned();
    let (old, new) = (owner(&before), owner(&after));
    let is_foreign_uid = |owner: &Option<OwnerReference>| {
        let record = owner.as_ref().and_then(|owner| ledger.job(&owner.uid));
        record.is_some_and(|record| record.exists && is_foreign(&record.job))
    };
    if is_foreign_uid(&old) || is_foreign_uid(&new) {
        return Err(Violation::new("C13", "a Pod of another controller's Job was changed".to_owned()));
    }
    let name = before.as_ref().or(after.as_ref()).map(|pod| pod.metadata.name.clone()).unwrap_or_default();
    let is_ours = |uid: &str| ledger.job(uid).is_some() || sets.set(uid).is_some();
    let wrong = |why: &str| Err(Violation::new("C1", format!("{name}: {why}")));
    match (verb, old, new) {
        (Verb::Create, _, Some(owner)) if is_ours(&owner.uid) => Ok(()),
        (Verb::Create, ..) => wrong("was created for an owner that never was"),
        (Verb::Delete, Some(owner), _) if is_ours(&owner.uid) => Ok(()),
        // Its uid was the precondition, and somebody took our reference off it since we saw it.
        (Verb::Delete, None, _) if before.as_ref().is_some_and(|pod| ledger.was_owned(&pod.metadata.uid)) => {
            Ok(())
        }
        (Verb::Delete, ..) => wrong("was deleted though it is not ours"),
        (_, Some(owner), _) if ![Kind::Job, Kind::DaemonSet].iter().any(|kind| owner.names(*kind)) => {
            wrong("belongs to another kind")
        }
        (_, None, Some(owner)) => {
            let of_job = ledger.job(&owner.uid).and_then(|record| record.job.spec.selector.as_ref());
            let selector = of_job.or_else(|| sets.set(&owner.uid).and_then(|set| set.spec.selector.as_ref()));
            let selects =
                selector.zip(after.as_ref()).is_some_and(|(one, pod)| one.matches(&pod.metadata.labels));
            if selects { Ok(()) } else { wrong("was adopted though the selector does not match") }
        }
        (_, Some(owner), _) if is_ours(&owner.uid) => Ok(()),
        // The finalizer of a Pod that nobody owns any more is ours to remove.
        (_, None, None) => Ok(()),
        _ => wrong("was changed though it is not ours"),
    }
}
