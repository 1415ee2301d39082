#![doc = include_str!("../README.md")]

mod demo;
mod local;
mod out;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Rehearse a rotation on your own machine.
///
/// Everything runs on 127.0.0.1: a stand-in for Azure, and the real keyrelay-host in it, started and called as the
/// Functions host does.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a stand-in for Azure on 127.0.0.1, with keyrelay-host in it
    Local(local::Local),
    /// Show a rotation, from the event to the proof
    Demo(demo::Demo),
    /// The app of the demonstration
    #[command(hide = true)]
    TelemetryClock,
}

/// Ends with 0 when it was done, 1 when it failed, 2 when it was called wrongly (which clap does).
#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Local(local) => local.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::TelemetryClock => demo::telemetry_clock().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
