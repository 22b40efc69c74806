//! Sorts the Pods of a snapshot: whose they are, and whether they run, terminate, or ended.

use alloc::vec;
use alloc::vec::Vec;

use crate::fault::Fault;
use crate::kube::PodPhase;
use crate::view::{JobSnapshot, JobView, NO_POD, PodRow, pod_flag};

/// The Job's Pods, sorted.
pub(super) struct Pods {
    rows: Vec<PodRow>,
    marks: Vec<u8>,
    /// Positions of Pods that have not ended and do not terminate.
    pub(super) active: Vec<u32>,
    /// How many of the active ones are ready.
    pub(super) ready: u32,
    /// How many terminate and have not ended.
    pub(super) terminating: u32,
}

/// One Pod of the Job.
#[derive(Clone, Copy)]
pub(super) struct Pod<'pods> {
    /// Its position in the snapshot.
    pub(super) position: u32,
    /// What is known of it.
    pub(super) row: &'pods PodRow,
    marks: u8,
}

/// The Job manages the Pod: it is owned and the selector matches.
const CLAIMED: u8 = 1;
/// The Pod's uid is in uncountedTerminatedPods.
const RECORDED: u8 = 1 << 1;

impl Pods {
    /// The Pods of `snapshot`, those that the Job does not manage left aside.
    ///
    /// # Errors
    /// [`Fault::UnequalColumns`] or [`Fault::PositionOutOfRange`] if the snapshot contradicts itself.
    pub(super) fn sort(snapshot: &JobSnapshot) -> Result<Self, Fault> {
        let rows = snapshot.pods.rows().ok_or(Fault::UnequalColumns)?;
        let mut marks = vec![0; rows.len()];
        for (row, mark) in rows.iter().zip(&mut marks) {
            *mark = if is_claimed(row, &snapshot.job) { CLAIMED } else { 0 };
        }
        mark(&mut marks, &snapshot.uncounted.succeeded, RECORDED)?;
        mark(&mut marks, &snapshot.uncounted.failed, RECORDED)?;
        let mut pods = Self { rows, marks, active: Vec::new(), ready: 0, terminating: 0 };
        let (mut active, mut ready, mut terminating) = (Vec::new(), 0_u32, 0_u32);
        for pod in pods.iter() {
            if pod.is_active() {
                active.push(pod.position);
                ready = ready.saturating_add(u32::from(pod.has(pod_flag::READY)));
            } else if !pod.is_terminal() {
                terminating = terminating.saturating_add(1);
            }
        }
        (pods.active, pods.ready, pods.terminating) = (active, ready, terminating);
        Ok(pods)
    }

    /// Number of Pods in the snapshot, whosever they are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The Job's Pods by position.
    pub(super) fn iter(&self) -> impl Iterator<Item = Pod<'_>> {
        self.everyone().filter(|pod| pod.marks & CLAIMED != 0)
    }

    /// Every Pod of the snapshot by position, whosever it is.
    pub(super) fn everyone(&self) -> impl Iterator<Item = Pod<'_>> {
        let positions = 0_u32..;
        positions.zip(self.rows.iter().zip(&self.marks)).map(|(position, (row, marks))| Pod {
            position,
            row,
            marks: *marks,
        })
    }

    /// The Job's Pod at `position`, if there is one.
    pub(super) fn get(&self, position: u32) -> Option<Pod<'_>> {
        let offset = usize::try_from(position).ok()?;
        let pod = Pod { position, row: self.rows.get(offset)?, marks: *self.marks.get(offset)? };
        (pod.marks & CLAIMED != 0).then_some(pod)
    }

    /// The active Pods by position.
    pub(super) fn active(&self) -> impl Iterator<Item = Pod<'_>> {
        self.active.iter().filter_map(|position| self.get(*position))
    }

    /// How many of the Pods at `positions` are ready.
    pub(super) fn count_ready(&self, positions: &[u32]) -> u32 {
        let ready = positions.iter().filter(|p| self.get(**p).is_some_and(|pod| pod.has(pod_flag::READY)));
        u32::try_from(ready.count()).unwrap_or(u32::MAX)
    }
}

impl Pod<'_> {
    /// Whether a bit of [`pod_flag`] is set.
    pub(super) fn has(self, flag: u16) -> bool {
        self.row.flags & flag != 0
    }

    /// Whether the Pod ended.
    pub(super) fn is_terminal(self) -> bool {
        matches!(self.row.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// Whether the Pod ended well.
    pub(super) fn is_succeeded(self) -> bool {
        self.row.phase == PodPhase::Succeeded
    }

    /// Whether the Pod has not ended and does not terminate.
    pub(super) fn is_active(self) -> bool {
        !self.is_terminal() && !self.has(pod_flag::TERMINATING)
    }

    /// Whether the Pod counts as failed (upstream: isPodFailed).
    ///
    /// One that terminates counts at once, since it may never reach the phase; not so where it is replaced
    /// only once it ended.
    pub(super) fn is_failed(self, job: &JobView) -> bool {
        match self.row.phase {
            PodPhase::Failed => true,
            PodPhase::Succeeded => false,
            PodPhase::Pending | PodPhase::Running | PodPhase::Unknown => {
                !job.replace_only_failed && self.has(pod_flag::TERMINATING)
            }
        }
    }

    /// Whether the Pod carries the tracking finalizer.
    pub(super) fn is_tracked(self) -> bool {
        self.has(pod_flag::TRACKED)
    }

    /// Whether the stored status lists the Pod among the uncounted, as whichever.
    pub(super) fn is_recorded(self) -> bool {
        self.marks & RECORDED != 0
    }
}

/// Whether the Job manages the Pod (upstream: ClaimObject). A Job that is deleted keeps what it owns, so
/// that finalizers come off whatever the labels say.
fn is_claimed(row: &PodRow, job: &JobView) -> bool {
    let owned = row.flags & pod_flag::OWNED != 0;
    let selected = row.flags & pod_flag::SELECTED != 0;
    owned && (selected || job.terminating)
}

fn mark(marks: &mut [u8], positions: &[u32], bit: u8) -> Result<(), Fault> {
    for position in positions.iter().filter(|position| **position != NO_POD) {
        let offset = usize::try_from(*position).map_err(|_| Fault::PositionOutOfRange)?;
        *marks.get_mut(offset).ok_or(Fault::PositionOutOfRange)? |= bit;
    }
    Ok(())
}
