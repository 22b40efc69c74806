//! What a reconcile knows before it decides: the snapshot, checked, with its Pods sorted.

use crate::fault::Fault;
use crate::kube::Time;
use crate::view::{Admission, CompletionModeView, JobSnapshot, JobView, LiveOwner};

use super::conditions::{SUSPENDED, find_true};
use super::failure_policy::Matches;
use super::managed_by::is_ours;
use super::memo::Memo;
use super::pods::Pods;

/// A snapshot, checked and sorted.
pub(super) struct Facts<'snapshot> {
    /// The snapshot.
    pub(super) snapshot: &'snapshot JobSnapshot,
    /// The Job in it.
    pub(super) job: &'snapshot JobView,
    /// Wall clock, cut to seconds as the API stores it.
    pub(super) now: Time,
    /// Whether deletion of the Job was asked for, by the cache or by the live read.
    pub(super) deleting: bool,
    /// Number of completions, which bounds the indexes; only for an Indexed Job.
    pub(super) index_bound: Option<u32>,
    /// The Job's Pods.
    pub(super) pods: Pods,
    /// What the Pod failure policy says of each failed Pod.
    pub(super) matches: Matches,
    /// What the last reconcile left; absent if it is lost.
    pub(super) memo: Option<Memo>,
}

impl<'snapshot> Facts<'snapshot> {
    /// Whether the Job is ours to act on.
    pub(super) fn is_ours(&self) -> bool {
        is_ours(self.job.managed_by.as_deref(), self.snapshot.flags.managed_by.as_deref())
    }

    /// Whether the Job has a start that counts; see [`crate::kube::Job::is_started`].
    pub(super) fn is_started(&self) -> bool {
        let status = &self.job.status;
        status.start_time.is_some() && find_true(&status.conditions, SUSPENDED).is_none()
    }

    /// What was decided about the start of a Job that is about to start; absent for all others.
    pub(super) fn admission(&self) -> Option<&'snapshot Admission> {
        let may_be_asked = !self.job.suspended && !self.is_started();
        self.snapshot.admission.as_ref().filter(|_| may_be_asked)
    }

    /// Whether the Job waits for its start, so that no time of it counts.
    pub(super) fn is_held(&self) -> bool {
        self.admission() == Some(&Admission::Held)
    }

    /// Whether a status that is written now says that the Job has started, if none did before.
    pub(super) fn starts(&self) -> bool {
        match self.admission() {
            None => !self.job.suspended,
            Some(Admission::Granted) => !self.deleting,
            Some(Admission::Held | Admission::Refused(_)) => false,
        }
    }

    /// The facts of `snapshot`.
    ///
    /// # Errors
    /// A [`Fault`] if the snapshot contradicts itself.
    pub(super) fn read(snapshot: &'snapshot JobSnapshot) -> Result<Self, Fault> {
        let job = &*snapshot.job;
        let pods = Pods::sort(snapshot)?;
        let matches = Matches::find(job, &snapshot.pods, pods.len())?;
        Ok(Self {
            snapshot,
            job,
            now: Time::from_unix_ms(snapshot.now_ms),
            deleting: job.terminating || snapshot.live_owner == Some(LiveOwner::Terminating),
            index_bound: match job.mode {
                CompletionModeView::Indexed => Some(job.completions.unwrap_or(0)),
                CompletionModeView::NonIndexed | CompletionModeView::Unknown => None,
            },
            pods,
            matches,
            memo: Memo::decode(&snapshot.memo, &job.uid),
        })
    }

    /// Whether a Pod with `index` can count at all: in an Indexed Job only with an index in range.
    pub(super) fn is_countable(&self, index: u32) -> bool {
        self.index_bound.is_none_or(|bound| index < bound)
    }

    /// The failures that one index bears, if such a limit is set and the Job is Indexed.
    pub(super) fn limit_per_index(&self) -> Option<u32> {
        self.index_bound.and(self.job.backoff_limit_per_index)
    }

    /// Milliseconds from now until `instant_ms`; zero once it has passed.
    pub(super) fn until_ms(&self, instant_ms: i64) -> u64 {
        u64::try_from(instant_ms.saturating_sub(self.snapshot.now_ms)).unwrap_or(0)
    }
}
