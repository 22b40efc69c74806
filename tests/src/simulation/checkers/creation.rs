//! What may be created, by what the reconcile could see: J1, J2, J7 and J9.

use std::collections::BTreeSet;

use windlass_core::kube::{COMPLETION_INDEX_ANNOTATION, Job, Kind, PodPhase, PodReplacementPolicy};
use windlass_core::plan::{Action, Plan};
use windlass_host::controller::Run;
use windlass_host::key::Key;
use windlass_host::request::{Operation, Request};

use super::Violation;
use super::counting::parse_indexes;
use super::observer::Observer;
use crate::simulation::view::{Sight, View};

/// What a reconcile saw that creates Pods, and what it has asked for since.
#[derive(Debug, Default)]
pub(super) struct Seen {
    uid: windlass_core::kube::Uid,
    active: u64,
    /// Most Pods that may be active at once: parallelism, or what is left to complete if that is less.
    most: u64,
    /// Indexes with an active Pod, or completed, or failed; only for an Indexed Job.
    taken: BTreeSet<u32>,
    bound: Option<u32>,
    is_suspended: bool,
    is_finished: bool,
    is_past_limit: bool,
    asked: u64,
}

/// Notes what a reconcile sees that creates Pods.
pub(super) fn runs(observer: &mut Observer, run: &Run, plan: Option<&Plan>) {
    let Key::Job(name) = &run.key else { return };
    let creates =
        plan.is_some_and(|plan| plan.steps.iter().any(|step| matches!(step.action, Action::CreatePods(_))));
    observer.seen.remove(&name.name);
    if creates && let Some(job) = observer.view.job(&name.name).cloned() {
        let seen = Seen::of(&observer.view, &job);
        observer.seen.insert(name.name.clone(), seen);
    }
}

/// A process sends a request.
pub(super) fn sends(observer: &mut Observer, request: &Request) -> Result<(), Violation> {
    let Operation::CreatePod(manifest) = &request.operation else { return Ok(()) };
    let Some(owner) = manifest.metadata.controller() else {
        return Err(Violation::new("C1", format!("{} would have no owner", manifest.metadata.name)));
    };
    debug_assert_eq!(owner.kind.as_ref(), Kind::Job.name());
    let Some(seen) = observer.seen.get_mut(&owner.name).filter(|seen| seen.uid == owner.uid) else {
        return Err(Violation::new("C4", format!("no reconcile asked for {}", manifest.metadata.name)));
    };
    let index = manifest.metadata.annotations.get(COMPLETION_INDEX_ANNOTATION);
    seen.ask(index.and_then(|index| index.parse().ok()))
        .map_err(|(predicate, why)| Violation::new(predicate, format!("{}: {why}", manifest.metadata.name)))
}

impl Seen {
    fn of(view: &View, job: &Job) -> Self {
        let (spec, status) = (&job.spec, &job.status);
        let unsigned = |number: i32| u64::try_from(number).unwrap_or(0);
        let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let mut succeeded = unsigned(status.succeeded) + uncounted.succeeded.len() as u64;
        let mut failed = unsigned(status.failed) + uncounted.failed.len() as u64;
        let bound =
            job.is_indexed().then(|| spec.completions.and_then(|n| u32::try_from(n).ok()).unwrap_or(0));
        let mut completed = parse_indexes(&status.completed_indexes);
        let mut taken = parse_indexes(status.failed_indexes.as_deref().unwrap_or(""));
        let mut active = 0;
        let waits = spec.pod_replacement_policy == Some(PodReplacementPolicy::Failed);
        for pod in view.pods_of(&job.metadata.uid) {
            let sight = Sight::of(pod);
            let uid = &pod.metadata.uid;
            let is_recorded = uncounted.succeeded.contains(uid) || uncounted.failed.contains(uid);
            let counts = bound.is_none_or(|bound| sight.index < bound);
            if sight.is_active() {
                active += 1;
                taken.insert(sight.index);
            } else if sight.phase == PodPhase::Succeeded {
                if sight.is_tracked && counts {
                    succeeded += u64::from(!is_recorded);
                    completed.insert(sight.index);
                }
            } else if sight.is_tracked && counts && (sight.phase == PodPhase::Failed || !waits) {
                failed += u64::from(!is_recorded);
            }
        }
        if bound.is_some() {
            succeeded = completed.len() as u64;
        }
        let left = match spec.completions {
            Some(completions) => unsigned(completions).saturating_sub(succeeded),
            None if succeeded > 0 => 0,
            None => u64::MAX,
        };
        taken.extend(completed);
        Self {
            uid: job.metadata.uid.clone(),
            active,
            most: unsigned(spec.parallelism.unwrap_or(1)).min(left),
            taken,
            bound,
            is_suspended: job.is_suspended(),
            is_finished: job.is_finished(),
            is_past_limit: failed > unsigned(spec.backoff_limit.unwrap_or(6)),
            asked: 0,
        }
    }

    fn ask(&mut self, index: Option<u32>) -> Result<(), (&'static str, String)> {
        self.asked += 1;
        if self.is_finished {
            return Err(("J6", "is asked for though the Job has ended".to_owned()));
        }
        if self.is_suspended {
            return Err(("J9", "is asked for though the Job is suspended".to_owned()));
        }
        if self.is_past_limit {
            return Err(("J7", "is asked for though the Job failed too often".to_owned()));
        }
        if self.active + self.asked > self.most {
            return Err((
                "J1",
                format!("{} active and {} asked for, where {} may be", self.active, self.asked, self.most),
            ));
        }
        let Some(bound) = self.bound else { return Ok(()) };
        let Some(index) = index.filter(|index| *index < bound) else {
            return Err(("J2", format!("has no index below {bound}")));
        };
        if !self.taken.insert(index) {
            return Err(("J2", format!("index {index} has a Pod already, or has ended")));
        }
        Ok(())
    }
}
