//! `windlass cron`.

mod instants;

use clap::Subcommand;
use serde::Serialize;
use windlass_core::cron_job::schedule::{MAX_YEARS_AHEAD, Schedule, ScheduleFault};
use windlass_core::cron_job::zone::{Zone, data_version};
use windlass_core::kube::Time;
use windlass_host::simulate::print::human_duration;

use super::values::Form;
use super::wall_clock::unix_seconds;
use super::{Failure, output};
use instants::{Fire, coming};

/// Most instants that one call prints.
const MAX_COUNT: u32 = 1_000;

/// Says what a schedule means, without a cluster.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the coming instants of a schedule, with what clock changes do to them.
    Next(NextArguments),
}

#[derive(Debug, clap::Args)]
struct NextArguments {
    /// Schedule as in spec.schedule of a CronJob, such as "30 4 * * 1-5", "@daily" or "@every 90m".
    schedule: String,
    /// Zone as in spec.timeZone of a CronJob, such as Europe/Vienna: the clock that the schedule means.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// How many instants to print.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_COUNT)))]
    count: u32,
    /// Instant after which to begin, such as 2026-03-28T00:00:00+01:00 [default: now].
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// Form of the result.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Form,
}

/// The result as a document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schedule: &'a str,
    time_zone: &'a str,
    zone_data: &'a str,
    from: String,
    instants: &'a [Fire],
    /// Whether no instant follows those that are listed.
    ends: bool,
}

/// Does what the subcommand says.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Next(arguments) => next(arguments),
    }
}

fn next(arguments: &NextArguments) -> Result<(), Failure> {
    let NextArguments { schedule: text, time_zone, count, from, output: form } = arguments;
    let zone = Zone::by_name(time_zone)
        .map_err(|fault| Failure::Usage(format!("--time-zone `{time_zone}` is no time zone: {fault}")))?;
    let schedule = Schedule::parse(text, zone).map_err(|fault| Failure::Usage(explain(text, &fault)))?;
    let from_s = from.unwrap_or_else(unix_seconds);
    let instants = coming(&schedule, from_s, *count);
    let document = Document {
        schedule: text,
        time_zone: schedule.zone().name(),
        zone_data: data_version(),
        from: instants::local(schedule.zone(), from_s),
        ends: instants.len() < *count as usize,
        instants: &instants,
    };
    output::print(&document, *form, table)
}

/// The fault's sentence, and below it the text with a caret under what is to blame.
fn explain(text: &str, fault: &ScheduleFault) -> String {
    let plain =
        |part: &str| part.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let (line, before): (String, String) =
        (plain(text), plain(text.get(..fault.range.start).unwrap_or_default()));
    let carets = "^".repeat(fault.piece.chars().count().max(1));
    format!("{fault}\n  {line}\n  {}{carets}", " ".repeat(before.chars().count()))
}

fn table(document: &Document<'_>) -> String {
    let mut lines = Vec::new();
    if !document.instants.is_empty() {
        lines.push(format!("{:<5}{:<28}{:<9}CLOCK CHANGE", "DAY", "INSTANT", "IN"));
    }
    for Fire { at, weekday, after_seconds, clock_change, .. } in document.instants {
        let day = weekday.get(..3).unwrap_or_default();
        let away = human_duration(after_seconds.saturating_mul(1_000));
        let change = clock_change.as_deref().unwrap_or_default();
        lines.push(format!("{day:<5}{at:<28}{away:<9}{change}"));
    }
    if document.ends {
        let none = if document.instants.is_empty() { "It never fires" } else { "No more" };
        lines.push(format!(
            "{none}: nothing matches up to {MAX_YEARS_AHEAD} years ahead, which is where the search ends, as the \
             CronJob controller's does."
        ));
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n") + "\n"
}

/// The instant that a flag's text names, seconds since the Unix epoch.
fn instant(text: &str) -> Result<i64, String> {
    Time::parse(text)
        .map(|time| time.unix_seconds)
        .ok_or_else(|| "an instant is written as in RFC 3339, such as 2026-03-28T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_what_is_to_blame() {
        let explained = |text: &str| {
            let fault = Schedule::parse(text, Zone::utc()).expect_err("a refusal");
            explain(text, &fault).lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(explained("0 1,25 * * *"), ["  0 1,25 * * *", "      ^^"]);
        assert_eq!(
            explained("\t0 \u{a0}99 * * * "),
            ["   0 \u{a0}99 * * * ".to_owned(), "      ^^".to_owned()]
        );
        assert_eq!(explained("TZ=Europe/Wien 0 0 * * *"), ["  TZ=Europe/Wien 0 0 * * *", "     ^^^^^^^^^^^"]);
        assert_eq!(explained(""), ["  ", "  ^"]);
    }
}
