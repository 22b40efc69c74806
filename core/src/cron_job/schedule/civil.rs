//! Days and clock readings of the proleptic Gregorian calendar, as numbers.
//!
//! A local second counts as a Unix second does, but along the clock on the wall: it is an instant plus the
//! zone's offset. (Arithmetic after Howard Hinnant, "chrono-compatible low-level date algorithms".)

/// Seconds of a minute.
pub(super) const MINUTE_S: i64 = 60;
/// Seconds of an hour.
pub(super) const HOUR_S: i64 = 3_600;
/// Seconds of a day.
pub(super) const DAY_S: i64 = 86_400;

/// A calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: u32,
    /// 1 to 31.
    pub(super) day: u32,
}

/// The day that is `days` after 1970-01-01.
pub(super) fn date_of(days: i64) -> Date {
    // Years begin in March here, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Date { year, month: narrow(month), day: narrow(day) }
}

/// Days from 1970-01-01 to the day; one past its month's end counts on into the next.
pub(super) fn days_of(date: Date) -> i64 {
    let month = i64::from(date.month);
    let year = date.year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + i64::from(date.day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// Day of the week of the day that is `days` after 1970-01-01; Sunday is 0.
pub(super) fn weekday_of(days: i64) -> u32 {
    narrow((days + 4).rem_euclid(7))
}

/// The month after that of `date`, as year and month.
pub(super) fn month_after(year: i64, month: u32) -> (i64, u32) {
    if month >= 12 { (year + 1, 1) } else { (year, month + 1) }
}

/// The month before that of `date`, as year and month.
pub(super) fn month_before(year: i64, month: u32) -> (i64, u32) {
    if month <= 1 { (year - 1, 12) } else { (year, month - 1) }
}

/// Days of a month.
pub(super) fn days_in(year: i64, month: u32) -> u32 {
    let (next_year, next_month) = month_after(year, month);
    let first = Date { year, month, day: 1 };
    let next = Date { year: next_year, month: next_month, day: 1 };
    narrow(days_of(next) - days_of(first))
}

/// A small number that cannot be negative, such as a day of a month.
pub(super) fn narrow(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_one_another() {
        let mut expected = Date { year: 1, month: 1, day: 1 };
        let mut weekday = 1;
        for days in days_of(expected)..days_of(Date { year: 2_500, month: 1, day: 1 }) {
            assert_eq!((date_of(days), days_of(expected), weekday_of(days)), (expected, days, weekday));
            weekday = (weekday + 1) % 7;
            expected.day += 1;
            if expected.day > days_in(expected.year, expected.month) {
                let (year, month) = month_after(expected.year, expected.month);
                assert_eq!(month_before(year, month), (expected.year, expected.month));
                expected = Date { year, month, day: 1 };
            }
        }
    }

    #[test]
    fn known_days_have_their_numbers() {
        assert_eq!(days_of(Date { year: 1970, month: 1, day: 1 }), 0);
        assert_eq!(days_of(Date { year: 2000, month: 2, day: 29 }), 11_016);
        assert_eq!(
            days_of(Date { year: 2023, month: 2, day: 31 }),
            days_of(Date { year: 2023, month: 3, day: 3 })
        );
        assert_eq!([1900, 2000, 2023, 2024].map(|year| days_in(year, 2)), [28, 29, 28, 29]);
    }
}
