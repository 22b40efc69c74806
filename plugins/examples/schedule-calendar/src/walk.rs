//! From day to day through a window, in the time of its zone.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::expression::{Expression, is_workday};
use crate::field::Numbers;

/// Days on which nobody works.
#[derive(Debug, Default)]
pub(crate) struct Holidays {
    once: BTreeSet<Date>,
    yearly: BTreeSet<(i8, i8)>,
}

/// Instants after `after_s`, `until_s` included.
#[derive(Debug)]
pub(crate) struct Window<'zone> {
    pub(crate) after_s: u32,
    pub(crate) until_s: u32,
    pub(crate) zone: &'zone TimeZone,
}

impl Holidays {
    /// The days that are named: `2026-04-06`, or `12-25` in every year.
    ///
    /// # Errors
    /// Which one is no day.
    pub(crate) fn parse(days: &[String]) -> Result<Self, String> {
        let mut holidays = Self::default();
        for day in days {
            // A leap year: 02-29 is a day.
            let yearly = format!("2024-{day}").parse::<Date>();
            match (day.parse::<Date>(), yearly) {
                (Ok(date), _) => _ = holidays.once.insert(date),
                (Err(_), Ok(date)) => _ = holidays.yearly.insert((date.month(), date.day())),
                (Err(_), Err(_)) => {
                    return Err(format!("holidays: {day:?} is no day such as 2026-04-06 or 12-25"));
                }
            }
        }
        Ok(holidays)
    }

    fn contains(&self, date: Date) -> bool {
        self.once.contains(&date) || self.yearly.contains(&(date.month(), date.day()))
    }

    /// Whether `date` is the last day of its month on which people work.
    pub(crate) fn is_last_working_day(&self, date: Date) -> bool {
        let mut days =
            (1..=date.days_in_month()).rev().filter_map(|day| Date::new(date.year(), date.month(), day).ok());
        days.find(|day| is_workday(day.weekday()) && !self.contains(*day)) == Some(date)
    }
}

/// The instants of the window at which one of `expressions` fires, rising: the latest `limit` of them, or the
/// earliest. An instant that the clocks skip is none, and of one that they show twice the first counts.
pub(crate) fn instants(
    expressions: &[Expression],
    holidays: &Holidays,
    window: &Window<'_>,
    limit: usize,
    latest: bool,
) -> Vec<u32> {
    let mut found = Vec::new();
    let (first, last) = (local_date(window, window.after_s), local_date(window, window.until_s));
    let mut day = if latest { last } else { first };
    while (first..=last).contains(&day) && found.len() < limit {
        let firing = expressions.iter().filter(|expression| expression.fires_on(day, holidays));
        let firing: Vec<&Expression> = firing.collect();
        if !firing.is_empty() && !holidays.contains(day) {
            let mut of_day = instants_of_day(&firing, window, day);
            if latest {
                of_day.reverse();
            }
            found.append(&mut of_day);
        }
        let Ok(next) = (if latest { day.yesterday() } else { day.tomorrow() }) else { break };
        day = next;
    }
    found.truncate(limit);
    if latest {
        found.reverse();
    }
    found
}

fn local_date(window: &Window<'_>, at_s: u32) -> Date {
    match Timestamp::from_second(i64::from(at_s)) {
        Ok(instant) => window.zone.to_datetime(instant).date(),
        Err(_) => date(1970, 1, 1),
    }
}

/// The instants of one day at which one of `firing` fires, rising.
fn instants_of_day(firing: &[&Expression], window: &Window<'_>, day: Date) -> Vec<u32> {
    let mut minutes_of_hours = [Numbers::default(); 24];
    for expression in firing {
        for hour in expression.hours.iter() {
            for minute in expression.minutes.iter() {
                minutes_of_hours[hour as usize].insert(minute);
            }
        }
    }
    let times = (0_i8..).zip(minutes_of_hours).flat_map(|(hour, minutes)| {
        minutes.iter().filter_map(move |minute| Some((hour, i8::try_from(minute).ok()?)))
    });
    let mut of_day: Vec<u32> = Vec::new();
    for (hour, minute) in times {
        let ambiguous = window.zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0));
        if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
            continue;
        }
        let at_s = ambiguous.earlier().ok().and_then(|instant| u32::try_from(instant.as_second()).ok());
        of_day.extend(at_s.filter(|at_s| window.after_s < *at_s && *at_s <= window.until_s));
    }
    // Where clocks are set back, later times of a day may be earlier instants.
    of_day.sort_unstable();
    of_day.dedup();
    of_day
}
