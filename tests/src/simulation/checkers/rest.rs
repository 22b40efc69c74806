//! What holds once nothing more is to happen: V1, V2 and C10.

use std::sync::Arc;

use windlass_core::kube::{Job, Kind, Object, Pod, PodPhase};
use windlass_sandbox::Store;

use super::counting::parse_indexes;
use super::ledger::Ledger;
use super::plugins::waits_for_ever;
use super::{Violation, ownership};
use crate::simulation::cluster::Cluster;
use crate::simulation::view::Sight;

/// The objects as they are at rest.
pub(super) fn check(store: &Store, cluster: &Cluster, ledger: &Ledger) -> Result<(), Violation> {
    for object in store.objects(Kind::Pod) {
        let Object::Pod(pod) = object else { continue };
        check_pod(pod, ledger)?;
    }
    for object in store.objects(Kind::Job) {
        let Object::Job(job) = object else { continue };
        // What another controller makes of its Jobs is its own affair.
        if !ownership::is_foreign(job) {
            check_job(job, store, cluster)?;
        }
    }
    Ok(())
}

fn check_pod(pod: &Pod, ledger: &Ledger) -> Result<(), Violation> {
    // What another controller's Pods carry is for that controller to remove.
    if pod.metadata.controller().is_some_and(|owner| &*owner.kind != Kind::Job.name()) {
        return Ok(());
    }
    let wrong = |why: &str| Err(Violation::new("V2", format!("{}: {why}", pod.metadata.name)));
    let owner = pod.metadata.controller().and_then(|owner| ledger.job(&owner.uid));
    let is_unfinished = owner.is_some_and(|record| record.exists && !record.job.is_finished());
    // Where failures are counted for each index, the last failed Pod keeps the count until it is replaced.
    let keeps_count =
        is_unfinished && owner.is_some_and(|record| record.job.spec.backoff_limit_per_index.is_some());
    if pod.is_tracked() && keeps_count && pod.status.phase == PodPhase::Failed {
        return Ok(());
    }
    if pod.metadata.is_terminating() {
        return wrong("is still about to go");
    }
    if !pod.is_tracked() {
        return Ok(());
    }
    if pod.metadata.controller().is_none() {
        return wrong("keeps the finalizer without an owner");
    }
    if is_unfinished && !pod.is_terminal() {
        Ok(())
    } else {
        wrong("keeps the finalizer though its Job is done with it")
    }
}

fn check_job(job: &Job, store: &Store, cluster: &Cluster) -> Result<(), Violation> {
    let name = &job.metadata.name;
    let wrong = |predicate, why: String| Err(Violation::new(predicate, format!("{name}: {why}")));
    if job.metadata.is_terminating() {
        return wrong("V2", "is still about to go".to_owned());
    }
    let pods: Vec<Arc<Pod>> = store
        .dependents(&job.metadata.uid)
        .filter_map(|key| match store.get(key.kind, &key.namespace, &key.name) {
            Ok(Object::Pod(pod)) => Some(pod),
            _ => None,
        })
        .collect();
    let active: Vec<Sight> =
        pods.iter().map(|pod| Sight::of(pod)).filter(|sight| sight.is_active()).collect();
    if job.is_suspended() && !active.is_empty() {
        return wrong("V1", "is suspended and has active Pods".to_owned());
    }
    let parallelism = job.spec.parallelism.unwrap_or(1);
    let most = if job.is_finished() { 0 } else { parallelism };
    if to_i32(active.len()) > most {
        return wrong("V1", format!("has {} active Pods, where {most} are most", active.len()));
    }
    let ready = active.iter().filter(|sight| sight.is_ready).count();
    let told = (job.status.active, job.status.ready.unwrap_or(0), job.status.terminating.unwrap_or(0));
    if told != (to_i32(active.len()), to_i32(ready), 0) {
        return wrong(
            "C10",
            format!(
                "says {told:?} active, ready and terminating, with {} active and {ready} ready",
                active.len()
            ),
        );
    }
    let uncounted = job.status.uncounted_terminated_pods.as_ref();
    if uncounted.is_some_and(|lists| !lists.succeeded.is_empty() || !lists.failed.is_empty()) {
        return wrong("V2", "has Pods that were never settled".to_owned());
    }
    if job.is_finished() || job.is_suspended() {
        return Ok(());
    }
    if job.spec.active_deadline_seconds.is_some() {
        return wrong("J8", "has a deadline that is never kept".to_owned());
    }
    if waits_for_ever(&job.metadata.annotations) {
        return Ok(());
    }
    if cluster.pods_end(name) && parallelism > 0 {
        return wrong("V2", format!("has not ended, with {} of its Pods active", active.len()));
    }
    // Pods that run for ever: as many of them as are wanted, and none that has ended but is not told.
    let failed = to_i32(parse_indexes(job.status.failed_indexes.as_deref().unwrap_or("")).len());
    let left =
        job.spec.completions.map_or(i32::MAX, |completions| completions - job.status.succeeded - failed);
    let wanted =
        if job.spec.completions.is_none() && job.status.succeeded > 0 { 0 } else { parallelism.min(left) };
    let is_short = to_i32(active.len()) != wanted && job.spec.completions.is_some();
    if is_short || pods.iter().any(|pod| pod.status.phase == PodPhase::Unknown) {
        return wrong("V1", format!("has {} active Pods, where {wanted} are wanted", active.len()));
    }
    Ok(())
}

fn to_i32(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
