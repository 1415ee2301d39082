//! The custom handler as it is shipped, and the package around it.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};

use crate::{app, policies, shell};

/// Nobody says which C library a function app finds: the program brings its own.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Makes `dist/keyrelay.zip`. The same commit gives the same bytes.
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

/// Builds keyrelay-host as it is shipped: without anything that it needs from where it runs.
pub(crate) fn host() -> anyhow::Result<PathBuf> {
    ensure!(
        can_build(),
        "the package is made on Linux on x86-64: the program in it is for that"
    );
    policies::install_target(TARGET)?;
    shell::step("building keyrelay-host as it is shipped (the first time takes some ten minutes)");
    let (root, target, home) = (shell::root(), policies::target_folder(), cargo_home()?);
    // No path of this machine gets into the program.
    let places = [
        (home.as_path(), "/cargo"),
        (target.as_path(), "/target"),
        (root.as_path(), "/keyrelay"),
    ];
    let map = |option: &str| places.map(|(from, to)| format!("{option}={}={to}", from.display()));
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
    // The compiler of this machine will do for the few C files: they ask nothing of a C library but what all have. The
    // checked functions of `_FORTIFY_SOURCE` are glibc's own.
    let flags = format!("-U_FORTIFY_SOURCE {}", map("-ffile-prefix-map").join(" "));
    cargo
        .env("CC_x86_64_unknown_linux_musl", "cc")
        .env("CFLAGS_x86_64_unknown_linux_musl", flags);
    shell::run(&mut cargo)?;
    Ok(target.join(TARGET).join("dist").join("keyrelay-host"))
}

/// Whether this is the kind of machine that the package is made on.
pub(crate) const fn can_build() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

/// Where cargo keeps the sources of libraries.
#[expect(clippy::disallowed_methods, reason = "cargo's own variable")]
fn cargo_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    match env::home_dir() {
        Some(home) => Ok(home.join(".cargo")),
        None => bail!("nobody says where cargo keeps its files: set CARGO_HOME"),
    }
}

/// Runs the benchmarks, of the program that is shipped.
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
