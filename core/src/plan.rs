//! What reconcile may ask for: a small graph of steps.
//!
//! Each step names the steps that it follows and how they must have ended. Independent steps run at once;
//! what does not depend on a failed step still happens.

mod daemon_set;

use alloc::string::String;
use alloc::vec::Vec;

use crate::kube::{JobCondition, Str, Time};
use crate::view::UncountedPods;

pub use daemon_set::{DaemonSetAction, SettledNodes};

/// What is to be done for one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps; each follows only steps before it.
    pub steps: Vec<Step>,
    /// When the key wants to be looked at again though nothing happens, milliseconds from now.
    pub requeue_after_ms: Option<u64>,
    /// When the key wants to be looked at again by the wall clock, milliseconds since the Unix epoch: a clock that
    /// is set forward or back moves the look with it.
    pub wake_at_ms: Option<i64>,
    /// A live read that the next snapshot must hold, before which nothing else can be decided.
    pub read: Option<Read>,
    /// What this reconcile mainly did, as upstream's metrics label it.
    pub action: SyncAction,
    /// Bytes for the next snapshot of this key; losing them may shorten a delay, never change a count.
    pub memo: Vec<u8>,
    /// Of a DaemonSet's nodes those that the next snapshots may leave out.
    pub settled: SettledNodes,
}

/// One step: an action on one or many objects, which succeeds if it succeeds on all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Steps that it follows.
    pub after: Vec<Dependency>,
    /// What is to be done.
    pub action: Action,
}

/// That a step follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Position of the earlier step.
    pub step: u32,
    /// How it must have ended.
    pub needs: Needs,
}

/// How an earlier step must have ended; a step whose need cannot be met any more is skipped, and
/// a skipped step counts as settled and as not succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// On every object, with success.
    Succeeded,
    /// Either way.
    Settled,
    /// Not with success on every object.
    Failed,
}

/// What a step does. Pods are named by their position in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create one Pod for each slot, starting slowly.
    CreatePods(Vec<PodSlot>),
    /// Delete Pods, each with its uid as precondition.
    DeletePods {
        /// The Pods.
        pods: Vec<u32>,
        /// Whether the tracking finalizer is removed first: such a Pod is not to be counted.
        untrack: bool,
    },
    /// Remove the tracking finalizer from Pods.
    UntrackPods(Vec<u32>),
    /// Add our controller reference and the tracking finalizer to Pods that have no controller.
    AdoptPods(Vec<u32>),
    /// Remove our controller reference and the tracking finalizer from Pods that the selector left.
    ReleasePods(Vec<u32>),
    /// Replace the Job's status.
    WriteJobStatus(JobStatusWrite),
    /// Delete the Job, with its uid as precondition, in the foreground: its Pods go first.
    DeleteJob,
    /// Create one Job for each slot.
    CreateJobs(Vec<JobSlot>),
    /// Delete Jobs, each with its uid as precondition and its Pods in the background.
    DeleteJobs(Vec<u32>),
    /// Replace the CronJob's status.
    WriteCronJobStatus(CronJobStatusWrite),
    /// What is done for a DaemonSet.
    DaemonSet(DaemonSetAction),
    /// Record an Event on the object that is reconciled.
    RecordEvent(EventRecord),
}

/// A Job to create for one instant of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSlot {
    /// The instant, seconds since the Unix epoch; the Job's name tells it in minutes.
    pub scheduled_s: i64,
    /// The instant in the CronJob's zone, in RFC 3339, for the Job's annotation.
    pub timestamp: Str,
}

/// A whole new status of a CronJob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronJobStatusWrite {
    /// Jobs of the schedule that have not ended.
    pub active: Vec<ActiveJob>,
    /// The newest instant of the schedule that got a Job.
    pub last_schedule_time: Option<Time>,
    /// When a Job completed last.
    pub last_successful_time: Option<Time>,
}

/// A Job that the status is to list as active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveJob {
    /// One that it lists already, by its position there.
    Listed(u32),
    /// One of the snapshot's Jobs, by its position.
    Known(u32),
    /// One that this plan creates, by the position of its slot.
    Created(u32),
}

/// Longest message of an Event, bytes (upstream: NoteLengthLimit of the Events' validation).
pub const MAX_EVENT_MESSAGE_BYTES: usize = 1024;

/// A Pod to create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodSlot {
    /// Completion index, for an Indexed Job.
    pub index: Option<u32>,
    /// Value of the annotation that counts the index's failures, where a limit per index is set.
    pub index_failures: Option<u32>,
    /// Value of the annotation that counts the index's ignored failures, where there are any.
    pub index_ignored_failures: Option<u32>,
}

/// A whole new status of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStatusWrite {
    /// Conditions.
    pub conditions: Vec<JobCondition>,
    /// Start time.
    pub start_time: Option<Time>,
    /// Completion time.
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
    /// Failed indexes in compact text.
    pub failed_indexes: Option<Str>,
    /// Pods that ended and are not in the counters yet; never [`crate::view::NO_POD`].
    pub uncounted: UncountedPods,
}

/// An Event on the object that is reconciled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Whether it is of type Warning; else Normal.
    pub warning: bool,
    /// Why, in CamelCase.
    pub reason: Str,
    /// For people.
    pub message: String,
}

/// A live read that a plan asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The Job itself, before adoption or deletion by age.
    Owner,
    /// The Jobs that the CronJob's status lists and of which the snapshot knows nothing.
    ActiveJobs,
}

/// What a reconcile mainly did: the `action` label of job_controller_job_syncs_total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncAction {
    /// Nothing was created or deleted.
    #[default]
    Reconciling,
    /// Only ended Pods were tracked.
    Tracking,
    /// Pods were created.
    PodsCreated,
    /// Pods were deleted.
    PodsDeleted,
}

impl EventRecord {
    /// An Event with upstream's spelling of its reason; a message that is too long is cut.
    #[must_use]
    pub fn new(warning: bool, reason: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MAX_EVENT_MESSAGE_BYTES));
        Self { warning, reason: reason.into(), message }
    }
}

impl Plan {
    /// Appends a step and returns its position.
    pub fn push(&mut self, action: Action, after: Vec<Dependency>) -> u32 {
        let position = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.steps.push(Step { after, action });
        position
    }
}

impl Dependency {
    /// After `step`, if it succeeded.
    #[must_use]
    pub fn succeeded(step: u32) -> Self {
        Self { step, needs: Needs::Succeeded }
    }

    /// After `step`, however it ended.
    #[must_use]
    pub fn settled(step: u32) -> Self {
        Self { step, needs: Needs::Settled }
    }

    /// After `step`, if it did not succeed.
    #[must_use]
    pub fn failed(step: u32) -> Self {
        Self { step, needs: Needs::Failed }
    }
}
