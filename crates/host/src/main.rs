//! `keyrelay-host`: the custom handler. See the crate's documentation for the way of an event.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use keyrelay_host::config::LogLevel;
use keyrelay_host::start;
use keyrelay_host::telemetry::Telemetry;

/// Exit codes matter to the Functions host: 0 leaves the app dead, anything else starts the handler again.
#[tokio::main]
async fn main() -> ExitCode {
    let environment = environment();
    let app_root = environment.get("FUNCTIONS_APP_ROOT_PATH").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let config = match start::configuration(&app_root, &environment) {
        Ok(config) => config,
        Err(problems) => {
            start::logging(LogLevel::Error, &Telemetry::default());
            for problem in &problems {
                tracing::error!("{problem}");
            }
            return fatal(&format!("the configuration has {} problems, listed above", problems.len()));
        }
    };
    let (telemetry, mistake) = start::telemetry(&config, &environment);
    start::logging(config.log, &telemetry);
    if let Some(mistake) = mistake {
        tracing::error!("there is no telemetry: {mistake}");
    }
    match start::serve(config, telemetry, &app_root, &environment).await {
        Ok(()) => fatal("serving ended"),
        Err(error) => {
            tracing::error!("{error:#}");
            fatal(&format!("{error:#}"))
        }
    }
}

/// Ends with the code for a fatal error. Standard error is what the Functions host shows as an error.
#[expect(clippy::print_stderr, reason = "the Functions host logs standard error as errors")]
fn fatal(message: &str) -> ExitCode {
    eprintln!("keyrelay-host: {message}");
    ExitCode::FAILURE
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where the environment is read")]
fn environment() -> BTreeMap<String, String> {
    // A variable that is no text cannot be one of ours.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
