//! From the objects of a request to the snapshot that reconcile sees.

use alloc::vec::Vec;

use super::TwinFault;
use super::request::Request;
use crate::daemon_set::revision;
use crate::kube::{
    ControllerRevision, CronJob, DaemonSet, DaemonTemplate, Job, JobManifest, LabelSelector, Node,
    ObjectMeta, Pod, Uid, active_rows, cron_job_row, cron_job_view, daemon_pod_columns, daemon_set_view,
    failed_pod, job_view, node_columns, pod_row, uncounted_pods,
};
use crate::view::{CronJobSnapshot, DaemonSetSnapshot, JobSnapshot, PodColumns};

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
            admission: request.admission.clone(),
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

/// The snapshot of a DaemonSet, and what its positions stand for.
pub(super) struct GatheredDaemonSet<'request> {
    pub(super) snapshot: DaemonSetSnapshot,
    pub(super) pods: Vec<&'request Pod>,
    pub(super) nodes: Vec<&'request Node>,
    pub(super) revisions: Vec<&'request ControllerRevision>,
    pub(super) template: DaemonTemplate,
}

impl<'request> GatheredDaemonSet<'request> {
    /// The snapshot of `set` among the Pods, nodes and revisions of the request.
    pub(super) fn of(request: &'request Request, set: &DaemonSet) -> Result<Self, TwinFault> {
        let template = DaemonTemplate::read(set).map_err(TwinFault::DaemonTemplate)?;
        let (metadata, selector) = (&set.metadata, set.spec.selector.as_ref());
        let pods = request.pods.iter().filter(|pod| belongs(&pod.metadata, metadata, selector));
        let pods: Vec<&Pod> = pods.collect();
        let nodes: Vec<&Node> = request.nodes.iter().collect();
        let is_near = |revision: &&ControllerRevision| revision.metadata.namespace == metadata.namespace;
        let name = revision::name(&metadata.name, &template.hash);
        let taken = request.revisions.iter().filter(is_near).find(|one| one.metadata.name == name);
        let revisions = request.revisions.iter().filter(is_near).filter(|revision| revision.is_seen_by(set));
        let revisions: Vec<&ControllerRevision> = revisions.collect();
        let (shapes, columns) = node_columns(nodes.iter().copied(), &template.placement, &[]);
        let snapshot = DaemonSetSnapshot {
            now_ms: request.now_ms,
            flags: request.daemon_set_flags.clone(),
            set: daemon_set_view(set, &template).into(),
            shapes,
            settled: 0,
            pods: daemon_pod_columns(pods.iter().copied(), set, &columns),
            nodes: columns,
            revisions: revisions.iter().map(|revision| revision.owned_row(set, &template)).collect(),
            taken: taken.map(|revision| revision.taken(set, &template)),
            rollout_policy: None,
            live_owner: request.live_owner,
            memo: request.memo.clone(),
        };
        Ok(Self { snapshot, pods, nodes, revisions, template })
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
    belongs(&pod.metadata, &job.metadata, job.spec.selector.as_ref())
        && (!pod.is_terminal() || pod.is_tracked())
}

/// Whether the owner controls the child, or could adopt it.
fn belongs(child: &ObjectMeta, owner: &ObjectMeta, selector: Option<&LabelSelector>) -> bool {
    let belongs = match child.controller() {
        Some(controller) => controller.uid == owner.uid,
        None => selector.is_some_and(|selector| selector.matches(&child.labels)),
    };
    belongs && child.namespace == owner.namespace
}
