//! When a CronJob fires: the text of its schedule, and the instants that come of it.
//!
//! Texts are accepted and refused, and instants follow one another, exactly as with the library that upstream
//! uses (github.com/robfig/cron/v3 at the version of Kubernetes 1.37); `tests/tests/cron_oracle.rs` holds both
//! against each other. Modules are listed in the order in which a schedule passes through them.

mod fault;
mod grammar;

mod civil;
mod duration;
mod fields;
mod walk;
mod window;

#[cfg(test)]
mod properties;

use alloc::vec::Vec;

pub use duration::DurationFault;
pub use fault::{FieldMistake, FieldName, Mistake, ScheduleFault};

use super::zone::Zone;
use grammar::Rule;
use walk::Walk;

/// The earliest instant that a schedule is asked about, 0001-01-01T00:00:00Z: Go's zero time, which stands for none.
pub const EARLIEST_S: i64 = -62_135_596_800;
/// The latest instant at which a schedule fires, 9999-01-01T00:00:00Z: RFC 3339 knows no fifth digit of a year.
pub const LATEST_S: i64 = 253_370_764_800;
/// A schedule that matches nothing in so many years after the one it is asked in never fires (spec.go: `yearLimit`).
pub const MAX_YEARS_AHEAD: i64 = 5;
/// Most steps of one search: every month and day of six years, and some hours and minutes at each clock change.
/// The fuzz target and the oracle test come nowhere near.
pub const MAX_STEPS: u32 = 10_000;
/// Most instants that one answer holds.
pub const MAX_INSTANTS: u32 = 10_000;

/// When something fires: a text that was understood, and the zone whose clock it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    rule: Rule,
    zone: Zone,
}

/// Instants of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firing {
    /// The instants, rising, seconds since the Unix epoch.
    pub at_s: Vec<i64>,
    /// Whether the window has more than the limit let through.
    pub more: bool,
}

impl Schedule {
    /// The schedule that `text` stands for. `TZ=` or `CRON_TZ=` at its beginning names the zone; else the clock is
    /// that of `default_zone`, which also is what `TZ=Local` means.
    ///
    /// # Errors
    /// Where robfig's `ParseStandard` refuses the text, or panics.
    pub fn parse(text: &str, default_zone: Zone) -> Result<Self, ScheduleFault> {
        let (rule, zone) = grammar::parse(text, default_zone)?;
        Ok(Self { rule, zone })
    }

    /// The zone whose clock the fields mean.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The same rule by the clock of another zone.
    #[must_use]
    pub fn in_zone(&self, zone: Zone) -> Self {
        Self { rule: self.rule, zone }
    }

    /// Seconds from one instant to the next, where the schedule is `@every` so long and looks at no clock.
    #[must_use]
    pub fn interval_s(&self) -> Option<i64> {
        match self.rule {
            Rule::IntervalS(interval) => Some(interval),
            Rule::Fields(_) => None,
        }
    }

    /// The first instant after `after_s`, seconds since the Unix epoch; `None` where none comes in this year or the
    /// [five](MAX_YEARS_AHEAD) that follow, or none up to [`LATEST_S`].
    #[must_use]
    pub fn next(&self, after_s: i64) -> Option<i64> {
        self.next_and_steps(after_s).0
    }

    /// The first instant after `after_ms`, milliseconds since the Unix epoch, in seconds: parts of a second do not
    /// count.
    #[must_use]
    pub fn next_after_ms(&self, after_ms: i64) -> Option<i64> {
        self.next(after_ms.div_euclid(1_000))
    }

    /// [`next`](Self::next), and how many steps it took, which is less than [`MAX_STEPS`].
    #[must_use]
    pub fn next_and_steps(&self, after_s: i64) -> (Option<i64>, u32) {
        if !(EARLIEST_S..=LATEST_S).contains(&after_s) {
            return (None, 0);
        }
        match &self.rule {
            Rule::IntervalS(interval) => (after_s.checked_add(*interval).filter(|&next| next <= LATEST_S), 0),
            Rule::Fields(fields) if fields.never() => (None, 0),
            Rule::Fields(fields) => {
                let mut walk = Walk::new(fields, &self.zone, after_s);
                let next = walk.next(after_s);
                (next, walk.steps())
            }
        }
    }

    /// The first `limit` instants, [`MAX_INSTANTS`] at most, after `after_s` and up to `until_s`.
    #[must_use]
    pub fn earliest(&self, after_s: i64, until_s: i64, limit: u32) -> Firing {
        let limit = clamp(limit);
        match &self.rule {
            Rule::Fields(fields) if !fields.never() && (EARLIEST_S..=LATEST_S).contains(&after_s) => {
                let mut walk = Walk::new(fields, &self.zone, after_s);
                window::earliest(limit, until_s, |last| walk.next(last.unwrap_or(after_s)))
            }
            Rule::Fields(_) => Firing::default(),
            Rule::IntervalS(_) => window::earliest(limit, until_s, |last| self.next(last.unwrap_or(after_s))),
        }
    }

    /// The last `limit` instants, [`MAX_INSTANTS`] at most, of the chain that begins with the first after `after_s`
    /// and in which each is the next after the one before, up to `until_s`.
    ///
    /// The cost hangs on how many clock changes lie in the window, and not on how often the schedule fires in it.
    #[must_use]
    pub fn latest(&self, after_s: i64, until_s: i64, limit: u32) -> Firing {
        if !(EARLIEST_S..=LATEST_S).contains(&after_s) {
            return Firing::default();
        }
        let limit = clamp(limit);
        match &self.rule {
            Rule::Fields(fields) if fields.never() => Firing::default(),
            Rule::Fields(fields) => window::latest(fields, &self.zone, after_s, until_s, limit),
            Rule::IntervalS(interval) => window::latest_of_interval(*interval, after_s, until_s, limit),
        }
    }
}

fn clamp(limit: u32) -> usize {
    usize::try_from(limit.min(MAX_INSTANTS)).unwrap_or_default()
}
