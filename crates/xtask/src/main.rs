#![doc = include_str!("../README.md")]

mod app;
mod azurite;
mod binaries;
mod browser;
mod ci;
#[cfg(test)]
mod claims;
mod clients;
mod fuzz;
mod output;
mod pictures;
mod policies;
mod shell;
mod shipped;
mod terraform;
mod tests;
#[cfg(test)]
mod words;
#[cfg(test)]
mod workflows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct TaskArguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything and show a rotation, from the event to the verdict
    Demo {
        /// Leave everything running afterwards
        #[arg(long)]
        stay: bool,
    },
    /// Build everything and run all tests
    Test {
        /// Only the tests that need no Node.js and no other process
        #[arg(long)]
        fast: bool,
        /// Only the tests whose names contain this
        filter: Option<String>,
    },
    /// Build `policies/*.wasm` from their sources
    Policies,
    /// Assemble the function app in `target/app`
    App,
    /// Check everything that must hold before a change lands: formatting, lints, documentation,
    /// tests
    Ci,
    /// Generate the pages in `docs/reference` from the code
    Reference,
    /// Make the pictures of the pages in `docs/pictures`, with the tests in a browser
    Pictures,
    /// Make `dist/keyrelay.zip`, the deployment package
    Package,
    /// Run the benchmarks of the shipped program
    Bench {
        /// Only this group, and options of criterion
        arguments: Vec<String>,
    },
    /// Fuzz everything that reads input from outside (needs rustup, for a nightly compiler)
    Fuzz {
        /// The time for each target, in minutes
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: u32,
        /// Only these targets
        targets: Vec<String>,
    },
    /// Run Microsoft's Python libraries and `az` against the stand-in for Azure (needs Python 3)
    ///
    /// The results of each call and command are compared with the expected ones. With --specs, the
    /// traffic of all clients, keyrelay-host included, is also compared with the contracts that
    /// Microsoft publishes on GitHub in `Azure/azure-rest-api-specs`.
    #[command(after_long_help = FETCHING_SPECS)]
    Clients {
        /// A checkout of azure-rest-api-specs; `--help` shows how to get one
        #[arg(long, value_name = "FOLDER")]
        specs: Option<PathBuf>,
    },
}

const FETCHING_SPECS: &str = "\
The part of azure-rest-api-specs that is needed:
  git clone --depth 1 --filter=blob:none --sparse https://github.com/Azure/azure-rest-api-specs FOLDER
  git -C FOLDER sparse-checkout set specification/web/resource-manager specification/keyvault \\
    specification/resources specification/authorization specification/eventgrid \\
    specification/common-types";

fn main() -> ExitCode {
    let result = match TaskArguments::parse().command {
        Task::Demo { stay } => demo(stay),
        Task::Test { fast: true, filter } => tests::fast(filter.as_deref()),
        Task::Test { filter, .. } => tests::run(filter.as_deref()),
        Task::Ci => ci::run(),
        Task::Policies => policies::build(),
        Task::App => app::assemble().map(drop),
        Task::Reference => reference(),
        Task::Pictures => pictures::update(),
        Task::Package => shipped::package(),
        Task::Bench { arguments } => shipped::bench(&arguments),
        Task::Fuzz { minutes, targets } => fuzz::run(minutes, &targets),
        Task::Clients { specs } => clients::run(specs.as_deref()),
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

/// Runs the test that compares the pages with the code, and has it write them instead.
fn reference() -> anyhow::Result<()> {
    shell::step("generating docs/reference");
    let mut cargo = shell::cargo();
    cargo
        .args([
            "test",
            "--quiet",
            "--package",
            "keyrelay",
            "--bin",
            "keyrelay",
        ])
        .args([
            "--",
            "--exact",
            "reference::the_reference_pages_are_up_to_date",
        ])
        .env("KEYRELAY_UPDATE_REFERENCE", "1");
    shell::run(&mut cargo)
}
