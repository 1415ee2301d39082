//! The checks that must pass before a change lands.

use anyhow::{Context, ensure};

use crate::output::print;
use crate::{shell, tests};

/// The crate that does no I/O: it may depend on values and time formats only.
const PURE: &str = "keyrelay-model";

/// Crates for I/O. One of them in the dependency tree of [`PURE`] breaks the rule.
const IMPURE: [&str; 4] = ["tokio", "reqwest", "wasmtime", "axum"];

/// Runs all checks, the cheapest first, and the tests last.
pub(crate) fn run() -> anyhow::Result<()> {
    print("== formatting");
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    print("== lints");
    shell::run(shell::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    print("== documentation");
    let mut doc = shell::cargo();
    doc.args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--quiet",
    ]);
    shell::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    print("== the pure crate stays pure");
    purity()?;
    print("== tests");
    tests::run(None)
}

fn purity() -> anyhow::Result<()> {
    let output = shell::cargo()
        .args(["tree", "--package", PURE, "--edges", "normal"])
        .args(["--prefix", "none", "--quiet"])
        .output()
        .context("cannot run `cargo tree`")?;
    ensure!(
        output.status.success(),
        "`cargo tree` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8_lossy(&output.stdout);
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let impure: Vec<&str> = names.filter(|name| IMPURE.contains(name)).collect();
    ensure!(
        impure.is_empty(),
        "{PURE} depends on {}, and must not do I/O",
        impure.join(", ")
    );
    Ok(())
}
