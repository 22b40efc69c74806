//! batch/v1 CronJob, whole but for its Job template, whose spec stays opaque text.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Kind, ObjectMeta, OwnerReference, Str, Time, Uid};

/// A CronJob.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CronJob {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Desired state; shared, since a status change leaves it as it is.
    pub spec: Arc<CronJobSpec>,
    /// Observed state.
    pub status: CronJobStatus,
}

impl CronJob {
    /// Whether `spec.suspend` is true.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    /// The reference that makes the CronJob the controller of a Job (upstream: metav1.NewControllerRef).
    #[must_use]
    pub fn controller_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: Kind::CronJob.api_version().into(),
            kind: Kind::CronJob.name().into(),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// Desired state of a CronJob. Numbers are as the API server validated them: not negative.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJobSpec {
    /// When runs start, in the grammar of cron.
    pub schedule: Str,
    /// Name of the time zone of the schedule; absent means that of the controller's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Str>,
    /// Seconds after its instant at which a run is too late; absent means never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_deadline_seconds: Option<i64>,
    /// What becomes of a run while an earlier one has not ended.
    pub concurrency_policy: ConcurrencyPolicy,
    /// Whether no run is to start for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// What each Job looks like.
    pub job_template: JobTemplate,
    /// Most completed Jobs kept; the server's default is 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successful_jobs_history_limit: Option<i32>,
    /// Most failed Jobs kept; the server's default is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_jobs_history_limit: Option<i32>,
}

/// What becomes of a run while an earlier one has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConcurrencyPolicy {
    /// Both run.
    #[default]
    Allow,
    /// The new one is skipped.
    Forbid,
    /// The earlier one is deleted.
    Replace,
    /// One that this version does not know.
    #[serde(untagged)]
    Other(Str),
}

/// A Job template: metadata in parts, the Job's spec as the text it came in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobTemplate {
    /// Labels and annotations for each Job; what else stands here, upstream does not copy either.
    pub metadata: ObjectMeta,
    /// JSON text of the Job's spec, untouched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<RawValue>>,
}

impl PartialEq for JobTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata
            && self.spec.as_ref().map(|spec| spec.get()) == other.spec.as_ref().map(|spec| spec.get())
    }
}

/// Observed state of a CronJob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJobStatus {
    /// Jobs of the schedule that have not ended, in the order in which they were added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub active: Vec<ObjectReference>,
    /// The newest instant of the schedule that got a Job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When a Job completed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
}

/// A link to one object (v1 ObjectReference).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    /// Kind.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub kind: Str,
    /// Namespace.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: Str,
    /// Name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: Str,
    /// Uid.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uid: Uid,
    /// Group and version.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub api_version: Str,
    /// Version of the object that is meant: text, since anybody may have written it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub resource_version: Str,
    /// Part of the object that is meant.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub field_path: Str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_job_reads_and_writes_what_the_api_server_sends() {
        let text = r#"{"metadata":{"name":"nightly","namespace":"ops","uid":"u-1","resourceVersion":"7","generation":2,"labels":{"team":"a"}},"spec":{"schedule":"0 3 * * *","timeZone":"Europe/Vienna","startingDeadlineSeconds":60,"concurrencyPolicy":"Forbid","suspend":false,"jobTemplate":{"metadata":{"labels":{"run":"x"}},"spec":{"template":{"spec":{"unheardOf":[1, 2]}},"alsoNew":true}},"successfulJobsHistoryLimit":3,"failedJobsHistoryLimit":1},"status":{"active":[{"kind":"Job","namespace":"ops","name":"nightly-29","uid":"u-2","apiVersion":"batch/v1","resourceVersion":"9","fieldPath":"spec"}],"lastScheduleTime":"2026-01-01T03:00:00Z","lastSuccessfulTime":"2026-01-01T03:00:09Z"}}"#;
        let cron_job: CronJob = serde_json::from_str(text).expect("a CronJob");
        assert_eq!(serde_json::to_string(&cron_job).expect("JSON"), text);
        assert_eq!(cron_job.spec.concurrency_policy, ConcurrencyPolicy::Forbid);
        assert!(!cron_job.is_suspended());
    }

    #[test]
    fn a_concurrency_policy_of_a_later_version_is_kept() {
        let text = r#"{"schedule":"","concurrencyPolicy":"Queue","jobTemplate":{"metadata":{}}}"#;
        let spec: CronJobSpec = serde_json::from_str(text).expect("a spec");
        assert_eq!(spec.concurrency_policy, ConcurrencyPolicy::Other("Queue".into()));
        assert_eq!(serde_json::to_string(&spec).expect("JSON"), text);
    }
}
