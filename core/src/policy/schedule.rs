//! P2, schedule: when a CronJob fires.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cron_job::schedule::Schedule;
use crate::cron_job::zone::Zone;

/// A window of time of one schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the CronJob, joined by a slash.
    pub owner: String,
    /// The schedule's text, as its author wrote it.
    pub schedule: String,
    /// Name of the time zone, such as `Europe/Vienna`; never empty.
    pub zone: String,
    /// Start of the window, seconds since the Unix epoch; an instant equal to it is not in the window.
    pub after_s: u32,
    /// End of the window, seconds since the Unix epoch; an instant equal to it is in the window.
    pub until_s: u32,
    /// Most instants that the answer may hold.
    pub limit: u32,
    /// Whether the latest instants of the window are kept where it has more than the limit; else the earliest.
    pub latest: bool,
    /// For jitter: the same for the same schedule of the same owner.
    pub seed: u32,
    /// Facts that the policy asked for.
    pub facts: Vec<(String, String)>,
}

/// Instants of a window, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firing {
    /// The instants that were kept, seconds since the Unix epoch.
    pub at_s: Vec<u32>,
    /// Whether the window has more than the limit let through.
    pub more: bool,
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The schedule fires at these instants.
    Fires(Firing),
    /// The text is no schedule; the message says what to mend.
    Refused(String),
    /// An answer that this version does not know; the built-in answer stands in for it.
    Other(String),
}

/// The built-in answer: what robfig/cron says, which upstream asks.
///
/// However large the question's limit, no answer holds more than
/// [`MAX_INSTANTS`](crate::cron_job::schedule::MAX_INSTANTS).
#[must_use]
pub fn built_in(question: &Question) -> Answer {
    let zone = match Zone::by_name(&question.zone) {
        Ok(zone) => zone,
        Err(fault) => return Answer::Refused(alloc::format!("`{}` is no time zone: {fault}", question.zone)),
    };
    let schedule = match Schedule::parse(&question.schedule, zone) {
        Ok(schedule) => schedule,
        Err(fault) => return Answer::Refused(fault.to_string()),
    };
    let (after_s, until_s) = (i64::from(question.after_s), i64::from(question.until_s));
    let found = if question.latest {
        schedule.latest(after_s, until_s, question.limit)
    } else {
        schedule.earliest(after_s, until_s, question.limit)
    };
    // Nothing in a window of 32 bits is outside them.
    let at_s = found.at_s.iter().filter_map(|&at| u32::try_from(at).ok()).collect();
    Answer::Fires(Firing { at_s, more: found.more })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(schedule: &str, zone: &str, limit: u32, latest: bool) -> Answer {
        built_in(&Question {
            schedule: schedule.to_string(),
            zone: zone.to_string(),
            after_s: 1_700_000_000, // 2023-11-14T22:13:20Z
            until_s: 1_700_010_000, // 2023-11-15T01:00:00Z
            limit,
            latest,
            ..Question::default()
        })
    }

    #[test]
    fn the_limit_keeps_the_earliest_or_the_latest() {
        let fires = |at_s: &[u32], more| Answer::Fires(Firing { at_s: at_s.to_vec(), more });
        let hours = [1_700_002_800, 1_700_006_400, 1_700_010_000];
        assert_eq!(ask("@hourly", "UTC", 3, false), fires(&hours, false));
        assert_eq!(ask("@hourly", "UTC", 2, false), fires(&hours[..2], true));
        assert_eq!(ask("@hourly", "UTC", 2, true), fires(&hours[1..], true));
        assert_eq!(ask("@hourly", "UTC", 0, true), fires(&[], true));
        assert_eq!(ask("0 1 * * *", "Europe/Vienna", 2, true), fires(&hours[1..2], false));
        assert_eq!(ask("@every 3h", "UTC", 2, true), fires(&[], false));
    }

    #[test]
    fn what_is_no_schedule_or_no_zone_is_refused_with_the_mend() {
        let refused = |answer| match answer {
            Answer::Refused(message) => message,
            Answer::Fires(_) | Answer::Other(_) => String::new(),
        };
        assert_eq!(
            refused(ask("0 25 * * *", "UTC", 1, true)),
            "`25` in the hour is too large; it goes from 0 to 23"
        );
        assert!(
            refused(ask("@hourly", "Europe/Wien", 1, true)).starts_with("`Europe/Wien` is no time zone: ")
        );
    }
}
