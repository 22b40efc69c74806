//! The instants of a window: the earliest, or the latest of a window of any length.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::civil::{DAY_S, Date, date_of, days_of, month_after};
use super::fields::Fields;
use super::walk::{CALM_S, Walk};
use super::{Firing, LATEST_S, MAX_YEARS_AHEAD};
use crate::cron_job::zone::{Span, Zone};

/// The first `limit` instants of the chain after `after_s` that are no later than `until_s`.
pub(super) fn earliest(
    limit: usize,
    until_s: i64,
    mut next: impl FnMut(Option<i64>) -> Option<i64>,
) -> Firing {
    let mut at_s = Vec::new();
    let mut last = None;
    loop {
        let found = next(last).filter(|&found| found <= until_s);
        let Some(found) = found else { return Firing { at_s, more: false } };
        if at_s.len() >= limit {
            return Firing { at_s, more: true };
        }
        at_s.push(found);
        last = Some(found);
    }
}

/// A part of the chain, which holds at least one instant.
#[derive(Clone, Copy)]
struct Run {
    first_s: i64,
    last_s: i64,
    /// The offset in which every matching reading from first to last is in the chain.
    offset_s: i64,
}

/// How many years before a window's end the chain is picked up, one attempt after another.
const LOOK_BACK_YEARS: [i64; 4] = [1, 3, 10, 40];
/// Stretches of equal offset that an attempt looks through for a place to pick up the chain.
const MAX_SPANS: usize = 6;

/// The last `limit` instants of the chain after `after_s` that are no later than `until_s`.
///
/// What fires after a clock change may depend on what fired before it, so the chain is followed from its beginning or
/// from an instant that it is certain to have.
pub(super) fn latest(fields: &Fields, zone: &Zone, after_s: i64, until_s: i64, limit: usize) -> Firing {
    let until_s = until_s.min(LATEST_S);
    for years in LOOK_BACK_YEARS {
        let from_s = until_s.saturating_sub(years * 366 * DAY_S);
        if from_s <= after_s {
            break;
        }
        if let Some(certain_s) = certain_instant(fields, zone, from_s, until_s) {
            let mut walk = Walk::new(fields, zone, certain_s);
            let found = follow(fields, &mut walk, Some(certain_s), until_s, limit);
            if found.more {
                return found;
            }
        }
    }
    let mut walk = Walk::new(fields, zone, after_s);
    let first_s = walk.next(after_s);
    follow(fields, &mut walk, first_s, until_s, limit)
}

/// An instant between `from_s` and `until_s` that every chain has which began before `from_s`.
///
/// A search that comes out of a clock change may be astray: it may have landed on another day of the month than the
/// first, on another hour than midnight, on another minute than the full hour. In a stretch without a change it finds
/// its way within two matching days, the first of which it may reach only after it has missed a matching month. From
/// the third matching day on nothing is missed, whatever came before.
fn certain_instant(fields: &Fields, zone: &Zone, from_s: i64, until_s: i64) -> Option<i64> {
    if fields.only_leap_days() {
        return None;
    }
    let mut span = zone.span(from_s);
    for _ in 0..MAX_SPANS {
        let calm_from_s = from_s.max(span.start_s.saturating_add(CALM_S));
        let calm_until_s = until_s.min(span.end_s.saturating_sub(CALM_S));
        let found_s = third_day(fields, calm_from_s + span.offset_s)? - span.offset_s;
        if found_s < calm_until_s {
            return Some(found_s);
        }
        if span.end_s >= until_s {
            return None;
        }
        span = zone.span(span.end_s);
    }
    None
}

/// The first matching local second of the third matching day, after which no search from before `local_s` is astray.
fn third_day(fields: &Fields, local_s: i64) -> Option<i64> {
    let last_year = date_of(local_s.div_euclid(DAY_S)).year + MAX_YEARS_AHEAD;
    let mut day = local_s.div_euclid(DAY_S) + CALM_S / DAY_S;
    if !fields.every_month() {
        // A step by months may lead 34 days further, and over one matching month; the one after it may be entered
        // on its last day.
        day = fields.date_from(day + 34, last_year)?;
        for _ in 0..3 {
            let Date { year, month, .. } = date_of(day);
            let (year, month) = month_after(year, month);
            day = fields.date_from(days_of(Date { year, month, day: 1 }), last_year)?;
        }
    }
    let first = fields.date_from(day, last_year)?;
    let second = fields.date_from(first + 1, last_year)?;
    fields.first_from((second + 1) * DAY_S, last_year)
}

/// The last `limit` instants of the chain from `first_s` on that are no later than `until_s`.
///
/// Wherever no clock change is near the chain holds every matching reading, so that all of them but the last can be
/// passed over. That makes a handful of looks at each clock change, whatever the schedule.
fn follow(fields: &Fields, walk: &mut Walk<'_>, first_s: Option<i64>, until_s: i64, limit: usize) -> Firing {
    let mut runs: VecDeque<Run> = VecDeque::new();
    let mut dropped = false;
    let mut found = first_s;
    while let Some(first_s) = found.filter(|&found| found <= until_s) {
        let span = walk.span(first_s);
        let last_s = last_of_run(fields, span, first_s, until_s);
        runs.push_back(Run { first_s, last_s, offset_s: span.offset_s });
        // Each run has an instant at least: more runs than instants are never needed.
        if runs.len() > limit {
            dropped = runs.pop_front().is_some();
        }
        found = walk.next(last_s);
    }
    last_instants(fields, &runs, limit, dropped)
}

/// The last instant no later than `until_s` up to which the chain, having come to `first_s`, holds every matching
/// reading of the span.
fn last_of_run(fields: &Fields, span: Span, first_s: i64, until_s: i64) -> i64 {
    // An instant that matches no field came out of a clock change; and leap days may lie too far apart.
    let local_s = first_s + span.offset_s;
    if fields.only_leap_days() || !fields.matches(local_s) {
        return first_s;
    }
    let local_until = until_s.min(LATEST_S).min(span.end_s.saturating_sub(1)) + span.offset_s;
    let first_year = date_of(local_s.div_euclid(DAY_S)).year;
    // Far from both ends of the span nothing can come between.
    if first_s.saturating_sub(CALM_S) >= span.start_s {
        let calm_until = local_until.min(span.end_s.saturating_sub(CALM_S).saturating_add(span.offset_s));
        if let Some(last) = fields.last_to(calm_until, first_year).filter(|&last| last > local_s) {
            return last - span.offset_s;
        }
    }
    // Near them, as long as day after day matches, since then only hours and minutes pass.
    let mut day = local_s.div_euclid(DAY_S);
    let last_day = local_until.div_euclid(DAY_S).min(day + CALM_S / DAY_S);
    while day < last_day && fields.matches_date(day + 1) {
        day += 1;
    }
    let until = local_until.min((day + 1) * DAY_S - 1);
    fields.last_to(until, first_year).map_or(first_s, |last| last.max(local_s) - span.offset_s)
}

/// The last `limit` instants of `runs`, rising.
fn last_instants(fields: &Fields, runs: &VecDeque<Run>, limit: usize, dropped: bool) -> Firing {
    let mut at_s = Vec::new();
    for run in runs.iter().rev() {
        let mut last_s = run.last_s;
        loop {
            if at_s.len() >= limit {
                at_s.reverse();
                return Firing { at_s, more: true };
            }
            at_s.push(last_s);
            if last_s <= run.first_s {
                break;
            }
            let local_s = last_s + run.offset_s;
            let first_year = date_of(local_s.div_euclid(DAY_S)).year - MAX_YEARS_AHEAD;
            match fields.last_to(local_s - 1, first_year) {
                Some(before) => last_s = before - run.offset_s,
                None => break,
            }
        }
    }
    at_s.reverse();
    Firing { at_s, more: dropped }
}

/// The last `limit` instants that come each `interval_s` after the one before, the first that long after `after_s`.
pub(super) fn latest_of_interval(interval_s: i64, after_s: i64, until_s: i64, limit: usize) -> Firing {
    let count = (until_s.min(LATEST_S).saturating_sub(after_s) / interval_s.max(1)).max(0);
    let skipped = count.saturating_sub(i64::try_from(limit).unwrap_or(i64::MAX)).max(0);
    let at_s =
        (skipped + 1..=count).map(|nth| after_s.saturating_add(nth.saturating_mul(interval_s))).collect();
    Firing { at_s, more: skipped > 0 }
}
