//! Kubernetes timestamps: whole seconds, as metav1.Time writes them.

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant in whole seconds since the Unix epoch; JSON form is RFC 3339 in UTC, as metav1.Time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z; negative before it.
    pub unix_seconds: i64,
}

impl Time {
    /// The instant `unix_seconds` after the epoch.
    #[must_use]
    pub fn from_unix_seconds(unix_seconds: i64) -> Self {
        Self { unix_seconds }
    }

    /// The instant, cut to whole seconds as the API server does on write.
    #[must_use]
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        Self { unix_seconds: unix_ms.div_euclid(1000) }
    }

    /// Milliseconds since the epoch, saturating.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        self.unix_seconds.saturating_mul(1000)
    }

    /// The instant that an RFC 3339 text names, cut to whole seconds; `None` where it names none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Self::from_unix_seconds(instant.as_nanosecond().div_euclid(1_000_000_000).try_into().ok()?))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.unix_seconds) {
            Ok(instant) => write!(formatter, "{instant}"),
            Err(_) => write!(formatter, "{}s", self.unix_seconds),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not an RFC 3339 timestamp"))
    }
}
