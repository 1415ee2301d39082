//! The tools of a language.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::out;

/// A program to run in the folder of a project.
pub(super) fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Checks that a program is installed. `fix` tells how to install it.
pub(super) fn ensure(program: &str, fix: &str) -> anyhow::Result<()> {
    let found = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    if !found.is_ok_and(|output| output.status.success()) {
        bail!("`{program}` is not installed: {fix}");
    }
    Ok(())
}

/// Runs a program, and returns an error unless it succeeds. Its output goes to standard error.
pub(super) fn run(what: &str, mut command: Command) -> anyhow::Result<()> {
    out::note(what);
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = || format!("cannot run `{name}`");
    // Standard output is for the result of the command.
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(failed)?;
    let output = output.wait_with_output().with_context(failed)?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        out::note(&format!("  {line}"));
    }
    if !output.status.success() {
        bail!("`{name}` ended with {}: see above", output.status);
    }
    Ok(())
}
