//! Slim structs of the Kubernetes objects that the controllers read, and their projection to views.
//!
//! Only fields in use are decoded; Pod templates stay opaque text. Strings and maps are shared, so that
//! a copy of an object costs a few reference counts.

mod controller_revision;
mod cron_job;
mod cron_manifest;
mod daemon_columns;
mod daemon_set;
mod daemon_template;
mod job;
mod manifest;
mod meta;
pub mod names;
mod node;
mod placement;
mod pod;
mod project;
mod project_cron;
mod project_daemon;
mod status;
mod time;

pub use controller_revision::{ControllerRevision, RevisionManifest};
pub use cron_job::{ConcurrencyPolicy, CronJob, CronJobSpec, CronJobStatus, JobTemplate, ObjectReference};
pub use cron_manifest::JobManifest;
pub use daemon_columns::{daemon_pod_columns, node_columns};
pub use daemon_set::{
    DaemonSet, DaemonSetSpec, DaemonSetStatus, DaemonSetUpdateStrategy, IntOrPercent, RollingUpdateDaemonSet,
    TEMPLATE_GENERATION_ANNOTATION, TEMPLATE_GENERATION_LABEL,
};
pub use daemon_template::DaemonTemplate;
pub use job::{
    CompletionMode, ConditionStatus, Job, JobCondition, JobSpec, JobStatus, OnExitCodes, OnExitCodesOperator,
    OnPodCondition, PodFailurePolicy, PodFailurePolicyAction, PodFailurePolicyRule, PodReplacementPolicy,
    PodTemplate, SuccessPolicy, SuccessPolicyRule, UncountedTerminatedPods,
};
pub use manifest::{ManifestFault, PodManifest, PreparedTemplate};
pub use meta::{
    LabelSelector, Labels, ObjectMeta, OwnerReference, ResourceVersion, SelectorOperator,
    SelectorRequirement, Str, Uid,
};
pub use node::{Node, NodeSpec, NodeStatus, Taint};
pub use placement::{
    Affinity, NODE_NAME_FIELD, NodeAffinity, NodeSelector, NodeSelectorOperator, NodeSelectorRequirement,
    NodeSelectorTerm, PlacementSpec, Toleration, TolerationOperator, pod_affinity,
};
pub use pod::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodPhase, PodSpec,
    PodStatus,
};
pub use project::{failed_pod, job_status, job_view, pod_row, uncounted_pods};
pub use project_cron::{
    active_rows, cron_job_row, cron_job_status, cron_job_view, job_reference, scheduled_instant,
};
pub use project_daemon::{daemon_set_status, daemon_set_view};
pub use status::ApiStatus;
pub use time::Time;

use alloc::sync::Arc;

/// Name of the finalizer that keeps a Pod until its Job has counted it (upstream: batch/v1 types.go).
pub const JOB_TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Label and annotation with a Pod's completion index.
pub const COMPLETION_INDEX_ANNOTATION: &str = "batch.kubernetes.io/job-completion-index";
/// Annotation with the number of counted failures of a Pod's index.
pub const INDEX_FAILURE_COUNT_ANNOTATION: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation with the number of ignored failures of a Pod's index.
pub const INDEX_IGNORED_FAILURE_COUNT_ANNOTATION: &str =
    "batch.kubernetes.io/job-index-ignored-failure-count";
/// Label with the name of the owning Job.
pub const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";
/// Label with the uid of the owning Job.
pub const CONTROLLER_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// Annotation of a Job with the instant of its CronJob's schedule for which it was made (upstream: batch/v1 types.go).
pub const CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Label of a DaemonSet's Pods and ControllerRevisions that says which revision this is (upstream: apps/v1 types.go).
pub const CONTROLLER_REVISION_HASH_LABEL: &str = "controller-revision-hash";
/// The `spec.managedBy` value that stands for the built-in controller.
pub const BUILT_IN_JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// The kinds of object that the host can watch or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// batch/v1 CronJob.
    CronJob,
    /// batch/v1 Job.
    Job,
    /// v1 Pod.
    Pod,
    /// v1 Node.
    Node,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 ControllerRevision.
    ControllerRevision,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::CronJob, Self::Job, Self::Pod, Self::Node, Self::DaemonSet, Self::ControllerRevision];

    /// Name of the kind as manifests spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob",
            Self::Job => "Job",
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::DaemonSet => "DaemonSet",
            Self::ControllerRevision => "ControllerRevision",
        }
    }

    /// Group and version as manifests spell them in `apiVersion`.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::CronJob | Self::Job => "batch/v1",
            Self::Pod | Self::Node => "v1",
            Self::DaemonSet | Self::ControllerRevision => "apps/v1",
        }
    }

    /// Plural resource name as request paths spell it.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::CronJob => "cronjobs",
            Self::Job => "jobs",
            Self::Pod => "pods",
            Self::Node => "nodes",
            Self::DaemonSet => "daemonsets",
            Self::ControllerRevision => "controllerrevisions",
        }
    }
}

/// One object of any watched kind, shared.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// batch/v1 CronJob.
    CronJob(Arc<CronJob>),
    /// batch/v1 Job.
    Job(Arc<Job>),
    /// v1 Pod.
    Pod(Arc<Pod>),
    /// v1 Node.
    Node(Arc<Node>),
    /// apps/v1 DaemonSet.
    DaemonSet(Arc<DaemonSet>),
    /// apps/v1 ControllerRevision.
    ControllerRevision(Arc<ControllerRevision>),
}

impl Object {
    /// Kind of the object.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::CronJob(_) => Kind::CronJob,
            Self::Job(_) => Kind::Job,
            Self::Pod(_) => Kind::Pod,
            Self::Node(_) => Kind::Node,
            Self::DaemonSet(_) => Kind::DaemonSet,
            Self::ControllerRevision(_) => Kind::ControllerRevision,
        }
    }

    /// Metadata of the object.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::CronJob(cron_job) => &cron_job.metadata,
            Self::Job(job) => &job.metadata,
            Self::Pod(pod) => &pod.metadata,
            Self::Node(node) => &node.metadata,
            Self::DaemonSet(set) => &set.metadata,
            Self::ControllerRevision(revision) => &revision.metadata,
        }
    }
}
