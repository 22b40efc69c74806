//! Sets of completion indexes as intervals, in the API's compact text (`1,3-5,7`).
//!
//! Every operation costs the number of intervals, never the number of indexes: an Indexed Job may have
//! 100,000 of them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A set of completion indexes: intervals in rising order that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CompletionIndexes {
    intervals: Vec<Interval>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    first: u32,
    last: u32,
}

/// How many indexes below `bound` a status lists in compact text, such as `0-4,7`.
#[must_use]
pub fn count_indexes(text: &str, bound: u32) -> u32 {
    CompletionIndexes::parse(text, bound).0.total()
}

impl CompletionIndexes {
    /// The indexes below `bound` that `text` names, and whether the text held nothing else.
    ///
    /// Parts that are no interval are passed over, as upstream does: the field may have been edited by hand.
    pub(super) fn parse(text: &str, bound: u32) -> (Self, bool) {
        let mut set = Self::default();
        let (mut whole, mut ordered) = (true, true);
        if text.is_empty() {
            return (set, whole);
        }
        for part in text.split(',') {
            let Some(mut interval) = parse_interval(part).filter(|interval| interval.first < bound) else {
                whole = false;
                continue;
            };
            if interval.last >= bound {
                whole = false;
                interval.last = bound.saturating_sub(1);
            }
            ordered = ordered && set.intervals.last().is_none_or(|before| before.last < interval.first);
            set.append(interval);
        }
        if !ordered {
            whole = false;
            set.intervals.sort_unstable();
            let unordered = core::mem::take(&mut set.intervals);
            unordered.into_iter().for_each(|interval| set.append(interval));
        }
        (set, whole)
    }

    /// The set of `indexes`, which come in rising order; repetitions do no harm.
    pub(super) fn from_sorted(indexes: &[u32]) -> Self {
        let mut set = Self::default();
        indexes.iter().for_each(|index| set.append(Interval { first: *index, last: *index }));
        set
    }

    /// Every index that is in either set.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut set = Self { intervals: Vec::with_capacity(self.intervals.len()) };
        let (mut left, mut right) = (self.intervals.iter().peekable(), other.intervals.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(one), Some(two)) if one.first < two.first => left.next(),
                (_, Some(_)) => right.next(),
                (Some(_), None) => left.next(),
                (None, None) => return set,
            };
            next.into_iter().for_each(|interval| set.append(*interval));
        }
    }

    /// Whether `index` is in the set.
    pub(super) fn contains(&self, index: u32) -> bool {
        let after = self.intervals.partition_point(|interval| interval.last < index);
        self.intervals.get(after).is_some_and(|interval| interval.first <= index)
    }

    /// Number of indexes in both sets.
    pub(super) fn overlap(&self, other: &Self) -> u32 {
        let (mut left, mut right) = (self.intervals.iter().peekable(), other.intervals.iter().peekable());
        let mut common = 0_u32;
        while let (Some(one), Some(two)) = (left.peek(), right.peek()) {
            let (first, last) = (one.first.max(two.first), one.last.min(two.last));
            if first <= last {
                common = common.saturating_add(Interval { first, last }.length());
            }
            if one.last < two.last {
                left.next()
            } else {
                right.next()
            };
        }
        common
    }

    /// Number of indexes in the set.
    pub(super) fn total(&self) -> u32 {
        self.intervals.iter().fold(0, |sum, interval| sum.saturating_add(interval.length()))
    }

    /// Whether there is no index in the set.
    pub(super) fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The lowest `count` indexes below `bound` that are not in the set.
    pub(super) fn lowest_missing(&self, count: u32, bound: u32) -> Vec<u32> {
        let mut missing = Vec::new();
        let mut candidate = 0_u32;
        let mut left = count;
        let end = Interval { first: bound, last: bound };
        for interval in self.intervals.iter().chain([&end]) {
            while candidate < interval.first.min(bound) && left > 0 {
                missing.push(candidate);
                candidate = candidate.saturating_add(1);
                left = left.saturating_sub(1);
            }
            candidate = candidate.max(interval.last.saturating_add(1));
        }
        missing
    }

    /// Adds an interval that begins at or after the last one's beginning.
    fn append(&mut self, interval: Interval) {
        match self.intervals.last_mut() {
            Some(before)
                if interval.first >= before.first && interval.first <= before.last.saturating_add(1) =>
            {
                before.last = before.last.max(interval.last);
            }
            _ => self.intervals.push(interval),
        }
    }
}

impl Interval {
    fn length(self) -> u32 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

impl fmt::Display for CompletionIndexes {
    /// Upstream's compact text: two neighbours are listed, three and more become a range.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(self.intervals.len().saturating_mul(8));
        for interval in &self.intervals {
            if !text.is_empty() {
                text.push(',');
            }
            push_number(&mut text, interval.first);
            if interval.last > interval.first {
                text.push(if interval.length() == 2 { ',' } else { '-' });
                push_number(&mut text, interval.last);
            }
        }
        formatter.write_str(&text)
    }
}

/// Appends decimal digits; formatting by `write!` would be most of the cost of a long set.
fn push_number(text: &mut String, number: u32) {
    let mut digits = [0_u8; 10];
    let mut rest = number;
    let mut length = 0_usize;
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length = length.saturating_add(1);
        if rest == 0 {
            break;
        }
    }
    let digits = digits.iter().skip(digits.len().saturating_sub(length));
    text.extend(digits.map(|digit| char::from(b'0'.saturating_add(*digit))));
}

fn parse_interval(part: &str) -> Option<Interval> {
    let mut limits = part.split('-');
    let first: u32 = limits.next()?.parse().ok()?;
    let last = match limits.next() {
        Some(text) => text.parse().ok()?,
        None => first,
    };
    (first <= last).then_some(Interval { first, last })
}
