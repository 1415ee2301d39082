//! `keyrelay-host`: the custom handler of a Function App, or, with `--webhook`, a server for Event
//! Grid.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use keyrelay_config::{Config, LogLevel, Problem};
use keyrelay_host::telemetry::Telemetry;
use keyrelay_host::{start, webhook};

const HELP: &str = "\
Moves apps to the new version of a rotated Key Vault secret.

Usage: keyrelay-host [--webhook | --compile-policy]

Without an option it is the custom handler of a Function App: the Functions host starts it.

  --webhook         serve Event Grid over HTTP instead, as `[webhook]` in keyrelay.toml says
  --compile-policy  compile the policy on standard input to standard output; keyrelay-host starts
                    itself like this, so that a policy has limits while it is compiled
  --help            print this
  --version         print the version";

/// The exit code of a usage error.
const USAGE: u8 = 2;

/// The command line, parsed.
enum CommandLine {
    CustomHandler,
    Webhook,
    CompilePolicy,
    Help,
    Version,
}

impl CommandLine {
    /// Parses the arguments. There are a few options and no values, too few for a library.
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let arguments: Vec<String> = arguments
            .map(|it| it.to_string_lossy().into_owned())
            .collect();
        match arguments
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            [] => Ok(Self::CustomHandler),
            ["--webhook"] => Ok(Self::Webhook),
            [start::COMPILE_POLICY] => Ok(Self::CompilePolicy),
            ["--help" | "-h"] => Ok(Self::Help),
            ["--version" | "-V"] => Ok(Self::Version),
            _ => Err(format!(
                "unexpected arguments `{}`: see `keyrelay-host --help`",
                arguments.join(" ")
            )),
        }
    }
}

/// The Functions host restarts the handler after every exit code but 0, which leaves the app dead.
fn main() -> ExitCode {
    match CommandLine::parse(std::env::args_os().skip(1)) {
        Ok(CommandLine::Help) => print(HELP),
        Ok(CommandLine::Version) => print(concat!("keyrelay-host ", env!("CARGO_PKG_VERSION"))),
        Ok(CommandLine::CompilePolicy) => keyrelay_sandbox::compile_policy(),
        Ok(CommandLine::CustomHandler) => serve(false),
        Ok(CommandLine::Webhook) => serve(true),
        Err(message) => failed(&message, ExitCode::from(USAGE)),
    }
}

#[tokio::main]
async fn serve(is_webhook: bool) -> ExitCode {
    let environment = environment();
    let app_root = environment
        .get("FUNCTIONS_APP_ROOT_PATH")
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    match is_webhook {
        false => custom_handler(&app_root, &environment).await,
        true => webhook(&app_root, &environment).await,
    }
}

/// Starts logging and telemetry.
fn logging(config: &Config, environment: &BTreeMap<String, String>) -> Telemetry {
    let (telemetry, error) = start::telemetry(config, environment);
    start::logging(config.log, &telemetry);
    if let Some(error) = error {
        tracing::error!("telemetry is off: {error}");
    }
    telemetry
}

/// Serves the Functions host until it kills the process.
async fn custom_handler(app_root: &Path, environment: &BTreeMap<String, String>) -> ExitCode {
    let config = match Config::load(app_root, environment) {
        Ok(config) => config,
        Err(problems) => return misconfigured(&problems),
    };
    let telemetry = logging(&config, environment);
    match start::serve(config, telemetry, app_root, environment).await {
        Ok(()) => fatal("serving ended"),
        Err(error) => {
            tracing::error!("{error:#}");
            fatal(&format!("{error:#}"))
        }
    }
}

/// Serves Event Grid until the process is told to shut down.
async fn webhook(app_root: &Path, environment: &BTreeMap<String, String>) -> ExitCode {
    let read = Config::load(app_root, environment).and_then(|config: Config| {
        let webhook = webhook::required(&config).map_err(|problem| vec![problem])?;
        Ok((config, webhook))
    });
    let (config, webhook) = match read {
        Ok(read) => read,
        Err(problems) => return misconfigured(&problems),
    };
    let telemetry = logging(&config, environment);
    match webhook::serve(config, webhook, telemetry, app_root, environment).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            fatal(&format!("{error:#}"))
        }
    }
}

fn misconfigured(problems: &[Problem]) -> ExitCode {
    start::logging(LogLevel::Error, &Telemetry::default());
    for problem in problems {
        tracing::error!("{problem}");
    }
    let count = problems.len();
    let problems = if count == 1 { "problem" } else { "problems" };
    fatal(&format!(
        "the configuration has {count} {problems}, listed above"
    ))
}

fn fatal(message: &str) -> ExitCode {
    failed(message, ExitCode::FAILURE)
}

/// Prints an error, and returns its exit code. The Functions host logs standard error as errors.
#[expect(
    clippy::print_stderr,
    reason = "the Functions host logs standard error as errors"
)]
fn failed(message: &str, code: ExitCode) -> ExitCode {
    eprintln!("keyrelay-host: {message}");
    code
}

#[expect(clippy::print_stdout, reason = "the text is the output of the command")]
fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the environment is read"
)]
fn environment() -> BTreeMap<String, String> {
    // Variables that are not UTF-8 are not keyrelay's.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
