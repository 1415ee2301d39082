//! Virtual environments of Python with Microsoft's clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell;

/// The libraries, and the validator of JSON schemas for the contracts.
const LIBRARIES: [&str; 4] = [
    "azure-identity",
    "azure-keyvault-secrets",
    "azure-mgmt-web",
    "jsonschema",
];

/// The version that the table of commands was written against. It has an environment of its own,
/// because it requires old versions of the libraries.
const AZ: [&str; 1] = ["azure-cli==2.91.0"];

/// A virtual environment.
pub(super) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Installs the libraries.
    pub(super) fn libraries(folder: &Path) -> anyhow::Result<Self> {
        Self::install(folder.join("libraries"), &LIBRARIES, "")
    }

    /// Installs Microsoft's command `az`.
    pub(super) fn az(folder: &Path) -> anyhow::Result<Self> {
        Self::install(folder.join("az"), &AZ, " (some minutes and 1 GB, once)")
    }

    /// A command that runs the environment's Python.
    pub(super) fn command(&self) -> Command {
        shell::command(self.python())
    }

    fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    fn install(folder: PathBuf, packages: &[&str], note: &str) -> anyhow::Result<Self> {
        let environment = Self { folder };
        let wanted = packages.join(" ");
        let installed = environment.folder.join("installed");
        // The link to Python is broken if that version has been removed.
        let is_there = environment.python().is_file();
        if is_there && fs::read_to_string(&installed).is_ok_and(|it| it == wanted) {
            return Ok(environment);
        }
        if !shell::succeeds("python3", &["--version"]) {
            bail!(
                "`python3` is not installed, and Microsoft's clients are written in Python: install Python 3.10 or newer, with pip and venv"
            );
        }
        shell::step(&format!("installing {}{note}", packages.join(", ")));
        fs::create_dir_all(&environment.folder)
            .with_context(|| format!("cannot make {}", environment.folder.display()))?;
        shell::run(
            shell::command("python3")
                .args(["-m", "venv"])
                .arg(&environment.folder),
        )
        .context("cannot make a virtual environment for Python: install pip and venv (on Debian: `apt install python3-venv`)")?;
        shell::run(
            environment
                .command()
                .args(["-m", "pip", "install", "--quiet"])
                .args(packages),
        )
        .with_context(|| format!("cannot install {wanted} with pip: see its message above"))?;
        // Written last: without this file, an installation is incomplete.
        fs::write(&installed, wanted)
            .with_context(|| format!("cannot write {}", installed.display()))?;
        Ok(environment)
    }
}
