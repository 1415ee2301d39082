//! The nightly compiler and cargo-fuzz, in fixed versions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{policies, shell};

/// The compiler that fuzzing needs: the options for coverage are not stable.
const NIGHTLY: &str = "nightly-2026-05-20";

/// The name of a compiler that is used if [`NIGHTLY`] is not installed.
const ANY_NIGHTLY: &str = "nightly";

/// The version of cargo-fuzz.
const CARGO_FUZZ: &str = "0.13.1";

/// An installed nightly compiler.
pub(super) struct Toolchain {
    name: &'static str,
}

impl Toolchain {
    /// The installed compiler. Installs one if there is no nightly at all.
    pub(super) fn find() -> anyhow::Result<Self> {
        let installed = installed()?;
        let is_installed = |name: &str| {
            let with_host = format!("{name}-");
            let is_date = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
            installed.lines().any(|line| {
                let rest = line.strip_prefix(&with_host);
                line.split(' ').next() == Some(name) || rest.is_some_and(|rest| !is_date(rest))
            })
        };
        if is_installed(NIGHTLY) {
            return Ok(Self { name: NIGHTLY });
        }
        if is_installed(ANY_NIGHTLY) {
            shell::step(&format!(
                "using the installed {ANY_NIGHTLY}; CI uses {NIGHTLY}"
            ));
            return Ok(Self { name: ANY_NIGHTLY });
        }
        shell::step(&format!("installing {NIGHTLY}"));
        shell::run(shell::command("rustup").args([
            "toolchain",
            "install",
            NIGHTLY,
            "--profile",
            "minimal",
            "--no-self-update",
        ]))?;
        Ok(Self { name: NIGHTLY })
    }

    /// The system that programs are built for.
    pub(super) fn host(&self) -> anyhow::Result<String> {
        let output = self.command("rustc").arg("-vV").output();
        let output = output.context("cannot run `rustc`")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let host = text.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(host.context("`rustc -vV` names no host")?.to_owned())
    }

    /// cargo-fuzz with this compiler. Installs it first if needed.
    pub(super) fn cargo_fuzz(&self) -> anyhow::Result<Command> {
        let folder = policies::target_folder().join(format!("cargo-fuzz-{CARGO_FUZZ}"));
        let program = folder.join("bin").join("cargo-fuzz");
        if !program.is_file() {
            install(&folder)?;
        }
        Ok(self.command(program))
    }

    /// A program that uses this compiler. The variables of the cargo that runs this one name its own.
    fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = shell::command("rustup");
        command.args(["run", self.name]).arg(program.into());
        for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(variable);
        }
        command
    }
}

fn installed() -> anyhow::Result<String> {
    let output = shell::command("rustup")
        .args(["toolchain", "list"])
        .output();
    let output = output.context("cannot run `rustup`: fuzzing needs it, for a nightly compiler")?;
    ensure!(output.status.success(), "`rustup toolchain list` failed");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn install(folder: &std::path::Path) -> anyhow::Result<()> {
    shell::step(&format!("installing cargo-fuzz {CARGO_FUZZ}"));
    let mut cargo = shell::cargo();
    cargo
        .args(["install", "--locked", "--quiet", "--root"])
        .arg(folder)
        .arg(format!("cargo-fuzz@{CARGO_FUZZ}"));
    shell::run(&mut cargo)
}
