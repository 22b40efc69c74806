//! A status says what its writer could see and was about to do: C10, write by write.

use windlass_core::plan::{Action, Plan};
use windlass_host::controller::Run;
use windlass_host::key::Key;
use windlass_host::request::{Operation, Outcome, Request};

use super::Violation;
use super::observer::Observer;
use crate::simulation::view::Sight;

/// What a reconcile that writes a status saw, and what its plan changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Living {
    active: i64,
    ready: i64,
    terminating: i64,
    creates: i64,
    deletes: i64,
}

/// Notes what a reconcile sees that writes a status.
pub(super) fn runs(observer: &mut Observer, run: &Run, plan: Option<&Plan>) {
    let (Key::Job(name), Some(plan)) = (&run.key, plan) else { return };
    if !plan.steps.iter().any(|step| matches!(step.action, Action::WriteJobStatus(_))) {
        return;
    }
    let Some(job) = observer.view.job(&name.name) else { return };
    let mut living = Living::default();
    for pod in observer.view.pods_of(&job.metadata.uid) {
        let sight = Sight::of(pod);
        living.active += i64::from(sight.is_active());
        living.ready += i64::from(sight.is_active() && sight.is_ready);
        living.terminating += i64::from(sight.is_terminating && !sight.is_terminal());
    }
    for step in &plan.steps {
        match &step.action {
            Action::CreatePods(slots) => living.creates += slots.len() as i64,
            Action::DeletePods { pods, .. } => living.deletes += pods.len() as i64,
            _ => {}
        }
    }
    observer.living.insert(name.name.clone(), living);
}

/// A process sends a status: the numbers are what it saw, before or after what its plan does.
pub(super) fn sends(observer: &Observer, request: &Request) -> Result<(), Violation> {
    let Operation::WriteJobStatus(job) = &request.operation else { return Ok(()) };
    let name = &job.metadata.name;
    let Some(saw) = observer.living.get(name) else {
        return Err(Violation::new("C10", format!("{name}: no reconcile asked for the status")));
    };
    let status = &job.status;
    let active = i64::from(status.active);
    let ready = i64::from(status.ready.unwrap_or(0));
    let terminating = i64::from(status.terminating.unwrap_or(0));
    let is_before = active == saw.active && terminating == saw.terminating && ready == saw.ready;
    let is_after_creates =
        active == saw.active + saw.creates && terminating == saw.terminating && ready == saw.ready;
    let is_after_deletes = active == saw.active - saw.deletes
        && terminating == saw.terminating + saw.deletes
        && (saw.ready - saw.deletes..=saw.ready).contains(&ready);
    if is_before || is_after_creates || is_after_deletes {
        return Ok(());
    }
    let told = (active, ready, terminating);
    Err(Violation::new(
        "C10",
        format!("{name} is told as {told:?} active, ready, terminating; seen was {saw:?}"),
    ))
}

/// The server's answer to a request: a status that it finds invalid says what cannot be, and would be refused
/// for ever; one that takes the start from a Job that runs is J9's.
pub(super) fn served(operation: &Operation, outcome: &Outcome) -> Result<(), Violation> {
    let (Operation::WriteJobStatus(job), Outcome::Rejected(status)) = (operation, outcome) else {
        return Ok(());
    };
    if status.code != 422 {
        return Ok(());
    }
    let predicate = if status.message.contains("status.startTime") { "J9" } else { "C10" };
    Err(Violation::new(predicate, format!("{}: {}", job.metadata.name, status.message)))
}
