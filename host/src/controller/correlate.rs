//! How many Events about one object are recorded, as client-go's correlator decides for upstream: what says the
//! same again is counted, what differs by its message alone is combined, and one object has only so many.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::kube::{Str, Uid};

/// Different messages about one object for one reason within [`SIMILAR_WITHIN_MS`], from which on they are
/// combined (client-go: defaultAggregateMaxEvents).
const SIMILAR_EVENTS: usize = 10;
/// Time after the last of them, milliseconds, after which an Event is no longer similar to those before
/// (client-go: defaultAggregateIntervalInSeconds).
const SIMILAR_WITHIN_MS: u64 = 600_000;
/// Events about one object that are recorded at once after a rest (client-go: defaultSpamBurst).
const EVENTS_AT_ONCE: u64 = 25;
/// Time that each further one takes, milliseconds (client-go: defaultSpamQPS).
const EVENT_REFILL_MS: u64 = 300_000;
/// Objects that are remembered; the one that had no Event for longest is forgotten first (client-go:
/// maxLruCacheEntries).
const MAX_OBJECTS: usize = 4_096;
/// Different Events of one object that are remembered, so that another is counted with them.
const MAX_RECORDS: usize = 64;
/// What upstream puts before the message of combined Events.
const COMBINED: &str = "(combined from similar events): ";

/// An Event, as far as it is like others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Like {
    /// Whether it is of type Warning.
    pub(super) warning: bool,
    /// Whether it is about one of the object's children, and not the object alone.
    pub(super) of_child: bool,
    /// Why.
    pub(super) reason: Str,
    /// For people.
    pub(super) message: Str,
}

/// What becomes of an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is recorded with this message.
    New(Str),
    /// It is the so-manieth of the Event of this name.
    Again {
        /// Name of the Event.
        name: Str,
        /// What it says, should it have to be recorded anew.
        message: Str,
        /// How often it happened.
        count: u32,
    },
    /// The object has had enough.
    TooMany,
}

/// What is remembered of the Events about each object.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    objects: BTreeMap<Uid, About>,
    by_age: BTreeSet<(u64, Uid)>,
    sequence: u64,
}

#[derive(Debug, Default)]
struct About {
    used: u64,
    similar: BTreeMap<(bool, Str), Similar>,
    records: BTreeMap<Like, Record>,
    spent: BTreeMap<(bool, bool), Bucket>,
}

#[derive(Debug, Default)]
struct Similar {
    messages: BTreeSet<Str>,
    last_ms: u64,
}

#[derive(Debug)]
struct Record {
    name: Str,
    count: u32,
}

/// A token bucket as the instant until which its tokens are spent.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    spent_until_ms: u64,
}

impl Correlator {
    /// What becomes of an Event about the object of that uid; `name` is its own if it is recorded.
    ///
    /// `now_ms` is the monotonic clock.
    pub(super) fn judge(&mut self, now_ms: u64, uid: &Uid, event: Like, name: &Str) -> Verdict {
        let about = self.about(uid);
        let message = event.message.clone();
        let record = about.combine(now_ms, event);
        let is_combined = record.message.is_empty();
        let message = if is_combined { format!("{COMBINED}{message}").into() } else { message };
        let bucket = about.spent.entry((record.warning, record.of_child)).or_default();
        let is_recorded = bucket.take(now_ms);
        if let Some(known) = about.records.get_mut(&record) {
            known.count = known.count.saturating_add(1);
            let again = Verdict::Again { name: known.name.clone(), message, count: known.count };
            return if is_recorded { again } else { Verdict::TooMany };
        }
        if !is_recorded {
            return Verdict::TooMany;
        }
        if about.records.len() >= MAX_RECORDS {
            about.records.clear();
        }
        about.records.insert(record, Record { name: name.clone(), count: 1 });
        Verdict::New(message)
    }

    fn about(&mut self, uid: &Uid) -> &mut About {
        self.sequence += 1;
        if let Some(about) = self.objects.get(uid) {
            self.by_age.remove(&(about.used, uid.clone()));
        } else if self.objects.len() >= MAX_OBJECTS
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.objects.remove(&oldest);
        }
        self.by_age.insert((self.sequence, uid.clone()));
        let about = self.objects.entry(uid.clone()).or_default();
        about.used = self.sequence;
        about
    }
}

impl About {
    /// The event itself, or, without a message, the one that stands for all that are similar.
    fn combine(&mut self, now_ms: u64, event: Like) -> Like {
        let similar = self.similar.entry((event.warning, event.reason.clone())).or_default();
        if now_ms.saturating_sub(similar.last_ms) > SIMILAR_WITHIN_MS {
            similar.messages.clear();
        }
        similar.last_ms = now_ms;
        similar.messages.insert(event.message.clone());
        if similar.messages.len() < SIMILAR_EVENTS {
            return event;
        }
        similar.messages.pop_first();
        Like { message: "".into(), ..event }
    }
}

impl Bucket {
    fn take(&mut self, now_ms: u64) -> bool {
        // The bucket is full where everything that was spent has come back.
        let spent_until_ms = self.spent_until_ms.max(now_ms).saturating_add(EVENT_REFILL_MS);
        if spent_until_ms > now_ms.saturating_add(EVENTS_AT_ONCE * EVENT_REFILL_MS) {
            return false;
        }
        self.spent_until_ms = spent_until_ms;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(message: &str) -> Like {
        Like { warning: false, of_child: true, reason: "SuccessfulCreate".into(), message: message.into() }
    }

    fn judge(correlator: &mut Correlator, now_ms: u64, message: &str) -> Verdict {
        let name = format!("name-{}", correlator.sequence);
        correlator.judge(now_ms, &"uid".into(), like(message), &name.into())
    }

    #[test]
    fn what_says_the_same_is_counted() {
        let mut correlator = Correlator::default();
        assert_eq!(judge(&mut correlator, 0, "a"), Verdict::New("a".into()));
        for count in 2..=3 {
            let again = Verdict::Again { name: "name-0".into(), message: "a".into(), count };
            assert_eq!(judge(&mut correlator, 1, "a"), again);
        }
    }

    #[test]
    fn the_tenth_message_in_ten_minutes_is_combined_with_those_that_follow() {
        let mut correlator = Correlator::default();
        for number in 0..9 {
            let message = format!("{number}");
            assert_eq!(judge(&mut correlator, number, &message), Verdict::New(message.into()));
        }
        let combined = Verdict::New("(combined from similar events): 9".into());
        assert_eq!(judge(&mut correlator, 9, "9"), combined);
        let message = "(combined from similar events): 10".into();
        let again = Verdict::Again { name: "name-9".into(), message, count: 2 };
        assert_eq!(judge(&mut correlator, 10, "10"), again);
        let later = 10 + SIMILAR_WITHIN_MS + 1;
        assert_eq!(judge(&mut correlator, later, "11"), Verdict::New("11".into()));
    }

    #[test]
    fn an_object_has_25_events_and_then_one_in_five_minutes() {
        let mut correlator = Correlator::default();
        let recorded = (0..1_000).filter(|n| judge(&mut correlator, 7, &format!("{n}")) != Verdict::TooMany);
        assert_eq!(recorded.count(), 25);
        assert_eq!(judge(&mut correlator, 6 + EVENT_REFILL_MS, "x"), Verdict::TooMany);
        assert_ne!(judge(&mut correlator, 7 + EVENT_REFILL_MS, "x"), Verdict::TooMany);
        assert_eq!(judge(&mut correlator, 7 + EVENT_REFILL_MS, "x"), Verdict::TooMany);
        let completed = Like { of_child: false, reason: "Completed".into(), ..like("Job completed") };
        let verdict = correlator.judge(7, &"uid".into(), completed, &"n".into());
        assert_eq!(verdict, Verdict::New("Job completed".into()), "the Job's own are apart from its Pods'");
    }

    #[test]
    fn the_object_without_an_event_for_longest_is_forgotten() {
        let mut correlator = Correlator::default();
        for number in 0..=MAX_OBJECTS {
            let uid: Uid = format!("{number}").as_str().into();
            correlator.judge(0, &uid, like("a"), &"n".into());
        }
        assert_eq!((correlator.objects.len(), correlator.by_age.len()), (MAX_OBJECTS, MAX_OBJECTS));
        assert!(!correlator.objects.contains_key(&Uid::from("0")));
    }
}
