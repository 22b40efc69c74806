//! Durations as kubectl shortens them (upstream: apimachinery pkg/util/duration).

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const HOURS_A_DAY: i64 = 24;
const DAYS_A_YEAR: i64 = 365;

/// The duration of `ms` milliseconds with two or three significant figures: `90s`, `2m5s`, `3h20m`, `8d`.
///
/// A small negative duration is a difference of clocks and shows as `0s`; a larger one as `<invalid>`.
#[must_use]
pub fn human_duration(ms: i64) -> String {
    let seconds = ms / SECOND_MS;
    let minutes = ms / MINUTE_MS;
    let hours = ms / HOUR_MS;
    let days = hours / HOURS_A_DAY;
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 2 * HOURS_A_DAY => format!("{hours}h"),
        () if hours < 8 * HOURS_A_DAY => pair(days, "d", hours % HOURS_A_DAY, "h"),
        () if days < 2 * DAYS_A_YEAR => format!("{days}d"),
        () if days < 8 * DAYS_A_YEAR => pair(days / DAYS_A_YEAR, "y", days % DAYS_A_YEAR, "d"),
        () => format!("{}y", days / DAYS_A_YEAR),
    }
}

/// Milliseconds in seconds with all their digits: `12.034s`.
#[must_use]
pub fn seconds(ms: u64) -> String {
    format!("{}.{:03}s", ms / 1000, ms % 1000)
}

fn pair(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of upstream's duration_test.go, and the borders between the units.
    #[test]
    fn durations_read_as_kubectl_writes_them() {
        for (ms, text) in [
            (-2 * SECOND_MS, "<invalid>"),
            (-SECOND_MS, "0s"),
            (-1, "0s"),
            (0, "0s"),
            (999, "0s"),
            (SECOND_MS, "1s"),
            (119 * SECOND_MS, "119s"),
            (2 * MINUTE_MS, "2m"),
            (2 * MINUTE_MS + 1, "2m"),
            (3 * MINUTE_MS + 10 * SECOND_MS, "3m10s"),
            (10 * MINUTE_MS, "10m"),
            (179 * MINUTE_MS, "179m"),
            (3 * HOUR_MS, "3h"),
            (7 * HOUR_MS + 59 * MINUTE_MS, "7h59m"),
            (8 * HOUR_MS, "8h"),
            (47 * HOUR_MS, "47h"),
            (48 * HOUR_MS, "2d"),
            (8 * 24 * HOUR_MS - HOUR_MS, "7d23h"),
            (8 * 24 * HOUR_MS, "8d"),
            (2 * 365 * 24 * HOUR_MS - 1, "729d"),
            (2 * 365 * 24 * HOUR_MS, "2y"),
            (3 * 365 * 24 * HOUR_MS + 24 * HOUR_MS, "3y1d"),
            (8 * 365 * 24 * HOUR_MS, "8y"),
        ] {
            assert_eq!(human_duration(ms), text, "of {ms} ms");
        }
    }
}
