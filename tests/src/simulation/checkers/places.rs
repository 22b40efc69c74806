//! A1: never do more Jobs of a queue run at once than its plugin lets. That each starts in the end is V2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{Job, Object, Str, Uid};
use windlass_host::plugin::admission::queue_of;
use windlass_sandbox::Commit;

use super::Violation;
use crate::simulation::workload::queues::limit_of;

/// The Jobs that have started and not ended, by queue.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: BTreeMap<Str, BTreeSet<Uid>>,
    /// Jobs whose start arrived after its sender was gone or had given it up, of which nobody could know.
    late: BTreeSet<Uid>,
}

impl Places {
    /// Takes in a commit; `is_late` says of one of ours that its sender does not wait for it any more.
    pub(super) fn add(&mut self, commit: &Commit, is_late: bool) -> Result<(), Violation> {
        let (Some(Object::Job(job)), after) =
            (commit.after.as_ref().or(commit.before.as_ref()), &commit.after)
        else {
            return Ok(());
        };
        let Some(limit) = limit_of(job) else { return Ok(()) };
        let runs = after.is_some() && job.is_started() && !job.is_finished();
        let taken = self.taken.entry(queue_of(job)).or_default();
        if !runs {
            taken.remove(&job.metadata.uid);
            self.late.remove(&job.metadata.uid);
            return Ok(());
        }
        if !taken.insert(job.metadata.uid.clone()) {
            return Ok(());
        }
        if is_late {
            self.late.insert(job.metadata.uid.clone());
        }
        let known = taken.difference(&self.late).count();
        if is_late || known <= limit as usize {
            return Ok(());
        }
        Err(too_many(job, known, limit))
    }
}

fn too_many(job: &Arc<Job>, known: usize, limit: u32) -> Violation {
    let name = &job.metadata.name;
    Violation::new(
        "A1",
        format!("{name} starts as one of {known} of {}, where {limit} are most", queue_of(job)),
    )
}
