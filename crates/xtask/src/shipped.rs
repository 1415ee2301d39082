//! The shipped custom handler, and its package.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::{app, policies, shell};

/// A target with static linking, because Azure does not document the C library of a function app.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The profile of the program in a release.
const RELEASED: &str = "dist";

/// The profile of the program in the package for the tests.
const FOR_TESTS: &str = "dev";

/// Builds `dist/keyrelay.zip`. The same commit gives the same bytes.
pub(crate) fn package() -> anyhow::Result<()> {
    shell::step("building keyrelay-host as it is shipped (the first time takes some ten minutes)");
    let host = host(RELEASED)?;
    let app = app::assemble()?;
    let dist = shell::root().join("dist");
    std::fs::create_dir_all(&dist).context("cannot make the folder dist")?;
    pack(&app, &host, &dist.join("keyrelay.zip"))
}

/// Makes a package for the tests, from binaries that are built already, and returns its path. Its
/// keyrelay-host is static, as in a release, but not optimised, which would take ten minutes more.
/// `package.yml` builds the package of a release.
pub(crate) fn package_for_tests() -> anyhow::Result<PathBuf> {
    shell::step("building a static keyrelay-host (the first time takes some minutes)");
    let host = host(FOR_TESTS)?;
    let file = policies::target_folder().join("package-for-tests.zip");
    pack(&app::lay_out()?, &host, &file)?;
    Ok(file)
}

fn pack(app: &Path, host: &Path, file: &Path) -> anyhow::Result<()> {
    shell::step(&format!("packing {}", file.display()));
    let mut command = shell::command(app::binary("keyrelay"));
    command.arg("package").arg(app);
    command.arg("--host").arg(host).arg("--output").arg(file);
    shell::run(&mut command)
}

/// Builds keyrelay-host for the function app: statically linked, and without local paths.
fn host(profile: &str) -> anyhow::Result<PathBuf> {
    ensure!(
        can_build(),
        "the package is made on Linux on x86-64: the program in it is for that"
    );
    policies::install_target(TARGET)?;
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
        profile,
        "--target",
        TARGET,
        "--package",
        "keyrelay-host",
    ]);
    let mut flags = map("--remap-path-prefix").to_vec();
    if profile == FOR_TESTS {
        // Names and lines would make it three times as large. With a target, the flags are not for
        // build scripts and macros, which are there already.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false");
        flags.push("-Cstrip=symbols".to_owned());
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    // The local compiler is good enough for the few C files, which use no special function of a C
    // library. Only the checked functions of `_FORTIFY_SOURCE` exist in glibc alone.
    let flags = format!("-U_FORTIFY_SOURCE {}", map("-ffile-prefix-map").join(" "));
    cargo
        .env("CC_x86_64_unknown_linux_musl", "cc")
        .env("CFLAGS_x86_64_unknown_linux_musl", flags);
    shell::run(&mut cargo)?;
    // The only profile whose folder has another name.
    let folder = if profile == FOR_TESTS {
        "debug"
    } else {
        profile
    };
    Ok(target.join(TARGET).join(folder).join("keyrelay-host"))
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
        cargo.env("KEYRELAY_HOST", host(RELEASED)?);
    }
    shell::step("running the benchmarks");
    shell::run(&mut cargo)
}
