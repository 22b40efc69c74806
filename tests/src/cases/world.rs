//! The cluster of a case: one Job, its Pods, and what the host would carry from plan to plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use windlass_core::job::naming;
use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, INDEX_FAILURE_COUNT_ANNOTATION, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION,
    JOB_NAME_LABEL, JOB_TRACKING_FINALIZER, Job, LabelSelector, Labels, Object, OwnerReference, Pod,
    PreparedTemplate, ResourceVersion, Str, Time, Uid, UncountedTerminatedPods,
};
use windlass_core::plan::{Action, JobStatusWrite, Plan, PodSlot};
use windlass_core::policy::backoff::{Answer, Question};
use windlass_core::policy::{BuiltIn, Policy};
use windlass_core::view::{Admission, JobFlags};
use windlass_host::Now;
use windlass_host::cache::Cache;
use windlass_host::engine::{Engine, SharedPolicy, Snapshot};
use windlass_host::key::Name;
use windlass_host::snapshot::{self, Carried};

use super::{Cluster, parse, print};

/// The instant that cases call 0 s: 2026-01-01T00:00:00Z.
pub(super) const EPOCH_S: i64 = 1_767_225_600;
/// Most created Pods that are shown whole.
const MAX_SHOWN_PODS: usize = 2;
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
    /// What was decided about the Job's start.
    pub(super) admission: Option<Admission>,
    /// What is reconciled.
    pub(super) key: CaseKey,
    /// Whether the API server has no such Job.
    pub(super) is_job_absent: bool,
    /// Whether the Pods that the next plan creates are to be shown whole.
    pub(super) shows_pods: bool,
    created: u32,
    last: Option<(Plan, Vec<Str>)>,
}

/// Whose key a case reconciles.
pub(super) enum CaseKey {
    /// The Job's.
    Job,
    /// The one of the Job's time to live.
    TimeToLive,
    /// That of a Pod which may have lost its Job.
    Pod(Str),
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
            admission: None,
            key: CaseKey::Job,
            is_job_absent: false,
            shows_pods: false,
            created: 0,
            last: None,
        }
    }
}

impl Cluster for World {
    fn apply(&mut self, line: &str) -> Result<()> {
        parse::apply(line, self)
    }

    fn reconcile(&mut self, engine: &dyn Engine) -> Result<String> {
        self.reconcile_now(engine)
    }
}

impl World {
    /// What the case's snapshot is now, the names of the Pods at its positions, and whether the host reads the
    /// Job live before it reconciles at all.
    fn snapshot(&self) -> Result<(Arc<Snapshot>, Vec<Str>, bool)> {
        let cache = self.cache();
        let now = Now { monotonic_ms: 0, unix_ms: self.now_ms };
        let job = Name::of(&self.job.metadata);
        let (gathered, needs_read) = match &self.key {
            CaseKey::Job => {
                let mut gathered =
                    snapshot::job(&cache, &job, &self.flags, now, &self.carried).context("no Job")?;
                if let Some(admission) = &self.admission {
                    gathered.decide_start(admission.clone());
                }
                (gathered, false)
            }
            CaseKey::TimeToLive => {
                let gathered = snapshot::time_to_live(&cache, &job, &self.flags, now, &self.carried);
                (gathered.context("no Job that has ended and has a time to live")?, false)
            }
            CaseKey::Pod(pod) => {
                let name = Name { namespace: NAMESPACE.into(), name: pod.clone() };
                let live = self.carried.live_owner;
                let needs_read =
                    live.is_none() && snapshot::orphan_needs_read(&cache, &name, &self.flags).is_some();
                (snapshot::orphan(&cache, &name, &self.flags, live).context("no such Pod")?, needs_read)
            }
        };
        let names = gathered.children.iter().map(|child| child.pod.metadata.name.clone()).collect();
        Ok((gathered.snapshot, names, needs_read))
    }

    fn cache(&self) -> Cache {
        let (mut cache, mut changes) = (Cache::default(), Vec::new());
        let mut version = 1;
        let mut add = |mut object: Object| {
            version += 1;
            match &mut object {
                Object::Job(job) => Arc::make_mut(job).metadata.resource_version = ResourceVersion(version),
                Object::Pod(pod) => Arc::make_mut(pod).metadata.resource_version = ResourceVersion(version),
                Object::CronJob(_)
                | Object::Node(_)
                | Object::DaemonSet(_)
                | Object::ControllerRevision(_) => {}
            }
            cache.watched(object, &mut changes);
        };
        if !self.is_job_absent {
            add(Object::Job(Arc::new(self.job.clone())));
        }
        self.pods.values().for_each(|pod| add(Object::Pod(Arc::new(pod.clone()))));
        cache
    }

    fn reconcile_now(&mut self, engine: &dyn Engine) -> Result<String> {
        let (snapshot, names, needs_read) = self.snapshot()?;
        if needs_read {
            return Ok("the host reads the Job live\n".to_owned());
        }
        let built_in = BuiltIn {
            backoff_base_ms: self.flags.backoff_base_ms,
            backoff_max_ms: self.flags.backoff_max_ms,
        };
        let policy: SharedPolicy = Arc::new(CasePolicy { built_in, answer: self.answer.clone() });
        let plan = engine.reconcile(&snapshot, &policy)?;
        let mut text = print::plan(&plan, &self.job.status, &names);
        if std::mem::take(&mut self.shows_pods) {
            text += &self.created_pods(&plan)?;
        }
        self.carried.live_owner = None;
        self.carried.memo.clone_from(&plan.memo);
        self.last = Some((plan, names));
        Ok(text)
    }

    /// The first Pods that `plan` creates, as they are sent.
    fn created_pods(&self, plan: &Plan) -> Result<String> {
        let template = PreparedTemplate::new(&self.job)?;
        let (mut text, mut first_attempt) = (String::new(), 0);
        for step in &plan.steps {
            let Action::CreatePods(slots) = &step.action else { continue };
            for slot in slots.iter().take(MAX_SHOWN_PODS) {
                let taken = |name: &str| self.pods.contains_key(name);
                let uid = &self.job.metadata.uid;
                let (name, attempt) = naming::pod_name(&template, uid, *slot, first_attempt, &taken);
                first_attempt = if slot.index.is_none() { attempt + 1 } else { 0 };
                text += &format!("pod {}\n", template.pod(*slot, name).to_json()?);
            }
        }
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
            Action::RecordEvent(_)
            | Action::CreateJobs(_)
            | Action::DeleteJobs(_)
            | Action::WriteCronJobStatus(_)
            | Action::DaemonSet(_) => {}
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
