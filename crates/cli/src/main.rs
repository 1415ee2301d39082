#![doc = include_str!("../README.md")]

mod azure_account;
mod bench;
mod build;
mod calibrate;
mod case;
mod compile;
mod demo;
mod doctor;
mod events;
mod host_line;
mod inputs;
mod inspect;
mod interruption;
mod key;
mod local;
mod lock;
mod new;
mod out;
mod package;
mod policy;
#[cfg(test)]
mod reference;
mod run;
mod runs;
mod sandbox;
mod signing;
mod status;
mod store_option;
mod test;
mod ui;
mod usage_error;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Write and test policies, inspect the run history, and rehearse rotations on your own machine.
///
/// `new`, `build`, `test`, `run`, `events`, `inspect`, `bench`, `compile`, `lock`, `key` and
/// `package` are for authors of policies. `local` and `demo` run everything on 127.0.0.1: a stand-in for Azure,
/// and the real keyrelay-host in it, started and called as by the Functions host. `status` shows
/// which app uses which secret in which version, `runs` reads the run history of an installation,
/// `ui` shows both as pages, and `doctor` diagnoses one. `calibrate` records the behaviour of
/// your Azure with a throw-away app.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  a policy or a check failed, or the command could not be completed
  2  usage error: an argument, or a file that it names, does not exist or cannot be parsed";

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Build(build::Build),
    Test(test::Test),
    Run(run::RunPolicy),
    Events(events::Events),
    Inspect(inspect::Inspect),
    Bench(bench::Bench),
    Compile(compile::Compile),
    Lock(lock::LockCommand),
    Key(key::Key),
    Package(package::Package),
    Local(local::Local),
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Calibrate(calibrate::Calibrate),
    Status(Box<status::Status>),
    Runs(Box<runs::Runs>),
    Ui(ui::Ui),
    /// Compile the policy on standard input to standard output
    #[command(name = sandbox::COMPILE_POLICY, hide = true)]
    CompilePolicy,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::New(new) => new.run(),
        Command::Build(build) => build.run().await,
        Command::Test(test) => test.run().await,
        Command::Run(run) => run.run().await,
        Command::Events(events) => events.run(),
        Command::Inspect(inspect) => inspect.run().await,
        Command::Bench(bench) => bench.run().await,
        Command::Compile(compile) => compile.run().await,
        Command::Lock(lock) => lock.run().await,
        Command::Key(key) => key.run(),
        Command::Package(package) => package.run().await,
        Command::Local(local) => local.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Calibrate(calibrate) => calibrate.run().await,
        Command::Status(status) => status.run().await,
        Command::Runs(runs) => runs.run().await,
        Command::Ui(ui) => ui.run().await,
        Command::CompilePolicy => return keyrelay_sandbox::compile_policy(),
    };
    let written = || match out::failure() {
        Some(error) => Err(anyhow::anyhow!("cannot write to standard output: {error}")),
        None => Ok(()),
    };
    match done.and_then(|()| written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::error(&out::chain(error.as_ref()));
            if error.is::<usage_error::UsageError>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
