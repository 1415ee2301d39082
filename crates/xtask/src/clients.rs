//! Microsoft's Python libraries against the stand-in for Azure. Not part of the tests, because it
//! needs Python 3 with pip.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, bail};

use crate::{app, policies, shell};

const LIBRARIES: [&str; 3] = ["azure-identity", "azure-keyvault-secrets", "azure-mgmt-web"];
const SCRIPT: &str = "crates/local-azure/tests/clients.py";
const WORLD: &str = "crates/local-azure/tests/clients.toml";

/// The process of the stand-in. It is killed on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Installs the libraries in a virtual environment, starts the stand-in, and runs the script.
pub(crate) fn run() -> anyhow::Result<()> {
    let function_app = app::assemble()?;
    let folder = policies::target_folder().join("clients");
    let python = install(&folder)?;
    shell::step("starting the stand-in");
    let certificate = folder.join("certificate.pem");
    let mut stand_in = shell::command(app::binary("keyrelay"));
    stand_in
        .args([
            "local",
            "--world",
            WORLD,
            "--site",
            "orders",
            "--profile",
            "ideal",
            "--page-size",
            "2",
        ])
        .stdout(Stdio::piped());
    stand_in
        .arg("--app")
        .arg(function_app)
        .arg("--certificate")
        .arg(&certificate);
    let mut running = Running(stand_in.spawn().context("cannot start `keyrelay local`")?);
    let output = running
        .0
        .stdout
        .take()
        .context("`keyrelay local` has no output")?;
    let mut output = BufReader::new(output);
    let announced = announced(&mut output)?;
    // The pipe has to be drained, or the stand-in would block.
    std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));

    shell::step("running the libraries against it");
    let mut script = shell::command(python);
    script
        .arg(SCRIPT)
        .env("CERTIFICATE", &certificate)
        .envs(announced);
    shell::run(&mut script)
}

fn install(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let python = folder.join("bin/python");
    if !python.is_file() {
        shell::step("making a virtual environment for Python");
        fs::create_dir_all(folder)?;
        shell::run(shell::command("python3").args(["-m", "venv"]).arg(folder))
            .context("this needs Python 3")?;
    }
    shell::step(&format!("installing {}", LIBRARIES.join(", ")));
    shell::run(
        shell::command(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(LIBRARIES),
    )?;
    Ok(python)
}

/// Reads the endpoints from the output of the stand-in, as environment variables for the script.
fn announced(output: &mut impl BufRead) -> anyhow::Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for line in output.lines() {
        let line = line?;
        let url = |start: &str| {
            let url = line.strip_prefix(start)?.split_whitespace().next()?;
            Some(url.replacen("http://", "https://", 1))
        };
        if let Some(url) = url("Resource Manager") {
            variables.push(("RESOURCE_MANAGER_URL".to_owned(), url));
        } else if let Some(url) = url("Key Vault") {
            variables.push(("KEY_VAULT_URL".to_owned(), url));
        } else if let Some((name, value)) = line
            .trim()
            .strip_prefix("export IDENTITY_")
            .and_then(|it| it.split_once('='))
        {
            variables.push((
                format!("IDENTITY_{name}"),
                value.trim_matches('\'').to_owned(),
            ));
        }
        if variables.len() == 4 {
            return Ok(variables);
        }
    }
    bail!("`keyrelay local` did not print its endpoints");
}
