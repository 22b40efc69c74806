//! The cluster of a case: one Job, its Pods, and what the host would carry from plan to plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, INDEX_FAILURE_COUNT_ANNOTATION, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION,
    JOB_NAME_LABEL, JOB_TRACKING_FINALIZER, Job, LabelSelector, Labels, Object, OwnerReference, Pod,
    ResourceVersion, Str, Time, Uid, UncountedTerminatedPods,
};
use windlass_core::plan::{Action, JobStatusWrite, Plan, PodSlot};
use windlass_core::policy::backoff::{Answer, Question};
use windlass_core::policy::{BuiltIn, Policy};
use windlass_core::view::{JobFlags, JobSnapshot};
use windlass_host::Now;
use windlass_host::cache::Cache;
use windlass_host::engine::Snapshot;
use windlass_host::key::Name;
use windlass_host::snapshot::{self, Carried};

use super::{Reconcile, print};

/// The instant that cases call 0 s: 2026-01-01T00:00:00Z.
pub(super) const EPOCH_S: i64 = 1_767_225_600;
/// Namespace of everything in a case.
pub(super) const NAMESPACE: &str = "default";

/// The cluster of a case.
pub(super) struct World {
    pub(super) job: Job,
    pub(super) pods: BTreeMap<Str, Pod>,
    pub(super) now_ms: i64,
    pub(super) flags: JobFlags,
    pub(super) carried: Carried,
    pub(super) answer: Option<Answer>,
    created: u32,
    last: Option<(Plan, Vec<Str>)>,
}

/// The built-in policy, or the one answer that the case gives to every question.
struct CasePolicy {
    built_in: BuiltIn,
    answer: Option<Answer>,
}

impl Policy for CasePolicy {
    fn backoff(&self, questions: &[Question]) -> Vec<Answer> {
        match &self.answer {
            Some(answer) => questions.iter().map(|_| answer.clone()).collect(),
            None => self.built_in.backoff(questions),
        }
    }
}

impl Default for World {
    fn default() -> Self {
        let mut job = Job::default();
        job.metadata.name = "job".into();
        job.metadata.namespace = NAMESPACE.into();
        job.metadata.uid = "uid-of-job".into();
        let spec = Arc::make_mut(&mut job.spec);
        let match_labels = [(JOB_NAME_LABEL.into(), "job".into())].into();
        spec.selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
        Self {
            job,
            pods: BTreeMap::new(),
            now_ms: EPOCH_S * 1000,
            flags: JobFlags::default(),
            carried: Carried::default(),
            answer: None,
            created: 0,
            last: None,
        }
    }
}

impl World {
    /// What the case's snapshot is now, and the names of the Pods at its positions.
    pub(super) fn snapshot(&self) -> Result<(JobSnapshot, Vec<Str>)> {
        let (mut cache, mut changes) = (Cache::default(), Vec::new());
        let mut version = 1;
        let mut add = |mut object: Object| {
            version += 1;
            match &mut object {
                Object::Job(job) => Arc::make_mut(job).metadata.resource_version = ResourceVersion(version),
                Object::Pod(pod) => Arc::make_mut(pod).metadata.resource_version = ResourceVersion(version),
                Object::Node(_) => {}
            }
            cache.watched(object, &mut changes);
        };
        add(Object::Job(Arc::new(self.job.clone())));
        self.pods.values().for_each(|pod| add(Object::Pod(Arc::new(pod.clone()))));
        let now = Now { monotonic_ms: 0, unix_ms: self.now_ms };
        let name = Name::of(&self.job.metadata);
        let gathered = snapshot::job(&cache, &name, &self.flags, now, &self.carried).context("no Job")?;
        let names = gathered.children.iter().map(|child| child.pod.metadata.name.clone()).collect();
        match Arc::unwrap_or_clone(gathered.snapshot) {
            Snapshot::Job(snapshot) => Ok((snapshot, names)),
            Snapshot::Orphan(_) => anyhow::bail!("the host gathered an orphan Pod for a Job"),
        }
    }

    /// The plan that `reconcile` gives now, as text; the memo and the plan are kept for the next scene.
    pub(super) fn reconcile(&mut self, reconcile: &Reconcile) -> Result<String> {
        let (snapshot, names) = self.snapshot()?;
        let built_in = BuiltIn {
            backoff_base_ms: self.flags.backoff_base_ms,
            backoff_max_ms: self.flags.backoff_max_ms,
        };
        let policy = CasePolicy { built_in, answer: self.answer.clone() };
        let plan = reconcile(&snapshot, Arc::new(policy))?;
        let text = print::plan(&plan, &self.job.status, &names);
        self.carried.live_owner = None;
        self.carried.memo.clone_from(&plan.memo);
        self.last = Some((plan, names));
        Ok(text)
    }

    /// Does what the last plan says, every step with success.
    pub(super) fn do_last_plan(&mut self) -> Result<()> {
        let (plan, names) = self.last.take().context("there is no plan yet")?;
        let mut skipped: Vec<bool> = Vec::new();
        for step in plan.steps {
            // Every step that runs succeeds, so what needs a failure is skipped, and what follows it.
            let is_skipped = step.after.iter().any(|dependency| {
                let before = skipped.get(dependency.step as usize).copied().unwrap_or(true);
                match dependency.needs {
                    windlass_core::plan::Needs::Succeeded => before,
                    windlass_core::plan::Needs::Settled => false,
                    windlass_core::plan::Needs::Failed => !before,
                }
            });
            skipped.push(is_skipped);
            if !is_skipped {
                self.act(step.action, &names);
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action, names: &[Str]) {
        let name = |position: &u32| names.get(*position as usize).cloned().unwrap_or_default();
        match action {
            Action::CreatePods(slots) => slots.into_iter().for_each(|slot| self.create(slot)),
            Action::DeletePods { pods, untrack } => {
                for position in &pods {
                    let Some(pod) = self.pods.get_mut(&name(position)) else { continue };
                    pod.metadata.deletion_timestamp = Some(Time::from_unix_ms(self.now_ms));
                    if untrack {
                        pod.metadata.finalizers = Arc::default();
                    }
                }
            }
            Action::UntrackPods(pods) => {
                for position in &pods {
                    if let Some(pod) = self.pods.get_mut(&name(position)) {
                        pod.metadata.finalizers = Arc::default();
                    }
                }
            }
            Action::AdoptPods(pods) => {
                for position in &pods {
                    if let Some(pod) = self.pods.get_mut(&name(position)) {
                        own(pod);
                    }
                }
            }
            Action::ReleasePods(pods) => pods.iter().for_each(|position| {
                if let Some(pod) = self.pods.get_mut(&name(position)) {
                    pod.metadata.owner_references = Arc::default();
                    pod.metadata.finalizers = Arc::default();
                }
            }),
            Action::WriteJobStatus(write) => self.write_status(write, names),
            Action::DeleteJob => self.job.metadata.deletion_timestamp = Some(Time::from_unix_ms(self.now_ms)),
            Action::RecordEvent(_) => {}
        }
    }

    fn create(&mut self, slot: PodSlot) {
        self.created += 1;
        let mut pod = pod(&format!("new-{}", self.created));
        pod.metadata.creation_timestamp = Some(Time::from_unix_ms(self.now_ms));
        let notes = Arc::make_mut(&mut pod.metadata.annotations);
        let values = [
            (COMPLETION_INDEX_ANNOTATION, slot.index),
            (INDEX_FAILURE_COUNT_ANNOTATION, slot.index_failures),
            (INDEX_IGNORED_FAILURE_COUNT_ANNOTATION, slot.index_ignored_failures),
        ];
        for (note, value) in values {
            if let Some(value) = value {
                notes.insert(note.into(), value.to_string().into());
            }
        }
        self.pods.insert(pod.metadata.name.clone(), pod);
    }

    fn write_status(&mut self, write: JobStatusWrite, names: &[Str]) {
        let uids = |positions: &[u32]| -> Vec<Uid> {
            positions.iter().filter_map(|position| Some(uid(names.get(*position as usize)?))).collect()
        };
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let status = &mut self.job.status;
        status.uncounted_terminated_pods = Some(UncountedTerminatedPods {
            succeeded: uids(&write.uncounted.succeeded),
            failed: uids(&write.uncounted.failed),
        });
        status.conditions = write.conditions;
        status.start_time = write.start_time;
        status.completion_time = write.completion_time;
        status.active = number(write.active);
        status.succeeded = number(write.succeeded);
        status.failed = number(write.failed);
        status.terminating = write.terminating.map(number);
        status.ready = write.ready.map(number);
        status.completed_indexes = write.completed_indexes;
        status.failed_indexes = write.failed_indexes;
    }
}

/// A Pod of the case's Job: pending, not bound, with finalizer.
pub(super) fn pod(name: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = name.into();
    pod.metadata.namespace = NAMESPACE.into();
    pod.metadata.uid = uid(name);
    pod.metadata.labels = Arc::new(Labels::from([(JOB_NAME_LABEL.into(), "job".into())]));
    own(&mut pod);
    pod
}

/// Uid of the Pod called `name`.
pub(super) fn uid(name: &str) -> Uid {
    format!("uid-of-{name}").into()
}

fn own(pod: &mut Pod) {
    let owner = OwnerReference {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        name: "job".into(),
        uid: "uid-of-job".into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    pod.metadata.owner_references = Arc::new(vec![owner]);
    pod.metadata.finalizers = Arc::new(vec![JOB_TRACKING_FINALIZER.into()]);
}
