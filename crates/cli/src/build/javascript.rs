//! Policies in JavaScript: QuickJS and the policy, built by the WebAssembly project's
//! `componentize-qjs`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::tool;

/// The tool, in the project's `node_modules`.
const TOOL: &str = "node_modules/.bin/componentize-qjs";

pub(super) fn build(project: &Path) -> anyhow::Result<PathBuf> {
    let fix = "install Node.js 20 or newer, see https://nodejs.org";
    tool::ensure("node", fix)?;
    let package = project.join("package.json");
    let text = fs::read_to_string(&package)
        .with_context(|| format!("cannot read {}", package.display()))?;
    let content: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is not JSON", package.display()))?;
    let source = content
        .get("main")
        .and_then(Value::as_str)
        .unwrap_or("policy.js");
    ensure!(
        project.join(source).is_file(),
        "{}: there is no `{source}`, which is `main`",
        package.display()
    );
    ensure!(
        project.join("wit").is_dir(),
        "{} has no folder `wit` with the contract",
        project.display()
    );
    if !project.join(TOOL).exists() {
        tool::ensure("npm", fix)?;
        let mut npm = tool::command("npm", project);
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel", "error"]);
        tool::run("installing componentize-qjs with npm (once)", npm)?;
    }
    ensure!(
        project.join(TOOL).exists(),
        "{}: `devDependencies` needs `componentize-qjs`: `npm install --save-dev componentize-qjs`",
        package.display()
    );
    let made = PathBuf::from("node_modules/.keyrelay.wasm");
    let mut componentize = tool::command(
        project
            .join(TOOL)
            .canonicalize()
            .context("cannot find the tool")?,
        project,
    );
    componentize
        .args([
            "--wit", "wit", "--world", "policy", "--js", source, "--output",
        ])
        .arg(&made);
    // A policy is synchronous, and has no WASI.
    componentize.args(["--sync", "--stub-wasi", "--opt-size"]);
    tool::run("building with componentize-qjs", componentize)?;
    Ok(project.join(made))
}
