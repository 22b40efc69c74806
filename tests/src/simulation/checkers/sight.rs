//! What a process must have seen before it acts: C3, C4, C5, C6, C7, C8, C14 and L1.

use windlass_core::kube::{Kind, ObjectMeta, Str};
use windlass_host::controller::Run;
use windlass_host::engine::Snapshot;
use windlass_host::key::{Key, Name};
use windlass_host::request::{Flow, ObjectRef, Operation, Propagation, Request};

use super::Violation;
use super::daemon_ledger::DaemonLedger;
use super::ledger::Ledger;
use super::observer::Observer;
use crate::simulation::view::sum_of_columns;
use crate::simulation::workload::NAMESPACE;

/// A process takes up a key.
pub(super) fn runs(observer: &mut Observer, run: &Run) -> Result<(), Violation> {
    if observer.is_stopping {
        return Err(Violation::new("L1", format!("{} runs though the process is to end", run.key)));
    }
    if !observer.is_leading || !observer.view.is_synced() {
        return Err(Violation::new("C5", format!("{} runs before everything was listed", run.key)));
    }
    if observer.running.values().any(|key| *key == run.key) {
        return Err(Violation::new("C8", format!("{} runs twice at once", run.key)));
    }
    if let Key::Job(_) | Key::CronJob(_) | Key::DaemonSet(_) = &run.key {
        let for_this = |key: &Option<Key>| key.as_ref() == Some(&run.key);
        if observer.in_flight.values().any(for_this) {
            return Err(Violation::new("C8", format!("{} runs while writes of it are in flight", run.key)));
        }
        if let Some((target, _)) = observer.unsettled.iter().find(|(_, key)| for_this(key)) {
            return Err(Violation::new(
                "C7",
                format!("{} runs though nobody knows what became of a write to {}", run.key, target.2),
            ));
        }
    }
    if let Key::Job(name) = &run.key {
        sees_everything(observer, run, &name.name)?;
    }
    if let Key::OrphanPod(name) = &run.key {
        observer.alone.insert(name.name.clone());
    }
    observer.running.insert(run.id, run.key.clone());
    Ok(())
}

/// The snapshot shows exactly what watches have delivered and writes have acknowledged.
fn sees_everything(observer: &Observer, run: &Run, name: &str) -> Result<(), Violation> {
    let Snapshot::Job(snapshot) = &*run.snapshot else { return Ok(()) };
    let Some(job) = observer.view.job(name) else {
        return Err(Violation::new("C6", format!("{} runs for a Job that is known to be gone", run.key)));
    };
    let (view, status) = (&snapshot.job, &job.status);
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    if view.uid != job.metadata.uid
        || view.terminating != job.metadata.is_terminating()
        || view.suspended != job.is_suspended()
        || view.parallelism != count(job.spec.parallelism.unwrap_or(1))
        || view.status.conditions.len() != status.conditions.len()
        || view.status.succeeded != count(status.succeeded)
        || view.status.failed != count(status.failed)
        || view.status.active != count(status.active)
        || view.status.completed_indexes != status.completed_indexes
    {
        return Err(Violation::new(
            "C4",
            format!("{} sees another Job than the newest known, {}", run.key, job.metadata.resource_version),
        ));
    }
    let known = observer.view.sum_of(&job.metadata.uid);
    if sum_of_columns(&snapshot.pods) != known {
        let names: Vec<Str> =
            observer.view.pods_of(&job.metadata.uid).map(|pod| pod.metadata.name.clone()).collect();
        return Err(Violation::new(
            "C4",
            format!("{} sees other Pods ({}) than those known: {names:?}", run.key, snapshot.pods.len()),
        ));
    }
    Ok(())
}

/// A process sends a request.
pub(super) fn sends(
    observer: &mut Observer,
    request: &Request,
    (ledger, sets): (&Ledger, &DaemonLedger),
    now_ms: u64,
) -> Result<(), Violation> {
    let what = request.operation.describe();
    if observer.paused.get(&request.flow).is_some_and(|until_ms| *until_ms > now_ms) {
        return Err(Violation::new("C14", format!("{what} is sent though the server asked for a rest")));
    }
    if request.flow != Flow::Write {
        return Ok(());
    }
    if observer.is_stopping {
        return Err(Violation::new("L1", format!("{what} is sent though the process is to end")));
    }
    if !observer.is_leading || !observer.view.is_synced() {
        return Err(Violation::new("C5", format!("{what} is sent before everything was listed")));
    }
    if let Operation::CreatePod(manifest) = &request.operation {
        let owner = manifest.metadata.controller();
        let is_alive = owner.is_some_and(|owner| {
            let job = observer.view.job(&owner.name).map(|job| &job.metadata);
            let set = observer.view.daemon_set(&owner.name).map(|set| &set.metadata);
            let is_it = |known: &&ObjectMeta| known.uid == owner.uid && !known.is_terminating();
            job.filter(is_it).or(set.filter(is_it)).is_some()
        });
        if !is_alive {
            return Err(Violation::new(
                "C3",
                format!(
                    "{} is asked for, but its owner is known to be gone or to go",
                    manifest.metadata.name
                ),
            ));
        }
    }
    let key = key_of(&request.operation, observer, (ledger, sets));
    observer.in_flight.insert(request.id, key);
    Ok(())
}

/// The key that a write is for, if it is a Job's, a CronJob's or a DaemonSet's.
fn key_of(
    operation: &Operation,
    observer: &Observer,
    (ledger, sets): (&Ledger, &DaemonLedger),
) -> Option<Key> {
    let name = |name: &Str| Name { namespace: NAMESPACE.into(), name: name.clone() };
    match operation {
        Operation::CreateJob(manifest) => {
            manifest.metadata.controller().map(|owner| Key::CronJob(name(&owner.name)))
        }
        Operation::WriteCronJobStatus(cron_job) => Some(Key::CronJob(name(&cron_job.metadata.name))),
        Operation::DeleteJob { job, pods: Propagation::Background } => {
            let owner = ledger.job(&job.uid)?.job.metadata.controller()?;
            Some(Key::CronJob(name(&owner.name)))
        }
        Operation::DaemonSet(operation) => {
            sets.set_of(operation, ledger).map(|set| Key::DaemonSet(name(&set)))
        }
        Operation::CreatePod(manifest)
            if manifest.metadata.controller().is_some_and(|owner| owner.names(Kind::DaemonSet)) =>
        {
            manifest.metadata.controller().map(|owner| Key::DaemonSet(name(&owner.name)))
        }
        Operation::DeletePod(pod) if set_of_pod(pod, (ledger, sets)).is_some() => {
            set_of_pod(pod, (ledger, sets)).map(|set| Key::DaemonSet(name(&set)))
        }
        _ => job_of(operation, observer, ledger).map(|job| Key::Job(name(&job))),
    }
}

/// Name of the DaemonSet that a Pod's controller is, if it is one.
fn set_of_pod(pod: &ObjectRef, (ledger, sets): (&Ledger, &DaemonLedger)) -> Option<Str> {
    let owner = ledger.controller_of_pod(&pod.uid)?;
    sets.set(owner).map(|set| set.metadata.name.clone())
}

/// Name of the Job that a write to a Pod, or to the Job's status, is for.
fn job_of(operation: &Operation, observer: &Observer, ledger: &Ledger) -> Option<Str> {
    match operation {
        Operation::CreatePod(manifest) => manifest.metadata.controller().map(|owner| owner.name.clone()),
        Operation::WriteJobStatus(job) => Some(job.metadata.name.clone()),
        Operation::AdoptPod { owner, .. } => Some(owner.name.clone()),
        Operation::UntrackPod { pod, .. } if observer.alone.contains(&pod.name) => None,
        Operation::UntrackPod { pod, .. } | Operation::ReleasePod { pod, .. } | Operation::DeletePod(pod) => {
            let name = ledger.job_name_of_pod(&pod.uid)?;
            let uid = &ledger.pod(&pod.uid)?.pod.metadata.controller()?.uid;
            // A Pod whose Job is not known, or not any more, is looked after by itself.
            let known = observer.view.job(name)?;
            (known.metadata.uid == *uid).then(|| name.clone())
        }
        // The time to live is a key of its own.
        Operation::DeleteJob { .. }
        | Operation::CreateJob(_)
        | Operation::WriteCronJobStatus(_)
        | Operation::DaemonSet(_)
        | Operation::Get { .. }
        | Operation::RecordEvent(_) => None,
    }
}
