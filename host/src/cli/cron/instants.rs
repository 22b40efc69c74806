//! Coming instants as people read them, and what clock changes do to them.

use serde::Serialize;
use windlass_core::cron_job::schedule::Schedule;
use windlass_core::cron_job::zone::Zone;
use windlass_core::kube::Time;

const DAY_S: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// An instant at which a schedule fires.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fire {
    /// RFC 3339 in the schedule's zone.
    pub(super) at: String,
    pub(super) unix_seconds: i64,
    pub(super) weekday: &'static str,
    /// Seconds from where the question began.
    pub(super) after_seconds: i64,
    /// What a clock change has to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clock_change: Option<String>,
}

/// The first `count` instants after `from_s`.
pub(super) fn coming(schedule: &Schedule, from_s: i64, count: u32) -> Vec<Fire> {
    let mut before_s = from_s;
    let mut instants = Vec::new();
    for _ in 0..count {
        let Some(at_s) = schedule.next(before_s) else { break };
        instants.push(Fire {
            at: local(schedule.zone(), at_s),
            unix_seconds: at_s,
            weekday: weekday(local_s(schedule.zone(), at_s)),
            after_seconds: at_s - from_s,
            clock_change: clock_change(schedule, before_s, at_s),
        });
        before_s = at_s;
    }
    instants
}

/// The instant in RFC 3339, with the clock of `zone`.
pub(super) fn local(zone: &Zone, at_s: i64) -> String {
    let offset_s = zone.span(at_s).offset_s;
    let reading = Time::from_unix_seconds(at_s.saturating_add(offset_s)).to_string();
    let sign = if offset_s < 0 { '-' } else { '+' };
    let minutes = offset_s.abs() / 60;
    match (reading.strip_suffix('Z'), offset_s) {
        (Some(reading), 1..) | (Some(reading), ..=-1) => {
            format!("{reading}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
        _ => reading,
    }
}

/// What a clock change has to do with the instant `at_s`, where the one before is `before_s`.
fn clock_change(schedule: &Schedule, before_s: i64, at_s: i64) -> Option<String> {
    if schedule.interval_s().is_some() {
        return None;
    }
    let zone = schedule.zone();
    repeated(zone, at_s).or_else(|| skipped(schedule, before_s, at_s))
}

/// Says that the clock shows the time of `at_s` twice.
fn repeated(zone: &Zone, at_s: i64) -> Option<String> {
    let span = zone.span(at_s);
    let set_back_after = |change_s: i64| {
        let back_s = zone.span(change_s - 1).offset_s - zone.span(change_s).offset_s;
        (back_s > 0).then_some(back_s)
    };
    if span.start_s != i64::MIN
        && let Some(back_s) = set_back_after(span.start_s)
        && at_s < span.start_s + back_s
    {
        return Some(format!("repeated {}, second time", length(back_s)));
    }
    let back_s = (span.end_s != i64::MAX).then(|| set_back_after(span.end_s)).flatten()?;
    (span.end_s - back_s <= at_s).then(|| format!("repeated {}, first time", length(back_s)))
}

/// Says that something between `before_s` and `at_s` matches a time which the clock leaves out.
fn skipped(schedule: &Schedule, before_s: i64, at_s: i64) -> Option<String> {
    let zone = schedule.zone();
    // The same fields on a clock that never jumps.
    let plain = schedule.in_zone(Zone::utc());
    let mut span = zone.span(before_s);
    while span.end_s <= at_s {
        let next = zone.span(span.end_s);
        let forward_s = next.offset_s - span.offset_s;
        let from_s = span.end_s + span.offset_s;
        let left_out = plain.next(from_s - 1).filter(|&left_out| left_out < from_s + forward_s);
        if let Some(left_out) = left_out {
            let reading = Time::from_unix_seconds(left_out).to_string();
            let (reading, what) = (reading.trim_end_matches('Z').replace('T', " "), length(forward_s));
            return Some(format!("skipped {what}: there is no {reading}"));
        }
        span = next;
    }
    None
}

/// How much a clock jumps, in a word or two.
fn length(seconds: i64) -> String {
    match seconds {
        1_800 => "half hour".to_owned(),
        3_600 => "hour".to_owned(),
        DAY_S => "day".to_owned(),
        _ => format!("{} minutes", seconds / 60),
    }
}

fn local_s(zone: &Zone, at_s: i64) -> i64 {
    at_s.saturating_add(zone.span(at_s).offset_s)
}

fn weekday(local_s: i64) -> &'static str {
    let nth = (local_s.div_euclid(DAY_S) + 4).rem_euclid(7);
    usize::try_from(nth).ok().and_then(|nth| WEEKDAYS.get(nth)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str, zone: &str, from: &str, count: u32) -> Vec<(String, Option<String>)> {
        let zone = Zone::by_name(zone).expect("a zone");
        let schedule = Schedule::parse(text, zone).expect("a schedule");
        let from_s = Time::parse(from).expect("an instant").unix_seconds;
        coming(&schedule, from_s, count).into_iter().map(|fire| (fire.at, fire.clock_change)).collect()
    }

    #[test]
    fn a_skipped_hour_is_told_by_the_instant_after_it() {
        let found = changes("30 2 * * *", "Europe/Vienna", "2026-03-27T12:00:00Z", 3);
        let skipped = "skipped hour: there is no 2026-03-29 02:30:00";
        assert_eq!(
            found,
            [
                ("2026-03-28T02:30:00+01:00".to_owned(), None),
                ("2026-03-30T02:30:00+02:00".to_owned(), Some(skipped.to_owned())),
                ("2026-03-31T02:30:00+02:00".to_owned(), None),
            ]
        );
        assert!(
            changes("30 4 * * *", "Europe/Vienna", "2026-03-27T12:00:00Z", 3)
                .iter()
                .all(|fire| fire.1.is_none())
        );
    }

    #[test]
    fn a_repeated_hour_is_told_by_both_of_its_instants() {
        let found = changes("30 2 * * *", "Europe/Vienna", "2026-10-24T12:00:00Z", 3);
        let told: Vec<_> = found.iter().map(|(at, change)| (at.as_str(), change.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("2026-10-25T02:30:00+02:00", Some("repeated hour, first time")),
                ("2026-10-25T02:30:00+01:00", Some("repeated hour, second time")),
                ("2026-10-26T02:30:00+01:00", None),
            ]
        );
    }

    #[test]
    fn jumps_of_other_lengths_have_their_words() {
        let found = changes("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T15:00:00Z", 2);
        assert_eq!(found[1].1.as_deref(), Some("skipped half hour: there is no 2026-10-04 02:15:00"));
        let found = changes("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 2);
        assert_eq!(found[1].1.as_deref(), Some("skipped day: there is no 2011-12-30 12:00:00"));
    }

    #[test]
    fn an_interval_looks_at_no_clock() {
        let found = changes("@every 30m", "Europe/Vienna", "2026-03-29T00:00:00Z", 4);
        assert_eq!(found[3], ("2026-03-29T04:00:00+02:00".to_owned(), None));
    }
}
