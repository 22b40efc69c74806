//! What may be created, by what the reconcile could see: J1, J2, J7, J9 and J11.

use std::collections::BTreeSet;

use windlass_core::kube::{COMPLETION_INDEX_ANNOTATION, Job, Kind, PodManifest, PodPhase, Str, Uid};
use windlass_core::plan::{Action, Plan};
use windlass_host::controller::Run;
use windlass_host::key::Key;
use windlass_host::request::{Operation, Request};

use super::Violation;
use super::counting::parse_indexes;
use super::observer::Observer;
use super::policy::{self, Verdict};
use crate::simulation::view::{Sight, View};
use crate::simulation::workload::EDITION_ANNOTATION;

/// What a reconcile saw that creates Pods, and what it has asked for since.
#[derive(Debug, Default)]
pub(super) struct Seen {
    uid: Uid,
    active: u64,
    /// Pods that are about to go and have not ended, where those are waited for.
    in_the_way: u64,
    /// Most Pods that may be active at once: parallelism, or what is left to complete if that is less.
    most: u64,
    /// Indexes with an active Pod, or completed; only for an Indexed Job.
    taken: BTreeSet<u32>,
    /// Indexes with a Pod that is about to go and has not ended, where those are waited for.
    waiting: BTreeSet<u32>,
    /// Indexes that have failed for good.
    failed: BTreeSet<u32>,
    bound: Option<u32>,
    edition: Option<Str>,
    refusal: Option<(&'static str, &'static str)>,
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
    if owner.names(Kind::DaemonSet) {
        return Ok(());
    }
    debug_assert_eq!(owner.kind.as_ref(), Kind::Job.name());
    let Some(seen) = observer.seen.get_mut(&owner.name).filter(|seen| seen.uid == owner.uid) else {
        return Err(Violation::new("C4", format!("no reconcile asked for {}", manifest.metadata.name)));
    };
    seen.ask(manifest)
        .map_err(|(predicate, why)| Violation::new(predicate, format!("{}: {why}", manifest.metadata.name)))
}

impl Seen {
    fn of(view: &View, job: &Job) -> Self {
        let spec = &job.spec;
        let bound =
            job.is_indexed().then(|| spec.completions.and_then(|n| u32::try_from(n).ok()).unwrap_or(0));
        let mut seen = Self {
            uid: job.metadata.uid.clone(),
            bound,
            edition: spec.template.metadata.annotations.get(EDITION_ANNOTATION).cloned(),
            ..Self::default()
        };
        let mut failed_job = false;
        let (succeeded, failures) = seen.sort_pods(view, job, &mut failed_job);
        let left = match spec.completions {
            Some(completions) => unsigned(completions).saturating_sub(succeeded),
            None if succeeded > 0 => 0,
            None => u64::MAX,
        };
        seen.most = unsigned(spec.parallelism.unwrap_or(1)).min(left);
        seen.refusal = seen.refusal_for(job, failures, failed_job);
        seen
    }

    /// Sorts the Job's Pods; gives how many succeeded and failed, those included that no status lists yet.
    fn sort_pods(&mut self, view: &View, job: &Job, failed_job: &mut bool) -> (u64, u64) {
        let status = &job.status;
        let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let mut succeeded = unsigned(status.succeeded) + uncounted.succeeded.len() as u64;
        let mut failures = unsigned(status.failed) + uncounted.failed.len() as u64;
        let in_range = |text: &str| {
            let mut indexes = parse_indexes(text);
            indexes.retain(|index| self.bound.is_some_and(|bound| *index < bound));
            indexes
        };
        let mut completed = in_range(&status.completed_indexes);
        self.failed = in_range(status.failed_indexes.as_deref().unwrap_or(""));
        let waits = policy::replaces_only_ended(job);
        for pod in view.pods_of(&job.metadata.uid) {
            let sight = Sight::of(pod);
            let uid = &pod.metadata.uid;
            let is_recorded = uncounted.succeeded.contains(uid) || uncounted.failed.contains(uid);
            let counts = sight.is_tracked && self.bound.is_none_or(|bound| sight.index < bound);
            if sight.is_active() {
                self.active += 1;
                self.taken.insert(sight.index);
            } else if sight.phase == PodPhase::Succeeded {
                if counts && !self.failed.contains(&sight.index) {
                    succeeded += u64::from(!is_recorded);
                    completed.insert(sight.index);
                }
            } else if waits && !sight.is_terminal() {
                self.in_the_way += 1;
                self.waiting.insert(sight.index);
            } else if counts && !is_recorded {
                let verdict = policy::verdict(job, pod);
                failures += u64::from(verdict != Verdict::Ignored);
                *failed_job |= verdict == Verdict::FailsJob && sight.phase == PodPhase::Failed;
                let limit = job.spec.backoff_limit_per_index.and_then(|limit| u32::try_from(limit).ok());
                let is_too_many = limit.is_some_and(|limit| sight.index_failures >= limit);
                if verdict == Verdict::FailsIndex || is_too_many && verdict == Verdict::Counts {
                    self.failed.insert(sight.index);
                }
            }
        }
        self.failed.retain(|index| !completed.contains(index));
        if self.bound.is_some() {
            succeeded = completed.len() as u64;
        }
        self.taken.extend(completed);
        (succeeded, failures)
    }

    /// Why nothing at all may be asked for, if so.
    fn refusal_for(
        &self,
        job: &Job,
        failures: u64,
        failed_job: bool,
    ) -> Option<(&'static str, &'static str)> {
        let spec = &job.spec;
        let holds = |kind: &str| super::ending::condition(job, kind).is_some();
        let most_failed = spec.max_failed_indexes.map(unsigned);
        if job.is_finished() || holds("FailureTarget") || holds("SuccessCriteriaMet") {
            Some(("J6", "is asked for though the Job has ended"))
        } else if job.is_suspended() {
            Some(("J9", "is asked for though the Job is suspended"))
        } else if failed_job {
            Some(("J10", "is asked for though a Pod failed in a way that fails the Job"))
        } else if failures > unsigned(spec.backoff_limit.unwrap_or(6)) {
            Some(("J7", "is asked for though the Job failed too often"))
        } else if most_failed.is_some_and(|most| self.failed.len() as u64 > most) {
            Some(("J7", "is asked for though too many indexes failed"))
        } else {
            None
        }
    }

    fn ask(&mut self, manifest: &PodManifest) -> Result<(), (&'static str, String)> {
        let annotations = &manifest.metadata.annotations;
        self.asked += 1;
        if let Some((predicate, why)) = self.refusal {
            return Err((predicate, why.to_owned()));
        }
        if annotations.get(EDITION_ANNOTATION) != self.edition.as_ref() {
            return Err(("C4", format!("is not made from edition {:?} of the template", self.edition)));
        }
        let told =
            || format!("{} active, {} in the way, {} asked for", self.active, self.in_the_way, self.asked);
        if self.active + self.asked > self.most {
            return Err(("J1", format!("{} where {} may be", told(), self.most)));
        }
        if self.active + self.in_the_way + self.asked > self.most {
            return Err(("J11", format!("{} where {} may be", told(), self.most)));
        }
        let Some(bound) = self.bound else { return Ok(()) };
        let index = annotations.get(COMPLETION_INDEX_ANNOTATION).and_then(|index| index.parse().ok());
        let Some(index) = index.filter(|index| *index < bound) else {
            return Err(("J2", format!("has no index below {bound}")));
        };
        if self.waiting.contains(&index) {
            return Err(("J11", format!("the last Pod of index {index} has not ended")));
        }
        if self.failed.contains(&index) {
            return Err(("J7", format!("index {index} has failed for good")));
        }
        if !self.taken.insert(index) {
            return Err(("J2", format!("index {index} has a Pod already, or has ended")));
        }
        Ok(())
    }
}

fn unsigned(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
