//! What /proc says of a process.

use std::fs;

use anyhow::{Context as _, Result};

/// Clock ticks a second, in which /proc counts processor time: 100 on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that a process has used, user and system, in seconds.
pub(crate) fn cpu_seconds(process_id: u32) -> Result<f64> {
    let path = format!("/proc/{process_id}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    parse_stat(&text).with_context(|| format!("{path} is not understood"))
}

/// Most memory that a process ever had resident, in MiB.
pub(crate) fn peak_memory_mib(process_id: u32) -> Result<f64> {
    let path = format!("/proc/{process_id}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    parse_peak(&text).with_context(|| format!("{path} has no VmHWM"))
}

/// The load of the machine over one, five and fifteen minutes.
pub(crate) fn load_average() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

fn parse_stat(text: &str) -> Option<f64> {
    // The second field is the program's name in parentheses, which may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |position: usize| fields.get(position)?.parse::<u64>().ok();
    Some(ticks(11)?.checked_add(ticks(12)?)? as f64 / TICKS_PER_SECOND)
}

fn parse_peak(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(parse_stat(stat), Some(3.0));
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }

    #[test]
    fn peak_memory_is_in_mebibytes() {
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2.0));
        assert_eq!(parse_peak("Name:\tx\n"), None);
    }
}
