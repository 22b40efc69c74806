//! Five fields: minute, hour, day of the month, month, weekday.

use jiff::civil::{Date, Weekday};
use windlass_plugin::jitter;

use crate::field::{DAY, HOUR, Kind, MINUTE, MONTH, Numbers, WEEKDAY, number, parse_part};
use crate::walk::Holidays;

/// When to fire. Where both a day of the month and a weekday are named, either will do, as cron has it.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) minutes: Numbers,
    pub(crate) hours: Numbers,
    months: Numbers,
    days: Numbers,
    /// `L` among the days.
    last_day: bool,
    /// `LW` among the days.
    last_working_day: bool,
    weekdays: Numbers,
    /// `5L` among the weekdays: the last Friday of the month.
    last_weekdays: Numbers,
    any_day: bool,
    any_weekday: bool,
}

impl Expression {
    /// The expression that `text` stands for. `seed` says what each `H` is.
    ///
    /// # Errors
    /// What to mend.
    pub(crate) fn parse(text: &str, seed: u32) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("five fields, not {}", fields.len()));
        };
        let mut expression = Self {
            minutes: numbers(MINUTE, minute, seed)?,
            hours: numbers(HOUR, hour, seed)?,
            months: numbers(MONTH, month, seed)?,
            days: Numbers::default(),
            last_day: false,
            last_working_day: false,
            weekdays: Numbers::default(),
            last_weekdays: Numbers::default(),
            any_day: day.split(',').any(restricts_nothing),
            any_weekday: weekday.split(',').any(restricts_nothing),
        };
        for part in day.split(',') {
            match part {
                "L" => expression.last_day = true,
                "LW" => expression.last_working_day = true,
                _ => parse_part(DAY, part, spread(DAY, seed), &mut expression.days)?,
            }
        }
        for part in weekday.split(',') {
            match part.strip_suffix('L') {
                Some(day) => expression.last_weekdays.insert(number(WEEKDAY, day)? % 7),
                None => parse_part(WEEKDAY, part, spread(WEEKDAY, seed), &mut expression.weekdays)?,
            }
        }
        Ok(expression)
    }

    /// Whether anything fires on `date`: on one that has day and weekday where either field restricts nothing, else on
    /// one that has either.
    pub(crate) fn fires_on(&self, date: Date, holidays: &Holidays) -> bool {
        if !self.months.contains(unsigned(date.month())) {
            return false;
        }
        let (has_day, has_weekday) = (self.has_day(date, holidays), self.has_weekday(date));
        if self.any_day || self.any_weekday { has_day && has_weekday } else { has_day || has_weekday }
    }

    fn has_day(&self, date: Date, holidays: &Holidays) -> bool {
        self.days.contains(unsigned(date.day()))
            || self.last_day && date.day() == date.days_in_month()
            || self.last_working_day && holidays.is_last_working_day(date)
    }

    fn has_weekday(&self, date: Date) -> bool {
        let weekday = unsigned(date.weekday().to_sunday_zero_offset());
        self.weekdays.contains(weekday)
            || self.last_weekdays.contains(weekday) && date.day() > date.days_in_month() - 7
    }
}

/// Whether a part of a list is `*` or `*/1`. As Kubernetes has it, `*/2` restricts.
fn restricts_nothing(part: &str) -> bool {
    match part.split_once('/') {
        Some((range, step)) => range == "*" && step.parse() == Ok(1),
        None => part == "*",
    }
}

/// Whether people work on that day of the week.
pub(crate) fn is_workday(weekday: Weekday) -> bool {
    !matches!(weekday, Weekday::Saturday | Weekday::Sunday)
}

fn numbers(kind: Kind, list: &str, seed: u32) -> Result<Numbers, String> {
    let mut numbers = Numbers::default();
    for part in list.split(',') {
        parse_part(kind, part, spread(kind, seed), &mut numbers)?;
    }
    Ok(numbers)
}

/// What `H` is in fields of a kind: of its own for each kind, the same in each expression.
fn spread(kind: Kind, seed: u32) -> windlass_plugin::Jitter {
    let kind = kind.name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    jitter(seed ^ kind)
}

fn unsigned(number: i8) -> u32 {
    u32::from(number.unsigned_abs())
}
