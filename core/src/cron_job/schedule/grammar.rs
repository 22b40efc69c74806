//! The text of a schedule, read as robfig/cron reads it (parser.go, `ParseStandard`).

use alloc::string::ToString;
use alloc::vec::Vec;

use super::duration::interval_s;
use super::fault::{FieldMistake, FieldName, Mistake, ScheduleFault};
use super::fields::Fields;
use crate::cron_job::zone::{Zone, ZoneFault};

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Clock readings.
    Fields(Fields),
    /// So many seconds after the instant before, whatever the clock shows.
    IntervalS(i64),
}

/// A part of the text, and where it begins there.
#[derive(Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    at: usize,
}

/// What the text says, and the zone that it names or else `default_zone`.
pub(super) fn parse(text: &str, default_zone: Zone) -> Result<(Rule, Zone), ScheduleFault> {
    let whole = Part { text, at: 0 };
    if text.is_empty() {
        return Err(whole.fault(Mistake::Empty));
    }
    let (rest, zone) = split_zone(whole, default_zone)?;
    let rule =
        if rest.text.starts_with('@') { parse_descriptor(rest)? } else { Rule::Fields(parse_fields(rest)?) };
    Ok((rule, zone))
}

/// What follows the zone at the beginning, and the zone.
fn split_zone(whole: Part<'_>, default_zone: Zone) -> Result<(Part<'_>, Zone), ScheduleFault> {
    let Some(after) = ["TZ=", "CRON_TZ="].into_iter().find_map(|prefix| whole.strip_prefix(prefix)) else {
        return Ok((whole, default_zone));
    };
    // The parser panics here, from which Kubernetes recovers by refusing the text.
    let Some((name, rest)) = after.split_once(' ') else { return Err(whole.fault(Mistake::ZoneAlone)) };
    let zone = match Zone::by_name(name.text) {
        Ok(zone) => zone,
        Err(ZoneFault::Local) => default_zone,
        Err(fault @ (ZoneFault::Capitals(_) | ZoneFault::Unknown)) => {
            return Err(name.fault(Mistake::Zone(fault)));
        }
    };
    let rest = rest.trimmed();
    if rest.text.is_empty() { Err(whole.fault(Mistake::ZoneAlone)) } else { Ok((rest, zone)) }
}

fn parse_descriptor(part: Part<'_>) -> Result<Rule, ScheduleFault> {
    let fields = match part.text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let length = part.strip_prefix("@every ").ok_or_else(|| part.fault(Mistake::Descriptor))?;
            let blamed = if length.text.is_empty() { part } else { length };
            let interval = interval_s(length.text).map_err(|fault| blamed.fault(Mistake::Interval(fault)))?;
            return Ok(Rule::IntervalS(interval));
        }
    };
    Ok(Rule::Fields(parse_fields(Part { text: fields, at: part.at })?))
}

fn parse_fields(part: Part<'_>) -> Result<Fields, ScheduleFault> {
    let parts: Vec<Part<'_>> = part.split(char::is_whitespace).collect();
    let &[minute, hour, day, month, weekday] = parts.as_slice() else {
        let surplus = parts.get(5).map_or(part, |sixth| part.from(sixth.at).trimmed());
        return Err(surplus.fault(Mistake::FieldCount(parts.len())));
    };
    let (minutes, _) = parse_field(minute, FieldName::Minute)?;
    let (hours, _) = parse_field(hour, FieldName::Hour)?;
    let (days, any_day) = parse_field(day, FieldName::DayOfMonth)?;
    let (months, _) = parse_field(month, FieldName::Month)?;
    let (weekdays, any_weekday) = parse_field(weekday, FieldName::DayOfWeek)?;
    Ok(Fields { minutes, hours, days, months, weekdays, both_days: any_day || any_weekday })
}

/// The numbers of a field as bits, and whether a star with step 1 is among its parts. A field of commas alone has
/// no numbers, and the schedule never fires.
fn parse_field(part: Part<'_>, field: FieldName) -> Result<(u64, bool), ScheduleFault> {
    let (mut bits, mut star) = (0, false);
    for range in part.split(|letter| letter == ',') {
        let (of_range, is_star) =
            parse_range(range.text, field).map_err(|mistake| range.fault(Mistake::Field(field, mistake)))?;
        bits |= of_range;
        star |= is_star;
    }
    Ok((bits, star))
}

/// The numbers of one part between commas: `number`, `low-high`, a star or a question mark, with `/step` or without.
fn parse_range(text: &str, field: FieldName) -> Result<(u64, bool), FieldMistake> {
    let mut slashes = text.split('/');
    let mut hyphens = slashes.next().unwrap_or_default().split('-');
    let (step, more_slashes) = (slashes.next(), slashes.next().is_some());
    let low = hyphens.next().unwrap_or_default();
    let (high, more_hyphens) = (hyphens.next(), hyphens.next().is_some());
    let (least, greatest) = field.bounds();

    let mut star = matches!(low, "*" | "?");
    // After a star, a hyphen and what follows it mean nothing.
    let (start, mut end) = if star {
        (least, i64::from(greatest))
    } else {
        let start = number_or_name(low, field)?;
        let end = match high {
            None => start,
            Some(_) if more_hyphens => return Err(FieldMistake::Hyphens),
            Some(high) => number_or_name(high, field)?,
        };
        // Whatever is above the greatest is refused below, however far above it is.
        (u32::try_from(start).unwrap_or(u32::MAX), end)
    };
    if more_slashes {
        return Err(FieldMistake::Slashes);
    }
    let mut stride = 1;
    if let Some(step) = step {
        stride = number(step)?;
        // `5/10` means `5-59/10`.
        if high.is_none() {
            end = i64::from(greatest);
        }
        star &= stride <= 1;
    }
    if start < least {
        return Err(FieldMistake::Below);
    }
    if end > i64::from(greatest) || start > greatest && high.is_none() {
        return Err(FieldMistake::Above);
    }
    if i64::from(start) > end {
        return Err(FieldMistake::Reversed);
    }
    if stride == 0 {
        return Err(FieldMistake::ZeroStep);
    }
    let stride = usize::try_from(stride).unwrap_or(usize::MAX);
    let numbers = (start..=greatest).take_while(|&number| i64::from(number) <= end).step_by(stride);
    Ok((numbers.fold(0, |bits, number| bits | 1 << number), star))
}

/// The number that a name of the field stands for, or that the digits say.
fn number_or_name(text: &str, field: FieldName) -> Result<i64, FieldMistake> {
    let is = |name: &str| text.chars().map(lowercase).eq(name.chars());
    match (field.bounds().0..).zip(field.names()).find(|(_, name)| is(name)) {
        Some((named, _)) => Ok(i64::from(named)),
        None => number(text),
    }
}

/// A letter as Go's `strings.ToLower` writes it, as far as it can be one of a name's letters: the only letters
/// outside ASCII whose small form is inside it are the Kelvin sign and the I with a dot.
fn lowercase(letter: char) -> char {
    if letter == '\u{130}' { 'i' } else { letter.to_ascii_lowercase() }
}

/// A number as Go's `strconv.Atoi` reads it: digits, perhaps after a plus.
fn number(text: &str) -> Result<i64, FieldMistake> {
    let number: i64 = text.parse().map_err(|_| FieldMistake::NotANumber)?;
    if number < 0 { Err(FieldMistake::Negative) } else { Ok(number) }
}

impl<'a> Part<'a> {
    fn fault(self, mistake: Mistake) -> ScheduleFault {
        ScheduleFault { mistake, range: self.at..self.at + self.text.len(), piece: self.text.to_string() }
    }

    /// The part from byte `at` of the whole text on.
    fn from(self, at: usize) -> Self {
        let text = self.text.get(at.saturating_sub(self.at)..).unwrap_or_default();
        Self { text, at }
    }

    fn strip_prefix(self, prefix: &str) -> Option<Self> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Self { text, at: self.at + prefix.len() })
    }

    fn split_once(self, letter: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(letter)?;
        Some((Self { text: before, at: self.at }, self.from(self.at + self.text.len() - after.len())))
    }

    fn trimmed(self) -> Self {
        let text = self.text.trim_start();
        Self { text: text.trim_end(), at: self.at + self.text.len() - text.len() }
    }

    /// The pieces between letters that `separates` names; empty ones are left out.
    fn split(self, separates: fn(char) -> bool) -> impl Iterator<Item = Self> {
        let mut next = self.at;
        let pieces = self.text.split_inclusive(separates).map(move |piece| {
            let at = next;
            next += piece.len();
            Part { text: piece.trim_end_matches(separates), at }
        });
        pieces.filter(|piece| !piece.text.is_empty())
    }
}
