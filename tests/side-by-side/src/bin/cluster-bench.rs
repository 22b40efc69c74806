//! Measures Windlass against the built-in Job and CronJob controllers on a real control plane.

use std::process::ExitCode;

use clap::Parser as _;
use windlass_control_plane::Unavailable;
use windlass_side_by_side::bench::{Arguments, measure};

/// The exit status where this machine cannot have a control plane.
const UNAVAILABLE: u8 = 77;

fn main() -> ExitCode {
    match measure(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster-bench: {error:#}");
            ExitCode::from(if error.is::<Unavailable>() { UNAVAILABLE } else { 1 })
        }
    }
}
