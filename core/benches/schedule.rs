//! What it costs to read a schedule and to find its instants.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use windlass_core::cron_job::schedule::Schedule;
use windlass_core::cron_job::zone::Zone;

/// Schedules as clusters have them, dense and rare, in zones whose clocks change and in one whose does not.
const MIX: [(&str, &str); 8] = [
    ("* * * * *", "UTC"),
    ("*/5 * * * *", "Europe/Vienna"),
    ("0 * * * *", "America/New_York"),
    ("30 4 * * *", "Asia/Kolkata"),
    ("15 2 * * 1-5", "America/Sao_Paulo"),
    ("0 0 1 * *", "Australia/Lord_Howe"),
    ("0 6 1 1 *", "Africa/Casablanca"),
    ("@every 90m", "UTC"),
];
/// What costs most: leap days, years apart, in a zone whose clock changes; and a date that no year has.
const WORST: [(&str, &str); 3] =
    [("0 0 29 2 *", "Europe/Vienna"), ("59 23 29 2 *", "Africa/Casablanca"), ("0 0 31 2 *", "Europe/Vienna")];
/// 2026-03-29T00:00:00Z, an hour before the clocks of Europe change.
const NOW_S: i64 = 1_774_742_400;
/// A hundred years.
const CENTURY_S: i64 = 3_155_760_000;

fn schedule(text: &str, zone: &str) -> Schedule {
    let zone = Zone::by_name(zone).expect("a zone of the data");
    Schedule::parse(text, zone).expect("a schedule")
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/parse");
    group.bench_function("fields", |bencher| {
        bencher.iter(|| Schedule::parse(black_box("*/5 9-17 1,15 jan-jun mon-fri"), Zone::utc()));
    });
    group.bench_function("zone", |bencher| bencher.iter(|| Zone::by_name(black_box("Europe/Vienna"))));
    group.finish();
}

fn next(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/next");
    let mix: Vec<Schedule> = MIX.iter().map(|(text, zone)| schedule(text, zone)).collect();
    // Hours of a year in turn, so that searches near and far from clock changes are in the average.
    let mut turn = 0_i64;
    group.bench_function("mix", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % 8_761;
            let schedule = &mix[usize::try_from(turn).unwrap_or_default() % mix.len()];
            schedule.next(black_box(NOW_S + turn * 3_600))
        });
    });
    for (text, zone) in MIX.iter().chain(&WORST) {
        let schedule = schedule(text, zone);
        group.bench_function(BenchmarkId::new(*zone, text), |bencher| {
            bencher.iter(|| schedule.next(black_box(NOW_S)));
        });
    }
    group.finish();
}

fn latest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/latest");
    for (window, length_s) in [("day", 86_400), ("century", CENTURY_S)] {
        for (text, zone) in
            [("* * * * *", "Europe/Vienna"), ("* * * 1 *", "Europe/Vienna"), ("0 0 29 2 *", "UTC")]
        {
            let schedule = schedule(text, zone);
            group.bench_function(BenchmarkId::new(window, format!("{zone} {text}")), |bencher| {
                bencher.iter(|| schedule.latest(black_box(NOW_S - length_s), NOW_S, 101));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, parse, next, latest);
criterion_main!(benches);
