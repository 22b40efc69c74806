//! Log lines on stderr: text for people, coloured on a terminal only, or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::values::LogFormat;

/// Begins to log. Verbosity as klog has it: 0 and 1 what happens, 2 each sync and its plan, 4 each request.
pub(super) fn start(verbosity: u8, format: LogFormat) {
    let level = match verbosity {
        0 | 1 => "info",
        2 | 3 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::new(format!("warn,windlass={level},windlass_host={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).init(),
    }
}
