//! The tests of the workspace: all of them, or the fast ones.

use std::time::Instant;

use crate::output::{Results, print};
use crate::{azurite, binaries, browser, pictures, policies, shell, shipped, terraform};

/// The integration tests of a package that start no process.
enum InProcess {
    None,
    /// Those whose names contain this.
    Only(&'static str),
    /// Those whose names contain none of these.
    Without(&'static [&'static str]),
}

/// The packages with integration tests that start processes.
const IN_PROCESS: [(&str, InProcess); 4] = [
    ("keyrelay", InProcess::None),
    ("keyrelay-azure", InProcess::Without(&["process::"])),
    ("keyrelay-host", InProcess::Only("pages::")),
    (
        "keyrelay-local-azure",
        InProcess::Without(&["functions_host::", "handler_app", "app_process::"]),
    ),
];

/// Builds everything that the tests need, and runs all of them.
pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    policies::build()?;
    shell::step("building the tests (the first time takes some minutes: wasmtime is large)");
    // First of all: what is built for a single package has other features, and would be built again.
    shell::run(shell::cargo().args(["test", "--workspace", "--no-run", "--quiet"]))?;
    let package = if shipped::can_build() {
        Some(shipped::package_for_tests()?)
    } else {
        None
    };
    let left_out = terraform::check()?;
    let azurite = azurite::script();
    if let Err(missing) = &azurite {
        shell::step(&format!("no blob container for the tests: {missing}"));
    }
    let browser = browser::install();
    if let Err(missing) = &browser {
        shell::step(&format!("no browser for the tests: {missing}"));
    }
    shell::step("running all tests");
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(filter);
    if let Ok(script) = &azurite {
        cargo.env("KEYRELAY_AZURITE", script);
    }
    if let Some(package) = &package {
        cargo.env("KEYRELAY_PACKAGE", package);
    }
    cargo.env("KEYRELAY_PICTURES", pictures::folder()?);
    let mut results = Results::default();
    let status = results.run(&mut cargo)?;
    results.check((!status.success()).then_some(status))?;
    if let Err(missing) = azurite {
        // A green run must not look like more than it is.
        print(&format!(
            "the store was tested in folders only, not in a blob container: {missing}"
        ));
    }
    if let Err(missing) = browser {
        print(&format!(
            "the pages were not tested in a browser: {missing}"
        ));
    }
    for check in left_out {
        print(&check);
    }
    if package.is_none() {
        print("no package was made: that takes Linux on x86-64");
    }
    if !shell::succeeds("npm", &["--version"]) {
        print("no policy was made in JavaScript: `npm` is not installed");
    }
    if !shell::succeeds("python3", &["-c", "import ensurepip, venv"]) {
        print("no policy was made in Python: `python3` is not installed, or has no `venv`");
    }
    results.print();
    Ok(())
}

/// Runs the unit tests, and the integration tests that start no process. The binaries are those of
/// a full run.
pub(crate) fn fast(filter: Option<&str>) -> anyhow::Result<()> {
    policies::build()?;
    shell::step("building the tests (the first time takes some minutes: wasmtime is large)");
    let binaries = binaries::build()?;
    let started = Instant::now();
    let (mut results, mut failure) = (Results::default(), None);
    for binary in &binaries {
        let listed = IN_PROCESS
            .iter()
            .find(|(package, _)| binary.is_integration_test && *package == binary.package);
        let mut command = binary.command();
        // Without the variable, the tests of the store use folders only.
        command.env_remove("KEYRELAY_AZURITE");
        match listed.map(|(_, in_process)| in_process) {
            Some(InProcess::None) => continue,
            // A test runs if any filter matches, so there can be only one.
            Some(InProcess::Only(_)) if filter.is_some() => continue,
            Some(InProcess::Only(name)) => {
                command.arg(name);
            }
            Some(InProcess::Without(names)) => {
                command.args(names.iter().flat_map(|name| ["--skip", name]));
                command.args(filter);
            }
            None => {
                command.args(filter);
            }
        }
        print(&format!("\n{} ({})", binary.package, binary.target));
        let status = results.run(&mut command)?;
        if !status.success() {
            failure = Some(status);
        }
    }
    results.check(failure)?;
    print(&format!(
        "the fast tests took {} s; `cargo xtask test` runs all",
        started.elapsed().as_secs()
    ));
    results.print();
    Ok(())
}
