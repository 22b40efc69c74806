//! batch/v1 Job, whole but for its Pod template, whose spec stays opaque text.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Kind, LabelSelector, ObjectMeta, OwnerReference, Str, Time, Uid};

/// A Job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Desired state; shared, since a status change leaves it as it is.
    pub spec: Arc<JobSpec>,
    /// Observed state.
    pub status: JobStatus,
}

impl Job {
    /// Whether `spec.suspend` is true.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    /// Whether the Job has a start that counts: one that resumes starts anew.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.status.start_time.is_some() && !self.has_true("Suspended")
    }

    /// Whether a terminal condition (Complete or Failed) holds.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.has_true("Complete") || self.has_true("Failed")
    }

    /// Whether the Job has completed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.has_true("Complete")
    }

    /// Whether it is recorded that the Job succeeds: what has not ended by then is no longer counted.
    #[must_use]
    pub fn has_met_success_criteria(&self) -> bool {
        self.has_true("SuccessCriteriaMet")
    }

    /// Whether it is recorded how the Job ends, or its deletion was asked for.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.metadata.is_terminating() || self.has_true("FailureTarget") || self.has_met_success_criteria()
    }

    /// The reference that makes the Job the controller of a Pod (upstream: metav1.NewControllerRef).
    #[must_use]
    pub fn controller_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: Kind::Job.api_version().into(),
            kind: Kind::Job.name().into(),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// Whether completions are told apart by index.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        self.spec.completion_mode == Some(CompletionMode::Indexed)
    }

    fn has_true(&self, kind: &str) -> bool {
        let mut conditions = self.status.conditions.iter();
        conditions.any(|condition| &*condition.kind == kind && condition.status == ConditionStatus::True)
    }
}

/// Desired state of a Job. Numbers are as the API server validated them: not negative.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobSpec {
    /// Most Pods that run at once; the server's default is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i32>,
    /// Successes wanted; absent means a work queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completions: Option<i32>,
    /// How completions are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_mode: Option<CompletionMode>,
    /// Failures borne before the Job fails; the server's default is 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i32>,
    /// Failures borne for one index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_limit_per_index: Option<i32>,
    /// Failed indexes borne before the Job fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failed_indexes: Option<i32>,
    /// Seconds since `status.startTime` after which the Job fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// Seconds after its end at which the Job is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Whether no Pod is to run for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Which Pods are the Job's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Whether the selector was written by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_selector: Option<bool>,
    /// When a Pod that goes away is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_replacement_policy: Option<PodReplacementPolicy>,
    /// What failed Pods mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_failure_policy: Option<PodFailurePolicy>,
    /// What besides all completions is success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_policy: Option<SuccessPolicy>,
    /// The controller that is to act; absent means the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<Str>,
    /// What each Pod looks like.
    pub template: PodTemplate,
}

/// A Pod template: metadata in parts, the Pod's spec as the text it came in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodTemplate {
    /// Labels, annotations and finalizers for each Pod.
    pub metadata: ObjectMeta,
    /// JSON text of the Pod's spec, untouched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<RawValue>>,
}

impl PartialEq for PodTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata
            && self.spec.as_ref().map(|spec| spec.get()) == other.spec.as_ref().map(|spec| spec.get())
    }
}

/// How completions are told apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompletionMode {
    /// Any Pod's success counts.
    NonIndexed,
    /// Each index wants its own success.
    Indexed,
    /// One that this version does not know; such a Job is left alone, with an event.
    #[serde(untagged)]
    Other(Str),
}

/// When a Pod that goes away is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodReplacementPolicy {
    /// As soon as it terminates or failed.
    TerminatingOrFailed,
    /// Only once it has ended.
    Failed,
    /// One that this version does not know.
    #[serde(untagged)]
    Other(Str),
}

/// What failed Pods mean: the first rule that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodFailurePolicy {
    /// Rules in order.
    pub rules: Vec<PodFailurePolicyRule>,
}

/// One rule of a Pod failure policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodFailurePolicyRule {
    /// What happens on a match.
    pub action: PodFailurePolicyAction,
    /// Match by exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exit_codes: Option<OnExitCodes>,
    /// Match by Pod condition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_pod_conditions: Vec<OnPodCondition>,
}

/// What a matching rule does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodFailurePolicyAction {
    /// The whole Job fails.
    FailJob,
    /// The Pod's index fails.
    FailIndex,
    /// The failure does not count.
    Ignore,
    /// The failure counts as without a policy.
    #[default]
    Count,
    /// One that this version does not know; the rule is passed over, as upstream does.
    #[serde(untagged)]
    Other(Str),
}

/// Exit codes that match a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OnExitCodes {
    /// Container that is meant; absent means any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<Str>,
    /// In or NotIn.
    pub operator: OnExitCodesOperator,
    /// The codes.
    pub values: Vec<i32>,
}

/// How exit codes are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExitCodesOperator {
    /// The code is one of the values.
    #[default]
    In,
    /// The code is not zero and none of the values.
    NotIn,
    /// One that this version does not know; it matches nothing.
    #[serde(untagged)]
    Other(Str),
}

/// A Pod condition that matches a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnPodCondition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub kind: Str,
    /// Status that it must have; the server's default is True.
    pub status: ConditionStatus,
}

/// What besides all completions is success: the first rule that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SuccessPolicy {
    /// Rules in order.
    pub rules: Vec<SuccessPolicyRule>,
}

/// One rule of a success policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SuccessPolicyRule {
    /// Indexes that must succeed, in compact text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded_indexes: Option<Str>,
    /// How many of them must succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded_count: Option<i32>,
}

/// Observed state of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobStatus {
    /// Conditions, in the order in which they were added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<JobCondition>,
    /// When the controller first acted, or resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the Job completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Pods that are pending or running and not terminating.
    #[serde(skip_serializing_if = "is_zero")]
    pub active: i32,
    /// Pods that succeeded.
    #[serde(skip_serializing_if = "is_zero")]
    pub succeeded: i32,
    /// Pods that failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: i32,
    /// Pods that terminate and have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<i32>,
    /// Active Pods that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<i32>,
    /// Succeeded indexes in compact text, such as `1,3-5`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub completed_indexes: Str,
    /// Failed indexes in compact text, where a limit per index is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_indexes: Option<Str>,
    /// Pods that ended and are not in the counters yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncounted_terminated_pods: Option<UncountedTerminatedPods>,
}

/// Uids of Pods that ended and are not in the counters yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UncountedTerminatedPods {
    /// Pods to be added to `succeeded`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub succeeded: Vec<Uid>,
    /// Pods to be added to `failed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Uid>,
}

/// One condition of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobCondition {
    /// Type, such as Complete or FailureTarget.
    #[serde(rename = "type")]
    pub kind: Str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// When it was looked at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<Time>,
    /// When the status changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, in CamelCase.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: Str,
    /// Why, for people.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub message: Str,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    #[default]
    True,
    /// It does not hold.
    False,
    /// Nobody knows.
    #[serde(other)]
    Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}
