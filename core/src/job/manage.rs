//! How many Pods there should be, and what is created or deleted for it; never both in one plan.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::plan::{PodSlot, SyncAction};
use crate::policy::Policy;
use crate::view::Admission;

use super::counting::Tally;
use super::facts::Facts;
use super::progress::Progress;
use super::{create, surplus};

/// What happens to the Job's Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    #[default]
    Nothing,
    /// Pods are created.
    Create(Vec<PodSlot>),
    /// Pods are deleted, without being counted.
    DeleteUncounted(Vec<u32>),
    /// Pods are deleted, and keep the finalizer until they are counted.
    DeleteCounted(Vec<u32>),
}

/// What is to be done to have the right number of Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed {
    /// What happens.
    pub(super) change: Change,
    /// What the reconcile is called for it.
    pub(super) action: SyncAction,
    /// When retries that wait may start, milliseconds from now.
    pub(super) retry_after_ms: Option<u64>,
    /// The message with which a policy stopped the retries or the start; then nothing happens here.
    pub(super) stopped: Option<String>,
}

/// What is to be done, for a Job that does not end (upstream: manageJob).
pub(super) fn decide(
    facts: &Facts<'_>,
    tally: &Tally,
    progress: Option<&Progress>,
    policy: &dyn Policy,
) -> Managed {
    let (job, pods) = (facts.job, &facts.pods);
    if job.suspended {
        // No limit here: a suspended Job must not run on.
        return deleting(pods.active.clone(), SyncAction::PodsDeleted);
    }
    match facts.admission() {
        // The start is on record before the first Pod is: whoever looks next knows that the place is taken.
        Some(Admission::Granted) => return starting(),
        Some(Admission::Held) => return Managed::default(),
        Some(Admission::Refused(why)) => return create::stopped(why.to_string()),
        None => {}
    }
    let active = u32::try_from(pods.active.len()).unwrap_or(u32::MAX);
    let wanted = match job.completions {
        // A work queue: any success says that no further Pod is needed.
        None if tally.succeeded > 0 => active,
        None => job.parallelism,
        Some(completions) => completions.saturating_sub(tally.succeeded).min(job.parallelism),
    };
    let surplus = surplus::choose(facts, active.saturating_sub(wanted));
    if !surplus.is_empty() {
        return deleting(surplus, SyncAction::PodsDeleted);
    }
    let in_the_way = if job.replace_only_failed { pods.terminating } else { 0 };
    let missing = wanted.saturating_sub(in_the_way).saturating_sub(active);
    if missing == 0 {
        return Managed { action: SyncAction::Tracking, ..Managed::default() };
    }
    create::decide(facts, tally, progress, missing, policy)
}

/// Nothing but the start, and then at once what there is to do.
fn starting() -> Managed {
    Managed { action: SyncAction::Tracking, retry_after_ms: Some(0), ..Managed::default() }
}

fn deleting(pods: Vec<u32>, action: SyncAction) -> Managed {
    let change = if pods.is_empty() { Change::Nothing } else { Change::DeleteUncounted(pods) };
    Managed { change, action, ..Managed::default() }
}
