//! Events that wait to be recorded: a bounded queue with retries, which holds up nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use windlass_core::kube::{ApiStatus, Str};
use windlass_core::plan::MAX_EVENT_MESSAGE_BYTES;

use super::correlate::{Correlator, Like, Verdict};
use super::{Controller, Notice};
use crate::Now;
use crate::backoff::Backoff;
use crate::request::{EventManifest, Flow, ObjectRef, Outcome};
use crate::snapshot::Subject;

/// Most Events that wait to be recorded or to be tried again; past it the oldest is dropped, with a notice.
pub const MAX_PENDING_EVENTS: usize = 4_096;
/// How often an Event is tried before it is given up (client-go: maxTriesPerEvent).
pub(super) const MAX_EVENT_TRIES: u32 = 12;
/// Wait before an Event is tried again (client-go: 10 s each time; see docs/differences.md).
pub(super) const EVENT_BACKOFF: Backoff = Backoff { base_ms: 1_000, max_ms: 10_000 };

/// Why an Event is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventLoss {
    /// The object has had its share of Events.
    TooMany,
    /// Too many Events waited.
    QueueFull,
    /// The server refused it for good.
    Refused,
    /// Its namespace is ending, so that nobody will miss it.
    NamespaceEnding,
    /// It was tried too often.
    Unanswered,
    /// The process ends.
    Shutdown,
}

impl EventLoss {
    /// Stable name for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::NamespaceEnding => "namespace_ending",
            Self::Unanswered => "unanswered",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What an Event says, and about what.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Whether it is of type Warning.
    pub(super) warning: bool,
    /// Whether it is about one of the object's children, and not the object alone.
    pub(super) of_child: bool,
    /// Why, in CamelCase.
    pub(super) reason: Str,
    /// For people.
    pub(super) message: String,
}

/// An Event that waits, and how often it was tried.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) event: Arc<EventManifest>,
    pub(super) tries: u32,
}

/// Events that wait, in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Events {
    due: VecDeque<Waiting>,
    later: BTreeMap<(u64, u64), Waiting>,
    /// Names of the Events that are on their way or wait to be tried again: how often one has happened is not
    /// told before it is there, and a count does not overtake another.
    reserved: BTreeSet<Str>,
    correlator: Correlator,
    sequence: u64,
}

impl Events {
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.later.is_empty()
    }

    /// The next Event that may be sent; its name is reserved until [`Controller::event_answered`] settles it.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let position = self.due.iter().position(|waiting| !self.reserved.contains(&waiting.event.name))?;
        let waiting = self.due.remove(position)?;
        self.reserved.insert(waiting.event.name.clone());
        Some(waiting)
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.later.first_key_value().map(|((due, _), _)| *due)
    }

    /// Makes due what has waited long enough.
    pub(super) fn resume(&mut self, now: Now) {
        while let Some(entry) = self.later.first_entry()
            && entry.key().0 <= now.monotonic_ms
        {
            let waiting = entry.remove();
            self.reserved.remove(&waiting.event.name);
            self.due.push_front(waiting);
        }
    }

    /// Ends what waits to be tried again.
    fn take_later(&mut self) -> Vec<Waiting> {
        let taken: Vec<Waiting> = std::mem::take(&mut self.later).into_values().collect();
        for waiting in &taken {
            self.reserved.remove(&waiting.event.name);
        }
        taken
    }

    /// Adds an Event; where another count of the same one waits, the new one takes its place.
    fn add(&mut self, waiting: Waiting) {
        let is_older = |other: &&mut Waiting| {
            other.event.count > 1 && waiting.event.count > 1 && other.event.name == waiting.event.name
        };
        match self.due.iter_mut().find(is_older) {
            Some(older) => *older = waiting,
            None => self.due.push_back(waiting),
        }
    }

    fn len(&self) -> usize {
        self.due.len() + self.later.len()
    }

    fn pop_oldest(&mut self) -> Option<Waiting> {
        self.due.pop_front().or_else(|| {
            let (_, waiting) = self.later.pop_first()?;
            self.reserved.remove(&waiting.event.name);
            Some(waiting)
        })
    }
}

impl Controller {
    /// Adds an Event on an object to those that wait, unless the object has had enough of them.
    pub(super) fn push_event(&mut self, now: Now, subject: &Subject, said: Said) {
        let Some((kind, metadata)) = subject.regarding() else { return };
        let name = self.event_name(now, &metadata.name);
        let message = cut(&said.message);
        let like = Like {
            warning: said.warning,
            of_child: said.of_child,
            reason: said.reason.clone(),
            message: message.into(),
        };
        let (name, message, count) =
            match self.events.correlator.judge(now.monotonic_ms, &metadata.uid, like, &name) {
                Verdict::New(message) => (name, message, 1),
                Verdict::Again { name, message, count } => (name, message, count),
                Verdict::TooMany => return self.lose_event(EventLoss::TooMany, &said.reason, None),
            };
        let event = EventManifest {
            name,
            namespace: metadata.namespace.clone(),
            kind,
            regarding: ObjectRef::of(metadata),
            resource_version: metadata.resource_version,
            warning: said.warning,
            reason: said.reason,
            message: cut(&message).into(),
            unix_ms: now.unix_ms,
            count,
        };
        self.wait_with_event(None, Waiting { event: Arc::new(event), tries: 0 });
    }

    /// Tries an Event again that the server did not take for now; its name keeps it from being recorded twice.
    pub(super) fn event_answered(&mut self, now: Now, mut waiting: Waiting, outcome: Outcome) {
        self.events.reserved.remove(&waiting.event.name);
        let status = match outcome {
            Outcome::Done(_) => return,
            Outcome::NotSent | Outcome::Unknown => None,
            Outcome::Rejected(status) if status.is_already_exists() => return,
            Outcome::Rejected(status) if status.is_not_found() && waiting.event.count > 1 => {
                return self.record_anew(&waiting.event);
            }
            Outcome::Rejected(status) => Some(status),
        };
        let is_passing = status.as_ref().is_none_or(|status| status.code == 429 || status.code >= 500);
        let loss = match &status {
            Some(status) if status.namespace_terminating => Some(EventLoss::NamespaceEnding),
            _ if !is_passing => Some(EventLoss::Refused),
            _ if self.shutting_down => Some(EventLoss::Shutdown),
            _ if waiting.tries + 1 >= MAX_EVENT_TRIES => Some(EventLoss::Unanswered),
            _ => None,
        };
        if let Some(loss) = loss {
            return self.lose_event(loss, &waiting.event.reason.clone(), status);
        }
        let wait_ms = EVENT_BACKOFF.wait_ms(waiting.tries);
        waiting.tries += 1;
        self.events.reserved.insert(waiting.event.name.clone());
        self.wait_with_event(Some(now.monotonic_ms.saturating_add(wait_ms)), waiting);
    }

    /// Gives up the Events for which the end of the process cannot wait: those that would be tried again, and
    /// all of them while the flow rests.
    pub(super) fn drop_late_events(&mut self) {
        let mut late = self.events.take_later();
        if self.paused.contains_key(&Flow::Event) {
            late.extend(self.events.due.drain(..));
        }
        for waiting in late {
            self.lose_event(EventLoss::Shutdown, &waiting.event.reason, None);
        }
    }

    /// Records the Event again of which the server knows nothing (any more), since it keeps them for an hour:
    /// under the name that it had, so that what is counted from then on finds it (client-go does the same).
    fn record_anew(&mut self, event: &EventManifest) {
        let event = EventManifest { count: 1, ..event.clone() };
        self.events.due.push_front(Waiting { event: Arc::new(event), tries: 0 });
    }

    fn wait_with_event(&mut self, due: Option<u64>, waiting: Waiting) {
        if self.events.len() >= MAX_PENDING_EVENTS
            && let Some(oldest) = self.events.pop_oldest()
        {
            self.lose_event(EventLoss::QueueFull, &oldest.event.reason, None);
        }
        match due {
            None => self.events.add(waiting),
            Some(due) => {
                self.events.sequence += 1;
                self.events.later.insert((due, self.events.sequence), waiting);
            }
        }
    }

    fn lose_event(&mut self, loss: EventLoss, reason: &Str, status: Option<ApiStatus>) {
        *self.stats.events_lost.entry(loss).or_default() += 1;
        self.notice(Notice::EventLost { loss, reason: reason.clone(), status });
    }

    fn event_name(&mut self, now: Now, object: &Str) -> Str {
        self.sequence += 1;
        let unique = (now.unix_ms as u64) << 20 | (self.sequence & 0xf_ffff);
        format!("{object}.{unique:x}").into()
    }
}

/// The start of `message` that an Event may hold.
fn cut(message: &str) -> &str {
    let mut end = message.len().min(MAX_EVENT_MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(1_000)).len(), 1_024);
        assert_eq!(cut(&format!("x{}", "é".repeat(1_000))).len(), 1_023);
        assert_eq!(cut("short"), "short");
    }
}
