//! Requests on their way to the server, what the server makes of them, and their answers on the way back.

use windlass_core::kube::{ApiStatus, Kind, Object, Str};
use windlass_host::request::{DaemonSetOperation, Flow, Operation, Outcome, Request, RequestId};
use windlass_host::simulate::adapter;
use windlass_sandbox::Actor;

use super::{Happening, Shared, World};
use crate::simulation::checkers::Cause;
use crate::simulation::cluster;
use crate::simulation::faults::Fault;
use crate::simulation::mutants;
use crate::simulation::workload::NAMESPACE;

/// How long a client waits for an answer, milliseconds, at least and at most.
const CLIENT_TIMEOUT_MS: (u64, u64) = (500, 10_000);
/// Longest time that a request given up by its sender takes to arrive all the same, milliseconds.
const LATEST_ARRIVAL_MS: u64 = 40_000;

/// A request that was sent.
pub(in crate::simulation) struct Sent {
    pub(super) process: usize,
    pub(super) incarnation: u32,
    pub(super) request: Request,
    /// It does not arrive.
    pub(super) is_lost: bool,
    /// Its sender was told that nobody knows.
    pub(super) is_given_up: bool,
    /// It arrives at this instant or later.
    pub(super) not_before_ms: u64,
    /// What the script wants to go wrong with it.
    pub(super) scripted: Vec<Fault>,
}

impl World<'_> {
    /// Hands out what the machine wants sent, as far as there are slots.
    pub(super) fn pump_requests(&mut self, process: usize) -> bool {
        let now = self.now(process);
        let mut any = false;
        for flow in Flow::ALL {
            loop {
                let this = &mut self.processes[process];
                let in_flight = this.in_flight.entry(flow).or_default();
                if *in_flight >= this.most_in_flight {
                    break;
                }
                let Some(machine) = &mut this.controller else { return any };
                let Some(request) = machine.poll_request(now, flow) else { break };
                *in_flight += 1;
                any = true;
                let request = match self.plot_mutant {
                    Some(mutant) => mutants::corrupt_request(mutant, request),
                    None => request,
                };
                self.send(process, request);
            }
        }
        any
    }

    fn send(&mut self, process: usize, request: Request) {
        let key = self.processes[process].controller.as_ref().and_then(|machine| machine.key_of(request.id));
        let checked = self.checkers.sends(process, &request, key, self.now_ms);
        self.check(checked);
        let now_ms = self.now_ms;
        let (id, flow) = (request.id, request.flow);
        let this = &self.processes[process];
        let (incarnation, way_ms) = (this.incarnation, this.way_ms);
        let position = self.sent.len();
        let scripted = self.script.sent(&request.operation);
        let mut sent = Sent {
            process,
            incarnation,
            request,
            is_lost: false,
            is_given_up: false,
            not_before_ms: 0,
            scripted,
        };
        self.processes[process].requests.insert(id, position);
        let arrives_ms = now_ms + self.random.between(0, way_ms);
        let timeout_ms = self.faults_spread(CLIENT_TIMEOUT_MS);
        if self.meets(&sent.scripted, Fault::NotSent) {
            sent.is_lost = true;
            self.answer_at(arrives_ms + 1, process, incarnation, id, Outcome::NotSent);
        } else if self.meets(&sent.scripted, Fault::RequestLost) {
            sent.is_lost = true;
            self.answer_at(now_ms + timeout_ms, process, incarnation, id, Outcome::Unknown);
        } else if flow == Flow::Write && self.meets(&sent.scripted, Fault::RequestLate) {
            sent.is_given_up = true;
            self.answer_at(now_ms + timeout_ms, process, incarnation, id, Outcome::Unknown);
            let late_ms = self.faults.random().spread(timeout_ms, LATEST_ARRIVAL_MS);
            // A script that wants a request late wants it after all that follows from its being given up.
            let is_scripted = sent.scripted.contains(&Fault::RequestLate);
            sent.not_before_ms = now_ms + if is_scripted { LATEST_ARRIVAL_MS } else { late_ms };
        }
        let arrives_ms = arrives_ms.max(sent.not_before_ms);
        if !sent.is_lost {
            self.agenda.add(arrives_ms, Happening::Arrives { sent: position });
        }
        self.sent.push(sent);
    }

    /// Whether a request meets this fault, by the script or by chance.
    fn meets(&mut self, scripted: &[Fault], fault: Fault) -> bool {
        if scripted.contains(&fault) {
            self.faults.force(fault);
            return true;
        }
        self.faults.strikes(fault, self.now_ms)
    }

    fn faults_spread(&mut self, (low, high): (u64, u64)) -> u64 {
        self.faults.random().spread(low, high)
    }

    fn answer_at(&mut self, at_ms: u64, process: usize, incarnation: u32, id: RequestId, outcome: Outcome) {
        self.agenda.add(at_ms, Happening::Answered { process, incarnation, id, outcome });
    }

    /// A request reaches the server.
    pub(super) fn arrive(&mut self, position: usize) {
        let sent = &self.sent[position];
        if sent.is_lost {
            return;
        }
        if sent.not_before_ms > self.now_ms {
            self.agenda.add(sent.not_before_ms, Happening::Arrives { sent: position });
            return;
        }
        let (process, incarnation, is_given_up) = (sent.process, sent.incarnation, sent.is_given_up);
        let (request, scripted) = (sent.request.clone(), sent.scripted.clone());
        let is_write = request.flow == Flow::Write;
        if is_write {
            self.writes += 1;
            if self.dies_at_write(process, incarnation, &scripted, false) {
                return;
            }
            self.disturb(&request.operation, &scripted);
        }
        let outcome = match self.refuses(&request, &scripted) {
            Some(status) => {
                let outcome = Outcome::Rejected(status);
                self.record.request(self.now_ms, process, &request.operation, &outcome);
                outcome
            }
            None => self.carry_out(process, incarnation, &request),
        };
        if is_write && self.dies_at_write(process, incarnation, &scripted, true) {
            return;
        }
        if is_given_up {
            return;
        }
        self.reply(process, incarnation, &request, &scripted, outcome);
    }

    /// Whether the sender dies at this write of its, before or after it is carried out.
    fn dies_at_write(
        &mut self,
        process: usize,
        incarnation: u32,
        scripted: &[Fault],
        is_after: bool,
    ) -> bool {
        let is_cut = self.cuts.iter().any(|cut| cut.write == self.writes && cut.is_after == is_after);
        if !self.is_current(process, incarnation) {
            return false;
        }
        let fault = if is_after { Fault::CrashAfterWrite } else { Fault::CrashBeforeWrite };
        if is_cut || self.meets(scripted, fault) {
            self.crash_and_restart(process);
            return true;
        }
        false
    }

    /// Somebody else gets in first.
    fn disturb(&mut self, operation: &Operation, scripted: &[Fault]) {
        let value = self.now_ms;
        match operation {
            Operation::CreatePod(manifest) => {
                if self.meets(scripted, Fault::NameTaken) {
                    let mut squatter = manifest.as_ref().clone();
                    squatter.metadata.owner_references = Shared::default();
                    squatter.metadata.finalizers = Shared::default();
                    squatter.metadata.labels = Shared::default();
                    let _ = self.store.create_pod(Actor::USER, &squatter);
                }
            }
            Operation::CreateJob(manifest) => {
                if self.meets(scripted, Fault::NameTaken) {
                    let mut squatter = manifest.as_ref().clone();
                    squatter.metadata.owner_references = Shared::default();
                    let _ = self.store.create_job_of(Actor::USER, &squatter);
                }
            }
            Operation::UntrackPod { pod, .. }
            | Operation::AdoptPod { pod, .. }
            | Operation::ReleasePod { pod, .. }
            | Operation::DeletePod(pod) => {
                if self.meets(scripted, Fault::Conflict) {
                    cluster::touch(&mut self.store, Kind::Pod, &pod.name, value);
                }
                if self.meets(scripted, Fault::NameReused) {
                    cluster::replace_pod(&mut self.store, &pod.name);
                }
            }
            Operation::WriteJobStatus(job) => {
                if self.meets(scripted, Fault::Conflict) {
                    cluster::touch(&mut self.store, Kind::Job, &job.metadata.name, value);
                }
            }
            Operation::WriteCronJobStatus(cron_job) => {
                if self.meets(scripted, Fault::Conflict) {
                    cluster::touch(&mut self.store, Kind::CronJob, &cron_job.metadata.name, value);
                }
            }
            Operation::DeleteJob { job, .. } => {
                if self.meets(scripted, Fault::Conflict) {
                    cluster::touch(&mut self.store, Kind::Job, &job.name, value);
                }
                if self.meets(scripted, Fault::NameReused) {
                    cluster::replace_job(&mut self.store, &job.name);
                }
            }
            Operation::DaemonSet(operation) => self.disturb_daemon_set(operation, scripted),
            Operation::Get { .. } | Operation::RecordEvent(_) => {}
        }
        self.digest(None);
    }

    /// Somebody else gets in first at a DaemonSet, its Pods and its revisions.
    fn disturb_daemon_set(&mut self, operation: &DaemonSetOperation, scripted: &[Fault]) {
        let (kind, name) = operation.target();
        if let DaemonSetOperation::CreateRevision(manifest) = operation {
            if self.meets(scripted, Fault::NameTaken) {
                let mut squatter = manifest.as_ref().clone();
                squatter.metadata.owner_references = Shared::default();
                squatter.metadata.labels = Shared::default();
                let _ = self.store.create_revision_of(Actor::USER, &squatter);
            }
            return;
        }
        if self.meets(scripted, Fault::Conflict) {
            cluster::touch(&mut self.store, kind, &name.name, self.now_ms);
        }
        if kind != Kind::DaemonSet && self.meets(scripted, Fault::NameReused) {
            match kind {
                Kind::Pod => cluster::replace_pod(&mut self.store, &name.name),
                _ => cluster::daemon::replace_revision(&mut self.store, &name.name),
            }
        }
    }

    /// The refusal that a request meets, though nothing is wrong with it.
    fn refuses(&mut self, request: &Request, scripted: &[Fault]) -> Option<ApiStatus> {
        if request.flow == Flow::Read {
            let failed = self.meets(scripted, Fault::ReadFailed);
            return failed.then(|| status(500, "InternalError"));
        }
        if self.meets(scripted, Fault::TooManyRequests) {
            let mut refusal = status(429, "TooManyRequests");
            refusal.retry_after_ms = Some(self.faults.random().spread(1_000, 8_000));
            return Some(refusal);
        }
        if self.meets(scripted, Fault::TooManyRequestsBare) {
            return Some(status(429, "TooManyRequests"));
        }
        let is_create = matches!(
            request.operation,
            Operation::CreatePod(_)
                | Operation::CreateJob(_)
                | Operation::DaemonSet(DaemonSetOperation::CreateRevision(_))
        );
        if is_create {
            if self.meets(scripted, Fault::Forbidden) {
                return Some(status(403, "Forbidden"));
            }
            // Upstream: staging/src/k8s.io/apiserver, admission/plugin/resourcequota.
            if self.meets(scripted, Fault::QuotaConflict) {
                return Some(status(409, "Conflict"));
            }
        } else if scripted.contains(&Fault::Forbidden) {
            self.faults.force(Fault::Forbidden);
            return Some(status(403, "Forbidden"));
        }
        if self.meets(scripted, Fault::ServerError) {
            return Some(status(500, "InternalError"));
        }
        self.meets(scripted, Fault::Unavailable).then(|| status(503, "ServiceUnavailable"))
    }

    fn carry_out(&mut self, process: usize, incarnation: u32, request: &Request) -> Outcome {
        let cause = Cause { process, incarnation, id: request.id, operation: request.operation.clone() };
        let actor = self.processes[process].actor;
        let performed = match self.plot_mutant {
            Some(mutant) => mutants::perform(mutant, &mut self.store, actor, &request.operation),
            None => None,
        };
        let outcome =
            performed.unwrap_or_else(|| adapter::perform(&mut self.store, actor, &request.operation));
        self.trace.say(self.now_ms, || {
            format!(
                "process {process} request {} {} of {}: {}",
                request.id.0,
                request.operation.describe(),
                target(&request.operation),
                told(&outcome)
            )
        });
        self.record.request(self.now_ms, process, &request.operation, &outcome);
        let checked = self.checkers.served(&request.operation, &outcome);
        self.check(checked);
        self.digest(Some(&cause));
        outcome
    }

    fn reply(
        &mut self,
        process: usize,
        incarnation: u32,
        request: &Request,
        scripted: &[Fault],
        outcome: Outcome,
    ) {
        let now_ms = self.now_ms;
        let mut back_ms = self.random.between(0, self.processes[process].way_ms);
        let mut outcome = outcome;
        if self.meets(scripted, Fault::AnswerSlow) {
            back_ms = self.faults.random().spread(50, 9_000);
        }
        if self.meets(scripted, Fault::AnswerLost) {
            back_ms = self.faults_spread(CLIENT_TIMEOUT_MS);
            outcome = Outcome::Unknown;
        } else if matches!(outcome, Outcome::Done(_)) && self.meets(scripted, Fault::TimeoutApplied) {
            outcome = Outcome::Rejected(status(504, "Timeout"));
        }
        self.answer_at(now_ms + back_ms, process, incarnation, request.id, outcome);
    }

    /// The answer reaches the process, if it still lives.
    pub(super) fn answered(&mut self, process: usize, incarnation: u32, id: RequestId, outcome: Outcome) {
        if !self.is_current(process, incarnation) {
            return;
        }
        let Some(position) = self.processes[process].requests.remove(&id) else { return };
        let request = &self.sent[position].request;
        let now = self.now(process);
        self.checkers.answered(process, request, &outcome, now);
        let outcome = match self.plot_mutant {
            Some(mutant) => mutants::distort(mutant, &self.store, &request.operation, outcome),
            None => outcome,
        };
        let flow = request.flow;
        let this = &mut self.processes[process];
        let in_flight = this.in_flight.entry(flow).or_default();
        *in_flight = in_flight.saturating_sub(1);
        self.trace
            .say(self.now_ms, || format!("process {process} hears of request {}: {}", id.0, told(&outcome)));
        if let Some(machine) = &mut this.controller {
            machine.handle_answer(now, id, outcome);
            self.steps += 1;
        }
        self.pump(process);
    }
}

fn status(code: u16, reason: &str) -> ApiStatus {
    ApiStatus::new(code, reason, "simulated".to_owned())
}

fn target(operation: &Operation) -> Str {
    match operation {
        Operation::CreatePod(manifest) => manifest.metadata.name.clone(),
        Operation::UntrackPod { pod, .. }
        | Operation::AdoptPod { pod, .. }
        | Operation::ReleasePod { pod, .. }
        | Operation::DeletePod(pod) => pod.name.clone(),
        Operation::WriteJobStatus(job) => job.metadata.name.clone(),
        Operation::CreateJob(manifest) => manifest.metadata.name.clone(),
        Operation::WriteCronJobStatus(cron_job) => cron_job.metadata.name.clone(),
        Operation::DeleteJob { job, .. } => job.name.clone(),
        Operation::DaemonSet(operation) => operation.target().1.name,
        Operation::Get { name, .. } => name.clone(),
        Operation::RecordEvent(event) => format!("{} {}", event.reason, event.message).into(),
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NotSent => "not sent".to_owned(),
        Outcome::Rejected(status) => format!("{} {}", status.code, status.message),
        Outcome::Done(Some(object)) => describe(object),
        Outcome::Done(None) => "done".to_owned(),
        Outcome::Unknown => "nobody knows".to_owned(),
    }
}

fn describe(object: &Object) -> String {
    let metadata = object.metadata();
    format!("{} {}/{} at {}", object.kind().name(), NAMESPACE, metadata.name, metadata.resource_version)
}
