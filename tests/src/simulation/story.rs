//! One certain story: the Jobs, what is done to them, what goes wrong at which moment, and what is left to be
//! judged once nothing more happens.
//!
//! Every checker watches a story as it watches any run; a story fails if one of them finds something, or if a
//! rule of its script never did its deed.

pub mod cron;
pub mod daemon;

use std::sync::Arc;

use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, ConditionStatus, Job, JobSpec, Kind, Labels, Object, Pod, PodPhase, Uid,
};
use windlass_host::engine::native::NativeEngine;
use windlass_host::request::Operation;
use windlass_sandbox::{Commit, Store, Verb};

use super::cluster;
use super::faults::{Fault, Faults};
use super::history::is_ours;
use super::mutants::Mutant;
use super::record::Exchange;
use super::script::{Moment, ScriptDeed};
use super::workload::{Deed, JobPlan, Lot, LotOf, PodFate, Workload, template};
use super::world::{Plot, Report, run};

/// Lines of the trace that a story that went wrong shows.
const LAST_LINES: usize = 120;

/// A story that can be told.
#[derive(Debug)]
pub struct Story {
    plot: Plot,
}

/// A story that was told.
#[derive(Debug)]
pub struct Told {
    report: Report,
}

impl Story {
    /// A story without Jobs, in which nothing goes wrong; `seed` decides how long everything takes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut plot = Plot::quiet(seed, Workload::default());
        plot.is_traced = true;
        Self { plot }
    }

    /// Adds a Job that is created at the start.
    #[must_use]
    pub fn job(mut self, plan: JobPlan) -> Self {
        self.plot.workload.jobs.push(plan);
        self
    }

    /// Adds something that people do at an instant, milliseconds since the start.
    #[must_use]
    pub fn deed(mut self, at_ms: u64, deed: Deed) -> Self {
        self.plot.workload.deeds.push((at_ms, deed));
        self
    }

    /// Lets a second process act at the same time.
    #[must_use]
    pub fn two_processes(mut self) -> Self {
        self.plot.faults.allow(Fault::SecondProcess, 1000, 0);
        self
    }

    /// Leaves what else goes wrong to chance.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.plot.faults = faults;
        self
    }

    /// Puts in a defect that the story is to show.
    #[must_use]
    pub fn mutant(mut self, mutant: Mutant) -> Self {
        self.plot.mutant = Some(mutant);
        self
    }

    /// The first `times` requests for which `holds` meet `fault`.
    #[must_use]
    pub fn meets(
        mut self,
        what: &'static str,
        times: u32,
        holds: impl Fn(&Operation) -> bool + 'static,
        fault: Fault,
    ) -> Self {
        self.plot.script.add(what, times, Moment::Sent(Box::new(holds)), ScriptDeed::Meet(fault));
        self
    }

    /// At the first `times` commits for which `holds`, something happens.
    #[must_use]
    pub fn when(
        mut self,
        what: &'static str,
        times: u32,
        holds: impl Fn(&Commit) -> bool + 'static,
        deed: ScriptDeed,
    ) -> Self {
        self.plot.script.add(what, times, Moment::Committed(Box::new(holds)), deed);
        self
    }

    /// At an instant, something happens.
    #[must_use]
    pub fn at(mut self, what: &'static str, at_ms: u64, deed: ScriptDeed) -> Self {
        self.plot.script.add(what, 1, Moment::At(at_ms), deed);
        self
    }

    /// Tells the story and gives what came of it, whether or not a checker found something.
    #[must_use]
    pub fn try_tell(self) -> Told {
        Told { report: run(self.plot, &NativeEngine) }
    }

    /// Tells the story.
    ///
    /// # Panics
    /// If a checker found something, or a rule of the script never did its deed.
    #[must_use]
    pub fn tell(self) -> Told {
        let told = self.try_tell();
        let report = &told.report;
        if let Some(violation) = &report.violation {
            told.show();
            panic!("seed {}: {violation}", report.seed);
        }
        for done in &report.done {
            told.must(done.times > 0, &format!("it never happened: {}", done.what));
        }
        told
    }
}

impl Told {
    /// What came of the run.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Every commit.
    #[must_use]
    pub fn commits(&self) -> &[Commit] {
        &self.report.record.commits
    }

    /// Every request of ours that reached the server.
    #[must_use]
    pub fn requests(&self) -> &[Exchange] {
        &self.report.record.requests
    }

    /// The states of the Job of that name, each with the instant at which it began.
    pub fn states<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u64, &'a Arc<Job>)> {
        self.commits().iter().filter_map(move |commit| match &commit.after {
            Some(Object::Job(job)) if &*job.metadata.name == name => Some((commit.time_ms, job)),
            _ => None,
        })
    }

    /// The last state of the Job of that name.
    ///
    /// # Panics
    /// If there never was one.
    #[must_use]
    pub fn job<'a>(&'a self, name: &'a str) -> &'a Arc<Job> {
        match self.states(name).last() {
            Some((_, job)) => job,
            None => panic!("no Job {name} in the story"),
        }
    }

    /// When a condition of the Job began to hold, if it ever did.
    #[must_use]
    pub fn since(&self, name: &str, condition: &str) -> Option<u64> {
        self.states(name).find(|(_, job)| holds(job, condition)).map(|(at_ms, _)| at_ms)
    }

    /// Every Pod that we created, as it was then, and when.
    pub fn created(&self) -> impl Iterator<Item = (u64, &Arc<Pod>)> {
        self.commits().iter().filter_map(|commit| match (&commit.before, &commit.after) {
            (None, Some(Object::Pod(pod))) if is_ours(commit) => Some((commit.time_ms, pod)),
            _ => None,
        })
    }

    /// The Pods that are left, in their last state.
    #[must_use]
    pub fn pods_left(&self) -> Vec<Arc<Pod>> {
        let mut pods = std::collections::BTreeMap::new();
        for commit in self.commits() {
            match (&commit.before, &commit.after) {
                (_, Some(Object::Pod(pod))) => {
                    pods.insert(pod.metadata.uid.clone(), pod.clone());
                }
                (Some(Object::Pod(pod)), None) => {
                    pods.remove(&pod.metadata.uid);
                }
                _ => {}
            }
        }
        pods.into_values().collect()
    }

    /// Fails the story unless `holds`, and shows how it went.
    ///
    /// # Panics
    /// Unless `holds`.
    pub fn must(&self, holds: bool, what: &str) {
        if !holds {
            self.show();
            panic!("seed {}: {what}", self.report.seed);
        }
    }

    /// Fails the story if the server found anything of ours invalid.
    pub fn nothing_was_invalid(&self) {
        let invalid = self.requests().iter().find(|exchange| exchange.refusal() == Some(422));
        self.must(invalid.is_none(), &format!("the server refused as invalid: {invalid:?}"));
    }

    /// Fails the story unless the Job completed with so many successes and failures.
    pub fn completed(&self, name: &str, succeeded: i32, failed: i32) {
        let job = self.job(name);
        let told = (job.status.succeeded, job.status.failed);
        let what = format!("{name}: {told:?} succeeded and failed, wanted {:?}", (succeeded, failed));
        self.must(holds(job, "Complete") && told == (succeeded, failed), &what);
    }

    /// Fails the story unless the Job failed for that reason.
    pub fn failed_for(&self, name: &str, reason: &str) {
        let failed = self.job(name).status.conditions.iter().find(|condition| &*condition.kind == "Failed");
        let told = failed.map(|condition| &*condition.reason);
        self.must(told == Some(reason), &format!("{name} failed for {told:?}, not {reason}"));
    }

    fn show(&self) {
        let lines = &self.report.trace;
        for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
            println!("{line}");
        }
    }
}

/// A Job whose Pods succeed within a second or so, but for what `change` says of its spec.
#[must_use]
pub fn job(name: &str, change: impl FnOnce(&mut JobSpec)) -> JobPlan {
    let mut spec = JobSpec {
        parallelism: Some(1),
        completions: Some(1),
        backoff_limit: Some(6),
        template: template(true),
        ..JobSpec::default()
    };
    change(&mut spec);
    let fate = PodFate { start_ms: (5, 50), run_ms: (300, 900), ..PodFate::default() };
    JobPlan { name: name.into(), spec: Arc::new(spec), created_ms: 0, fate, annotations: Labels::new() }
}

impl JobPlan {
    /// Says what becomes of each Pod, from what would become of it otherwise.
    #[must_use]
    pub fn lots(mut self, lots: LotOf) -> Self {
        self.fate.lots = Some(lots);
        self
    }
}

impl Lot {
    /// It fails after so many milliseconds.
    #[must_use]
    pub fn fails_in(self, run_ms: u64) -> Self {
        Self { run_ms: Some(run_ms), exit_code: 1, ..self }
    }

    /// It succeeds after so many milliseconds.
    #[must_use]
    pub fn succeeds_in(self, run_ms: u64) -> Self {
        Self { run_ms: Some(run_ms), exit_code: 0, ..self }
    }

    /// It runs until it is deleted.
    #[must_use]
    pub fn endless(self) -> Self {
        Self { run_ms: None, ..self }
    }

    /// It takes so long to stop once it is deleted, and fails then.
    #[must_use]
    pub fn stops_in(self, stop_ms: u64) -> Self {
        Self { stop_ms, stop_code: 137, ..self }
    }
}

/// Whether a condition of the Job holds.
#[must_use]
pub fn holds(job: &Job, kind: &str) -> bool {
    let conditions = &job.status.conditions;
    conditions.iter().any(|condition| &*condition.kind == kind && condition.status == ConditionStatus::True)
}

/// Whether a request creates a Pod.
#[must_use]
pub fn creates(operation: &Operation) -> bool {
    matches!(operation, Operation::CreatePod(_))
}

/// Whether a request takes the tracking finalizer off a Pod.
#[must_use]
pub fn untracks(operation: &Operation) -> bool {
    matches!(operation, Operation::UntrackPod { .. })
}

/// Whether a request writes a status.
#[must_use]
pub fn writes_status(operation: &Operation) -> bool {
    matches!(operation, Operation::WriteJobStatus(_))
}

/// Whether a request adopts a Pod.
#[must_use]
pub fn adopts(operation: &Operation) -> bool {
    matches!(operation, Operation::AdoptPod { .. })
}

/// Whether a commit is the creation of a Pod by us.
#[must_use]
pub fn pod_created(commit: &Commit) -> bool {
    commit.verb == Verb::Create && is_ours(commit) && matches!(commit.after, Some(Object::Pod(_)))
}

/// Whether a commit is the end of a Pod in that phase.
pub fn pod_ended(phase: PodPhase) -> impl Fn(&Commit) -> bool + 'static {
    move |commit| match (&commit.before, &commit.after) {
        (Some(Object::Pod(before)), Some(Object::Pod(after))) => {
            before.status.phase != phase && after.status.phase == phase
        }
        _ => false,
    }
}

/// Whether a commit takes the last finalizer off a Pod, so that it may also be its removal.
#[must_use]
pub fn pod_untracked(commit: &Commit) -> bool {
    match (&commit.before, &commit.after) {
        (Some(Object::Pod(before)), Some(Object::Pod(after))) => before.is_tracked() && !after.is_tracked(),
        (Some(Object::Pod(before)), None) => before.is_tracked(),
        _ => false,
    }
}

/// Whether a commit is a write of a Job's status after which this holds, and before which it did not.
pub fn status_comes_to(now: impl Fn(&Job) -> bool + 'static) -> impl Fn(&Commit) -> bool + 'static {
    move |commit| match (&commit.before, &commit.after) {
        (Some(Object::Job(before)), Some(Object::Job(after))) => !now(before) && now(after),
        _ => false,
    }
}

/// Uids that a Job's status lists as uncounted: successes and failures.
#[must_use]
pub fn uncounted(job: &Job) -> (Vec<Uid>, Vec<Uid>) {
    let lists = job.status.uncounted_terminated_pods.clone().unwrap_or_default();
    (lists.succeeded, lists.failed)
}

/// The Pod of that uid, if it is there.
#[must_use]
pub fn pod_of_uid(store: &Store, uid: &str) -> Option<Arc<Pod>> {
    store.objects(Kind::Pod).find_map(|object| match object {
        Object::Pod(pod) if &*pod.metadata.uid == uid => Some(pod.clone()),
        _ => None,
    })
}

/// Completion index of a Pod.
#[must_use]
pub fn index_of(pod: &Pod) -> Option<u32> {
    pod.metadata.annotations.get(COMPLETION_INDEX_ANNOTATION)?.parse().ok()
}

/// Something that is done to the Pod that a commit is about.
#[must_use]
pub fn to_its_pod(after_ms: u64, change: impl Fn(&mut Store, &Pod) + 'static) -> ScriptDeed {
    ScriptDeed::Change(
        after_ms,
        Box::new(move |store, commit| {
            let pod = commit.and_then(|commit| commit.after.as_ref().or(commit.before.as_ref()));
            if let Some(Object::Pod(pod)) = pod
                && let Some(pod) = pod_of_uid(store, &pod.metadata.uid)
            {
                change(store, &pod);
            }
        }),
    )
}

/// Something that is done after so many milliseconds.
#[must_use]
pub fn change(after_ms: u64, change: impl Fn(&mut Store) + 'static) -> ScriptDeed {
    ScriptDeed::Change(after_ms, Box::new(move |store, _| change(store)))
}

/// The watch of `kind` says nothing to the process at this position for so many milliseconds.
#[must_use]
pub fn hold(process: usize, kind: Kind, for_ms: u64) -> ScriptDeed {
    ScriptDeed::HoldWatch { process, kind, for_ms }
}

/// Ends a Pod with this exit code, if it is still there.
pub fn end_pod(store: &mut Store, uid: &str, exit_code: i32) {
    if let Some(pod) = pod_of_uid(store, uid) {
        cluster::end_pod(store, &pod, exit_code);
    }
}
