//! What the outcome of a request is told to people: Events on the object, and notices for metrics.

use windlass_core::job::expiry_ms;
use windlass_core::kube::{ApiStatus, CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, Job, Object, Time};

use super::events::Said;
use super::{Controller, Notice};
use crate::Now;
use crate::key::Key;
use crate::request::Operation;
use crate::snapshot::Subject;

impl Controller {
    /// Tells that a request was carried out; `object` is what it made of it, where the server told.
    pub(super) fn report_done(
        &mut self,
        now: Now,
        key: &Key,
        operation: &Operation,
        object: Option<&Object>,
    ) {
        let Some(subject) = self.executing.get(key).map(|execution| execution.subject.clone()) else {
            return;
        };
        match operation {
            Operation::CreatePod(manifest) => {
                self.notice_creation(key, true);
                let message = format!("Created pod: {}", manifest.metadata.name);
                self.push_event(now, &subject, of_child(false, "SuccessfulCreate", message));
            }
            Operation::DeletePod(pod) => {
                let message = format!("Deleted pod: {}", pod.name);
                self.push_event(now, &subject, of_child(false, "SuccessfulDelete", message));
            }
            Operation::CreateJob(manifest) => {
                if let Some(Object::Job(job)) = object {
                    self.notice(Notice::JobScheduled { key: key.clone(), late_ms: skew_ms(job) });
                }
                let message = format!("Created job {}", manifest.metadata.name);
                self.push_event(now, &subject, of_child(false, "SuccessfulCreate", message));
            }
            Operation::WriteJobStatus(_) => {
                if let (Subject::Job(before), Some(Object::Job(after))) = (subject, object) {
                    self.notice(Notice::StatusWritten { before, after: after.clone() });
                }
            }
            Operation::DeleteJob { job: deleted, .. } => match &subject {
                Subject::CronJob(_) => {
                    let message = format!("Deleted job {}", deleted.name);
                    self.push_event(now, &subject, of_child(false, "SuccessfulDelete", message));
                }
                Subject::Job(job) => {
                    if let Some(late_ms) = late_ms(now, job) {
                        self.notice(Notice::JobExpired { key: key.clone(), late_ms });
                    }
                }
                Subject::DaemonSet(_) | Subject::Orphan => {}
            },
            Operation::UntrackPod { .. }
            | Operation::AdoptPod { .. }
            | Operation::ReleasePod { .. }
            | Operation::WriteCronJobStatus(_)
            | Operation::DaemonSet(_)
            | Operation::Get { .. }
            | Operation::RecordEvent(_) => {}
        }
    }

    /// Tells that the server refused a request.
    pub(super) fn report_refusal(&mut self, now: Now, key: &Key, operation: &Operation, status: ApiStatus) {
        if matches!(operation, Operation::CreatePod(_)) {
            self.notice_creation(key, false);
        }
        let subject = self.executing.get(key).map(|execution| execution.subject.clone());
        if let Some(subject) = subject
            && !status.namespace_terminating
            && status.code != 429
            && let Some((reason, message)) = complaint(operation, &subject, &status)
        {
            self.push_event(now, &subject, of_child(true, reason, message));
        }
        self.notice(Notice::Refused { key: key.clone(), what: operation.describe(), status });
    }

    fn notice_creation(&mut self, key: &Key, succeeded: bool) {
        if let (Some(execution), Key::Job(_)) = (self.executing.get(key), key) {
            let reason = execution.creation;
            self.notice(Notice::PodCreation { reason, succeeded });
        }
    }
}

/// Reason and message of the Event about a refusal, in upstream's words.
fn complaint(operation: &Operation, subject: &Subject, status: &ApiStatus) -> Option<(&'static str, String)> {
    match (operation, subject) {
        (Operation::CreatePod(_), _) => Some(("FailedCreate", format!("Error creating: {}", status.message))),
        (Operation::DeletePod(_), _) => Some(("FailedDelete", format!("Error deleting: {}", status.message))),
        (Operation::CreateJob(_), _) => {
            Some(("FailedCreate", format!("Error creating job: {}", status.message)))
        }
        (Operation::DeleteJob { .. }, Subject::CronJob(_)) => {
            Some(("FailedDelete", format!("Deleted job: {}", status.message)))
        }
        _ => None,
    }
}

/// How long after the end of its time to live a Job is deleted, milliseconds.
fn late_ms(now: Now, job: &Job) -> Option<u64> {
    let ttl_seconds = u32::try_from(job.spec.ttl_seconds_after_finished?).ok()?;
    let expiry_ms = expiry_ms(&job.status.conditions, ttl_seconds)?;
    Some(u64::try_from(now.unix_ms.saturating_sub(expiry_ms)).unwrap_or(0))
}

/// How long after its instant a CronJob's Job was created, milliseconds.
fn skew_ms(job: &Job) -> u64 {
    let annotation = job.metadata.annotations.get(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION);
    let scheduled = annotation.and_then(|text| Time::parse(text));
    let created = job.metadata.creation_timestamp;
    let skew_s = created
        .zip(scheduled)
        .map_or(0, |(created, scheduled)| created.unix_seconds.saturating_sub(scheduled.unix_seconds));
    u64::try_from(skew_s).unwrap_or(0).saturating_mul(1_000)
}

/// An Event about one of an object's children.
fn of_child(warning: bool, reason: &str, message: String) -> Said {
    Said { warning, of_child: true, reason: reason.into(), message }
}
