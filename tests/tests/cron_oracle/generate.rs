//! Schedules' texts, likely and unlikely ones.

use windlass_tests::simulation::random::Random;

/// Least and greatest number of each field.
const BOUNDS: [(u64, u64); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
const MONTHS: [&str; 12] =
    ["jan", "FEB", "Mar", "apr", "may", "jun", "JUL", "aug", "sep", "oct", "nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["sun", "MON", "Tue", "wed", "thu", "fri", "SAT"];
const DESCRIPTORS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
/// Letters that mutations put in; the last are a space and an i that only a wide reading of the rules knows.
const LETTERS: &str = "0123456789*?,-/+ \t@ \n.:=_eEvryhmsnujatJFTZCROlocd\u{a0}\u{130}\u{b5}";

/// A text that is a schedule, nearly always.
pub(crate) fn text(random: &mut Random, zones: &[&'static str]) -> String {
    let mut text = match random.below(20) {
        0 => random.pick(&DESCRIPTORS).to_owned(),
        1 => format!("@every {}", duration(random)),
        _ => {
            let fields: Vec<String> = (0..5).map(|nth| field(random, nth)).collect();
            fields.join(random.pick(&[" ", " ", " ", "  ", "\t", " \u{2003}"]))
        }
    };
    if random.chance(50) {
        let prefix = random.pick(&["TZ=", "CRON_TZ="]);
        let zone = if random.chance(200) { random.pick(&["", "Local", "UTC"]) } else { random.pick(zones) };
        text = format!("{prefix}{zone} {text}");
    }
    text
}

/// A change or a few to `text`: letters put in, left out, replaced or doubled.
pub(crate) fn mutated(random: &mut Random, text: &str) -> String {
    let letters: Vec<char> = LETTERS.chars().collect();
    let mut changed: Vec<char> = text.chars().collect();
    for _ in 0..random.between(1, 3) {
        let at = random.below(changed.len() as u64 + 1) as usize;
        let letter = random.pick(&letters);
        match random.below(4) {
            0 => changed.insert(at, letter),
            1 if at < changed.len() => drop(changed.remove(at)),
            2 if at < changed.len() => changed[at] = letter,
            _ if at < changed.len() => changed.insert(at, changed[at]),
            _ => changed.push(letter),
        }
    }
    changed.into_iter().collect()
}

fn field(random: &mut Random, nth: usize) -> String {
    if random.chance(350) {
        return random.pick(&["*", "*", "*", "?"]).to_owned();
    }
    let count = random.pick(&[1, 1, 1, 1, 2, 3]);
    let ranges: Vec<String> = (0..count).map(|_| range(random, nth)).collect();
    let list = ranges.join(",");
    // Commas too many say nothing.
    if random.chance(20) { format!(",{list},,") } else { list }
}

fn range(random: &mut Random, nth: usize) -> String {
    let (least, greatest) = BOUNDS[nth];
    let (one, other) = (random.between(least, greatest), random.between(least, greatest));
    let (low, high) = (one.min(other), one.max(other));
    let longest = if random.chance(100) { 100 } else { greatest };
    let step = random.between(1, longest);
    match random.below(10) {
        0..=3 => named(random, nth, one),
        4 | 5 => format!("{}-{}", named(random, nth, low), named(random, nth, high)),
        6 => format!("{low}-{high}/{step}"),
        7 => format!("{}/{step}", named(random, nth, one)),
        8 => format!("{}/{step}", random.pick(&["*", "?"])),
        _ => random.pick(&["*-5", "*-", "?-x/3", "*/1", "+5", "05", "5-+6", "*/+2", "1-1", "3/1"]).to_owned(),
    }
}

/// The number or, where it has one, now and then its name.
fn named(random: &mut Random, nth: usize, number: u64) -> String {
    let names: &[&str] = match nth {
        3 => &MONTHS,
        4 => &WEEKDAYS,
        _ => &[],
    };
    let position = number.saturating_sub(BOUNDS[nth].0) as usize;
    match names.get(position) {
        Some(name) if random.chance(300) => (*name).to_owned(),
        _ => number.to_string(),
    }
}

fn duration(random: &mut Random) -> String {
    let mut text = random.pick(&["", "", "", "", "+", "-"]).to_owned();
    for _ in 0..random.between(1, 3) {
        let (whole, unit) = random.pick(&[
            (100_000, "h"),
            (1_000, "m"),
            (100_000, "s"),
            (10_000_000, "ms"),
            (10_000_000_000, "us"),
            (10_000_000_000, "\u{b5}s"),
            (10_000_000_000_000, "ns"),
        ]);
        text += &random.below(whole).to_string();
        if random.chance(400) {
            // A fraction that a double rounds, or that is longer than any number.
            let digits = random.between(1, 24);
            text.push('.');
            text.extend((0..digits).map(|_| char::from(b'0' + random.below(10) as u8)));
        }
        text += unit;
    }
    text
}
