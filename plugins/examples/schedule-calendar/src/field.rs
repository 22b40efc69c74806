//! One field of an expression: a set of numbers below 64.

use windlass_plugin::Jitter;

/// What a field is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) low: u32,
    pub(crate) high: u32,
    /// The largest number that `H` stands for: days that not every month has are none.
    pub(crate) spread_high: u32,
    /// Words for the numbers from `low` on.
    pub(crate) words: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

pub(crate) const MINUTE: Kind = Kind { name: "minute", low: 0, high: 59, spread_high: 59, words: &[] };
pub(crate) const HOUR: Kind = Kind { name: "hour", low: 0, high: 23, spread_high: 23, words: &[] };
pub(crate) const DAY: Kind = Kind { name: "day", low: 1, high: 31, spread_high: 28, words: &[] };
pub(crate) const MONTH: Kind = Kind { name: "month", low: 1, high: 12, spread_high: 12, words: &MONTHS };
/// Sunday is 0, and 7 as well.
pub(crate) const WEEKDAY: Kind = Kind { name: "weekday", low: 0, high: 7, spread_high: 6, words: &DAYS };

/// Numbers below 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn contains(self, number: u32) -> bool {
        number < u64::BITS && self.0 & (1 << number) != 0
    }

    pub(crate) fn insert(&mut self, number: u32) {
        self.0 |= 1 << number;
    }

    /// From the smallest to the largest.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = u32> {
        (0..u64::BITS).filter(move |number| self.contains(*number))
    }
}

/// Adds to `numbers` what a part of a list means: `*`, `5`, `1-5`, `H`, `H(0-29)`, each perhaps with a step.
pub(crate) fn parse_part(
    kind: Kind,
    part: &str,
    spread: Jitter,
    numbers: &mut Numbers,
) -> Result<(), String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => {
            let step = step.parse().ok().filter(|step| (1..64).contains(step));
            (range, Some(step.ok_or_else(|| format!("{} {part} has no step", kind.name))?))
        }
        None => (part, None),
    };
    let (low, high) = if let Some(spread_range) = range.strip_prefix('H') {
        spread_ends(kind, part, spread_range, step, spread)?
    } else if range == "*" {
        (kind.low, kind.high)
    } else if let Some((low, high)) = range.split_once('-') {
        ends(kind, part, low, high)?
    } else {
        let low = number(kind, range)?;
        // Weekdays go on to Saturday: 7 is Sunday only where it is written.
        let last = if kind.high == 7 { 6 } else { kind.high };
        (low, if step.is_some() { last.max(low) } else { low })
    };
    for number in (low..=high).step_by(step.unwrap_or(1)) {
        numbers.insert(if kind.high == 7 { number % 7 } else { number });
    }
    Ok(())
}

/// Where what `H` stands for begins and ends: one number, or with a step from a number below the step on.
fn spread_ends(
    kind: Kind,
    part: &str,
    range: &str,
    step: Option<usize>,
    mut spread: Jitter,
) -> Result<(u32, u32), String> {
    let (low, high) = match range.strip_prefix('(').map(|rest| rest.strip_suffix(')')) {
        None if range.is_empty() => (kind.low, kind.spread_high),
        Some(Some(inner)) => {
            let (low, high) =
                inner.split_once('-').ok_or_else(|| format!("{} {part} has no range", kind.name))?;
            ends(kind, part, low, high)?
        }
        _ => return Err(format!("{} {part:?} is no number", kind.name)),
    };
    match step {
        None => {
            let number = spread.between(low, high);
            Ok((number, number))
        }
        Some(step) => {
            let last_start = low.saturating_add(u32::try_from(step).unwrap_or(u32::MAX) - 1).min(high);
            Ok((spread.between(low, last_start), high))
        }
    }
}

fn ends(kind: Kind, part: &str, low: &str, high: &str) -> Result<(u32, u32), String> {
    let (low, high) = (number(kind, low)?, number(kind, high)?);
    if low > high {
        return Err(format!("{} {part} ends before it begins", kind.name));
    }
    Ok((low, high))
}

pub(crate) fn number(kind: Kind, text: &str) -> Result<u32, String> {
    let word = kind.words.iter().position(|word| word.eq_ignore_ascii_case(text));
    if let Some(position) = word {
        return Ok(kind.low + u32::try_from(position).unwrap_or_default());
    }
    let number: u32 = text.parse().map_err(|_| format!("{} {text:?} is no number", kind.name))?;
    if !(kind.low..=kind.high).contains(&number) {
        return Err(format!("{} {number} is not from {} to {}", kind.name, kind.low, kind.high));
    }
    Ok(number)
}
