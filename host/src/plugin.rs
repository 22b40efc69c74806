//! Policy plugins: components of users that answer the core's questions, and are never able to hurt.
//!
//! Modules in the order of an answer: what a plugin may decide, which one is bound to an object, whether it is
//! trusted for now, who answers a run's questions, what an answer may be. Only `wasm` knows what a plugin is made of.

pub mod decision;

pub mod admission;

pub mod binding;

pub mod circuit;

pub mod facts;

pub mod set;

pub mod bounds;

pub mod resource;

pub mod offer;

pub mod directory;

pub mod load;

pub mod library;

pub mod report;

pub mod catalogue;

#[cfg(feature = "shell")]
pub mod oci;

pub mod document;

#[cfg(test)]
pub(crate) mod fake;

#[cfg(feature = "wasm")]
pub mod wasm;

use std::fmt;

use sha2::{Digest as _, Sha256};
use windlass_core::kube::Str;
use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use bounds::OutOfBounds;
use decision::Decision;

/// Bytes of a digest: SHA-256.
const DIGEST_BYTES: usize = 32;
/// Bytes of a digest that are shown where a line is short.
const SHOWN_DIGEST_BYTES: usize = 6;

/// Something that decides in place of the built-in policies.
///
/// Each call is one of its own: nothing of an earlier one is left when it begins.
pub trait Plugin: Send + Sync {
    /// What was loaded.
    fn identity(&self) -> &Identity;

    /// What the plugin says of itself.
    fn description(&self) -> &Description;

    /// How long it took to load it, microseconds, where the host reads a clock.
    fn loaded_in_us(&self) -> Option<u64> {
        None
    }

    /// Whether `settings` may be bound for `decision`; [`PluginFault::SettingsRefused`] where the plugin says no.
    fn validate_settings(&self, decision: Decision, settings: &str) -> Called<()>;

    /// Answers about retries.
    fn backoff(&self, settings: &str, questions: &[backoff::Question]) -> Called<Vec<backoff::Answer>>;

    /// Answers about the instants of schedules.
    fn schedule(&self, settings: &str, questions: &[schedule::Question]) -> Called<Vec<schedule::Answer>>;

    /// Answers about runs that were missed.
    fn missed_runs(
        &self,
        settings: &str,
        questions: &[missed_runs::Question],
    ) -> Called<Vec<missed_runs::Answer>>;

    /// Answers about rollouts.
    fn rollout(&self, settings: &str, questions: &[rollout::Question]) -> Called<Vec<rollout::Answer>>;

    /// Answers about the start of Jobs.
    fn admission(&self, settings: &str, questions: &[admission::Question]) -> Called<Vec<admission::Answer>>;
}

/// What was loaded under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name by which objects are bound to it: that of its file, without the ending.
    pub name: Str,
    /// Hash of its bytes.
    pub digest: Digest,
    /// Number of its bytes.
    pub size_bytes: u64,
    /// What it decides, in the order of [`Decision::ALL`].
    pub decisions: Vec<Decision>,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// JSON schema of its settings, or empty.
    pub settings_schema: String,
    /// Facts that it wants with each question: name of the decision, and the fact.
    pub wants: Vec<(String, String)>,
    /// Anything else, as key and value.
    pub extra: Vec<(String, String)>,
}

/// SHA-256 of a plugin's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

impl Digest {
    /// That of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// What `text` says, if that is `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?;
        if digits.len() != 2 * DIGEST_BYTES || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut digest = [0; DIGEST_BYTES];
        for (position, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * position..2 * position + 2)?, 16).ok()?;
        }
        Some(Self(digest))
    }

    /// The start of it, for a line of a log.
    #[must_use]
    pub fn short(&self) -> String {
        format!("sha256:{}", hexadecimal(self.0.get(..SHOWN_DIGEST_BYTES).unwrap_or_default()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", hexadecimal(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a call came to, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called<A> {
    /// The answers, or why there are none.
    pub result: Result<A, PluginFault>,
    /// What it cost.
    pub cost: Cost,
    /// What the plugin said meanwhile.
    pub log: Vec<LogLine>,
}

impl<A> Called<A> {
    /// A call that did not happen.
    #[must_use]
    pub fn not(fault: PluginFault) -> Self {
        Self { result: Err(fault), cost: Cost::default(), log: Vec::new() }
    }
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Units of fuel, about one an instruction, where fuel is the budget.
    pub fuel: Option<u64>,
    /// Wall time, microseconds, where the host reads a clock.
    pub took_us: Option<u64>,
    /// Most bytes of linear memory that it had.
    pub memory_bytes: u64,
}

/// A message of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// 0 for errors, 1 for warnings, 2 for information, 3 for details.
    pub level: u32,
    /// For people.
    pub message: String,
}

/// Why a plugin gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginFault {
    /// No plugin of that name is loaded.
    NotLoaded,
    /// The plugin does not decide this.
    DoesNotDecide,
    /// The plugin may not decide for objects of this namespace.
    NotForNamespace,
    /// The object's annotation about failures has a word that there is none of.
    UnknownOnFailure(Str),
    /// The plugin is in quarantine, and is asked again after so many milliseconds.
    Quarantined {
        /// Milliseconds until it is tried.
        for_ms: u64,
    },
    /// The plugin says that it cannot be bound with these settings; its message.
    SettingsRefused(String),
    /// The plugin gave an error for an answer; its message.
    Refused(String),
    /// The plugin trapped; the reason, for people.
    Trapped(String),
    /// The plugin took longer than it may, or used up its fuel.
    TookTooLong,
    /// The plugin asked for more memory than it may have.
    TooMuchMemory {
        /// Size that it asked for, bytes.
        bytes: u64,
    },
    /// The plugin handed over more than it may.
    TooMuchOutput,
    /// An answer is none that may be given.
    OutOfBounds(OutOfBounds),
    /// The reconcile asked the plugins more often than one may.
    TooManyCalls,
    /// The plugins of the reconcile took as long as they may.
    NoTimeLeft,
    /// The host had no room for the call: not the plugin's fault.
    Busy,
}

impl PluginFault {
    /// Whether the plugin may well answer a moment later: then what it decides waits, and fails for nobody.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::TooManyCalls | Self::NoTimeLeft | Self::Busy)
    }

    /// Stable name for metrics and records.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotLoaded => "not_loaded",
            Self::DoesNotDecide => "does_not_decide",
            Self::NotForNamespace => "not_for_namespace",
            Self::UnknownOnFailure(_) => "unknown_on_failure",
            Self::Quarantined { .. } => "quarantined",
            Self::SettingsRefused(_) => "settings_refused",
            Self::Refused(_) => "refused",
            Self::Trapped(_) => "trap",
            Self::TookTooLong => "timeout",
            Self::TooMuchMemory { .. } => "memory",
            Self::TooMuchOutput => "output",
            Self::OutOfBounds(_) => "out_of_bounds",
            Self::TooManyCalls => "too_many_calls",
            Self::NoTimeLeft => "no_time_left",
            Self::Busy => "busy",
        }
    }

    /// Whether it speaks against the plugin itself, and not against what binds it, the object, or the host.
    ///
    /// An error that a plugin gives in good order says something of one question, and puts it into no quarantine.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        match self {
            Self::Trapped(_)
            | Self::TookTooLong
            | Self::TooMuchMemory { .. }
            | Self::TooMuchOutput
            | Self::OutOfBounds(_) => true,
            Self::NotLoaded
            | Self::DoesNotDecide
            | Self::NotForNamespace
            | Self::UnknownOnFailure(_)
            | Self::Quarantined { .. }
            | Self::SettingsRefused(_)
            | Self::Refused(_)
            | Self::TooManyCalls
            | Self::NoTimeLeft
            | Self::Busy => false,
        }
    }
}

impl fmt::Display for PluginFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => formatter.write_str("no plugin of that name is loaded"),
            Self::DoesNotDecide => formatter.write_str("the plugin does not decide this"),
            Self::NotForNamespace => {
                formatter.write_str("the plugin may not decide for objects of this namespace")
            }
            Self::UnknownOnFailure(word) => {
                write!(formatter, "{word:?} says nothing about failures: use BuiltIn, Hold or Fail")
            }
            // The same text each time, so that it is told as one.
            Self::Quarantined { .. } => {
                formatter.write_str("it failed too often and is left alone for a while")
            }
            Self::SettingsRefused(message) => write!(formatter, "it refuses its settings: {message}"),
            Self::Refused(message) => write!(formatter, "it gave an error: {message}"),
            Self::Trapped(reason) => write!(formatter, "it trapped: {reason}"),
            Self::TookTooLong => formatter.write_str("it took too long"),
            Self::TooMuchMemory { bytes } => write!(formatter, "it asked for {bytes} bytes of memory"),
            Self::TooMuchOutput => formatter.write_str("it handed over too much"),
            Self::OutOfBounds(bound) => write!(formatter, "its answer may not be given: {bound}"),
            Self::TooManyCalls => formatter.write_str("one reconcile may not ask that often"),
            Self::NoTimeLeft => formatter.write_str("the plugins of one reconcile may not take that long"),
            Self::Busy => formatter.write_str("the host has no room for another call"),
        }
    }
}

impl std::error::Error for PluginFault {}

fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_told_in_full_or_by_its_start() {
        let digest = Digest([0xab; DIGEST_BYTES]);
        assert_eq!(digest.short(), "sha256:abababababab");
        assert_eq!(digest.to_string().len(), "sha256:".len() + 64);
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        for text in ["", "sha256:", "abab", &digest.to_string()[1..], &digest.short()] {
            assert_eq!(Digest::parse(text), None, "{text:?}");
        }
    }
}
