#![doc = include_str!("../README.md")]

mod ask;
mod bench;
mod build;
mod case;
mod compile;
mod demo;
mod doctor;
mod events;
mod given;
mod inspect;
mod local;
mod lock;
mod misuse;
mod new;
mod out;
mod package;
mod place;
mod reference;
mod run;
mod runs;
mod test;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Write and test policies, see what keyrelay did, and rehearse a rotation on your own machine.
///
/// `new`, `build`, `test`, `run`, `events`, `inspect`, `bench`, `compile`, `lock` and `package` are for those who write policies.
/// `local` and `demo` run everything on 127.0.0.1: a stand-in for Azure, and the real keyrelay-host in it, started and
/// called as the Functions host does. `runs` reads the store of a keyrelay-host, wherever it runs;
/// `doctor` looks at everything that it needs.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the rule or the check failed, or something could not be done
  2  called wrongly: an argument, or a file that it names, is not there or cannot be understood";

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Build(build::Build),
    Test(test::Test),
    Run(run::Run),
    Events(events::Events),
    Inspect(inspect::Inspect),
    Bench(bench::Bench),
    Compile(compile::Compile),
    Lock(lock::LockCommand),
    Package(package::Package),
    Local(local::Local),
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Runs(Box<runs::Runs>),
    #[command(hide = true)]
    Reference(reference::Reference),
    /// The app of the demonstration
    #[command(hide = true)]
    TelemetryClock,
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
        Command::Package(package) => package.run().await,
        Command::Local(local) => local.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Runs(runs) => runs.run().await,
        Command::Reference(reference) => reference.run(Arguments::command()),
        Command::TelemetryClock => demo::telemetry_clock().await,
    };
    let written = || match out::failure() {
        Some(error) => Err(anyhow::anyhow!("cannot write to standard output: {error}")),
        None => Ok(()),
    };
    match done.and_then(|()| written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::error(&out::chain(error.as_ref()));
            if error.is::<misuse::Misuse>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
