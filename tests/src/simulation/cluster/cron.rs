//! What people do to CronJobs, and in their way.

use std::sync::Arc;

use windlass_core::kube::{CronJob, Job, JobManifest, Kind, Object, ObjectMeta, Str};
use windlass_sandbox::{Actor, DeleteOptions, MetadataPatch, Propagation, Quota, Store};

use super::{end_pod, touch};
use crate::simulation::workload::NAMESPACE;
use crate::simulation::workload::cron::{CronDeed, CronPlan, manifest, set_edition};

/// Annotation of a Job that somebody made from a CronJob by hand, as kubectl writes it.
const MADE_BY_HAND_ANNOTATION: &str = "cronjob.kubernetes.io/instantiate";

/// Does `deed` to the CronJob of `plan`, if there is something to do it to.
pub(super) fn perform(store: &mut Store, plan: &CronPlan, deed: CronDeed) {
    match deed {
        CronDeed::SetSchedule(schedule) => edit(store, plan, |spec| spec.schedule = schedule.into()),
        CronDeed::SetZone(zone) => edit(store, plan, |spec| spec.time_zone = zone.map(Into::into)),
        CronDeed::SetSuspend(suspend) => edit(store, plan, |spec| spec.suspend = Some(suspend)),
        CronDeed::SetPolicy(policy) => edit(store, plan, |spec| spec.concurrency_policy = policy.into()),
        CronDeed::SetDeadline(seconds) => {
            edit(store, plan, |spec| spec.starting_deadline_seconds = seconds);
        }
        CronDeed::SetLimits(successful, failed) => edit(store, plan, |spec| {
            spec.successful_jobs_history_limit = Some(successful);
            spec.failed_jobs_history_limit = Some(failed);
        }),
        CronDeed::EditTemplate(edition) => edit(store, plan, |spec| set_edition(spec, edition)),
        CronDeed::Touch(value) => touch(store, Kind::CronJob, &plan.name, value),
        CronDeed::Delete(propagation) => delete(store, Kind::CronJob, &plan.name, propagation),
        CronDeed::Replace => {
            delete(store, Kind::CronJob, &plan.name, Propagation::Background);
            create(store, plan);
        }
        CronDeed::DeleteJob(place) => {
            if let Some(job) = some_job(store, plan, place) {
                delete(store, Kind::Job, &job.metadata.name, Propagation::Background);
            }
        }
        CronDeed::FinishJob(place) => {
            if let Some(job) = some_job(store, plan, place) {
                finish(store, &job);
            }
        }
        CronDeed::MakeJob(number) => make_job(store, plan, format!("{}-manual-{number}", plan.name).into()),
        CronDeed::TakeName(minutes) => take_name(store, plan, name_in(store, plan, minutes)),
        CronDeed::Limit(limit) => {
            let quota = limit.map(|limit| Quota { name: "jobs".into(), limit });
            store.limit_jobs(NAMESPACE, quota);
        }
        CronDeed::EndNamespace => end_namespace(store),
    }
}

/// Creates the CronJob of a plan.
pub(super) fn create(store: &mut Store, plan: &CronPlan) {
    let _ = if plan.is_old {
        store.restore_cron_job(Actor::USER, manifest(plan))
    } else {
        store.create_cron_job(Actor::USER, manifest(plan))
    };
}

/// The CronJob of that name, if it is there.
#[must_use]
pub fn cron_job(store: &Store, name: &str) -> Option<Arc<CronJob>> {
    match store.get(Kind::CronJob, NAMESPACE, name) {
        Ok(Object::CronJob(cron_job)) => Some(cron_job),
        _ => None,
    }
}

/// Changes the spec of the CronJob of that name, as people do.
pub fn edit_cron_job(store: &mut Store, name: &str, change: impl Fn(&mut windlass_core::kube::CronJobSpec)) {
    let Some(cron_job) = cron_job(store, name) else { return };
    let mut new = CronJob::clone(&cron_job);
    change(Arc::make_mut(&mut new.spec));
    let _ = store.update_cron_job(Actor::USER, &new);
}

/// Ends the Pods of a Job with success.
pub fn finish(store: &mut Store, job: &Job) {
    let names: Vec<Str> = store.dependents(&job.metadata.uid).map(|key| key.name.clone()).collect();
    for name in names {
        if let Ok(Object::Pod(pod)) = store.get(Kind::Pod, NAMESPACE, &name)
            && !pod.is_terminal()
        {
            end_pod(store, &pod, 0);
        }
    }
}

/// Deletes an object, as people do.
pub fn delete(store: &mut Store, kind: Kind, name: &str, propagation: Propagation) {
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    let _ = store.delete(Actor::USER, kind, NAMESPACE, name, &options);
}

/// Makes a Job from the CronJob of `plan` that has its controller reference, as `kubectl create job --from` does.
pub fn make_job_by_hand(store: &mut Store, cron_job: &CronJob, name: Str) {
    let template = &cron_job.spec.job_template;
    let annotations = [(MADE_BY_HAND_ANNOTATION.into(), "manual".into())].into();
    let metadata = ObjectMeta {
        name,
        namespace: NAMESPACE.into(),
        annotations: Arc::new(annotations),
        owner_references: Arc::new([cron_job.controller_reference()].into()),
        ..ObjectMeta::default()
    };
    let _ = store.create_job_of(Actor::USER, &JobManifest { metadata, spec: template.spec.clone() });
}

/// Makes a Job of that name that has nothing to do with any CronJob.
pub fn make_foreign_job(store: &mut Store, cron_job: &CronJob, name: Str) {
    let metadata = ObjectMeta { name, namespace: NAMESPACE.into(), ..ObjectMeta::default() };
    let spec = cron_job.spec.job_template.spec.clone();
    let _ = store.create_job_of(Actor::USER, &JobManifest { metadata, spec });
}

/// Lets a finalizer of somebody's keep a Job, or no more.
pub fn keep(store: &mut Store, job: &str, is_kept: bool) {
    let finalizer = Some("example.com/keep");
    let patch = MetadataPatch {
        add_finalizer: finalizer.filter(|_| is_kept),
        remove_finalizer: finalizer.filter(|_| !is_kept),
        ..MetadataPatch::default()
    };
    let _ = store.patch(Actor::USER, Kind::Job, NAMESPACE, job, &patch);
}

fn edit(store: &mut Store, plan: &CronPlan, change: impl Fn(&mut windlass_core::kube::CronJobSpec)) {
    edit_cron_job(store, &plan.name, change);
}

fn make_job(store: &mut Store, plan: &CronPlan, name: Str) {
    if let Some(cron_job) = cron_job(store, &plan.name) {
        make_job_by_hand(store, &cron_job, name);
    }
}

fn take_name(store: &mut Store, plan: &CronPlan, name: Str) {
    make_foreign_job(store, &manifest(plan), name);
}

/// Name of the Job for an instant so many minutes from now.
fn name_in(store: &Store, plan: &CronPlan, minutes: i64) -> Str {
    JobManifest::name_at(&plan.name, store.unix_ms() / 1_000 + minutes * 60)
}

fn some_job(store: &Store, plan: &CronPlan, place: u64) -> Option<Arc<Job>> {
    let cron_job = cron_job(store, &plan.name)?;
    let names: Vec<Str> = store.dependents(&cron_job.metadata.uid).map(|key| key.name.clone()).collect();
    let name = names.get(usize::try_from(place % names.len().max(1) as u64).ok()?)?;
    match store.get(Kind::Job, NAMESPACE, name) {
        Ok(Object::Job(job)) => Some(job),
        _ => None,
    }
}

/// Asks for the end of the namespace, and empties it as its controller does.
fn end_namespace(store: &mut Store) {
    let _ = store.delete_namespace(Actor::USER, NAMESPACE);
    for kind in [Kind::CronJob, Kind::Job] {
        let names: Vec<Str> = store.objects(kind).map(|object| object.metadata().name.clone()).collect();
        for name in names {
            delete(store, kind, &name, Propagation::Background);
        }
    }
}
