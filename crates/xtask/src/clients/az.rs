//! Microsoft's command `az` against the stand-in.

mod commands;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::python::Environment;
use super::stand_in::StandIn;
use crate::shell;
use commands::{COMMANDS, Check, Expected};

const WORLD: &str = "crates/local-azure/tests/az/world.toml";

/// The folder of `sitecustomize.py`, which keeps every request on this machine.
const PYTHON_PATH: &str = "crates/local-azure/tests/az";

/// The timeout of a command that is repeated until keyrelay-host has done its work.
const EVENTUALLY_TIMEOUT: Duration = Duration::from_secs(60);

/// A session of `az` with its own configuration.
struct Session<'a> {
    python: &'a Environment,
    variables: Vec<(String, String)>,
    /// The results that later commands refer to, by their placeholders.
    kept: BTreeMap<&'static str, String>,
}

/// The result of a command: the JSON on standard output, or else the message on standard error.
type Outcome = Result<Value, String>;

/// Runs every command of the table, and compares its result.
pub(super) fn run(
    python: &Environment,
    folder: &Path,
    function_app: &Path,
    record: &Path,
) -> anyhow::Result<()> {
    let stand_in = StandIn::start(WORLD, "keyrelay", folder, function_app, record)?;
    shell::step(&format!("running {} commands of az", COMMANDS.len()));
    let configuration = folder.join("az-configuration");
    if configuration.exists() {
        fs::remove_dir_all(&configuration)
            .with_context(|| format!("cannot empty {}", configuration.display()))?;
    }
    let mut session = Session {
        python,
        variables: variables(&stand_in, &configuration),
        kept: BTreeMap::new(),
    };
    session.register(&stand_in)?;
    let different = COMMANDS
        .iter()
        .filter(|check| {
            let result = session.check(check);
            match &result {
                Ok(()) => shell::say(&format!("same      az {}", check.command)),
                Err(reason) => shell::say(&format!("DIFFERENT az {}: {reason}", check.command)),
            }
            result.is_err()
        })
        .count();
    if different > 0 {
        bail!(
            "{different} of {} commands have another result",
            COMMANDS.len()
        );
    }
    Ok(())
}

/// The environment of `az`: a folder of its own, the stand-in's certificate, the identity of an App
/// Service app, and nothing that asks other hosts.
fn variables(stand_in: &StandIn, configuration: &Path) -> Vec<(String, String)> {
    let mut variables = stand_in.identity.clone();
    let fixed = [
        ("AZURE_CORE_COLLECT_TELEMETRY", "false"),
        ("AZURE_CORE_INSTANCE_DISCOVERY", "false"),
        ("AZURE_CORE_NO_COLOR", "true"),
        ("AZURE_CORE_ONLY_SHOW_ERRORS", "true"),
        ("AZURE_CORE_OUTPUT", "json"),
        ("AZURE_CORE_SURVEY_MESSAGE", "false"),
        ("AZURE_EXTENSION_USE_DYNAMIC_INSTALL", "no"),
        ("NO_PROXY", "*"),
        ("PYTHONPATH", PYTHON_PATH),
    ];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    variables.extend(fixed);
    for (name, path) in [
        ("AZURE_CONFIG_DIR", configuration),
        ("REQUESTS_CA_BUNDLE", &stand_in.certificate),
    ] {
        variables.push((name.to_owned(), path.display().to_string()));
    }
    variables
}

impl Session<'_> {
    /// Registers the stand-in as a cloud, and selects it.
    fn register(&self, stand_in: &StandIn) -> anyhow::Result<()> {
        let port = stand_in.key_vault.rsplit(':').next().unwrap_or_default();
        let vaults = format!(".vault.azure.net:{port}");
        let url = stand_in.resource_manager.as_str();
        let mut register = self.az();
        register.args(["cloud", "register", "--name", "stand-in"]);
        register.arg("--skip-endpoint-discovery");
        for (option, value) in [
            ("--endpoint-active-directory", url),
            (
                "--endpoint-active-directory-resource-id",
                "https://management.azure.com/",
            ),
            ("--endpoint-management", "https://management.azure.com/"),
            ("--endpoint-resource-manager", url),
            ("--suffix-keyvault-dns", &vaults),
        ] {
            register.args([option, value]);
        }
        shell::run(&mut register)?;
        shell::run(self.az().args(["cloud", "set", "--name", "stand-in"]))
    }

    /// Compares the result of one command. The error is the difference.
    fn check(&mut self, check: &Check) -> Result<(), String> {
        let mut command = self.az();
        command.args(check.command.split(' ').map(|it| self.filled(it)));
        if !check.query.is_empty() {
            command.arg("--query").arg(self.filled(check.query));
        }
        let started = Instant::now();
        loop {
            let outcome = run_az(&mut command)?;
            let difference = match (&check.expected, outcome) {
                (Expected::Kept(placeholder), Ok(Value::String(result))) => {
                    self.kept.insert(placeholder, result);
                    return Ok(());
                }
                (Expected::Kept(_), found) => Some(format!("found {found:?}, expected a string")),
                (Expected::Error(text), Err(message)) if message.contains(text) => None,
                (Expected::Error(text), found) => {
                    Some(format!("found {found:?}, expected an error with {text:?}"))
                }
                (Expected::Json(text) | Expected::Eventually(text), found) => {
                    self.difference(text, found)
                }
            };
            match difference {
                None => return Ok(()),
                Some(_)
                    if matches!(check.expected, Expected::Eventually(_))
                        && started.elapsed() < EVENTUALLY_TIMEOUT => {}
                Some(difference) => return Err(difference),
            }
        }
    }

    fn difference(&self, expected: &str, found: Outcome) -> Option<String> {
        let expected = self.filled(expected);
        let expected: Value = match serde_json::from_str(&expected) {
            Ok(expected) => expected,
            Err(error) => return Some(format!("the expected result is not JSON: {error}")),
        };
        match found {
            Ok(found) if found == expected => None,
            Ok(found) => Some(format!("found {found}, expected {expected}")),
            Err(message) => Some(format!("failed: {message}")),
        }
    }

    /// A text of the table with its placeholders replaced.
    fn filled(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (placeholder, value) in commands::IDS {
            filled = filled.replace(placeholder, value);
        }
        for (placeholder, value) in &self.kept {
            filled = filled.replace(placeholder, value);
        }
        filled
    }

    fn az(&self) -> Command {
        let mut command = self.python.command();
        command.args(["-m", "azure.cli"]);
        command.envs(
            self.variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        command
    }
}

/// Runs a command. A command that prints nothing has the result `null`.
fn run_az(command: &mut Command) -> Result<Outcome, String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run az: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        return Ok(Err(text(&output.stderr)));
    }
    let printed = text(&output.stdout);
    if printed.is_empty() {
        return Ok(Ok(Value::Null));
    }
    let result = serde_json::from_str(&printed);
    Ok(result.map_err(|error| format!("`{printed}` is not JSON: {error}")))
}
