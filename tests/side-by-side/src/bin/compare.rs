//! Prints, for every row of the table of features in which the API server has a say, whether Jobs, CronJobs and
//! DaemonSets look the same with the built-in controllers and with Windlass.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser as _;
use windlass_control_plane::Unavailable;
use windlass_side_by_side::compare::compare;

/// The exit status where this machine cannot have a control plane.
const UNAVAILABLE: u8 = 77;

/// Compares Jobs, CronJobs and DaemonSets with the built-in controllers and with Windlass on a real control plane.
#[derive(Debug, clap::Parser)]
#[command(name = "compare", max_term_width = 100)]
struct Arguments {
    /// Only scenarios whose name contains this.
    #[arg(long, value_name = "PART", default_value = "")]
    only: String,
    /// The program to compare [default: the `windlass` beside this program].
    #[arg(long, value_name = "FILE")]
    windlass: Option<PathBuf>,
    /// What runs the core.
    #[arg(long, value_name = "ENGINE", default_value = "wasm")]
    engine: String,
}

fn main() -> ExitCode {
    match print(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::from(if error.is::<Unavailable>() { UNAVAILABLE } else { 1 })
        }
    }
}

/// Prints the table, and returns whether all is equal.
fn print(arguments: &Arguments) -> Result<bool> {
    let windlass = match &arguments.windlass {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("windlass"),
    };
    ensure!(windlass.is_file(), "{} is absent: build it with `make build`", windlass.display());
    let rows = compare(&windlass.canonicalize()?, &["--engine", &arguments.engine], &arguments.only)?;
    for row in &rows {
        println!("{row}");
    }
    let equal = rows.iter().filter(|row| row.is_equal()).count();
    println!("{equal} of {} are equal", rows.len());
    Ok(equal == rows.len())
}
