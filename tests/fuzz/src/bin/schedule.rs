//! Any text as a schedule, in any zone, asked about any instants: no panic, no search without end, and instants
//! that rise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::cron_job::schedule::{Firing, LATEST_S, MAX_STEPS, Schedule};
use windlass_core::cron_job::zone::{Zone, names};

/// Instants followed one by one.
const LOOKED_AT: usize = 12;
/// Longest window in which the whole chain is followed, seconds.
const CHAIN_S: i64 = 3 * 86_400;

/// What the bytes say: a zone, where the window begins, how long it is, how many instants, and the text.
struct Input<'a> {
    zone: Zone,
    after_s: i64,
    length_s: i64,
    limit: u32,
    text: &'a str,
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(input) = read(bytes) {
        check(&input);
    }
});

fn read(bytes: &[u8]) -> Option<Input<'_>> {
    let (head, text) = bytes.split_at_checked(16)?;
    let number = |from: usize, to: usize| head.get(from..to).map(|bytes| little_endian(bytes));
    let zone = usize::try_from(number(0, 2)?).ok()?;
    let name = names().nth(zone % names().count())?;
    // Half of the windows begin in the years that matter, the others anywhere.
    let begin = number(2, 10)?;
    let after_s = if begin & 1 == 0 { i64::from(begin as u32) } else { begin.cast_signed() >> (begin >> 1 & 31) };
    Some(Input {
        zone: Zone::by_name(name).expect("a name of the data"),
        after_s,
        length_s: i64::try_from(number(10, 15)?).ok()?,
        limit: u32::try_from(number(15, 16)?).ok()?,
        text: core::str::from_utf8(text).ok()?,
    })
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn check(input: &Input<'_>) {
    let Input { zone, after_s, length_s, limit, text } = input;
    let schedule = match Schedule::parse(text, zone.clone()) {
        Ok(schedule) => schedule,
        Err(fault) => {
            assert_eq!(text.get(fault.range.clone()), Some(fault.piece.as_str()));
            assert!(fault.to_string().contains("; "), "no mend: {fault}");
            return;
        }
    };
    let mut at_s = *after_s;
    for _ in 0..LOOKED_AT {
        let (next, steps) = schedule.next_and_steps(at_s);
        assert!(steps < MAX_STEPS, "{steps} steps");
        let Some(next) = next else { break };
        assert!(at_s < next && next <= LATEST_S);
        at_s = next;
    }
    let until_s = after_s.saturating_add(*length_s);
    let (earliest, latest) =
        (schedule.earliest(*after_s, until_s, *limit), schedule.latest(*after_s, until_s, *limit));
    for found in [&earliest, &latest] {
        assert!(found.at_s.len() <= *limit as usize);
        assert!(found.at_s.is_sorted_by(|one, other| one < other));
        assert!(found.at_s.iter().all(|at| after_s < at && *at <= until_s));
    }
    assert_eq!((earliest.at_s.len(), earliest.more), (latest.at_s.len(), latest.more));
    if until_s.saturating_sub(*after_s) <= CHAIN_S && schedule.interval_s().is_none() {
        assert_eq!(latest, tail(&schedule, *after_s, until_s, *limit as usize));
    }
}

/// The last instants of the window, found by following the whole chain.
fn tail(schedule: &Schedule, after_s: i64, until_s: i64, limit: usize) -> Firing {
    let next = |at_s: i64| schedule.next(at_s).filter(|&next| next <= until_s);
    let chain: Vec<i64> = core::iter::successors(next(after_s), |&at_s| next(at_s)).collect();
    let surplus = chain.len().saturating_sub(limit);
    Firing { at_s: chain[surplus..].to_vec(), more: surplus > 0 }
}
