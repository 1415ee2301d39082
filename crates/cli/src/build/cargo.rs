//! Policies in Rust.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;

use super::tool;
use crate::out;

const TARGET: &str = "wasm32-unknown-unknown";

pub(super) fn build(project: &Path) -> anyhow::Result<PathBuf> {
    tool::ensure("cargo", "install Rust with rustup, see https://rustup.rs")?;
    ensure_target(project)?;
    out::note("building with cargo");
    let mut cargo = tool::command("cargo", project);
    cargo.args([
        "build",
        "--release",
        "--target",
        TARGET,
        "--message-format=json-render-diagnostics",
    ]);
    let child = cargo
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot run `cargo`")?;
    let output = child.wait_with_output().context("cannot run `cargo`")?;
    if !output.status.success() {
        bail!("`cargo` ended with {}: see above", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut files = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let files = message.get("filenames")?.as_array()?;
            files
                .iter()
                .filter_map(Value::as_str)
                .find(|file| file.ends_with(".wasm"))
                .map(PathBuf::from)
        });
    // Cargo reports dependencies first.
    files
        .next_back()
        .context("cargo has made no `.wasm`: the crate needs `crate-type = [\"cdylib\", \"rlib\"]`")
}

/// Checks that the target is installed. Queries rustc, because rustup may not be in use.
fn ensure_target(project: &Path) -> anyhow::Result<()> {
    let output = tool::command("rustc", project)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let output = output
        .context("`rustc` is not installed: install Rust with rustup, see https://rustup.rs")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.is_dir() {
        return Ok(());
    }
    bail!("the target {TARGET} is not installed: `rustup target add {TARGET}`")
}
