//! From an instant to the next one that fires, step by step as robfig/cron does it (spec.go, `Next`).
//!
//! Where the clock on the wall jumps, what fires depends on the very steps: months and days go by civil date
//! and midnight, hours and minutes by elapsed time, and a day is only looked at again after midnight. So the
//! steps are taken as they are, oddities included. Far from any jump the fields alone tell the next instant,
//! and the steps are saved.

use super::civil::{DAY_S, Date, HOUR_S, MINUTE_S, date_of, days_of, month_after, narrow, weekday_of};
use super::fields::Fields;
use super::{LATEST_S, MAX_STEPS, MAX_YEARS_AHEAD};
use crate::cron_job::zone::{Span, Zone};

/// Instants this far from a change of offset are not touched by it, however the clock jumps: no offset is
/// further than 16 hours from UTC, so that 32 hours apart even the widest jump is out of reach.
pub(super) const CALM_S: i64 = 2 * DAY_S;

/// A walk through the local time of one zone.
pub(super) struct Walk<'a> {
    fields: &'a Fields,
    zone: &'a Zone,
    /// The stretch that was asked about last; most questions fall into it.
    span: Span,
    /// Whether a step was taken: from then on the finer parts of the reading are at their beginning.
    moved: bool,
    at_s: i64,
    steps: u32,
}

/// What a field says to a clock reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It matches.
    Match,
    /// The coarser fields have changed and are to be looked at again.
    Wrapped,
    /// No more steps may be taken.
    Exhausted,
}

/// A reading of the clock on the wall.
struct Reading {
    date: Date,
    hour: i64,
    minute: i64,
    second: i64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(fields: &'a Fields, zone: &'a Zone, at_s: i64) -> Self {
        Self { fields, zone, span: zone.span(at_s), moved: false, at_s, steps: 0 }
    }

    /// Steps that the last call of `next` took.
    pub(super) fn steps(&self) -> u32 {
        self.steps
    }

    /// The stretch of equal offset around `at_s`.
    pub(super) fn span(&mut self, at_s: i64) -> Span {
        if !self.span.holds(at_s) {
            self.span = self.zone.span(at_s);
        }
        self.span
    }

    /// The first instant after `after_s` that fires; `None` where there is none in this year or the five that
    /// follow.
    pub(super) fn next(&mut self, after_s: i64) -> Option<i64> {
        self.steps = 0;
        if let Some(found) = self.next_in_calm(after_s) {
            return found;
        }
        self.at_s = after_s.checked_add(1)?;
        self.moved = false;
        let last_year = self.reading().date.year + MAX_YEARS_AHEAD;
        while self.reading().date.year <= last_year && self.at_s <= LATEST_S {
            match self.find_match() {
                Found::Match => return Some(self.at_s),
                Found::Wrapped => {}
                Found::Exhausted => return None,
            }
        }
        None
    }

    /// The answer where no step could come near a change of offset; `None` where the steps must be taken.
    fn next_in_calm(&mut self, after_s: i64) -> Option<Option<i64>> {
        let at_s = after_s.checked_add(1)?;
        let span = self.span(at_s);
        let local_s = at_s.checked_add(span.offset_s)?;
        let days = local_s.div_euclid(DAY_S);
        let date = date_of(days);
        let hour_matches = self.fields.matches_hour(narrow(local_s.rem_euclid(DAY_S) / HOUR_S));
        let date_matches = self.fields.matches_date(days);
        if span.offset_s % MINUTE_S != 0 {
            return None;
        }
        let last_year = date.year + MAX_YEARS_AHEAD;
        let Some(found) = self.fields.first_from(local_s, last_year) else {
            return (span.start_s == i64::MIN && span.end_s == i64::MAX).then_some(None);
        };
        let found_s = found - span.offset_s;
        let in_span = found_s < span.end_s;
        // Today, and this hour may fire: nothing but minutes and hours that pass.
        let by_hours = date_matches && hour_matches && found.div_euclid(DAY_S) == days && in_span;
        // Else the walk goes back to the beginning of this hour, day or month, and on from midnight to midnight.
        let back_to = local_s - i64::from(date.day) * DAY_S - span.offset_s;
        let by_days =
            back_to.saturating_sub(CALM_S) >= span.start_s && found_s.saturating_add(CALM_S) < span.end_s;
        (by_hours || by_days).then_some(Some(found_s).filter(|&found_s| found_s <= LATEST_S))
    }

    /// Moves to a match of every field, from the coarsest to the finest.
    fn find_match(&mut self) -> Found {
        for find in [Self::find_month, Self::find_day, Self::find_hour, Self::find_minute, Self::find_second]
        {
            let found = find(self);
            if found != Found::Match {
                return found;
            }
        }
        Found::Match
    }

    fn find_month(&mut self) -> Found {
        loop {
            let Reading { date, .. } = self.reading();
            if self.fields.matches_month(date.month) {
                return Found::Match;
            }
            if self.starts_to_move() {
                self.at_s = self.instant_of(days_of(Date { day: 1, ..date }) * DAY_S);
            }
            let (date, of_day) = self.date_and_rest();
            let (year, month) = month_after(date.year, date.month);
            self.move_on_to(days_of(Date { year, month, day: date.day }) * DAY_S + of_day);
            if self.step() {
                return Found::Exhausted;
            }
            if self.reading().date.month == 1 {
                return Found::Wrapped;
            }
        }
    }

    fn find_day(&mut self) -> Found {
        loop {
            let Reading { date, .. } = self.reading();
            if self.fields.matches_day(date.day, weekday_of(days_of(date))) {
                return Found::Match;
            }
            if self.starts_to_move() {
                self.at_s = self.instant_of(days_of(date) * DAY_S);
            }
            let (date, of_day) = self.date_and_rest();
            self.move_on_to((days_of(date) + 1) * DAY_S + of_day);
            // Where midnight does not exist, the reading is now an hour early or late.
            let hour = self.reading().hour;
            if hour > 12 {
                self.at_s += (24 - hour) * HOUR_S;
            } else {
                self.at_s -= hour * HOUR_S;
            }
            if self.step() {
                return Found::Exhausted;
            }
            if self.reading().date.day == 1 {
                return Found::Wrapped;
            }
        }
    }

    fn find_hour(&mut self) -> Found {
        loop {
            let Reading { date, hour, .. } = self.reading();
            if self.fields.matches_hour(narrow(hour)) {
                return Found::Match;
            }
            if self.starts_to_move() {
                self.at_s = self.instant_of(days_of(date) * DAY_S + hour * HOUR_S);
            }
            self.at_s += HOUR_S;
            if self.step() {
                return Found::Exhausted;
            }
            if self.reading().hour == 0 {
                return Found::Wrapped;
            }
        }
    }

    fn find_minute(&mut self) -> Found {
        loop {
            if self.fields.matches_minute(narrow(self.reading().minute)) {
                return Found::Match;
            }
            if self.starts_to_move() {
                self.at_s -= self.at_s.rem_euclid(MINUTE_S);
            }
            self.at_s += MINUTE_S;
            if self.step() {
                return Found::Exhausted;
            }
            if self.reading().minute == 0 {
                return Found::Wrapped;
            }
        }
    }

    /// Seconds have no field: they are always 0.
    fn find_second(&mut self) -> Found {
        while self.reading().second != 0 {
            self.moved = true;
            self.at_s += 1;
            if self.step() {
                return Found::Exhausted;
            }
            if self.reading().second == 0 {
                return Found::Wrapped;
            }
        }
        Found::Match
    }

    /// Whether this is the first step.
    fn starts_to_move(&mut self) -> bool {
        !core::mem::replace(&mut self.moved, true)
    }

    /// Counts a step, and says whether it was the last that may be taken.
    fn step(&mut self) -> bool {
        self.steps += 1;
        self.steps >= MAX_STEPS
    }

    fn reading(&mut self) -> Reading {
        let (date, of_day) = self.date_and_rest();
        Reading { date, hour: of_day / HOUR_S, minute: of_day / MINUTE_S % 60, second: of_day % MINUTE_S }
    }

    /// The local date, and the local seconds since its midnight.
    fn date_and_rest(&mut self) -> (Date, i64) {
        let local_s = self.at_s + self.span(self.at_s).offset_s;
        (date_of(local_s.div_euclid(DAY_S)), local_s.rem_euclid(DAY_S))
    }

    /// Moves to where the clock on the wall shows `local_s`.
    ///
    /// Where a zone left out a whole day, that may be no later than before. The library goes round in a circle
    /// there; this walk goes on after the day that there is not.
    fn move_on_to(&mut self, local_s: i64) {
        let from_s = self.at_s;
        self.at_s = self.instant_of(local_s);
        if self.at_s <= from_s {
            self.at_s = self.span(from_s).end_s;
        }
    }

    /// The instant at which the clock on the wall shows `local_s`.
    ///
    /// Where it shows it twice or never, the answer is that of Go's `time.Date`: the offset in force at the
    /// instant that would be right with the offset in force when UTC shows `local_s`.
    fn instant_of(&mut self, local_s: i64) -> i64 {
        let guess = local_s - self.span(local_s).offset_s;
        local_s - self.span(guess).offset_s
    }
}
