//! What holds for every schedule, window and zone.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{Firing, MAX_STEPS, Schedule};
use crate::cron_job::zone::{Zone, names};

/// Zones whose clocks jump in every way that there is: at midnight, by half an hour, over a day, at odd offsets.
const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Vienna",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Asuncion",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Monrovia",
    "Asia/Gaza",
    "America/Nuuk",
];

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::parse(text, Zone::by_name(zone).unwrap()).unwrap()
}

/// The chain after `after_s`, one call after another.
fn chain(schedule: &Schedule, after_s: i64, until_s: i64) -> impl Iterator<Item = i64> {
    let next = move |at: i64| schedule.next(at).filter(|&next| next <= until_s);
    core::iter::successors(next(after_s), move |&at| next(at))
}

fn tail(chain: &[i64], limit: usize) -> Firing {
    let more = chain.len() > limit;
    Firing { at_s: chain[chain.len() - limit.min(chain.len())..].to_vec(), more }
}

fn head(chain: &[i64], limit: usize) -> Firing {
    Firing { at_s: chain[..limit.min(chain.len())].to_vec(), more: chain.len() > limit }
}

fn field(least: u32, greatest: u32) -> impl Strategy<Value = String> {
    let number = move || least..=greatest;
    prop_oneof![
        4 => Just("*".to_string()),
        3 => number().prop_map(|number| number.to_string()),
        1 => (1_u32..=greatest).prop_map(|step| format!("*/{step}")),
        1 => (number(), number()).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        1 => (number(), 1_u32..20).prop_map(|(start, step)| format!("{start}/{step}")),
        1 => (number(), number()).prop_map(|(one, other)| format!("{one},{other}")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let fields = (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6));
    prop_oneof![
        9 => fields.prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}")),
        1 => (0_u32..10_000_000).prop_map(|seconds| format!("@every {seconds}s")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn latest_and_earliest_are_the_ends_of_the_chain(
        text in text(),
        zone in prop::sample::select(&ZONES[..]),
        after_s in -2_000_000_000_i64..4_000_000_000,
        days in 1_i64..300,
        limit in 0_u32..40,
    ) {
        let schedule = schedule(&text, zone);
        // A dense chain over many days would take long to follow by single steps.
        let until_s = after_s + if text.starts_with('*') { days * 8_640 } else { days * 86_400 };
        let chain: Vec<i64> = chain(&schedule, after_s, until_s).collect();
        let count = usize::try_from(limit).unwrap();
        prop_assert_eq!(schedule.latest(after_s, until_s, limit), tail(&chain, count), "{} in {}", text, zone);
        prop_assert_eq!(schedule.earliest(after_s, until_s, limit), head(&chain, count), "{} in {}", text, zone);
    }

    #[test]
    fn latest_is_the_tail_of_a_chain_of_years(
        text in text(),
        zone in prop::sample::select(&ZONES[..]),
        until_s in 0_i64..4_000_000_000,
        years in 1_i64..60,
        limit in 0_u32..200,
    ) {
        let schedule = schedule(&text, zone);
        let after_s = until_s - years * 31_556_952;
        // At most so many instants are followed one by one.
        let chain: Vec<i64> = chain(&schedule, after_s, until_s).take(100_000).collect();
        let until_s = if chain.len() < 100_000 { until_s } else { chain[chain.len() - 1] };
        let count = usize::try_from(limit).unwrap();
        let latest = schedule.latest(after_s, until_s, limit);
        if schedule.next(chain.last().copied().unwrap_or(after_s)).is_some() {
            prop_assert_eq!(latest, tail(&chain, count), "{} in {}", text, zone);
        } else {
            // The search has given up for ever, which what is picked up later does not know.
            for at_s in latest.at_s {
                prop_assert_eq!(schedule.next(at_s - 1), Some(at_s), "{} in {}", text, zone);
            }
        }
    }

    #[test]
    fn instants_rise_within_the_step_bound(
        text in text(),
        zone in prop::sample::select(names().collect::<Vec<_>>()),
        after_s in super::EARLIEST_S..=super::LATEST_S,
    ) {
        let schedule = schedule(&text, zone);
        let mut at_s = after_s;
        for _ in 0..20 {
            let (next, steps) = schedule.next_and_steps(at_s);
            prop_assert!(steps < MAX_STEPS, "{} in {} after {}: {}", text, zone, at_s, steps);
            let Some(next) = next else { break };
            prop_assert!(next > at_s);
            at_s = next;
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(TZ=|CRON_TZ=|@every )?[-0-9*?/,.a-zA-Z@=+ \u{130}\u{a0}]{0,30}") {
        if let Err(fault) = Schedule::parse(&text, Zone::utc()) {
            prop_assert_eq!(text.get(fault.range.clone()), Some(fault.piece.as_str()));
            prop_assert!(text.is_empty() || !fault.range.is_empty(), "{:?}", fault);
            prop_assert!(fault.to_string().contains("; "), "without a mend: {}", fault);
        }
    }
}

/// From 1983 on the clocks of Paraguay were set forward on each first of October at midnight: the library misses the
/// day five years in a row, and gives up.
#[test]
fn a_day_that_is_missed_five_years_in_a_row_is_picked_up_later() {
    let schedule = schedule("* * 1 10 *", "America/Asuncion");
    let (in_1983_s, in_2035_s) = (410_962_896, 2_051_924_400);
    assert_eq!(schedule.next(in_1983_s), None);
    let latest = schedule.latest(in_1983_s, in_2035_s, 1);
    // 2034-10-01T23:59:00-03:00
    assert_eq!((latest.at_s.as_slice(), latest.more), (&[2_043_370_740][..], true));
}

#[test]
fn latest_is_the_tail_of_the_chain_around_every_clock_change() {
    let texts = [
        "* * * * *",
        "*/7 * * * *",
        "30 1 * * *",
        "0 0 * * *",
        "0 */2 * * *",
        "15,45 0-3 * * *",
        "0 0 * * 0",
        "30 2 1 * *",
        "0 0 1 * *",
        "*/20 * * 3,10 6,0",
        "0 1 29 2 *",
        "59 23 31 * *",
    ];
    let mut compared = 0;
    for name in ZONES {
        let zone = Zone::by_name(name).unwrap();
        let mut change = zone.span(0).end_s;
        while change < 1_900_000_000 {
            for (n, text) in texts.iter().enumerate() {
                let schedule = Schedule::parse(text, zone.clone()).unwrap();
                let n = i64::try_from(n).unwrap();
                // Windows begin and end at odd seconds, now before the change and now after it.
                let after_s = change - 86_400 - 3_601 * n;
                let until_s = change + 86_400 + 1_801 * n;
                let chain: Vec<i64> = chain(&schedule, after_s, until_s).collect();
                for limit in [1, 5, 100] {
                    let expected = tail(&chain, usize::try_from(limit).unwrap());
                    assert_eq!(
                        schedule.latest(after_s, until_s, limit),
                        expected,
                        "{text} in {name} at {change}"
                    );
                    compared += 1;
                }
            }
            change = zone.span(change).end_s;
        }
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn a_day_that_a_zone_left_out_is_passed() {
    // Samoa went from 29 to 31 December 2011; the library never comes back from there.
    for (zone, day_before_s) in [("Pacific/Apia", 1_325_066_400), ("Pacific/Kiritimati", 788_695_200)] {
        for text in ["0 0 * * 2", "30 1 * * 6", "0 0 1 * *", "0 0 5 2 *", "*/7 3 2,31 * *"] {
            let schedule = schedule(text, zone);
            let (next, steps) = schedule.next_and_steps(day_before_s);
            let later = schedule.next(day_before_s + 3 * 86_400);
            assert!(next.is_some_and(|next| next > day_before_s), "{text} in {zone}");
            assert!(later >= next && steps < 500, "{text} in {zone}: {steps} steps, {next:?}, {later:?}");
        }
    }
}

#[test]
fn a_century_is_looked_through_at_once() {
    let century = (0, 3_155_760_000);
    for name in ZONES {
        for text in ["* * * * *", "* * * 1 *", "*/5 9-17 * * 1-5", "0 0 31 2 *", ", * * * *", "@every 1s"] {
            let schedule = schedule(text, name);
            let Firing { at_s, more } = schedule.latest(century.0, century.1, 3);
            let never = text.starts_with(',') || text.contains("31 2");
            assert_eq!(at_s.len(), if never { 0 } else { 3 }, "{text} in {name}: {at_s:?}");
            assert_eq!(more, !never, "{text} in {name}");
            // The chain from a day before the last instants is the same chain.
            if let Some(first) = at_s.first() {
                assert_eq!(schedule.latest(first - 86_400, century.1, 3).at_s, at_s, "{text} in {name}");
            }
        }
    }
}
