//! `windlass plugin`: what a plugin's author needs besides a cluster.

mod build;
mod new;
mod template;

use clap::Subcommand;

use super::Failure;

/// Make and build policy plugins, without a cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a directory with a plugin that builds, and cases that pass.
    New(new::Arguments),
    /// Build the plugin in a directory, whatever it is written in.
    Build(build::Arguments),
}

/// Does what was asked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::New(arguments) => new::run(arguments),
        Command::Build(arguments) => build::run(arguments),
    }
}
