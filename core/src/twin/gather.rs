//! From the objects of a request to the snapshot that reconcile sees.

use alloc::vec::Vec;

use super::request::Request;
use crate::kube::{Job, Pod, failed_pod, job_view, pod_row, uncounted_pods};
use crate::view::{JobSnapshot, PodColumns};

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

/// Whether the Job's reconcile has to see the Pod: it is the Job's or could be adopted, and it has not
/// ended, or is still to be counted.
fn is_child(pod: &Pod, job: &Job) -> bool {
    let belongs = match pod.metadata.controller() {
        Some(owner) => owner.uid == job.metadata.uid,
        None => job.spec.selector.as_ref().is_some_and(|selector| selector.matches(&pod.metadata.labels)),
    };
    belongs && pod.metadata.namespace == job.metadata.namespace && (!pod.is_terminal() || pod.is_tracked())
}
