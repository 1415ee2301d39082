//! Policies in Python: CPython and the policy, built by the WebAssembly project's
//! `componentize-py`.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::tool;

/// The tool with its version, because the component depends on it.
const TOOL: &str = "componentize-py==0.25.1";

/// The module with the class `WitWorld`.
const MODULE: &str = "policy";

pub(super) fn build(project: &Path) -> anyhow::Result<PathBuf> {
    tool::ensure(
        "python3",
        "install Python 3.10 or newer, see https://www.python.org",
    )?;
    ensure!(
        project.join(format!("{MODULE}.py")).is_file(),
        "{} has no `{MODULE}.py`",
        project.display()
    );
    ensure!(
        project.join("wit").is_dir(),
        "{} has no folder `wit` with the contract",
        project.display()
    );
    let programs = project
        .join(".venv")
        .join(if cfg!(windows) { "Scripts" } else { "bin" });
    let tool_file = programs.join("componentize-py");
    if !tool_file.exists() {
        let mut venv = tool::command("python3", project);
        venv.args(["-m", "venv", ".venv"]);
        tool::run("making .venv (once)", venv).context(
            "Python's `venv` may be missing: on Debian and Ubuntu `apt install python3-venv`",
        )?;
        let mut pip = tool::command(absolute(&programs.join("python"))?, project);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            TOOL,
        ]);
        tool::run(&format!("installing {TOOL} with pip (once)"), pip)?;
    }
    let made = PathBuf::from(".venv/.keyrelay.wasm");
    let mut componentize = tool::command(absolute(&tool_file)?, project);
    componentize
        .args([
            "--wit-path",
            "wit",
            "--world",
            "policy",
            "componentize",
            MODULE,
            "--output",
        ])
        .arg(&made);
    tool::run("building with componentize-py (some seconds)", componentize)?;
    Ok(project.join(made))
}

fn absolute(file: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(file).with_context(|| format!("cannot find {}", file.display()))
}
