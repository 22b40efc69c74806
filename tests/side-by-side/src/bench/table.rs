//! The table: a row a measure, with the medians of both sides, the median ratio, the target, and whether it is reached.

use std::fmt::Write as _;

use super::daemon;
use super::sample::Sample;
use super::workload::{Name, Workload};

/// One run of each side, one after the other.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) built_in: Sample,
    pub(crate) ours: Sample,
}

/// What a measure should be.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Ours at most.
    AtMost(f64),
    /// Ours exactly.
    Exactly(f64),
    /// Ours by the built-in's, at most.
    RatioAtMost(f64),
}

/// Most that wall time and the API server's processor time may grow, as ratios.
const GUARD: Target = Target::RatioAtMost(1.1);

/// What is read of a sample, and what it should be.
struct Measure {
    name: &'static str,
    unit: &'static str,
    of: Of,
    target: Option<Target>,
}

/// The table of all workloads.
pub(crate) fn render(results: &[(Workload, Vec<Pair>)]) -> String {
    let mut lines = vec![
        ["workload", "measure", "unit", "built-in", "windlass", "ratio", "target", "outcome"]
            .map(str::to_owned),
    ];
    for (workload, pairs) in results {
        for measure in measures(workload) {
            lines.extend(row(workload, pairs, &measure));
        }
    }
    let widths: Vec<usize> = (0..8)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (workload, pairs) in results {
        let Workload { name, jobs, cron_jobs, completions, parallelism, .. } = workload;
        if *name == Name::Nodes {
            let (nodes, more) = (daemon::NODES, daemon::MORE_NODES);
            let _infallible = writeln!(
                text,
                "{name}: a DaemonSet on {nodes} nodes, rolled a tenth at a time, then on {more} more, {} pairs of runs",
                pairs.len()
            );
            continue;
        }
        let made_by = if *cron_jobs > 0 {
            format!("{cron_jobs} CronJobs that are due every minute, ")
        } else {
            String::new()
        };
        let _infallible = writeln!(
            text,
            "{name}: {made_by}{jobs} Jobs of {completions} completions, parallelism {parallelism}, {} pairs of runs",
            pairs.len()
        );
    }
    text.push('\n');
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                3..=5 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        let _infallible = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn measures(workload: &Workload) -> Vec<Measure> {
    if workload.name == Name::Nodes {
        let mut all = of_nodes();
        all.extend(costs(workload));
        return all;
    }
    let mut all = lags(workload);
    all.extend(requests(workload));
    all.extend(costs(workload));
    all
}

type Of = fn(&Sample, &Workload) -> Option<f64>;

fn measure(name: &'static str, unit: &'static str, of: Of, target: Option<Target>) -> Measure {
    Measure { name, unit, of, target }
}

fn lags(workload: &Workload) -> Vec<Measure> {
    let lag = |name, of, target| measure(name, "ms", of, target);
    let trickle = |most| (workload.name == Name::Trickle).then_some(Target::AtMost(most));
    let large = |most| (workload.name == Name::Large).then_some(Target::RatioAtMost(most));
    let mut all = Vec::new();
    if workload.cron_jobs > 0 {
        let skew = Some(Target::RatioAtMost(0.25));
        all.extend([
            lag("instant to create, p50", |s, _| s.audited.skew.percentile(50), skew),
            lag("instant to create, max", |s, _| s.audited.skew.percentile(100), skew),
        ]);
    }
    all.extend([
        lag("Pod's end to Complete, p50", |s, _| s.audited.end_to_complete.percentile(50), trickle(25.0)),
        lag("Pod's end to Complete, p99", |s, _| s.audited.end_to_complete.percentile(99), trickle(60.0)),
    ]);
    // Of a Job with one Pod, the write that counts the Pod is the one that makes the Job Complete.
    if workload.completions > 1 {
        all.extend([
            lag("Pod's end to counted, p50", |s, _| s.audited.end_to_counted.percentile(50), large(0.3)),
            lag("Pod's end to counted, p99", |s, _| s.audited.end_to_counted.percentile(99), large(0.25)),
            lag("Pod's end to freed, p50", |s, _| s.audited.end_to_freed.percentile(50), None),
            lag("Pod's end to freed, p99", |s, _| s.audited.end_to_freed.percentile(99), None),
        ]);
    }
    all
}

fn of_nodes() -> Vec<Measure> {
    vec![
        measure(
            "creation: requests but Events",
            "a Pod",
            |s, w| w.a_pod(s.phases.as_ref()?.creation.requests_but_events()),
            Some(Target::AtMost(1.03)),
        ),
        measure(
            "roll: writes but Events",
            "a Pod",
            |s, w| w.a_pod(s.phases.as_ref()?.roll.writes()),
            Some(Target::AtMost(2.03)),
        ),
        measure(
            "node to Pod, p50",
            "ms",
            |s, _| s.phases.as_ref()?.joins.percentile(50),
            Some(Target::RatioAtMost(1.0)),
        ),
        measure("node to Pod, p99", "ms", |s, _| s.phases.as_ref()?.joins.percentile(99), None),
        measure("requests refused", "", |s, _| Some(s.audited.refused.values().sum::<u64>() as f64), None),
    ]
}

fn requests(workload: &Workload) -> Vec<Measure> {
    let is = |name, target| (workload.name == name).then_some(target);
    let once = Some(Target::Exactly(1.0));
    let mut all = Vec::new();
    if workload.cron_jobs > 0 {
        all.extend([
            measure("create jobs", "a Job", |s, w| w.a_job(s.requests("create jobs")), once),
            measure(
                "update cronjobs/status",
                "a Job",
                |s, w| w.a_job(s.requests("update cronjobs/status")),
                None,
            ),
            measure(
                "writes but Events, history",
                "a Job",
                |s, w| w.a_job(s.writes() - s.requests("delete jobs")),
                Some(Target::AtMost(8.0)),
            ),
        ]);
    }
    all.extend([
        measure("create pods", "a Pod", |s, w| w.a_pod(s.requests("create pods")), once),
        measure("patch pods", "a Pod", |s, w| w.a_pod(s.requests("patch pods")), once),
        measure("update jobs/status", "a Job", |s, w| w.a_job(s.requests("update jobs/status")), None),
        measure(
            "writes but Events",
            "a Job",
            |s, w| w.a_job(s.writes()),
            is(Name::Trickle, Target::AtMost(6.0)),
        ),
        measure(
            "writes but Events",
            "a Pod",
            |s, w| w.a_pod(s.writes()),
            is(Name::Large, Target::AtMost(2.03)),
        ),
        measure("writes of Events", "a Job", |s, w| w.a_job(s.event_writes()), None),
        measure("requests refused", "", |s, _| Some(s.audited.refused.values().sum::<u64>() as f64), None),
        measure(
            "Pods freed twice",
            "",
            |s, _| Some(s.audited.freed_again as f64),
            Some(Target::Exactly(0.0)),
        ),
    ]);
    all
}

fn costs(workload: &Workload) -> Vec<Measure> {
    let cpu = match workload.name {
        Name::Thousand => Some(Target::RatioAtMost(0.7)),
        Name::Burst => Some(Target::RatioAtMost(0.5)),
        Name::Nodes => Some(Target::RatioAtMost(0.6)),
        Name::Trickle | Name::Large | Name::Cron => None,
    };
    let memory = matches!(workload.name, Name::Large | Name::Nodes).then_some(Target::RatioAtMost(0.35));
    vec![
        measure("CPU", "s", |s, _| Some(s.controller_cpu_seconds), cpu),
        measure("peak memory", "MiB", |s, _| Some(s.peak_memory_mib), memory),
        measure("wall time", "s", |s, _| Some(s.wall_seconds), Some(GUARD)),
        measure("API server's CPU", "s", |s, _| Some(s.api_server_cpu_seconds), Some(GUARD)),
    ]
}

fn row(workload: &Workload, pairs: &[Pair], measure: &Measure) -> Option<[String; 8]> {
    let values: Option<Vec<(f64, f64)>> = pairs
        .iter()
        .map(|pair| Some(((measure.of)(&pair.built_in, workload)?, (measure.of)(&pair.ours, workload)?)))
        .collect();
    let values = values?;
    let built_in = median(values.iter().map(|(built_in, _)| *built_in))?;
    let ours = median(values.iter().map(|(_, ours)| *ours))?;
    let ratios =
        values.iter().filter(|(built_in, _)| *built_in > 0.0).map(|(built_in, ours)| ours / built_in);
    let ratio = median(ratios);
    let (target, outcome) = measure.target.map_or_else(Default::default, |target| judge(target, ours, ratio));
    Some([
        workload.name.to_string(),
        measure.name.to_owned(),
        measure.unit.to_owned(),
        number(built_in),
        number(ours),
        ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        target,
        outcome,
    ])
}

/// The target and what came of it, as they are printed.
fn judge(target: Target, ours: f64, ratio: Option<f64>) -> (String, String) {
    let (text, found, most) = match target {
        Target::AtMost(most) => (format!("<= {most}"), Some(ours), most),
        Target::Exactly(just) => (format!("= {just}"), Some(ours), just),
        Target::RatioAtMost(most) => (format!("<= {most} x"), ratio, most),
    };
    let Some(found) = found else { return (text, "not measured".to_owned()) };
    let reached = match target {
        // What is counted is whole for each Pod or Job, and the mean of whole numbers may be cut.
        Target::Exactly(just) => (found - just).abs() < 1e-9,
        Target::AtMost(_) | Target::RatioAtMost(_) => found <= most,
    };
    let outcome = if reached { "reached".to_owned() } else { format!("missed by {}", number(found - most)) };
    (text, outcome)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// A number with as many digits as say something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_target_is_reached_or_missed_by_so_much() {
        let outcome = |target, ours, ratio| judge(target, ours, ratio).1;
        assert_eq!(outcome(Target::AtMost(25.0), 25.0, None), "reached");
        assert_eq!(outcome(Target::AtMost(25.0), 35.5, None), "missed by 10.5");
        assert_eq!(outcome(Target::Exactly(1.0), 1.002, Some(0.5)), "missed by 0.0020");
        assert_eq!(outcome(Target::RatioAtMost(0.5), 9.0, Some(0.4)), "reached");
        assert_eq!(outcome(Target::RatioAtMost(0.5), 9.0, None), "not measured");
    }
}
