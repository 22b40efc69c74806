//! The history of the store: every committed revision, in order.

use std::collections::VecDeque;

use windlass_core::kube::{Object, ResourceVersion};

use super::{Actor, Store};
use crate::Resource;

/// Most commits that wait to be drained; beyond it the oldest are dropped, and counted.
const MAX_UNDRAINED: usize = 1 << 20;

/// What changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PUT of the status.
    UpdateStatus,
    /// PATCH.
    Patch,
    /// POST of a binding.
    Bind,
    /// DELETE.
    Delete,
}

/// One committed revision.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The revision; each is one more than the one before.
    pub revision: ResourceVersion,
    /// What was asked for.
    pub verb: Verb,
    /// Who asked.
    pub actor: Actor,
    /// What was changed.
    pub resource: Resource,
    /// The object before; absent for a new one, and for Namespaces and Events.
    pub before: Option<Object>,
    /// The object after; absent once removed, and for Namespaces and Events.
    pub after: Option<Object>,
    /// Virtual time, milliseconds since the start.
    pub time_ms: u64,
}

/// Commits on their way to two readers: the cluster around the store, and whoever drains them.
#[derive(Debug, Default)]
pub(super) struct CommitLog {
    /// Whether a cluster reacts to commits; it does so at the end of each request.
    has_cluster: bool,
    undigested: Vec<Commit>,
    undrained: VecDeque<Commit>,
    lost: u64,
}

impl CommitLog {
    fn keep(&mut self, commit: Commit) {
        self.undrained.push_back(commit);
        if self.undrained.len() > MAX_UNDRAINED {
            self.undrained.pop_front();
            self.lost += 1;
        }
    }
}

impl Store {
    /// Commits since the last call, oldest first; empty unless the options record them.
    pub fn drain_commits(&mut self) -> impl ExactSizeIterator<Item = Commit> + '_ {
        self.commits.undrained.drain(..)
    }

    /// How many commits were dropped because nobody drained them; checkers must see zero.
    #[must_use]
    pub fn lost_commits(&self) -> u64 {
        self.commits.lost
    }

    /// Keeps each commit for the cluster around the store, too.
    pub(crate) fn join_cluster(&mut self) {
        self.commits.has_cluster = true;
    }

    /// Commits that the cluster has not reacted to; their buffer comes back by [`Self::give_back`].
    pub(crate) fn take_undigested(&mut self) -> Vec<Commit> {
        std::mem::take(&mut self.commits.undigested)
    }

    pub(crate) fn give_back(&mut self, mut digested: Vec<Commit>) {
        digested.clear();
        if self.commits.undigested.is_empty() {
            self.commits.undigested = digested;
        }
    }

    pub(super) fn log(
        &mut self,
        actor: Actor,
        verb: Verb,
        resource: Resource,
        before: Option<Object>,
        after: Option<Object>,
    ) {
        let commit = Commit {
            revision: ResourceVersion(self.revision),
            verb,
            actor,
            resource,
            before,
            after,
            time_ms: self.now_ms,
        };
        match (self.options.record_commits, self.commits.has_cluster) {
            (true, true) => {
                self.commits.undigested.push(commit.clone());
                self.commits.keep(commit);
            }
            (true, false) => self.commits.keep(commit),
            (false, true) => self.commits.undigested.push(commit),
            (false, false) => {}
        }
    }
}
