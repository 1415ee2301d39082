//! The shipped policies: `policies/<name>/` is built to `policies/<name>.wasm`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::shell;

const TARGET: &str = "wasm32-unknown-unknown";

/// The policy that only tests use. They load it from cargo's target folder.
const FOR_TESTS: &str = "scripted-policy";

/// Builds the policy for tests, and every policy in `policies/`, whose module is copied beside its
/// source.
pub(crate) fn build() -> anyhow::Result<()> {
    install_target(TARGET)?;
    let names = names()?;
    shell::step(&format!("building the policies {}", names.join(", ")));
    let mut cargo = shell::cargo();
    cargo.args(["build", "--profile", "policy", "--target", TARGET]);
    for name in names.iter().map(String::as_str).chain([FOR_TESTS]) {
        cargo.args(["--package", name]);
    }
    shell::run(&mut cargo)?;
    let built = target_folder().join(TARGET).join("policy");
    let policies = shell::root().join("policies");
    for name in names {
        // Cargo replaces dashes in the names of modules.
        let module = built.join(format!("{}.wasm", name.replace('-', "_")));
        // Renamed into place, because a running host may load the file at any time.
        let beside = policies.join(format!(".{name}.wasm.new"));
        fs::copy(&module, &beside).with_context(|| format!("cannot copy {}", module.display()))?;
        fs::rename(&beside, policies.join(format!("{name}.wasm")))?;
    }
    Ok(())
}

/// The target folder of cargo.
pub(crate) fn target_folder() -> PathBuf {
    // This program is in `<target>/<profile>/`.
    let own = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.ancestors().nth(2)?.to_owned()));
    own.unwrap_or_else(|| shell::root().join("target"))
}

fn names() -> anyhow::Result<Vec<String>> {
    let folder = shell::root().join("policies");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Installs a target with rustup, unless the compiler has it.
pub(crate) fn install_target(target: &str) -> anyhow::Result<()> {
    let output = shell::command("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output();
    let output = output.context("cannot run `rustc`: install Rust with rustup")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.is_dir() {
        return Ok(());
    }
    shell::step(&format!("installing the {target} target with rustup"));
    shell::run(shell::command("rustup").args(["target", "add", target])).with_context(|| {
        format!("cannot install the {target} target: run `rustup target add {target}`")
    })
}
