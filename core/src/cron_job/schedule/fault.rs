//! Why a text is no schedule: the author's mistake, where it is, and the mend.

use alloc::string::String;
use core::fmt;
use core::ops::Range;

use super::duration::DurationFault;
use crate::cron_job::zone::ZoneFault;

/// What is wrong with a schedule's text, and where.
///
/// As text it is one sentence that says the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleFault {
    /// What is wrong.
    pub mistake: Mistake,
    /// Bytes of the text that are to blame, for a caret under them; empty only where the text is.
    pub range: Range<usize>,
    /// Those bytes.
    pub piece: String,
}

/// What can be wrong with a schedule's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is nothing.
    Empty,
    /// A zone stands before nothing.
    ZoneAlone,
    /// The zone before the fields is none.
    Zone(ZoneFault),
    /// A word after `@` that stands for no schedule.
    Descriptor,
    /// What follows `@every` is no length of time.
    Interval(DurationFault),
    /// There are not five fields, but so many.
    FieldCount(usize),
    /// A part of a field cannot be.
    Field(FieldName, FieldMistake),
}

/// A field, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldName {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or `jan` to `dec`.
    Month,
    /// 0 to 6 from Sunday, or `sun` to `sat`.
    DayOfWeek,
}

/// What can be wrong with a part of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldMistake {
    /// Neither a number nor a name that the field has.
    NotANumber,
    /// A step below zero.
    Negative,
    /// A number below the field's least.
    Below,
    /// A number above the field's greatest.
    Above,
    /// A range whose end comes before its beginning.
    Reversed,
    /// A step of zero.
    ZeroStep,
    /// More than one hyphen.
    Hyphens,
    /// More than one slash.
    Slashes,
}

impl FieldName {
    /// The fields in the order of the text.
    pub const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek];

    /// The least and the greatest number that the field takes.
    #[must_use]
    pub fn bounds(self) -> (u32, u32) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 6),
        }
    }

    /// Names that stand for the field's numbers, from its least on.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => {
                &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
            }
            Self::DayOfWeek => &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

impl fmt::Display for ScheduleFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let piece = &self.piece;
        match &self.mistake {
            Mistake::Empty => {
                formatter.write_str("the schedule is empty; write five fields, such as `30 4 * * *`")
            }
            Mistake::ZoneAlone => {
                write!(
                    formatter,
                    "`{piece}` has no schedule after it; write a space and five fields, such as `30 4 * * *`"
                )
            }
            Mistake::Zone(fault) => write!(formatter, "`{piece}` is no time zone: {fault}"),
            Mistake::Descriptor => write!(
                formatter,
                "`{piece}` stands for no schedule; write @yearly, @annually, @monthly, @weekly, @daily, @midnight, \
                 @hourly, or @every and a length of time"
            ),
            Mistake::Interval(fault) => write!(formatter, "`{piece}` is no length of time: {fault}"),
            Mistake::FieldCount(count) => field_count(formatter, *count),
            Mistake::Field(field, mistake) => field_mistake(formatter, *field, *mistake, piece),
        }
    }
}

impl core::error::Error for ScheduleFault {}

impl fmt::Display for DurationFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoNumber => "a number is missing; write numbers with units, such as 1h30m",
            Self::NoUnit => "a unit is missing; write h, m or s after each number, such as 1h30m",
            Self::UnknownUnit => "the units are h, m, s, ms, us and ns; write 24h for a day",
            Self::TooLong => "it is longer than 292 years; write less",
        })
    }
}

fn field_count(formatter: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    formatter.write_str("a schedule has five fields (minute, hour, day of month, month, day of week), ")?;
    match count {
        0..=5 => write!(formatter, "and this has {count}; write * for each that may be anything"),
        6 => {
            formatter.write_str("and this has 6; leave out the last, and the seconds if the first means them")
        }
        _ => write!(formatter, "and this has {count}; leave out what is too much"),
    }
}

fn field_mistake(
    formatter: &mut fmt::Formatter<'_>,
    field: FieldName,
    mistake: FieldMistake,
    piece: &str,
) -> fmt::Result {
    let (least, greatest) = field.bounds();
    match mistake {
        FieldMistake::NotANumber => {
            write!(formatter, "`{piece}` in the {field} is no number; write one from {least} to {greatest}")?;
            match field.names() {
                [first, .., last] => write!(formatter, ", or a name from {first} to {last}"),
                [] | [_] => Ok(()),
            }
        }
        FieldMistake::Negative => {
            write!(formatter, "`{piece}` in the {field} has a step below zero; write 1 or more")
        }
        FieldMistake::Below => {
            write!(formatter, "`{piece}` in the {field} is too small; it goes from {least} to {greatest}")
        }
        FieldMistake::Above => {
            write!(formatter, "`{piece}` in the {field} is too large; it goes from {least} to {greatest}")?;
            match field {
                FieldName::DayOfWeek => formatter.write_str(", and Sunday is 0"),
                FieldName::Minute | FieldName::Hour | FieldName::DayOfMonth | FieldName::Month => Ok(()),
            }
        }
        FieldMistake::Reversed => write!(
            formatter,
            "`{piece}` in the {field} ends before it begins; write two ranges with a comma, up to {greatest} and from \
             {least}"
        ),
        FieldMistake::ZeroStep => {
            write!(formatter, "`{piece}` in the {field} has a step of zero; write 1 or more")
        }
        FieldMistake::Hyphens => {
            write!(
                formatter,
                "`{piece}` in the {field} has too many hyphens; a range is two numbers with one between"
            )
        }
        FieldMistake::Slashes => {
            write!(
                formatter,
                "`{piece}` in the {field} has too many slashes; a step is one number after one slash"
            )
        }
    }
}
