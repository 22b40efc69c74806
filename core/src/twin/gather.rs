//! From the objects of a request to the snapshot that reconcile sees.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::request::Request;
use crate::kube::{ContainerStatus, Job, Pod, Str, Uid, job_view, pod_row};
use crate::view::{FailedPod, JobSnapshot, NO_POD, PodColumns, UncountedPods};

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
            if job.spec.pod_failure_policy.is_some() && (pod.is_terminal() || pod.metadata.is_terminating()) {
                pods.failed_details.push(failed_pod(pod, position));
            }
        }
        let snapshot = JobSnapshot {
            now_ms: request.now_ms,
            flags: request.flags.clone(),
            job: job_view(job).into(),
            uncounted: uncounted(job, &children),
            pods,
            live_owner: request.live_owner,
            memo: request.memo.clone(),
        };
        Self { snapshot, children }
    }
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

/// The Job's uncounted Pods by position, where they still have the finalizer.
fn uncounted(job: &Job, children: &[&Pod]) -> UncountedPods {
    let Some(uncounted) = &job.status.uncounted_terminated_pods else { return UncountedPods::default() };
    let tracked = (0..).zip(children).filter(|(_, pod)| pod.is_tracked());
    let positions: BTreeMap<&Uid, u32> =
        tracked.map(|(position, pod)| (&pod.metadata.uid, position)).collect();
    let resolve =
        |uids: &[Uid]| uids.iter().map(|uid| positions.get(uid).copied().unwrap_or(NO_POD)).collect();
    UncountedPods { succeeded: resolve(&uncounted.succeeded), failed: resolve(&uncounted.failed) }
}

fn failed_pod(pod: &Pod, position: u32) -> FailedPod {
    let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    let exit = |status: &ContainerStatus| -> Option<(Str, i32)> {
        Some((status.name.clone(), status.state.terminated.as_ref()?.exit_code))
    };
    FailedPod {
        pod: position,
        name: format!("{}/{}", pod.metadata.namespace, pod.metadata.name),
        exits: statuses.filter_map(exit).collect(),
        conditions: pod.status.conditions.iter().map(|c| (c.kind.clone(), c.status)).collect(),
    }
}
