//! Microsoft's clients against the stand-in for Azure: three Python libraries and the command `az`.
//! Their traffic, and that of keyrelay-host, is compared with Microsoft's published contracts. Not
//! part of the tests, because it needs Python 3 and a gigabyte of packages.

mod az;
mod contracts;
mod python;
mod stand_in;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{app, policies, shell};
use python::Environment;
use stand_in::StandIn;

const SCRIPT: &str = "crates/local-azure/tests/clients.py";
const WORLD: &str = "crates/local-azure/tests/clients.toml";

/// Runs the clients, and then compares the traffic with the contracts in `specs`.
pub(crate) fn run(specs: Option<&Path>) -> anyhow::Result<()> {
    let specs = specs.map(contracts::checkout).transpose()?;
    let folder = policies::target_folder().join("clients");
    let libraries = Environment::libraries(&folder)?;
    let az = Environment::az(&folder)?;
    let function_app = app::assemble()?;
    let record = new_file(&folder.join("exchanges.jsonl"))?;

    let parts = [
        (
            "the libraries",
            run_libraries(&libraries, &folder, &function_app, &record),
        ),
        ("az", az::run(&az, &folder, &function_app, &record)),
        (
            "the contracts",
            contracts::check(&libraries, specs.as_deref(), &record),
        ),
    ];
    let mut failed = Vec::new();
    for (part, result) in parts {
        if let Err(error) = result {
            failed.push(format!("{part}: {error:#}"));
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// Runs the script that compares the results of the libraries.
fn run_libraries(
    python: &Environment,
    folder: &Path,
    function_app: &Path,
    record: &Path,
) -> anyhow::Result<()> {
    let stand_in = StandIn::start(WORLD, "orders", folder, function_app, record)?;
    shell::step("running the libraries against it");
    let mut script = python.command();
    script
        .arg(SCRIPT)
        .env("CERTIFICATE", &stand_in.certificate)
        .env("RESOURCE_MANAGER_URL", &stand_in.resource_manager)
        .env("KEY_VAULT_URL", &stand_in.key_vault)
        .envs(stand_in.identity.clone());
    shell::run(&mut script)
}

/// Returns the path of a file after deleting the file, if it is there.
fn new_file(path: &Path) -> anyhow::Result<PathBuf> {
    if path.exists() {
        fs::remove_file(path).with_context(|| format!("cannot delete {}", path.display()))?;
    }
    Ok(path.to_owned())
}
