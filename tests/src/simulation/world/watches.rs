//! Lists and watches: what the server says of each kind, when it reaches a process, and how it breaks off.

use windlass_core::kube::{ApiStatus, Kind, Object, ResourceVersion};
use windlass_host::simulate::adapter;
use windlass_host::watch::{StreamId, WatchBody, WatchCommand, WatchEnd, WatchEvent};
use windlass_sandbox::{ContinueToken, ListOptions, Page};

use super::{Happening, NOTHING, World};
use crate::simulation::faults::Fault;

/// Most events that a watch delivers before the process gets to work.
const MOST_AT_ONCE: u64 = 8;

/// Most lists in a row that are served from an older state.
const MOST_LAGGING_LISTS: u32 = 2;

/// A list or watch as its process sees it.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct Stream {
    id: StreamId,
    cursor: ResourceVersion,
    is_watching: bool,
    is_woken: bool,
    held_until_ms: u64,
    is_silent: bool,
}

/// Which page of a list is read next.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct NextPage {
    token: Option<ContinueToken>,
    at: Option<ResourceVersion>,
    limit: usize,
    is_slow: bool,
    is_lagging: bool,
}

impl World<'_> {
    pub(super) fn obey(&mut self, process: usize, command: WatchCommand) {
        let incarnation = self.processes[process].incarnation;
        self.checkers.watch_command(process, command);
        match command {
            WatchCommand::List { kind, stream } => {
                let is_lagging = self.list_lags(process, kind);
                self.replace(process, kind, stream, NOTHING, false);
                let page = NextPage {
                    token: None,
                    at: is_lagging.then(|| self.lagging_revision()),
                    is_lagging,
                    limit: self.random.pick(&[1, 3, 20, 500]),
                    is_slow: self.faults.strikes(Fault::ListSlow, self.now_ms),
                };
                let after_ms = self.random.between(0, 5);
                let read = Happening::ListRead { process, incarnation, kind, stream, page };
                self.agenda.add(self.now_ms + after_ms, read);
            }
            WatchCommand::Watch { kind, stream, from } => {
                self.replace(process, kind, stream, from, true);
                self.rouse(process, kind);
            }
            WatchCommand::Stop { kind } => {
                self.processes[process].streams.remove(&kind);
            }
        }
    }

    /// Ends all watches of a process, so that it lists everything anew.
    pub(super) fn expire_watches(&mut self, process: usize) {
        let incarnation = self.processes[process].incarnation;
        let streams: Vec<(Kind, StreamId)> =
            self.processes[process].streams.iter().map(|(kind, stream)| (*kind, stream.id)).collect();
        for (kind, stream) in streams {
            self.tell(process, incarnation, kind, stream, WatchBody::Ended(WatchEnd::Refused(expired())));
        }
        self.pump(process);
    }

    /// Lets the watch of `kind` say nothing to a process for so long.
    pub(super) fn hold_watch(&mut self, process: usize, kind: Kind, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        if let Some(stream) = self.processes[process].streams.get_mut(&kind) {
            stream.held_until_ms = stream.held_until_ms.max(until_ms);
        }
    }

    /// Wakes every watch of `kind`: something was committed.
    pub(super) fn rouse_watches(&mut self, kind: Kind) {
        for process in 0..self.processes.len() {
            self.rouse(process, kind);
        }
    }

    pub(super) fn read_list(
        &mut self,
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
        next: NextPage,
    ) {
        if !self.is_open(process, incarnation, kind, stream) {
            return;
        }
        let broken = self.faults.strikes(Fault::ListBroken, self.now_ms);
        let is_expired = next.token.is_some() && self.faults.strikes(Fault::ListExpired, self.now_ms);
        if is_expired {
            return self.end(process, incarnation, kind, stream, WatchEnd::Refused(expired()));
        }
        if broken {
            return self.end(process, incarnation, kind, stream, WatchEnd::Broken("simulated".to_owned()));
        }
        let options = ListOptions {
            limit: Some(next.limit),
            continue_from: next.token.clone(),
            at: next.at,
            ..ListOptions::default()
        };
        let is_lagging = next.is_lagging;
        match self.store.list(kind, &options) {
            Ok(page) => {
                let after_ms = if next.is_slow {
                    self.faults.random().spread(20, 3_000)
                } else {
                    self.random.between(0, 3)
                };
                self.agenda.add(
                    self.now_ms + after_ms,
                    Happening::Listed {
                        process,
                        incarnation,
                        kind,
                        stream,
                        page: Box::new(page),
                        is_lagging,
                    },
                );
            }
            Err(status) => self.end(process, incarnation, kind, stream, WatchEnd::Refused(status)),
        }
    }

    pub(super) fn listed(
        &mut self,
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
        page: Page,
        is_lagging: bool,
    ) {
        if !self.is_open(process, incarnation, kind, stream) {
            return;
        }
        let limit = page.items.len().max(1);
        self.tell(process, incarnation, kind, stream, WatchBody::Page(page.items));
        match page.continue_from {
            Some(token) => {
                let is_slow = self.faults.strikes(Fault::ListSlow, self.now_ms);
                let next = NextPage { token: Some(token), at: None, limit, is_slow, is_lagging };
                let read = Happening::ListRead { process, incarnation, kind, stream, page: next };
                self.agenda.add(self.now_ms + 1, read);
            }
            None => {
                let this = &mut self.processes[process];
                this.listed.insert(kind);
                if !is_lagging {
                    this.lagging_lists.remove(&kind);
                }
                self.tell(process, incarnation, kind, stream, WatchBody::ListDone(page.revision));
            }
        }
        self.pump(process);
    }

    /// A watch delivers some of what happened since it delivered last.
    pub(super) fn watched(&mut self, process: usize, incarnation: u32, kind: Kind, stream: StreamId) {
        if !self.is_open(process, incarnation, kind, stream) {
            return;
        }
        let now_ms = self.now_ms;
        let Some(this) = self.processes[process].streams.get_mut(&kind) else { return };
        this.is_woken = false;
        if this.is_silent {
            return;
        }
        if this.held_until_ms > now_ms {
            let at_ms = this.held_until_ms;
            this.is_woken = true;
            self.agenda.add(at_ms, Happening::Watched { process, incarnation, kind, stream });
            return;
        }
        if self.watch_fails(process, incarnation, kind, stream) {
            return;
        }
        self.deliver(process, incarnation, kind, stream);
        self.pump(process);
    }

    fn deliver(&mut self, process: usize, incarnation: u32, kind: Kind, stream: StreamId) {
        let Some(this) = self.processes[process].streams.get(&kind) else { return };
        let mut from = this.cursor;
        if self.faults.strikes(Fault::WatchRepeated, self.now_ms) {
            from = ResourceVersion(from.0.saturating_sub(self.faults.random().below(30)));
        }
        let most = self.random.between(1, MOST_AT_ONCE) as usize;
        let chosen = self.store.events_after(kind, from).map(|events| {
            let is_all = events.len() <= most;
            let bodies = events.take(most).map(|event| (event.revision, adapter::watch_body(event)));
            (bodies.collect::<Vec<_>>(), is_all)
        });
        let (chosen, is_all) = match chosen {
            Ok(chosen) => chosen,
            Err(status) => {
                return self.end(process, incarnation, kind, stream, WatchEnd::Refused(status));
            }
        };
        let revision = self.store.revision();
        let is_bookmarked = is_all && self.random.chance(100);
        for (version, body) in chosen {
            if let Some(this) = self.processes[process].streams.get_mut(&kind) {
                this.cursor = this.cursor.max(version);
            }
            self.tell(process, incarnation, kind, stream, body);
        }
        if is_bookmarked {
            if let Some(this) = self.processes[process].streams.get_mut(&kind) {
                this.cursor = revision;
            }
            self.tell(process, incarnation, kind, stream, WatchBody::Bookmark(revision));
        }
        if !is_all {
            self.rouse(process, kind);
        }
    }

    /// Whether something goes wrong with a watch instead of its delivering anything.
    fn watch_fails(&mut self, process: usize, incarnation: u32, kind: Kind, stream: StreamId) -> bool {
        let now_ms = self.now_ms;
        let ends = [
            (Fault::WatchClosed, WatchEnd::Closed),
            (Fault::WatchBroken, WatchEnd::Broken("simulated".to_owned())),
            (Fault::WatchExpired, WatchEnd::Refused(expired())),
            (Fault::WatchUndecodable, WatchEnd::Undecodable("simulated".to_owned())),
        ];
        for (fault, end) in ends {
            if self.faults.strikes(fault, now_ms) {
                self.end(process, incarnation, kind, stream, end);
                return true;
            }
        }
        let is_delayed = self.faults.strikes(Fault::WatchDelayed, now_ms);
        let is_silent = self.faults.strikes(Fault::WatchSilent, now_ms);
        if !is_delayed && !is_silent {
            return false;
        }
        let for_ms = self.faults.random().spread(20, 30_000);
        let Some(this) = self.processes[process].streams.get_mut(&kind) else { return true };
        if is_silent {
            this.is_silent = true;
            self.agenda.add(now_ms + for_ms, Happening::WatchEnds { process, incarnation, kind, stream });
        } else {
            this.held_until_ms = now_ms + for_ms;
            self.rouse(process, kind);
        }
        true
    }

    /// A watch that said nothing for long is given up.
    pub(super) fn silence_ends(&mut self, process: usize, incarnation: u32, kind: Kind, stream: StreamId) {
        if self.is_open(process, incarnation, kind, stream) {
            self.end(process, incarnation, kind, stream, WatchEnd::Broken("nothing was heard".to_owned()));
        }
    }

    /// An event of a watch that was replaced comes after all.
    pub(super) fn stale(
        &mut self,
        process: usize,
        incarnation: u32,
        kind: Kind,
        stream: StreamId,
        object: Object,
    ) {
        if self.is_current(process, incarnation) {
            self.tell(process, incarnation, kind, stream, WatchBody::Applied(object));
            self.pump(process);
        }
    }

    fn end(&mut self, process: usize, incarnation: u32, kind: Kind, stream: StreamId, end: WatchEnd) {
        self.tell(process, incarnation, kind, stream, WatchBody::Ended(end));
        self.pump(process);
    }

    fn tell(&mut self, process: usize, incarnation: u32, kind: Kind, stream: StreamId, body: WatchBody) {
        if !self.is_current(process, incarnation) {
            return;
        }
        let now = self.now(process);
        self.checkers.hears(process, kind, stream, &body, now);
        self.trace.say(self.now_ms, || {
            format!(
                "process {process} hears from stream {} of {}: {}",
                stream.0,
                kind.resource(),
                told(&body)
            )
        });
        if let Some(machine) = &mut self.processes[process].controller {
            machine.handle_watch(now, WatchEvent { kind, stream, body });
            self.steps += 1;
        }
    }

    fn replace(
        &mut self,
        process: usize,
        kind: Kind,
        stream: StreamId,
        cursor: ResourceVersion,
        is_watching: bool,
    ) {
        let new =
            Stream { id: stream, cursor, is_watching, is_woken: false, held_until_ms: 0, is_silent: false };
        let Some(old) = self.processes[process].streams.insert(kind, new) else { return };
        if old.is_watching && self.faults.strikes(Fault::WatchStale, self.now_ms) {
            let from = ResourceVersion(old.cursor.0.saturating_sub(20));
            let late: Vec<Object> = match self.store.events_after(kind, from) {
                Ok(events) => events.take(5).map(|event| event.object.clone()).collect(),
                Err(_) => Vec::new(),
            };
            let incarnation = self.processes[process].incarnation;
            for object in late {
                let at_ms = self.now_ms + self.faults.random().spread(1, 3_000);
                self.agenda
                    .add(at_ms, Happening::Stale { process, incarnation, kind, stream: old.id, object });
            }
        }
    }

    fn rouse(&mut self, process: usize, kind: Kind) {
        let watch_ms = self.processes[process].watch_ms;
        let incarnation = self.processes[process].incarnation;
        let Some(stream) = self.processes[process].streams.get_mut(&kind) else { return };
        if !stream.is_watching || stream.is_woken || stream.is_silent {
            return;
        }
        stream.is_woken = true;
        let id = stream.id;
        let at_ms = self.now_ms + self.random.between(0, watch_ms);
        self.agenda.add(at_ms, Happening::Watched { process, incarnation, kind, stream: id });
    }

    fn is_open(&self, process: usize, incarnation: u32, kind: Kind, stream: StreamId) -> bool {
        self.is_current(process, incarnation)
            && self.processes[process].streams.get(&kind).is_some_and(|open| open.id == stream)
    }

    /// Whether a list is served from an older state. The first list of a process never is: it is a consistent
    /// read, and nothing could tell. Nor is the third in a row, after which the history counts as gone back.
    fn list_lags(&mut self, process: usize, kind: Kind) -> bool {
        let now_ms = self.now_ms;
        let this = &mut self.processes[process];
        let is_first = !this.listed.contains(&kind);
        let in_a_row = this.lagging_lists.entry(kind).or_default();
        let lags =
            !is_first && *in_a_row < MOST_LAGGING_LISTS && self.faults.strikes(Fault::ListLagging, now_ms);
        *in_a_row += u32::from(lags);
        lags
    }

    /// A state of some while ago.
    fn lagging_revision(&mut self) -> ResourceVersion {
        let now = self.store.revision().0;
        ResourceVersion(now.saturating_sub(self.faults.random().spread(1, 200)).max(1))
    }
}

fn expired() -> ApiStatus {
    ApiStatus::new(410, "Expired", "simulated".to_owned())
}

fn told(body: &WatchBody) -> String {
    match body {
        WatchBody::Page(objects) => format!("a page of {}", objects.len()),
        WatchBody::ListDone(version) => format!("the list is complete at {version}"),
        WatchBody::Applied(object) => {
            format!("{} at {}", object.metadata().name, object.metadata().resource_version)
        }
        WatchBody::Deleted(object) => {
            format!("{} gone at {}", object.metadata().name, object.metadata().resource_version)
        }
        WatchBody::Bookmark(version) => format!("bookmark {version}"),
        WatchBody::Ended(end) => format!("the end: {end}"),
    }
}
