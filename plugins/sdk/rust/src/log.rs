//! Messages for people, in the host's log. The host limits how many of them a call may leave.

/// Records an error.
pub fn error(message: &str) {
    record(0, message);
}

/// Records a warning.
pub fn warning(message: &str) {
    record(1, message);
}

/// Records what happened.
pub fn information(message: &str) {
    record(2, message);
}

/// Records what only helps to find a mistake.
pub fn detail(message: &str) {
    record(3, message);
}

#[cfg(target_arch = "wasm32")]
fn record(level: u32, message: &str) {
    crate::bindings::common::windlass::plugin::log::log(level, message);
}

/// Natively, as in unit tests, there is no host.
#[cfg(not(target_arch = "wasm32"))]
fn record(level: u32, message: &str) {
    eprintln!("{}: {message}", ["error", "warning", "information", "detail"][level.min(3) as usize]);
}
