//! What the same Jobs and CronJobs cost with the built-in controllers and with Windlass, held against what it should be.
//!
//! Each run has a control plane of its own with one controller, does one workload ([`workload`]), and is read from
//! the API server's audit log and from /proc, the same for both sides ([`run`]). The sides alternate, A B, B A, so
//! that what else the machine does falls on both. [`table`] prints medians, ratios and targets.
//!
//! Pods are ended by [`kubelet`], which is one task of this program: neither scheduler nor kwok takes part, for
//! they would cost more than what is measured. Everything stays on the loopback interface, and ends with this
//! program.

mod audit;
mod daemon;
mod jobs;
mod kubelet;
mod process;
mod run;
mod sample;
mod table;
mod workload;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use windlass_control_plane::{Binaries, Turn};

use self::table::Pair;
use self::workload::{Name, Workload};
use crate::side::Side;

/// Measures Windlass against the built-in controllers on a real control plane.
#[derive(Debug, clap::Parser)]
#[command(name = "cluster-bench", max_term_width = 100)]
pub struct Arguments {
    /// How often each side runs each workload.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pairs: u32,
    /// Workloads to run, separated by commas [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_enum)]
    only: Vec<Name>,
    /// Completions of the workload `large`.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    completions: u32,
    /// Parallelism of the workload `large`.
    #[arg(long, value_name = "NUMBER", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    parallelism: u32,
    /// A first look in some three minutes: one pair, and `large` with 2,000 completions and parallelism 400.
    #[arg(long)]
    quick: bool,
    /// The program to measure [default: the `windlass` beside this program].
    #[arg(long, value_name = "FILE")]
    windlass: Option<PathBuf>,
    /// Further flags of `windlass run`, separated by spaces.
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    windlass_flags: String,
    /// Further flags of the built-in controller, separated by spaces, such as one that makes it speak JSON:
    /// --kube-api-content-type=application/json.
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    built_in_flags: String,
}

/// Runs what the arguments ask for, and prints the table.
///
/// # Errors
/// Where the machine can have no control plane, or a run comes to no end.
pub fn measure(mut arguments: Arguments) -> Result<()> {
    if arguments.quick {
        (arguments.pairs, arguments.completions, arguments.parallelism) = (1, 2_000, 400);
    }
    let windlass = match &arguments.windlass {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("windlass"),
    };
    ensure!(windlass.is_file(), "{} is absent: build it with `make release`", windlass.display());
    let windlass = windlass.canonicalize()?;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (built_in_flags, windlass_flags) =
        (words(&arguments.built_in_flags), words(&arguments.windlass_flags));
    // Held all along, so that no test starts a control plane between two runs.
    let _turn = Turn::take(&Binaries::locate()?)?;
    let load = process::load_average().unwrap_or_default();
    let mut results: Vec<(Workload, Vec<Pair>)> = workload::all(arguments.completions, arguments.parallelism)
        .into_iter()
        .filter(|workload| arguments.only.is_empty() || arguments.only.contains(&workload.name))
        .map(|workload| (workload, Vec::new()))
        .collect();
    for number in 0..arguments.pairs {
        for (workload, pairs) in &mut results {
            let (mut built_in, mut ours) = (None, None);
            for side in Side::order(number) {
                let flags = match side {
                    Side::BuiltIn => &built_in_flags,
                    Side::Windlass => &windlass_flags,
                };
                let sample = run::run(side, workload, &windlass, flags)
                    .with_context(|| format!("{} with {side}", workload.name))?;
                eprintln!("{:9} pair {}  {side:9} {sample}", workload.name.to_string(), number + 1);
                match side {
                    Side::BuiltIn => built_in = Some(sample),
                    Side::Windlass => ours = Some(sample),
                }
            }
            if let (Some(built_in), Some(ours)) = (built_in, ours) {
                pairs.push(Pair { built_in, ours });
            }
        }
    }
    println!("{}", table::render(&results));
    println!(
        "Load of the machine at the start: {load}; where it was not idle, trust ratios more than times."
    );
    Ok(())
}
