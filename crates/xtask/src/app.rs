//! The function app as it is deployed, in `target/app`: `host.json`, the function folders, the
//! configuration, the policies and the custom handler.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{policies, shell};

/// Builds the binaries and the policies, and returns the folder of the function app.
pub(crate) fn assemble() -> anyhow::Result<PathBuf> {
    policies::build()?;
    shell::step(
        "building keyrelay-host and keyrelay (the first time takes some minutes: wasmtime is large)",
    );
    shell::run(shell::cargo().args([
        "build",
        "--package",
        "keyrelay-host",
        "--package",
        "keyrelay",
    ]))?;
    lay_out()
}

/// Makes the folder of the function app from binaries and policies that are built already.
pub(crate) fn lay_out() -> anyhow::Result<PathBuf> {
    let root = shell::root();
    let app = policies::target_folder().join("app");
    if app.exists() {
        fs::remove_dir_all(&app).with_context(|| format!("cannot empty {}", app.display()))?;
    }
    fs::create_dir_all(app.join("policies"))?;
    for file in ["host.json", "keyrelay.toml"] {
        copy(&root.join(file), &app.join(file))?;
    }
    for entry in fs::read_dir(&root)? {
        let folder = entry?.path();
        let function = folder.join("function.json");
        if let (true, Some(name)) = (function.is_file(), folder.file_name()) {
            fs::create_dir_all(app.join(name))?;
            copy(&function, &app.join(name).join("function.json"))?;
        }
    }
    for entry in fs::read_dir(root.join("policies"))? {
        let module = entry?.path();
        if let (Some("wasm"), Some(name)) = (
            module.extension().and_then(|it| it.to_str()),
            module.file_name(),
        ) {
            copy(&module, &app.join("policies").join(name))?;
        }
    }
    copy(&binary("keyrelay-host"), &app.join("keyrelay-host"))?;
    Ok(app)
}

/// The path of a binary of this workspace.
pub(crate) fn binary(name: &str) -> PathBuf {
    policies::target_folder().join("debug").join(name)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
