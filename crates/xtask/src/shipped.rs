//! The shipped custom handler, and its package.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};

use crate::{app, policies, shell};

/// A target with static linking, because Azure does not document the C library of a function app.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Builds `dist/keyrelay.zip`. The same commit gives the same bytes.
pub(crate) fn package() -> anyhow::Result<PathBuf> {
    let host = host()?;
    let app = app::assemble()?;
    let dist = shell::root().join("dist");
    std::fs::create_dir_all(&dist).context("cannot make the folder dist")?;
    let file = dist.join("keyrelay.zip");
    shell::step("packing dist/keyrelay.zip");
    let mut command = shell::command(app::binary("keyrelay"));
    shell::run(
        command
            .arg("package")
            .arg(app)
            .arg("--host")
            .arg(host)
            .arg("--output")
            .arg(&file),
    )?;
    Ok(file)
}

/// Builds keyrelay-host as it is shipped: statically linked, and without local paths.
pub(crate) fn host() -> anyhow::Result<PathBuf> {
    ensure!(
        can_build(),
        "the package is made on Linux on x86-64: the program in it is for that"
    );
    policies::install_target(TARGET)?;
    shell::step("building keyrelay-host as it is shipped (the first time takes some ten minutes)");
    let (root, target, home) = (shell::root(), policies::target_folder(), cargo_home()?);
    // Local paths would make the build irreproducible.
    let prefixes = [
        (home.as_path(), "/cargo"),
        (target.as_path(), "/target"),
        (root.as_path(), "/keyrelay"),
    ];
    let map = |option: &str| prefixes.map(|(from, to)| format!("{option}={}={to}", from.display()));
    let mut cargo = shell::cargo();
    cargo.args([
        "build",
        "--profile",
        "dist",
        "--target",
        TARGET,
        "--package",
        "keyrelay-host",
    ]);
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        map("--remap-path-prefix").join("\u{1f}"),
    );
    // The local compiler is good enough for the few C files, which use no special function of a C
    // library. Only the checked functions of `_FORTIFY_SOURCE` exist in glibc alone.
    let flags = format!("-U_FORTIFY_SOURCE {}", map("-ffile-prefix-map").join(" "));
    cargo
        .env("CC_x86_64_unknown_linux_musl", "cc")
        .env("CFLAGS_x86_64_unknown_linux_musl", flags);
    shell::run(&mut cargo)?;
    Ok(target.join(TARGET).join("dist").join("keyrelay-host"))
}

/// Whether the package can be built on this machine.
pub(crate) const fn can_build() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

/// The folder in which cargo keeps the sources of dependencies.
#[expect(clippy::disallowed_methods, reason = "cargo's own variable")]
fn cargo_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    match env::home_dir() {
        Some(home) => Ok(home.join(".cargo")),
        None => bail!("cargo's home folder is unknown: set CARGO_HOME"),
    }
}

/// Runs the benchmarks of the shipped program.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    policies::build()?;
    let mut cargo = shell::cargo();
    cargo
        .args(["bench", "--package", "keyrelay-bench", "--"])
        .args(arguments);
    if can_build() {
        cargo.env("KEYRELAY_HOST", host()?);
    }
    shell::step("running the benchmarks");
    shell::run(&mut cargo)
}
