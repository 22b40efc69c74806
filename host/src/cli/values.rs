//! Values of flags and of the configuration file, in the words of Kubernetes components.

use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;
use windlass_core::cron_job::zone::Zone;

/// A controller that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ControllerName {
    /// Jobs of batch/v1.
    Job,
    /// CronJobs of batch/v1.
    CronJob,
    /// DaemonSets of apps/v1.
    DaemonSet,
}

/// The name of a time zone that the built-in data has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ZoneName(pub(super) String);

impl std::str::FromStr for ZoneName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Zone::by_name(text) {
            Ok(zone) => Ok(Self(zone.name().to_owned())),
            Err(fault) => Err(fault.to_string()),
        }
    }
}

impl TryFrom<String> for ZoneName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What runs the core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EngineName {
    /// As WebAssembly, a fresh instance for each call.
    #[default]
    Wasm,
    /// Compiled into this program.
    Native,
}

/// Form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people.
    #[default]
    Text,
    /// One document.
    Json,
    /// One document.
    Yaml,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A length of time in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Length(pub(super) Duration);

impl Length {
    /// Whole milliseconds, saturating.
    pub(super) fn ms(self) -> u32 {
        u32::try_from(self.0.as_millis()).unwrap_or(u32::MAX)
    }
}

#[cfg(all(feature = "simulate", feature = "wasm"))]
impl Length {
    /// So many milliseconds.
    pub(super) fn from_ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Whole milliseconds, saturating, of simulated time, which may be long.
    pub(super) fn whole_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// The length as it is written; without a unit that there is none of.
    pub(super) fn text(self) -> String {
        let ms = self.whole_ms();
        let parts =
            [(ms / 3_600_000, "h"), (ms / 60_000 % 60, "m"), (ms / 1_000 % 60, "s"), (ms % 1_000, "ms")];
        let text: String = parts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, unit)| format!("{number}{unit}"))
            .collect();
        if text.is_empty() { "0s".to_owned() } else { text }
    }
}

impl std::str::FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map(Self).ok_or_else(|| {
            "a length of time is a number and a unit (ms, s, m, h), such as 10s or 1m30s".to_owned()
        })
    }
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match rest.get(..letters)? {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        rest = rest.get(letters..)?;
        total = total.checked_add(Duration::from_millis(number.checked_mul(unit_ms)?))?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_go_writes_them() {
        let ms = |text: &str| text.parse::<Length>().ok().map(Length::ms);
        assert_eq!(
            [ms("10s"), ms("1m30s"), ms("500ms"), ms("0")],
            [Some(10_000), Some(90_000), Some(500), Some(0)]
        );
        for wrong in ["", "10", "s", "1.5s", "-1s", "1d"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }
}
