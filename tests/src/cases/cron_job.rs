//! The cluster of a CronJob's case: the CronJob, its Jobs, and what the host would carry from plan to plan.

mod parse;
mod print;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use windlass_core::kube::{
    CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, ConditionStatus, CronJob, Job, JobCondition, JobManifest,
    Object, ObjectReference, OwnerReference, ResourceVersion, Str, Time, Uid, cron_job_status, job_reference,
};
use windlass_core::plan::{Action, ActiveJob, Dependency, JobSlot, Needs, Plan};
use windlass_core::policy::{BuiltIn, Policy, backoff, missed_runs, schedule};
use windlass_core::view::{CronJobFlags, LiveOwner};
use windlass_host::Now;
use windlass_host::cache::Cache;
use windlass_host::check;
use windlass_host::engine::{Engine, SharedPolicy};
use windlass_host::key::Name;
use windlass_host::snapshot::{self, Carried, Gathered};

use super::Cluster;
use super::world::{EPOCH_S, NAMESPACE, uid};

/// Seconds of the hour at which every case begins: 10:00.
const START_S: i64 = 10 * 3600;

/// The cluster of a case.
pub(super) struct CronWorld {
    cron_job: CronJob,
    jobs: BTreeMap<Str, Job>,
    now_ms: i64,
    flags: CronJobFlags,
    edited_s: Option<i64>,
    carried: Carried,
    /// Jobs whose removal the watch has shown.
    seen_gone: BTreeSet<Str>,
    policy: CasePolicy,
    /// Whether the Jobs that the next plan creates are to be shown whole.
    shows_jobs: bool,
    created: u32,
    last: Option<(Plan, Gathered)>,
}

/// The built-in policy, or the answers that the case gives to every question.
#[derive(Clone, Debug, Default)]
struct CasePolicy {
    schedule: Option<schedule::Answer>,
    missed_runs: Option<missed_runs::Answer>,
}

impl Policy for CasePolicy {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        BuiltIn::default().backoff(questions)
    }

    fn schedule(&self, questions: &[schedule::Question]) -> Vec<schedule::Answer> {
        let answer = |question| self.schedule.clone().unwrap_or_else(|| schedule::built_in(question));
        questions.iter().map(answer).collect()
    }

    fn missed_runs(&self, questions: &[missed_runs::Question]) -> Vec<missed_runs::Answer> {
        let answer = |question| self.missed_runs.clone().unwrap_or_else(|| missed_runs::built_in(question));
        questions.iter().map(answer).collect()
    }
}

impl Default for CronWorld {
    /// A CronJob called `cron` that was made at 09:00 and fires every hour, with the API server's defaults.
    fn default() -> Self {
        let mut cron_job = CronJob::default();
        cron_job.metadata.name = "cron".into();
        cron_job.metadata.namespace = NAMESPACE.into();
        cron_job.metadata.uid = uid("cron");
        cron_job.metadata.creation_timestamp = Some(Time::from_unix_seconds(EPOCH_S + START_S - 3600));
        let spec = Arc::make_mut(&mut cron_job.spec);
        spec.schedule = "0 * * * *".into();
        spec.successful_jobs_history_limit = Some(3);
        spec.failed_jobs_history_limit = Some(1);
        Self {
            cron_job,
            jobs: BTreeMap::new(),
            now_ms: (EPOCH_S + START_S) * 1000,
            flags: CronJobFlags::default(),
            edited_s: None,
            carried: Carried::default(),
            seen_gone: BTreeSet::new(),
            policy: CasePolicy::default(),
            shows_jobs: false,
            created: 0,
            last: None,
        }
    }
}

impl Cluster for CronWorld {
    fn apply(&mut self, line: &str) -> Result<()> {
        parse::apply(line, self)
    }

    fn reconcile(&mut self, engine: &dyn Engine) -> Result<String> {
        let gathered = self.gather()?;
        let policy: SharedPolicy = Arc::new(self.policy.clone());
        let plan = engine.reconcile(&gathered.snapshot, &policy)?;
        check::check(plan.clone(), &gathered)
            .map_err(|defect| anyhow::anyhow!("the plan is refused: {defect}"))?;
        let mut text = print::plan(&plan, &self.cron_job, &gathered);
        if std::mem::take(&mut self.shows_jobs) {
            text += &self.created_jobs(&plan)?;
        }
        self.carried.forget_reads();
        self.carried.memo.clone_from(&plan.memo);
        self.last = Some((plan, gathered));
        Ok(text)
    }
}

impl CronWorld {
    fn gather(&self) -> Result<Gathered> {
        let now = Now { monotonic_ms: 0, unix_ms: self.now_ms };
        let name = Name::of(&self.cron_job.metadata);
        snapshot::cron_job(&self.cache(), &name, &self.flags, now, self.edited_s, &self.carried)
            .context("no CronJob")
    }

    fn cache(&self) -> Cache {
        let (mut cache, mut changes) = (Cache::default(), Vec::new());
        let mut version = 1;
        let mut next = || {
            version += 1;
            ResourceVersion(version)
        };
        for name in &self.seen_gone {
            let mut job = self.job(name);
            job.metadata.resource_version = next();
            cache.watched(Object::Job(Arc::new(job.clone())), &mut changes);
            job.metadata.resource_version = next();
            cache.watched_removal(&Object::Job(Arc::new(job)), &mut changes);
        }
        let mut cron_job = self.cron_job.clone();
        cron_job.metadata.resource_version = next();
        cache.watched(Object::CronJob(Arc::new(cron_job)), &mut changes);
        for job in self.jobs.values() {
            let mut job = job.clone();
            job.metadata.resource_version = next();
            cache.watched(Object::Job(Arc::new(job)), &mut changes);
        }
        cache
    }

    /// A Job that the CronJob controls and that has not ended.
    fn job(&self, name: &str) -> Job {
        let mut job = Job::default();
        job.metadata.name = name.into();
        job.metadata.namespace = NAMESPACE.into();
        job.metadata.uid = uid(name);
        job.metadata.owner_references = Arc::new(vec![self.cron_job.controller_reference()]);
        job
    }

    /// The first Jobs that `plan` creates, as they are sent.
    fn created_jobs(&self, plan: &Plan) -> Result<String> {
        let mut text = String::new();
        for step in &plan.steps {
            let Action::CreateJobs(slots) = &step.action else { continue };
            for slot in slots {
                text += &format!("job {}\n", self.manifest(slot).to_json()?);
            }
        }
        Ok(text)
    }

    fn manifest(&self, slot: &JobSlot) -> JobManifest {
        let name = JobManifest::name_at(&self.cron_job.metadata.name, slot.scheduled_s);
        JobManifest::new(&self.cron_job, name, slot.timestamp.clone())
    }

    /// Does what the last plan says; the steps with these numbers (from 1) fail, the others succeed.
    fn do_last_plan(&mut self, failing: &[usize]) -> Result<()> {
        let (plan, gathered) = self.last.take().context("there is no plan yet")?;
        let mut done: Vec<bool> = Vec::new();
        for (number, step) in (1..).zip(&plan.steps) {
            let runs = step.after.iter().all(|dependency| is_met(dependency, &done));
            let succeeds = runs && !failing.contains(&number);
            done.push(succeeds);
            if succeeds {
                self.act(&step.action, &plan, &gathered);
            }
        }
        if failing.iter().any(|number| *number > plan.steps.len()) {
            bail!("the plan has no such step");
        }
        Ok(())
    }

    fn act(&mut self, action: &Action, plan: &Plan, gathered: &Gathered) {
        match action {
            Action::CreateJobs(slots) => {
                for slot in slots {
                    let manifest = self.manifest(slot);
                    self.created += 1;
                    let mut job = self.job(&manifest.metadata.name);
                    job.metadata.annotations = manifest.metadata.annotations;
                    self.jobs.insert(job.metadata.name.clone(), job);
                }
            }
            Action::DeleteJobs(positions) => {
                for job in positions.iter().filter_map(|position| gathered.jobs.get(*position as usize)) {
                    self.jobs.remove(&job.metadata.name);
                }
            }
            Action::WriteCronJobStatus(write) => {
                let slots: Vec<&JobSlot> =
                    plan.steps.iter().flat_map(|step| slots_of(&step.action)).collect();
                let reference = |active| self.reference_to(active, &slots, gathered);
                self.cron_job.status = cron_job_status(&self.cron_job.status, write, reference);
            }
            Action::RecordEvent(_) => {}
            other => panic!("no plan for a CronJob has {other:?}"),
        }
    }

    fn reference_to(
        &self,
        active: ActiveJob,
        slots: &[&JobSlot],
        gathered: &Gathered,
    ) -> Option<ObjectReference> {
        match active {
            ActiveJob::Listed(_) => None,
            ActiveJob::Known(position) => gathered.jobs.get(position as usize).map(|job| job_reference(job)),
            ActiveJob::Created(slot) => {
                let name = self.manifest(slots.get(slot as usize)?).metadata.name;
                self.jobs.get(&name).map(job_reference)
            }
        }
    }
}

fn slots_of(action: &Action) -> &[JobSlot] {
    match action {
        Action::CreateJobs(slots) => slots,
        _ => &[],
    }
}

/// Whether a step before is as `dependency` needs it; `done` tells which succeeded.
pub(super) fn is_met(dependency: &Dependency, done: &[bool]) -> bool {
    let succeeded = done.get(dependency.step as usize).copied().unwrap_or(false);
    match dependency.needs {
        Needs::Succeeded => succeeded,
        Needs::Settled => true,
        Needs::Failed => !succeeded,
    }
}

/// Changes a Job's terminal condition.
fn finish(job: &mut Job, kind: &str, at: Option<Time>) {
    job.status.conditions = vec![JobCondition {
        kind: kind.into(),
        status: ConditionStatus::True,
        last_transition_time: at,
        ..JobCondition::default()
    }];
}

/// A reference to somebody else as the controller.
fn foreign() -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".into(),
        kind: "CronJob".into(),
        name: "other".into(),
        uid: uid("other"),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The annotation that tells the instant of a Job.
fn annotate(job: &mut Job, timestamp: Str) {
    let notes = Arc::make_mut(&mut job.metadata.annotations);
    notes.insert(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION.into(), timestamp);
}

/// How the status lists the Job called `name`.
fn listed(name: &str, uid: Uid) -> ObjectReference {
    ObjectReference {
        kind: "Job".into(),
        namespace: NAMESPACE.into(),
        name: name.into(),
        uid,
        api_version: "batch/v1".into(),
        ..ObjectReference::default()
    }
}

/// What a live read found, as a case says it.
pub(super) fn live(text: &str) -> Result<LiveOwner> {
    Ok(match text {
        "alive" => LiveOwner::Alive,
        "terminating" => LiveOwner::Terminating,
        "gone" => LiveOwner::Gone,
        _ => bail!("live is one of alive, terminating, gone"),
    })
}
