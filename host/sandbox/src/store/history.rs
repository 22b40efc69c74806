//! The watch cache: what happened to each kind, as far back as the bound allows.

use std::collections::VecDeque;

use windlass_core::kube::{ApiStatus, Kind, Object, ResourceVersion};

use super::Store;
use crate::refusal;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchEventKind {
    /// It was created.
    Added,
    /// It was changed.
    Modified,
    /// It was removed.
    Deleted,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchEventKind,
    /// The revision at which it happened.
    pub revision: ResourceVersion,
    /// The object after it, or its last state with the resourceVersion of its removal.
    pub object: Object,
    pub(super) before: Option<Object>,
}

/// The events of one kind, oldest first.
#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<WatchEvent>,
    limit: usize,
    /// Revision of the newest event that is gone: a watch must begin there or later.
    forgotten: ResourceVersion,
}

impl History {
    pub(super) fn new(limit: usize) -> Self {
        Self { events: VecDeque::new(), limit, forgotten: ResourceVersion(0) }
    }

    pub(super) fn push(&mut self, event: WatchEvent) {
        self.events.push_back(event);
        while self.events.len() > self.limit {
            if let Some(event) = self.events.pop_front() {
                self.forgotten = event.revision;
            }
        }
    }

    pub(super) fn forgotten(&self) -> ResourceVersion {
        self.forgotten
    }

    /// Events after `revision`, oldest first.
    pub(super) fn after(
        &self,
        revision: ResourceVersion,
    ) -> std::collections::vec_deque::Iter<'_, WatchEvent> {
        let start = self.events.partition_point(|event| event.revision <= revision);
        self.events.range(start..)
    }
}

impl WatchEvent {
    pub(super) fn before(&self) -> Option<&Object> {
        self.before.as_ref()
    }
}

impl Store {
    /// What happened to objects of `kind` after `from`, oldest first: what a watch from there delivers.
    ///
    /// A watch is a revision that its holder remembers: after each event that event's revision, and after a
    /// bookmark [`Store::revision`].
    ///
    /// # Errors
    /// 410 Expired where the history no longer reaches back to `from`; 504 Timeout where `from` is ahead of the store.
    pub fn events_after(
        &self,
        kind: Kind,
        from: ResourceVersion,
    ) -> Result<impl ExactSizeIterator<Item = &WatchEvent>, ApiStatus> {
        let history = &self.table(kind).history;
        if from < history.forgotten() {
            return Err(refusal::watch_expired(from, history.forgotten()));
        }
        if from > self.revision() {
            return Err(refusal::too_large_version(from, self.revision()));
        }
        Ok(history.after(from))
    }

    /// Forgets all history of `kind`, as a restart or a compaction does: watches from before now get 410 Expired.
    pub fn forget_history(&mut self, kind: Kind) {
        let revision = self.revision();
        let history = &mut self.tables[super::table_index(kind)].history;
        history.events.clear();
        history.forgotten = revision;
    }
}
