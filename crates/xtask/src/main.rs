#![doc = include_str!("../README.md")]

mod app;
mod azurite;
mod clients;
mod policies;
mod shell;
mod shipped;
mod terraform;
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and show a rotation, from the event to the proof
    Demo {
        /// Leave everything running afterwards, to play with
        #[arg(long)]
        stay: bool,
    },
    /// Build everything and run all tests
    Test {
        /// Only the tests whose names contain this
        filter: Option<String>,
    },
    /// Build `policies/*.wasm` from their sources
    Policies,
    /// Put the function app together in `target/app`
    App,
    /// Make the pages in `docs/reference` of the code
    Reference,
    /// Make `dist/keyrelay.zip`, the package that is deployed
    Package,
    /// Run the benchmarks, of the program that is shipped
    Bench {
        /// Only this group, and options of criterion
        arguments: Vec<String>,
    },
    /// Run Microsoft's Python libraries against the stand-in for Azure (needs Python 3)
    Clients,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo { stay } => demo(stay),
        Command::Test { filter } => tests::run(filter.as_deref()),
        Command::Policies => policies::build(),
        Command::App => app::assemble().map(drop),
        Command::Reference => reference(),
        Command::Package => shipped::package().map(drop),
        Command::Bench { arguments } => shipped::bench(&arguments),
        Command::Clients => clients::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn demo(stay: bool) -> anyhow::Result<()> {
    let app = app::assemble()?;
    shell::step("running the demonstration");
    let mut command = shell::command(app::binary("keyrelay"));
    command.args(["demo", "--app"]).arg(app);
    if stay {
        command.arg("--stay");
    }
    shell::run(&mut command)
}

fn reference() -> anyhow::Result<()> {
    shell::run(shell::cargo().args([
        "run",
        "--quiet",
        "--package",
        "keyrelay",
        "--bin",
        "keyrelay",
        "--",
        "reference",
    ]))
}
