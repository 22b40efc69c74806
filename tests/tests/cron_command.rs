//! `windlass cron` as its users meet it: the built program and pipes.

use serde_json::Value;
use windlass_tests::program::{self, Outcome};

fn next(arguments: &[&str]) -> Outcome {
    program::run(&[&["cron", "next"], arguments].concat(), "")
}

#[test]
fn the_coming_instants_are_a_table_with_offsets_and_what_clock_changes_do() {
    let vienna = ["30 2 * * *", "--time-zone", "Europe/Vienna", "--from"];
    let Outcome { code, out, err } =
        next(&[&vienna[..], &["2026-03-27T12:00:00+01:00", "--count", "3"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let expected = "\
DAY  INSTANT                     IN       CLOCK CHANGE
Sat  2026-03-28T02:30:00+01:00   14h
Mon  2026-03-30T02:30:00+02:00   2d13h    skipped hour: there is no 2026-03-29 02:30:00
Tue  2026-03-31T02:30:00+02:00   3d13h
";
    assert_eq!(out, expected);
    let Outcome { out, .. } = next(&[&vienna[..], &["2026-10-24T12:00:00Z", "--count", "3"]].concat());
    let expected = "\
DAY  INSTANT                     IN       CLOCK CHANGE
Sun  2026-10-25T02:30:00+02:00   12h      repeated hour, first time
Sun  2026-10-25T02:30:00+01:00   13h      repeated hour, second time
Mon  2026-10-26T02:30:00+01:00   37h
";
    assert_eq!(out, expected);
}

#[test]
fn json_and_yaml_hold_the_same_document() {
    let asked = ["@weekly", "--from", "2026-11-22T12:00:00Z", "--count", "2", "-o"];
    let Outcome { code, out, .. } = next(&[&asked[..], &["json"]].concat());
    assert_eq!(code, Some(0));
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(document["timeZone"], "UTC");
    assert_eq!(document["from"], "2026-11-22T12:00:00Z");
    assert_eq!(document["ends"], false);
    let first = &document["instants"][0];
    assert_eq!(first["at"], "2026-11-29T00:00:00Z");
    assert_eq!(first["unixSeconds"], 1_795_910_400_i64);
    assert_eq!((&first["weekday"], &first["afterSeconds"]), (&"Sunday".into(), &561_600.into()));
    let Outcome { out, .. } = next(&[&asked[..], &["yaml"]].concat());
    assert!(out.contains("timeZone: UTC\n") && out.contains("2026-12-06T00:00:00Z"), "{out}");
}

#[test]
fn a_wrong_schedule_is_refused_with_a_caret_under_what_is_to_blame() {
    let Outcome { code, out, err } = next(&["0 1,25 * * *"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let expected = "\
windlass: `25` in the hour is too large; it goes from 0 to 23
  0 1,25 * * *
      ^^
";
    assert_eq!(err, expected);
    let Outcome { code, err, .. } = next(&["0 1 * * *", "--time-zone", "europe/vienna"]);
    let expected = "windlass: --time-zone `europe/vienna` is no time zone: names of zones keep their capitals; write \
                    Europe/Vienna\n";
    assert_eq!((code, err.as_str()), (Some(2), expected));
    let Outcome { code, err, .. } = next(&["0 1 * * *", "--from", "tomorrow"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("RFC 3339") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_schedule_that_never_fires_says_so() {
    let Outcome { code, out, .. } = next(&["0 0 31 2 *"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("It never fires: ") && out.lines().count() == 1, "{out}");
}

#[test]
fn the_version_names_that_of_the_time_zones() {
    for flag in ["version", "--version"] {
        let Outcome { code, out, .. } = program::run(&[flag], "");
        assert_eq!(code, Some(0));
        let zones = windlass_core::cron_job::zone::data_version();
        assert!(out.starts_with("windlass ") && out.contains(&format!("time zones {zones})")), "{out}");
    }
}
