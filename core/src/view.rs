//! What reconcile may see: plain values, compact enough to cross into a component.
//!
//! Children are named by their position in the columns; the host, which keeps names, uids and
//! resourceVersions, orders them by name, so that positions are the same on every run.

mod cron_job;
mod daemon_set;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::kube::{JobCondition, PodFailurePolicy, PodPhase, Str, SuccessPolicy, Time, Uid};

pub use cron_job::{ActiveRow, CronJobFlags, CronJobSnapshot, CronJobView, JobRow, JobState};
pub use daemon_set::{
    DaemonPodColumns, DaemonPodRow, DaemonSetFlags, DaemonSetSnapshot, DaemonSetStatusView, DaemonSetView,
    GONE_NODE, NO_NODE, NodeColumns, OwnedRevision, UpdateStrategy,
};

/// Stands in an index column for "no valid completion index".
pub const NO_INDEX: u32 = u32::MAX;
/// Stands in a list of positions for "no such Pod in this snapshot".
pub const NO_POD: u32 = u32::MAX;
/// Stands in the exit code column for "no container reported an end".
pub const NO_EXIT_CODE: i32 = i32::MIN;

/// Everything that one reconcile of a Job sees.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSnapshot {
    /// Wall clock of the reconcile, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Settings of the host that the logic reads.
    pub flags: JobFlags,
    /// The Job.
    pub job: Arc<JobView>,
    /// Its Pods, but for those that ended and are counted and free of the tracking finalizer.
    pub pods: PodColumns,
    /// `status.uncountedTerminatedPods`, each uid resolved to a Pod that still has the finalizer.
    pub uncounted: UncountedPods,
    /// What a live read of the Job found, if the last plan asked for one.
    pub live_owner: Option<LiveOwner>,
    /// What was decided about the start of a Job that has not started; absent where nobody asks.
    pub admission: Option<Admission>,
    /// What the last plan for this key returned that succeeded, or whose status was stored; empty at first.
    pub memo: Vec<u8>,
}

/// What was decided about the start of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may start: the start is recorded before anything else is done for it.
    Granted,
    /// It waits: nothing of it is started.
    Held,
    /// It does not start, and fails; why, for people.
    Refused(Str),
}

/// Everything that the reconcile of a Pod sees whose Job is gone, finished, or not to be found.
#[derive(Clone, Debug, PartialEq)]
pub struct OrphanSnapshot {
    /// Whether the Pod carries the tracking finalizer.
    pub tracked: bool,
    /// What the Pod's controller reference says.
    pub owner: OrphanOwner,
}

/// Whose a Pod with the tracking finalizer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanOwner {
    /// It has no controller.
    Nobody,
    /// Its controller is of another kind than batch/v1 Job.
    OtherKind,
    /// Its Job does not exist (any more), or the name belongs to a Job with another uid.
    Gone,
    /// Its Job exists and is finished.
    Finished,
    /// Its Job exists and is not finished.
    Unfinished,
    /// Its Job exists and another controller manages it.
    ManagedElsewhere,
}

/// Settings of the host that the Job logic reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFlags {
    /// First retry delay, milliseconds (upstream: 10 s).
    pub backoff_base_ms: u32,
    /// Longest retry delay, milliseconds (upstream: 10 min).
    pub backoff_max_ms: u32,
    /// Longest time for which changes are gathered before a status write, milliseconds (upstream: 1 s).
    pub sync_batch_ms: u32,
    /// Time for which the ends of Pods are gathered at present before a status write, milliseconds; at most
    /// `sync_batch_ms`, and the less, the sooner the server answers.
    pub progress_window_ms: u32,
    /// Most Pods that may be uncounted at once (upstream: 500).
    pub max_uncounted_pods: u32,
    /// Most creates or deletes of one plan (upstream: 500).
    pub max_pods_per_sync: u32,
    /// Value of `spec.managedBy` that is ours; absent: Jobs without a foreign value, as the built-in.
    pub managed_by: Option<Str>,
}

impl Default for JobFlags {
    /// Upstream's constants (pkg/controller/job, 1.37.1).
    fn default() -> Self {
        Self {
            backoff_base_ms: 10_000,
            backoff_max_ms: 600_000,
            sync_batch_ms: 1_000,
            progress_window_ms: 1_000,
            max_uncounted_pods: 500,
            max_pods_per_sync: 500,
            managed_by: None,
        }
    }
}

/// A Job, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobView {
    /// Namespace and name, joined by a slash.
    pub owner: Str,
    /// Uid of the Job.
    pub uid: Uid,
    /// Whether deletion was asked for.
    pub terminating: bool,
    /// Most Pods at once.
    pub parallelism: u32,
    /// Successes wanted; absent: a work queue.
    pub completions: Option<u32>,
    /// How completions are told apart.
    pub mode: CompletionModeView,
    /// Failures borne before the Job fails.
    pub backoff_limit: u32,
    /// Failures borne for one index.
    pub backoff_limit_per_index: Option<u32>,
    /// Failed indexes borne before the Job fails.
    pub max_failed_indexes: Option<u32>,
    /// Seconds since the start time after which the Job fails.
    pub active_deadline_seconds: Option<i64>,
    /// Seconds after its end at which the Job is deleted.
    pub ttl_seconds_after_finished: Option<u32>,
    /// Whether no Pod is to run for now.
    pub suspended: bool,
    /// Whether a Pod is replaced only once it has ended.
    pub replace_only_failed: bool,
    /// Whether the template's restartPolicy is OnFailure.
    pub restart_on_failure: bool,
    /// What failed Pods mean.
    pub pod_failure_policy: Option<PodFailurePolicy>,
    /// What besides all completions is success.
    pub success_policy: Option<SuccessPolicy>,
    /// Value of `spec.managedBy`.
    pub managed_by: Option<Str>,
    /// Observed state.
    pub status: JobStatusView,
}

/// How completions are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompletionModeView {
    /// Any Pod's success counts.
    #[default]
    NonIndexed,
    /// Each index wants its own success.
    Indexed,
    /// One that this version does not know.
    Unknown,
}

/// A Job's observed state; the uncounted Pods are apart, since they refer to positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStatusView {
    /// Conditions, in the order in which they were added.
    pub conditions: Vec<JobCondition>,
    /// When the controller first acted, or resumed.
    pub start_time: Option<Time>,
    /// When the Job completed.
    pub completion_time: Option<Time>,
    /// Pods that are pending or running and not terminating.
    pub active: u32,
    /// Pods that succeeded.
    pub succeeded: u32,
    /// Pods that failed.
    pub failed: u32,
    /// Pods that terminate and have not ended.
    pub terminating: Option<u32>,
    /// Active Pods that are ready.
    pub ready: Option<u32>,
    /// Succeeded indexes in compact text.
    pub completed_indexes: Str,
    /// Failed indexes in compact text, where a limit per index is set.
    pub failed_indexes: Option<Str>,
}

/// Pods that ended and are not in the counters yet: positions, or [`NO_POD`] where the finalizer is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UncountedPods {
    /// Pods to be added to `succeeded`, in the order stored.
    pub succeeded: Vec<u32>,
    /// Pods to be added to `failed`, in the order stored.
    pub failed: Vec<u32>,
}

/// What a live read of the owner found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveOwner {
    /// The same uid, and no deletion asked for.
    Alive,
    /// The same uid, and deletion asked for.
    Terminating,
    /// Not there, or another uid.
    Gone,
}

/// Facts about a Pod, one bit each in the flags column.
pub mod pod_flag {
    /// Deletion was asked for.
    pub const TERMINATING: u16 = 1;
    /// The tracking finalizer is there.
    pub const TRACKED: u16 = 1 << 1;
    /// The Ready condition holds.
    pub const READY: u16 = 1 << 2;
    /// The controller reference names this Job's uid.
    pub const OWNED: u16 = 1 << 3;
    /// The Job's selector matches the labels.
    pub const SELECTED: u16 = 1 << 4;
    /// There is no controller reference at all.
    pub const ORPHAN: u16 = 1 << 5;
    /// It was bound to a node.
    pub const BOUND: u16 = 1 << 6;
    /// Its label says the number of the DaemonSet's present template (never of a Job's Pod).
    pub const OF_GENERATION: u16 = 1 << 7;
}

/// One Pod as the columns hold it; made once per object version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodRow {
    /// Phase.
    pub phase: PodPhase,
    /// Bits of [`pod_flag`].
    pub flags: u16,
    /// Completion index, or [`NO_INDEX`].
    pub index: u32,
    /// Restarts of all containers and init containers together.
    pub restarts: u32,
    /// Restarts of the container with the most, init containers apart.
    pub most_restarts: u32,
    /// Restarts of the sidecar with the most.
    pub most_sidecar_restarts: u32,
    /// Counted failures of the index before this Pod (its annotation).
    pub index_failures: u32,
    /// Ignored failures of the index before this Pod (its annotation).
    pub index_ignored_failures: u32,
    /// Creation, seconds since the Unix epoch.
    pub created_s: i64,
    /// Last change of the Ready condition, seconds since the Unix epoch; 0 if not reported.
    pub ready_changed_s: i64,
    /// End, seconds since the Unix epoch, by upstream's getFinishedTime; 0 while it runs.
    pub finished_s: i64,
    /// First exit code other than 0, containers before init containers, else 0, else [`NO_EXIT_CODE`].
    pub exit_code: i32,
}

/// Pods as columns of equal length; position N of each is the same Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodColumns {
    /// [`PodPhase`] as its position in Pending, Running, Succeeded, Failed, Unknown.
    pub phase: Vec<u8>,
    /// Bits of [`pod_flag`].
    pub flags: Vec<u16>,
    /// See [`PodRow::index`].
    pub index: Vec<u32>,
    /// See [`PodRow::restarts`].
    pub restarts: Vec<u32>,
    /// See [`PodRow::most_restarts`].
    pub most_restarts: Vec<u32>,
    /// See [`PodRow::most_sidecar_restarts`].
    pub most_sidecar_restarts: Vec<u32>,
    /// See [`PodRow::index_failures`].
    pub index_failures: Vec<u32>,
    /// See [`PodRow::index_ignored_failures`].
    pub index_ignored_failures: Vec<u32>,
    /// See [`PodRow::created_s`].
    pub created_s: Vec<i64>,
    /// See [`PodRow::ready_changed_s`].
    pub ready_changed_s: Vec<i64>,
    /// See [`PodRow::finished_s`].
    pub finished_s: Vec<i64>,
    /// See [`PodRow::exit_code`].
    pub exit_code: Vec<i32>,
    /// Details of the Pods that a rule of the Job's Pod failure policy may match, by rising position.
    pub failed_details: Vec<FailedPod>,
}

/// What a Pod failure policy asks about a Pod that has not succeeded.
///
/// One that runs may be asked about, too: it counts as failed once it is deleted because the Job fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedPod {
    /// Position of the Pod.
    pub pod: u32,
    /// Namespace and name, joined by a slash; upstream's messages name the Pod.
    pub name: String,
    /// Container name and exit code of each container that ended badly, init containers last, as upstream
    /// matches them.
    pub exits: Vec<(Str, i32)>,
    /// Type and status of each condition that a rule names.
    pub conditions: Vec<(Str, crate::kube::ConditionStatus)>,
}

impl PodColumns {
    /// Columns with room for `capacity` Pods.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            phase: Vec::with_capacity(capacity),
            flags: Vec::with_capacity(capacity),
            index: Vec::with_capacity(capacity),
            restarts: Vec::with_capacity(capacity),
            most_restarts: Vec::with_capacity(capacity),
            most_sidecar_restarts: Vec::with_capacity(capacity),
            index_failures: Vec::with_capacity(capacity),
            index_ignored_failures: Vec::with_capacity(capacity),
            created_s: Vec::with_capacity(capacity),
            ready_changed_s: Vec::with_capacity(capacity),
            finished_s: Vec::with_capacity(capacity),
            exit_code: Vec::with_capacity(capacity),
            failed_details: Vec::new(),
        }
    }

    /// Number of Pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.phase.len()
    }

    /// Whether there is no Pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phase.is_empty()
    }

    /// Appends one Pod.
    pub fn push(&mut self, row: PodRow) {
        self.phase.push(phase_number(row.phase));
        self.flags.push(row.flags);
        self.index.push(row.index);
        self.restarts.push(row.restarts);
        self.most_restarts.push(row.most_restarts);
        self.most_sidecar_restarts.push(row.most_sidecar_restarts);
        self.index_failures.push(row.index_failures);
        self.index_ignored_failures.push(row.index_ignored_failures);
        self.created_s.push(row.created_s);
        self.ready_changed_s.push(row.ready_changed_s);
        self.finished_s.push(row.finished_s);
        self.exit_code.push(row.exit_code);
    }

    /// The Pods in order of position, or `None` if the columns differ in length.
    #[must_use]
    pub fn rows(&self) -> Option<Vec<PodRow>> {
        let length = self.phase.len();
        let columns = [
            self.flags.len(),
            self.index.len(),
            self.restarts.len(),
            self.most_restarts.len(),
            self.most_sidecar_restarts.len(),
            self.index_failures.len(),
            self.index_ignored_failures.len(),
            self.created_s.len(),
            self.ready_changed_s.len(),
            self.finished_s.len(),
            self.exit_code.len(),
        ];
        if columns.iter().any(|column| *column != length) {
            return None;
        }
        // Zipped, not looked up by position: this is half the cost of a reconcile of 10,000 Pods.
        let numbers = self.phase.iter().zip(&self.flags).zip(&self.index);
        let restarts = self.restarts.iter().zip(&self.most_restarts).zip(&self.most_sidecar_restarts);
        let failures = self.index_failures.iter().zip(&self.index_ignored_failures);
        let instants = self.created_s.iter().zip(&self.ready_changed_s).zip(&self.finished_s);
        let rows = numbers.zip(restarts).zip(failures).zip(instants).zip(&self.exit_code).map(
            |(
                (
                    ((((phase, flags), index), ((restarts, most), sidecar)), (failures, ignored)),
                    ((created, ready), ended),
                ),
                code,
            )| {
                PodRow {
                    phase: phase_of(*phase),
                    flags: *flags,
                    index: *index,
                    restarts: *restarts,
                    most_restarts: *most,
                    most_sidecar_restarts: *sidecar,
                    index_failures: *failures,
                    index_ignored_failures: *ignored,
                    created_s: *created,
                    ready_changed_s: *ready,
                    finished_s: *ended,
                    exit_code: *code,
                }
            },
        );
        Some(rows.collect())
    }
}

fn phase_number(phase: PodPhase) -> u8 {
    match phase {
        PodPhase::Pending => 0,
        PodPhase::Running => 1,
        PodPhase::Succeeded => 2,
        PodPhase::Failed => 3,
        PodPhase::Unknown => 4,
    }
}

pub(crate) fn phase_of(number: u8) -> PodPhase {
    match number {
        0 => PodPhase::Pending,
        1 => PodPhase::Running,
        2 => PodPhase::Succeeded,
        3 => PodPhase::Failed,
        _ => PodPhase::Unknown,
    }
}
