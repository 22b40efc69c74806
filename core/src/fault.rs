//! Typed refusals of the core: each is the host's mistake, never the Job author's.

use core::fmt;

/// Why the core gave no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The contract has this kind, and this version of the core does not reconcile it.
    UnsupportedKind,
    /// The columns of the snapshot differ in length.
    UnequalColumns,
    /// The snapshot names a position that its columns do not have.
    PositionOutOfRange,
    /// The snapshot holds a text that cannot be read.
    MalformedText,
}

impl Fault {
    /// Stable name for metrics and records.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::UnsupportedKind => "unsupported_kind",
            Self::UnequalColumns => "unequal_columns",
            Self::PositionOutOfRange => "position_out_of_range",
            Self::MalformedText => "malformed_text",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnsupportedKind => "this version of the core does not reconcile objects of this kind",
            Self::UnequalColumns => "the host's snapshot has columns of unequal length",
            Self::PositionOutOfRange => "the host's snapshot names a position that its columns do not hold",
            Self::MalformedText => "the host's snapshot holds a text that cannot be read",
        })
    }
}

impl core::error::Error for Fault {}
