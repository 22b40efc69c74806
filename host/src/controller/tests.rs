//! The state machine under single answers and events: what it does next, and when.

mod admission;
mod answers;
mod cron_jobs;
mod daemon_sets;
mod pacing;
mod policies;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{ApiStatus, Job, Kind, Object, Pod, ResourceVersion};

use super::{Command, Config, Controller, Lane, Notice, Run};
use crate::Now;
use crate::engine::Engine as _;
use crate::engine::native::NativeEngine;
use crate::request::{Flow, Operation, Outcome, Request, Term};
use crate::watch::{StreamId, WatchBody, WatchCommand, WatchEvent};

/// Wall clock at the monotonic instant zero.
const START_UNIX_MS: i64 = 1_767_225_600_000;

/// A machine whose caches are synced, its clock, and the streams that it follows.
pub(super) struct Harness {
    pub(super) machine: Controller,
    pub(super) now_ms: u64,
    pub(super) jobs: StreamId,
    pub(super) pods: StreamId,
    pub(super) cron_jobs: StreamId,
    /// Those of all other kinds.
    others: BTreeMap<Kind, StreamId>,
    pub(super) notices: Vec<Notice>,
}

impl Harness {
    /// A machine that leads and has listed `jobs` and `pods`.
    pub(super) fn new(jobs: Vec<Object>, pods: Vec<Object>) -> Self {
        Self::with(Config::default(), &jobs, &pods)
    }

    /// The same with another configuration.
    pub(super) fn with(config: Config, jobs: &[Object], pods: &[Object]) -> Self {
        let machine = Controller::new(config);
        let mut this = Self {
            machine,
            now_ms: 1_000_000,
            jobs: StreamId::default(),
            pods: StreamId::default(),
            cron_jobs: StreamId::default(),
            others: BTreeMap::new(),
            notices: Vec::new(),
        };
        this.machine.handle_command(this.now(), Command::Lead(Term(1)));
        this.list(jobs, pods, 100);
        this
    }

    /// Answers the lists that the machine wants with `jobs` and `pods` as of `version`.
    pub(super) fn list(&mut self, jobs: &[Object], pods: &[Object], version: u64) {
        while let Some(command) = self.machine.poll_watch() {
            match command {
                WatchCommand::List { kind, stream } => {
                    let objects = match kind {
                        Kind::Job => jobs,
                        Kind::Pod => pods,
                        Kind::CronJob | Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => &[],
                    };
                    self.says(kind, stream, WatchBody::Page(objects.to_vec()));
                    self.says(kind, stream, WatchBody::ListDone(ResourceVersion(version)));
                }
                WatchCommand::Watch { kind: Kind::Job, stream, .. } => self.jobs = stream,
                WatchCommand::Watch { kind: Kind::Pod, stream, .. } => self.pods = stream,
                WatchCommand::Watch { kind: Kind::CronJob, stream, .. } => self.cron_jobs = stream,
                WatchCommand::Watch { kind, stream, .. } => drop(self.others.insert(kind, stream)),
                WatchCommand::Stop { .. } => {}
            }
        }
    }

    pub(super) fn now(&self) -> Now {
        let unix_ms = START_UNIX_MS + i64::try_from(self.now_ms).expect("a small number");
        Now { monotonic_ms: self.now_ms, unix_ms }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.machine.handle_timeout(self.now());
    }

    pub(super) fn says(&mut self, kind: Kind, stream: StreamId, body: WatchBody) {
        self.machine.handle_watch(self.now(), WatchEvent { kind, stream, body });
    }

    pub(super) fn watched(&mut self, object: Object) {
        let stream = match object.kind() {
            Kind::Job => self.jobs,
            Kind::CronJob => self.cron_jobs,
            Kind::Pod => self.pods,
            kind @ (Kind::Node | Kind::DaemonSet | Kind::ControllerRevision) => {
                self.others.get(&kind).copied().unwrap_or_default()
            }
        };
        self.says(object.kind(), stream, WatchBody::Applied(object));
    }

    /// Runs every key that is due on the native engine; gives what was run.
    pub(super) fn run(&mut self) -> Vec<Run> {
        let mut runs = Vec::new();
        while let Some(run) = self.next_run() {
            let run = run.asked();
            let plan = NativeEngine.reconcile(&run.snapshot, &run.policy);
            self.machine.handle_run(self.now(), run.id, plan);
            runs.push(run);
        }
        self.take_notices();
        runs
    }

    fn next_run(&mut self) -> Option<Run> {
        let now = self.now();
        Lane::ALL.into_iter().find_map(|lane| self.machine.poll_run(now, lane))
    }

    pub(super) fn request(&mut self, flow: Flow) -> Option<Request> {
        let request = self.machine.poll_request(self.now(), flow);
        self.take_notices();
        request
    }

    /// The only write that is due.
    pub(super) fn write(&mut self) -> Request {
        self.request(Flow::Write).expect("a write is due")
    }

    pub(super) fn answer(&mut self, request: &Request, outcome: Outcome) {
        self.machine.handle_answer(self.now(), request.id, outcome);
        self.take_notices();
    }

    pub(super) fn refuse(&mut self, request: &Request, status: ApiStatus) {
        self.answer(request, Outcome::Rejected(status));
    }

    fn take_notices(&mut self) {
        while let Some(notice) = self.machine.poll_notice() {
            self.notices.push(notice);
        }
    }
}

/// A Job of that name from the text of its other fields.
pub(super) fn job(name: &str, version: u64, metadata: &str, spec: &str, status: &str) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"uid-{name}","resourceVersion":"{version}",
            "creationTimestamp":"2026-01-01T00:00:00Z","generation":1{metadata}}},
            "spec":{{"parallelism":1,"completions":1,"backoffLimit":6,
              "selector":{{"matchLabels":{{"batch.kubernetes.io/controller-uid":"uid-{name}"}}}},
              "template":{{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"i"}}]}}}}{spec}}},
            "status":{{{status}}}}}"#
    );
    Object::Job(Arc::new(serde_json::from_str::<Job>(&text).expect("a Job")))
}

/// A Pod of that name that the Job owns, with the tracking finalizer.
pub(super) fn pod(name: &str, owner: &str, version: u64, phase: &str) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"uid-{name}","resourceVersion":"{version}",
            "creationTimestamp":"2026-01-01T00:00:00Z","finalizers":["batch.kubernetes.io/job-tracking"],
            "labels":{{"batch.kubernetes.io/controller-uid":"uid-{owner}","job-name":"{owner}"}},
            "ownerReferences":[{{"apiVersion":"batch/v1","kind":"Job","name":"{owner}","uid":"uid-{owner}",
              "controller":true,"blockOwnerDeletion":true}}]}},
          "spec":{{"nodeName":"node-1"}},"status":{{"phase":"{phase}"}}}}"#
    );
    Object::Pod(Arc::new(serde_json::from_str::<Pod>(&text).expect("a Pod")))
}

/// The status of a Job that completed at the instant zero of the harness.
pub(super) const COMPLETE: &str = r#""succeeded":1,"startTime":"2026-01-01T00:00:00Z",
    "completionTime":"2026-01-01T00:00:00Z","uncountedTerminatedPods":{},
    "conditions":[{"type":"Complete","status":"True","reason":"CompletionsReached",
      "lastTransitionTime":"2026-01-01T00:00:00Z"}]"#;

/// What a request asks for.
pub(super) fn what(request: &Request) -> &'static str {
    request.operation.describe()
}

/// A Pod that a request creates, as the server answers.
pub(super) fn created(request: &Request, version: u64) -> Outcome {
    let Operation::CreatePod(manifest) = &request.operation else { panic!("not a create: {request:?}") };
    let mut metadata = manifest.metadata.clone();
    metadata.resource_version = ResourceVersion(version);
    metadata.uid = format!("uid-{}", metadata.name).into();
    Outcome::Done(Some(Object::Pod(Arc::new(Pod { metadata, ..Pod::default() }))))
}

/// A Job whose status a request writes, as the server answers.
pub(super) fn written(request: &Request, version: u64) -> Outcome {
    let Operation::WriteJobStatus(job) = &request.operation else { panic!("not a status: {request:?}") };
    let mut job = Job::clone(job);
    job.metadata.resource_version = ResourceVersion(version);
    Outcome::Done(Some(Object::Job(Arc::new(job))))
}
