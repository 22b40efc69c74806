//! From the objects of a request to the snapshot that reconcile sees.

use alloc::vec::Vec;

use super::request::Request;
use crate::kube::{
    CronJob, Job, JobManifest, Pod, Uid, active_rows, cron_job_row, cron_job_view, failed_pod, job_view,
    pod_row, uncounted_pods,
};
use crate::view::{CronJobSnapshot, JobSnapshot, PodColumns};

/// A snapshot, and the Pods that its positions stand for.
pub(super) struct Gathered<'request> {
    pub(super) snapshot: JobSnapshot,
    pub(super) children: Vec<&'request Pod>,
}

impl<'request> Gathered<'request> {
    /// The snapshot of `job` among the Pods of the request.
    pub(super) fn of(request: &'request Request, job: &Job) -> Self {
        let children: Vec<&Pod> = request.pods.iter().filter(|pod| is_child(pod, job)).collect();
        let mut pods = PodColumns::with_capacity(children.len());
        for (position, pod) in (0..).zip(&children) {
            pods.push(pod_row(pod, job));
            let policy = job.spec.pod_failure_policy.as_ref();
            pods.failed_details.extend(policy.and_then(|policy| failed_pod(pod, position, policy)));
        }
        let snapshot = JobSnapshot {
            now_ms: request.now_ms,
            flags: request.flags.clone(),
            job: job_view(job).into(),
            uncounted: uncounted_pods(job, children.iter().copied()),
            pods,
            live_owner: request.live_owner,
            memo: request.memo.clone(),
        };
        Self { snapshot, children }
    }
}

/// The snapshot of a CronJob, and the Jobs that its positions stand for.
pub(super) struct GatheredCronJob<'request> {
    pub(super) snapshot: CronJobSnapshot,
    pub(super) jobs: Vec<&'request Job>,
}

impl<'request> GatheredCronJob<'request> {
    /// The snapshot of `cron_job` among the Jobs of the request.
    pub(super) fn of(request: &'request Request, cron_job: &CronJob) -> Self {
        let uid = &cron_job.metadata.uid;
        let jobs: Vec<&Job> = request.jobs.iter().filter(|job| is_seen(job, cron_job)).collect();
        let live = |uid: &Uid| request.live_jobs.get(uid).copied();
        let active = active_rows(&cron_job.status, jobs.iter().copied(), live);
        let snapshot = CronJobSnapshot {
            now_ms: request.now_ms,
            flags: request.cron_job_flags.clone(),
            cron_job: cron_job_view(cron_job).into(),
            edited_s: request.edited_s,
            newest_run_s: request.newest_run_s,
            jobs: jobs.iter().map(|job| cron_job_row(job, uid)).collect(),
            active,
            memo: request.memo.clone(),
        };
        Self { snapshot, jobs }
    }
}

/// Whether the CronJob's reconcile has to see the Job: it is the CronJob's, or has a name that it might give.
fn is_seen(job: &Job, cron_job: &CronJob) -> bool {
    let is_owned = job.metadata.controller().is_some_and(|owner| owner.uid == cron_job.metadata.uid);
    let is_named_after = JobManifest::minute_of(&cron_job.metadata.name, &job.metadata.name).is_some();
    job.metadata.namespace == cron_job.metadata.namespace && (is_owned || is_named_after)
}

/// Whether the Job's reconcile has to see the Pod: it is the Job's or could be adopted, and it has not
/// ended, or is still to be counted.
fn is_child(pod: &Pod, job: &Job) -> bool {
    let belongs = match pod.metadata.controller() {
        Some(owner) => owner.uid == job.metadata.uid,
        None => job.spec.selector.as_ref().is_some_and(|selector| selector.matches(&pod.metadata.labels)),
    };
    belongs && pod.metadata.namespace == job.metadata.namespace && (!pod.is_terminal() || pod.is_tracked())
}
