//! The five fields as bit sets, and the clock readings that they match.
//!
//! Here the clock on the wall never jumps: what a zone does to it is `walk.rs`'s business.

use super::civil::{
    DAY_S, Date, MINUTE_S, date_of, days_in, days_of, month_after, month_before, narrow, weekday_of,
};

/// Bit n of a field stands for the number n. Seconds are always 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    /// 0 to 59.
    pub(super) minutes: u64,
    /// 0 to 23.
    pub(super) hours: u64,
    /// 1 to 31.
    pub(super) days: u64,
    /// 1 to 12.
    pub(super) months: u64,
    /// 0 to 6, from Sunday.
    pub(super) weekdays: u64,
    /// Whether a day must match both day of month and day of week, since one of them is a star; else either.
    pub(super) both_days: bool,
}

/// Bits of numbers from `low` on.
fn from_bit(low: u32) -> u64 {
    u64::MAX.checked_shl(low).unwrap_or(0)
}

/// Bits of numbers up to `high`.
fn up_to_bit(high: u32) -> u64 {
    !from_bit(high.saturating_add(1))
}

fn lowest(bits: u64) -> Option<u32> {
    (bits != 0).then(|| bits.trailing_zeros())
}

fn highest(bits: u64) -> Option<u32> {
    (bits != 0).then(|| 63 - bits.leading_zeros())
}

/// Whether `bits` has the number.
fn has(bits: u64, number: u32) -> bool {
    bits & 1_u64.checked_shl(number).unwrap_or(0) != 0
}

impl Fields {
    /// Whether no day of any year and no clock reading matches, so that the schedule never fires.
    pub(super) fn never(&self) -> bool {
        // 2024 has every day that a year can have, and each may fall on every day of the week.
        let possible = |month: u32| {
            let of_month = up_to_bit(days_in(2024, month)) & from_bit(1);
            let dates = self.days & of_month != 0;
            let weekdays = self.weekdays != 0;
            if self.both_days { dates && weekdays } else { dates || weekdays }
        };
        self.minutes == 0
            || self.hours == 0
            || !(1..=12).any(|month| self.matches_month(month) && possible(month))
    }

    /// Whether matching days may lie years apart: all of them are leap days.
    pub(super) fn only_leap_days(&self) -> bool {
        let common = |month: u32| self.days & up_to_bit(days_in(2023, month)) & from_bit(1) != 0;
        !(1..=12).any(|month| {
            self.matches_month(month) && (common(month) || !self.both_days && self.weekdays != 0)
        })
    }

    /// Whether the month does not matter.
    pub(super) fn every_month(&self) -> bool {
        (1..=12).all(|month| self.matches_month(month))
    }

    pub(super) fn matches_month(&self, month: u32) -> bool {
        has(self.months, month)
    }

    pub(super) fn matches_hour(&self, hour: u32) -> bool {
        has(self.hours, hour)
    }

    pub(super) fn matches_minute(&self, minute: u32) -> bool {
        has(self.minutes, minute)
    }

    /// Whether the day matches by its number and its day of the week, whatever its month.
    pub(super) fn matches_day(&self, day: u32, weekday: u32) -> bool {
        let (date, weekday) = (has(self.days, day), has(self.weekdays, weekday));
        if self.both_days { date && weekday } else { date || weekday }
    }

    /// Whether the day that is `days` after 1970-01-01 matches, month included.
    pub(super) fn matches_date(&self, days: i64) -> bool {
        let date = date_of(days);
        self.matches_month(date.month) && self.matches_day(date.day, weekday_of(days))
    }

    /// Whether the local second matches.
    pub(super) fn matches(&self, local_s: i64) -> bool {
        let of_day = local_s.rem_euclid(DAY_S);
        of_day % MINUTE_S == 0
            && self.matches_hour(narrow(of_day / 3_600))
            && self.matches_minute(narrow(of_day / 60 % 60))
            && self.matches_date(local_s.div_euclid(DAY_S))
    }

    /// The first local second from `local_s` on that matches, in the year `last_year` at the latest.
    pub(super) fn first_from(&self, local_s: i64, last_year: i64) -> Option<i64> {
        let minute = local_s.checked_add(MINUTE_S - 1)?.div_euclid(MINUTE_S);
        let (days, of_day) = (minute.div_euclid(1_440), narrow(minute.rem_euclid(1_440)));
        if self.matches_date(days)
            && let Some(found) = self.reading_from(of_day)
        {
            return (date_of(days).year <= last_year).then_some((days * 1_440 + found) * MINUTE_S);
        }
        let days = self.date_from(days + 1, last_year)?;
        Some((days * 1_440 + self.reading_from(0)?) * MINUTE_S)
    }

    /// The last local second up to `local_s` that matches, in the year `first_year` at the earliest.
    pub(super) fn last_to(&self, local_s: i64, first_year: i64) -> Option<i64> {
        let minute = local_s.div_euclid(MINUTE_S);
        let (days, of_day) = (minute.div_euclid(1_440), narrow(minute.rem_euclid(1_440)));
        if self.matches_date(days)
            && let Some(found) = self.reading_to(of_day)
        {
            return (date_of(days).year >= first_year).then_some((days * 1_440 + found) * MINUTE_S);
        }
        let days = self.date_to(days - 1, first_year)?;
        Some((days * 1_440 + self.reading_to(1_439)?) * MINUTE_S)
    }

    /// The first matching minute of a day from minute `of_day` on.
    fn reading_from(&self, of_day: u32) -> Option<i64> {
        let (hour, minute) = (of_day / 60, of_day % 60);
        if self.matches_hour(hour)
            && let Some(minute) = lowest(self.minutes & from_bit(minute))
        {
            return Some(i64::from(hour * 60 + minute));
        }
        let hour = lowest(self.hours & from_bit(hour + 1))?;
        Some(i64::from(hour * 60 + lowest(self.minutes)?))
    }

    /// The last matching minute of a day up to minute `of_day`.
    fn reading_to(&self, of_day: u32) -> Option<i64> {
        let (hour, minute) = (of_day / 60, of_day % 60);
        if self.matches_hour(hour)
            && let Some(minute) = highest(self.minutes & up_to_bit(minute))
        {
            return Some(i64::from(hour * 60 + minute));
        }
        let hour = highest(self.hours & up_to_bit(hour) & !1_u64.checked_shl(hour).unwrap_or(0))?;
        Some(i64::from(hour * 60 + highest(self.minutes)?))
    }

    /// The first matching day from `days` after 1970-01-01 on.
    pub(super) fn date_from(&self, days: i64, last_year: i64) -> Option<i64> {
        let Date { mut year, mut month, day } = date_of(days);
        let mut low = from_bit(day);
        while year <= last_year {
            if self.matches_month(month)
                && let Some(day) = lowest(self.days_of_month(year, month) & low)
            {
                return Some(days_of(Date { year, month, day }));
            }
            (year, month) = month_after(year, month);
            low = u64::MAX;
        }
        None
    }

    /// The last matching day up to `days` after 1970-01-01.
    fn date_to(&self, days: i64, first_year: i64) -> Option<i64> {
        let Date { mut year, mut month, day } = date_of(days);
        let mut high = up_to_bit(day);
        while year >= first_year {
            if self.matches_month(month)
                && let Some(day) = highest(self.days_of_month(year, month) & high)
            {
                return Some(days_of(Date { year, month, day }));
            }
            (year, month) = month_before(year, month);
            high = u64::MAX;
        }
        None
    }

    /// Bits of the days of a month that match, whether or not the month itself does.
    fn days_of_month(&self, year: i64, month: u32) -> u64 {
        let first = weekday_of(days_of(Date { year, month, day: 1 }));
        // Bit n of seven weeks in a row is the weekday n days after a Sunday; day 1 falls on `first`.
        let mut weeks = 0_u64;
        for week in 0..6 {
            weeks |= (self.weekdays & 0x7f) << (7 * week);
        }
        let by_weekday = (weeks >> first) << 1;
        let matching = if self.both_days { self.days & by_weekday } else { self.days | by_weekday };
        matching & from_bit(1) & up_to_bit(days_in(year, month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_fields(seed: u64) -> Fields {
        // Sparse and dense sets alike, from a multiplicative generator.
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |mask: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let (wide, narrow) = (state >> 7, state >> 19);
            if state >> 62 == 0 { mask } else { wide & narrow & mask }
        };
        Fields {
            minutes: draw(up_to_bit(59)),
            hours: draw(up_to_bit(23)),
            days: draw(up_to_bit(31) & !1),
            months: draw(up_to_bit(12) & !1),
            weekdays: draw(up_to_bit(6)),
            both_days: seed.is_multiple_of(2),
        }
    }

    #[test]
    fn the_search_finds_what_trying_every_minute_finds() {
        let mut found = 0;
        for seed in 0..40 {
            let fields = some_fields(seed);
            let start = 1_700_000_000 + i64::try_from(seed).unwrap() * 977_777;
            let minutes: alloc::vec::Vec<i64> =
                (start.div_euclid(60)..start.div_euclid(60) + 60_000).map(|minute| minute * 60).collect();
            let mut next = None;
            for &at in minutes.iter().rev() {
                if fields.matches(at) {
                    next = Some(at);
                }
                if let Some(next) = next
                    && at % 420 == 0
                {
                    assert_eq!(fields.first_from(at, 2100), Some(next), "{fields:?}");
                    assert_eq!(fields.first_from(at - 59, 2100), Some(next), "{fields:?}");
                    found += 1;
                }
            }
            let mut last = None;
            for &at in &minutes {
                if fields.matches(at) {
                    last = Some(at);
                }
                if let Some(last) = last
                    && at % 420 == 0
                {
                    assert_eq!(fields.last_to(at, 2000), Some(last), "{fields:?}");
                    assert_eq!(fields.last_to(at + 59, 2000), Some(last), "{fields:?}");
                }
            }
            assert_eq!(fields.never(), fields.first_from(start, 2100).is_none(), "{fields:?}");
        }
        assert!(found > 10_000, "{found}");
    }
}
