//! `windlass completion SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Shell that the script is for.
    shell: Shell,
}

/// Prints the script.
#[expect(clippy::unnecessary_wraps, reason = "every command has the same shape")]
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "windlass", &mut std::io::stdout());
    Ok(())
}
