//! One list and watch a kind: which stream counts, how far it has got, and when a broken one is begun again.

use std::collections::{BTreeMap, VecDeque};

use windlass_core::kube::{Kind, Object, ResourceVersion};

use super::{Controller, Notice};
use crate::Now;
use crate::backoff::Backoff;
use crate::cache::Change;
use crate::watch::{StreamId, WatchBody, WatchCommand, WatchEnd, WatchEvent};

/// Wait before a broken list or watch is begun again (client-go: 800 ms to 30 s).
pub(super) const WATCH_BACKOFF: Backoff = Backoff { base_ms: 800, max_ms: 30_000 };
/// How long a watch has to live, milliseconds, for nothing to be wrong however silent it was; a server ends
/// every watch after the time that was asked for, which is 20 s at least.
pub(super) const SOUND_WATCH_MS: u64 = 10_000;
/// Lists in a row that lie behind what was watched before, after which the server's history counts as
/// gone back rather than the list as served by a server that lags.
pub(super) const LAGGING_LISTS: u32 = 3;

/// Kinds that are first listed once the Jobs are there: Pods must never be older than the Jobs that count them, nor
/// CronJobs than the Jobs whose instants they record, since a Job may go once its instant is recorded.
const AFTER_JOBS: [Kind; 2] = [Kind::Pod, Kind::CronJob];

/// Lists and watches of all kinds.
#[derive(Debug)]
pub(super) struct Watches {
    kinds: Vec<Kind>,
    streams: BTreeMap<Kind, Stream>,
    commands: VecDeque<WatchCommand>,
    next_stream: u64,
    seed: u64,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    phase: Phase,
    /// Whether a list begun in this term is complete.
    synced: bool,
    /// Failures in a row.
    failures: u32,
    lagging_lists: u32,
    /// Lists begun in this term.
    lists: u64,
}

#[derive(Debug)]
enum Phase {
    /// Pages of a list come in.
    Listing(Vec<Object>),
    /// Changes come in, since this instant.
    Watching { since: u64 },
    /// Waits until this instant, then lists or watches.
    Waiting { due: u64, list: bool },
    /// Waits for the first list of Jobs, see [`AFTER_JOBS`].
    AfterJobs,
}

impl Watches {
    pub(super) fn new(kinds: Vec<Kind>, seed: u64) -> Self {
        Self { kinds, streams: BTreeMap::new(), commands: VecDeque::new(), next_stream: 0, seed }
    }

    pub(super) fn poll_command(&mut self) -> Option<WatchCommand> {
        self.commands.pop_front()
    }

    pub(super) fn are_synced(&self) -> bool {
        self.streams.len() == self.kinds.len() && self.streams.values().all(|stream| stream.synced)
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        let due = |stream: &Stream| match stream.phase {
            Phase::Waiting { due, .. } => Some(due),
            Phase::Listing(_) | Phase::Watching { .. } | Phase::AfterJobs => None,
        };
        self.streams.values().filter_map(due).min()
    }

    /// Lists every kind anew, some of them once the Jobs are there.
    pub(super) fn restart(&mut self) {
        for kind in self.kinds.clone() {
            let (id, phase) = (StreamId(0), Phase::AfterJobs);
            let stream = Stream { id, phase, synced: false, failures: 0, lagging_lists: 0, lists: 0 };
            self.streams.insert(kind, stream);
            if !(AFTER_JOBS.contains(&kind) && self.kinds.contains(&Kind::Job)) {
                self.list(kind);
            }
        }
    }

    /// Whether changes of `kind` come in.
    pub(super) fn follows(&self, kind: Kind) -> bool {
        self.streams.get(&kind).is_some_and(|stream| matches!(stream.phase, Phase::Watching { .. }))
    }

    /// How many lists of `kind` have been begun in this term.
    pub(super) fn lists_begun(&self, kind: Kind) -> u64 {
        self.streams.get(&kind).map_or(0, |stream| stream.lists)
    }

    /// Lists for the first time in this term what waited for the Jobs.
    fn begin_after_jobs(&mut self) {
        let waits = |stream: &Stream| matches!(stream.phase, Phase::AfterJobs);
        for kind in AFTER_JOBS {
            if self.streams.get(&kind).is_some_and(waits) {
                self.list(kind);
            }
        }
    }

    /// Begins a list of `kind` as soon as none is under way.
    pub(super) fn list_anew(&mut self, kind: Kind) {
        let Some(stream) = self.streams.get_mut(&kind) else { return };
        match &mut stream.phase {
            Phase::Watching { .. } => self.list(kind),
            Phase::Waiting { list, .. } => *list = true,
            // Whoever ends the present list sees that another is wanted.
            Phase::Listing(_) | Phase::AfterJobs => {}
        }
    }

    pub(super) fn stop(&mut self) {
        for kind in std::mem::take(&mut self.streams).into_keys() {
            self.commands.push_back(WatchCommand::Stop { kind });
        }
    }

    /// Kinds whose wait is over, and whether each lists anew.
    fn due(&self, now: Now) -> Vec<(Kind, bool)> {
        let is_due = |(kind, stream): (&Kind, &Stream)| match stream.phase {
            Phase::Waiting { due, list } if due <= now.monotonic_ms => Some((*kind, list)),
            Phase::Waiting { .. } | Phase::Listing(_) | Phase::Watching { .. } | Phase::AfterJobs => None,
        };
        self.streams.iter().filter_map(is_due).collect()
    }

    fn list(&mut self, kind: Kind) {
        let stream = self.next_id();
        self.commands.push_back(WatchCommand::List { kind, stream });
        self.enter(kind, stream, Phase::Listing(Vec::new()));
        if let Some(stream) = self.streams.get_mut(&kind) {
            stream.lists += 1;
        }
    }

    fn watch(&mut self, now: Now, kind: Kind, from: ResourceVersion) {
        let stream = self.next_id();
        self.commands.push_back(WatchCommand::Watch { kind, stream, from });
        self.enter(kind, stream, Phase::Watching { since: now.monotonic_ms });
    }

    fn enter(&mut self, kind: Kind, id: StreamId, phase: Phase) {
        if let Some(stream) = self.streams.get_mut(&kind) {
            stream.id = id;
            stream.phase = phase;
        }
    }

    fn next_id(&mut self) -> StreamId {
        self.next_stream += 1;
        StreamId(self.next_stream)
    }

    /// Backs off before the next try: doubling, with up to as much again of jitter.
    fn wait(&mut self, now: Now, kind: Kind, list: bool) {
        let jitter = self.jitter();
        let Some(stream) = self.streams.get_mut(&kind) else { return };
        let wait = WATCH_BACKOFF.wait_ms(stream.failures);
        stream.failures = stream.failures.saturating_add(1);
        let due = now.monotonic_ms.saturating_add(wait).saturating_add(jitter % wait);
        stream.phase = Phase::Waiting { due, list };
    }

    /// The next number of a splitmix64 sequence.
    fn jitter(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

impl Controller {
    /// Takes in something that a list or watch said.
    pub fn handle_watch(&mut self, now: Now, event: WatchEvent) {
        self.stats.inputs += 1;
        let kind = event.kind;
        let Some(stream) = self.watches.streams.get_mut(&kind).filter(|stream| stream.id == event.stream)
        else {
            return;
        };
        let mut changes = Vec::new();
        match event.body {
            WatchBody::Page(objects) => {
                if let Phase::Listing(listed) = &mut stream.phase {
                    listed.extend(objects);
                }
            }
            WatchBody::ListDone(version) => self.list_done(now, kind, version, &mut changes),
            WatchBody::Applied(object) => {
                stream.failures = 0;
                if object.metadata().resource_version > self.cache.reached(kind) {
                    self.cache.watched(object, &mut changes);
                }
            }
            WatchBody::Deleted(object) => {
                stream.failures = 0;
                if object.metadata().resource_version > self.cache.reached(kind) {
                    self.cache.watched_removal(&object, &mut changes);
                }
            }
            WatchBody::Bookmark(version) => {
                stream.failures = 0;
                self.cache.reach(kind, version);
            }
            WatchBody::Ended(end) => self.watch_ended(now, kind, end),
        }
        self.noticed(now, changes);
    }

    fn list_done(&mut self, now: Now, kind: Kind, version: ResourceVersion, changes: &mut Vec<Change>) {
        let Some(stream) = self.watches.streams.get_mut(&kind) else { return };
        let Phase::Listing(objects) =
            std::mem::replace(&mut stream.phase, Phase::Watching { since: now.monotonic_ms })
        else {
            return;
        };
        if version < self.cache.reached(kind) {
            stream.lagging_lists += 1;
            if stream.lagging_lists < LAGGING_LISTS {
                return self.watches.wait(now, kind, true);
            }
            self.cache.forget(kind, changes);
            self.notice(Notice::Rewound { kind });
        }
        let count = objects.len();
        self.cache.listed(kind, objects, version, changes);
        let lists = self.watches.lists_begun(kind);
        if let Some(stream) = self.watches.streams.get_mut(&kind) {
            stream.synced = true;
            stream.lagging_lists = 0;
        }
        if kind == Kind::Pod && self.release_held(now, lists) {
            self.watches.list(kind);
        } else {
            self.watches.watch(now, kind, version);
        }
        if kind == Kind::Job {
            self.watches.begin_after_jobs();
        }
        self.notice(Notice::Listed { kind, objects: count });
    }

    fn watch_ended(&mut self, now: Now, kind: Kind, end: WatchEnd) {
        let Some(stream) = self.watches.streams.get_mut(&kind) else { return };
        let listing = matches!(stream.phase, Phase::Listing(_));
        if let Phase::Watching { since } = stream.phase
            && now.monotonic_ms.saturating_sub(since) >= SOUND_WATCH_MS
        {
            stream.failures = 0;
        }
        match &end {
            WatchEnd::Closed if !listing && stream.failures == 0 => {
                // In good order: the server ends every watch after a while.
                let from = self.cache.reached(kind);
                stream.failures = 1;
                return self.watches.watch(now, kind, from);
            }
            WatchEnd::Refused(status) if status.is_expired() => self.watches.wait(now, kind, true),
            WatchEnd::Closed | WatchEnd::Broken(_) | WatchEnd::Refused(_) | WatchEnd::Undecodable(_) => {
                self.watches.wait(now, kind, listing);
            }
        }
        self.notice(Notice::WatchEnded { kind, end });
    }

    /// Begins again the lists and watches whose wait is over; a watch goes on from where the cache has got.
    pub(super) fn resume_watches(&mut self, now: Now) {
        for (kind, list) in self.watches.due(now) {
            if list {
                self.watches.list(kind);
            } else {
                self.watches.watch(now, kind, self.cache.reached(kind));
            }
        }
    }
}
