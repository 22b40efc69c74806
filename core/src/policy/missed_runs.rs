//! P3, missed runs: which of the instants that a CronJob let pass are still to be run.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// The instants that one CronJob let pass; those of the present second are among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the CronJob, joined by a slash.
    pub owner: String,
    /// The instants missed, rising, seconds since the Unix epoch; the latest ones where there are more than fit.
    pub missed_s: Vec<u32>,
    /// Whether earlier instants were missed than are listed.
    pub more_before: bool,
    /// Why they were missed: `unknown`; a later version may say `down`, `suspended`, `edited`, or another word.
    pub why: String,
    /// Now, seconds since the Unix epoch.
    pub now_s: u32,
    /// Seconds after its instant at which a run is too late; absent: never.
    pub starting_deadline_s: Option<u32>,
    /// What concurrent runs mean: `Allow`, `Forbid`, `Replace`, or a word of a later version.
    pub concurrency_policy: String,
    /// Runs that have not ended.
    pub active: u32,
    /// For jitter: the same for the same question.
    pub seed: u32,
    /// Facts that the policy asked for.
    pub facts: Vec<(String, String)>,
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Make these runs, by their position in `missed_s`, rising.
    Run(Vec<u32>),
    /// An answer that this version does not know; the built-in answer stands in for it.
    Other(String),
}

/// The built-in answer: the latest, if it is not too late for it (upstream: mostRecentScheduleTime).
#[must_use]
pub fn built_in(question: &Question) -> Answer {
    let Some(latest) = question.missed_s.last() else { return Answer::Run(Vec::new()) };
    let is_late = question
        .starting_deadline_s
        .is_some_and(|deadline_s| latest.saturating_add(deadline_s) <= question.now_s);
    let position = u32::try_from(question.missed_s.len().saturating_sub(1)).unwrap_or(u32::MAX);
    Answer::Run(if is_late { Vec::new() } else { vec![position] })
}
