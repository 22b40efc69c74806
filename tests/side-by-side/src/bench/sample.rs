//! What one run came to.

use std::fmt;
use std::time::Duration;

use super::audit::Audited;
use super::daemon::Phases;
use super::run::Spent;

/// Verbs that change nothing.
const READS: [&str; 3] = ["get", "list", "watch"];

/// What one run came to.
#[derive(Debug)]
pub(crate) struct Sample {
    /// From the first create to the last Job's end, seconds.
    pub(crate) wall_seconds: f64,
    /// Processor time of the controller, seconds.
    pub(crate) controller_cpu_seconds: f64,
    /// Processor time of the API server, seconds.
    pub(crate) api_server_cpu_seconds: f64,
    /// Most memory that the controller ever had resident, MiB.
    pub(crate) peak_memory_mib: f64,
    /// What the audit log says.
    pub(crate) audited: Audited,
    /// What the workload `nodes` alone has.
    pub(crate) phases: Option<Phases>,
}

/// Lags in milliseconds, ascending.
#[derive(Debug, Default)]
pub(crate) struct Lags(Vec<f64>);

impl Lags {
    /// Lags given in microseconds, in any order.
    pub(crate) fn of_micros(mut micros: Vec<i64>) -> Self {
        micros.sort_unstable();
        Self(micros.into_iter().map(|lag| lag as f64 / 1000.0).collect())
    }

    /// The lag that `percent` of all do not exceed; `None` where there is none.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Sample {
    /// What a run came to that took so long.
    pub(crate) fn of(wall: Duration, before: &Spent, after: &Spent, audited: Audited) -> Self {
        Self {
            wall_seconds: wall.as_secs_f64(),
            controller_cpu_seconds: after.controller_cpu_seconds - before.controller_cpu_seconds,
            api_server_cpu_seconds: after.api_server_cpu_seconds - before.api_server_cpu_seconds,
            peak_memory_mib: after.peak_memory_mib,
            audited,
            phases: None,
        }
    }

    /// Requests of one kind, such as `create pods`.
    pub(crate) fn requests(&self, what: &str) -> f64 {
        self.audited.requests.get(what).copied().unwrap_or_default() as f64
    }

    /// Requests that change an object, those for Events apart.
    pub(crate) fn writes(&self) -> f64 {
        self.audited.writes()
    }

    /// Requests that create or change an Event.
    pub(crate) fn event_writes(&self) -> f64 {
        self.audited.count(|verb, resource| resource == "events" && !READS.contains(&verb))
    }
}

impl Audited {
    /// Requests that change an object, those for Events apart.
    pub(crate) fn writes(&self) -> f64 {
        self.count(|verb, resource| resource != "events" && !READS.contains(&verb))
    }

    /// All requests, those for Events apart.
    pub(crate) fn requests_but_events(&self) -> f64 {
        self.count(|_, resource| resource != "events")
    }

    fn count(&self, is_meant: impl Fn(&str, &str) -> bool) -> f64 {
        let requests = self.requests.iter();
        let meant =
            requests.filter(|(what, _)| what.split_once(' ').is_some_and(|(verb, of)| is_meant(verb, of)));
        meant.map(|(_, count)| *count).sum::<u64>() as f64
    }
}

/// One line for whoever waits for the rest.
impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            wall_seconds,
            controller_cpu_seconds,
            api_server_cpu_seconds,
            peak_memory_mib,
            audited,
            phases,
        } = self;
        let milliseconds = |lags: &Lags, percent| lags.percentile(percent).unwrap_or(f64::NAN);
        if let Some(phases) = phases {
            return write!(
                formatter,
                "wall {wall_seconds:.1} s, CPU {controller_cpu_seconds:.2} s, API server {api_server_cpu_seconds:.1} s, \
                 {peak_memory_mib:.0} MiB, node to Pod {:.0}/{:.0} ms, created with {:?}, rolled with {:?}, \
                 refused {:?}",
                milliseconds(&phases.joins, 50),
                milliseconds(&phases.joins, 99),
                phases.creation.requests,
                phases.roll.requests,
                audited.refused,
            );
        }
        write!(
            formatter,
            "skew {:.0}/{:.0} ms, wall {wall_seconds:.1} s, CPU {controller_cpu_seconds:.2} s, API server {api_server_cpu_seconds:.1} s, \
             {peak_memory_mib:.0} MiB, ms to free {:.0}/{:.0}, to count {:.0}/{:.0}, to complete {:.0}/{:.0}, \
             freed again {}, refused {:?}, {:?}",
            milliseconds(&audited.skew, 50),
            milliseconds(&audited.skew, 100),
            milliseconds(&audited.end_to_freed, 50),
            milliseconds(&audited.end_to_freed, 99),
            milliseconds(&audited.end_to_counted, 50),
            milliseconds(&audited.end_to_counted, 99),
            milliseconds(&audited.end_to_complete, 50),
            milliseconds(&audited.end_to_complete, 99),
            audited.freed_again,
            audited.refused,
            audited.requests,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_lag_that_was_seen() {
        let lags = Lags::of_micros((1..=200).rev().map(|lag| lag * 1000).collect());
        assert_eq!(
            [1, 50, 99, 100].map(|percent| lags.percentile(percent)),
            [2.0, 100.0, 198.0, 200.0].map(Some)
        );
        assert_eq!(Lags::of_micros(vec![7000]).percentile(50), Some(7.0));
        assert_eq!(Lags::default().percentile(50), None);
    }
}
