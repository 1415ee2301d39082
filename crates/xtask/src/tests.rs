//! Runs all tests, and looks through everything they printed for values that nobody may ever see.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, bail};

use crate::{azurite, policies, shell, shipped, terraform};

/// What every planted value begins with: the tests put it into plain-text settings and secrets.
const PLANTED: &str = "planted-value-";

/// Counts of one or more test binaries.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Builds what the tests need and runs them all.
pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    policies::build()?;
    let package = if shipped::can_build() {
        Some(shipped::package()?)
    } else {
        None
    };
    let left_out = terraform::check()?;
    let azurite = azurite::script();
    if let Err(missing) = &azurite {
        shell::step(&format!("no blob container for the tests: {missing}"));
    }
    shell::step(
        "running all tests (the first time takes some minutes to build: wasmtime is large)",
    );
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(filter)
        .stdout(Stdio::piped());
    if let Ok(script) = &azurite {
        cargo.env("KEYRELAY_AZURITE", script);
    }
    if let Some(package) = &package {
        cargo.env("KEYRELAY_PACKAGE", package);
    }
    let mut child = cargo.spawn().context("cannot run cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut counts = Counts::default();
    let mut planted = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        print(&line);
        counts.add(&line);
        if line.contains(PLANTED) {
            planted.push(line);
        }
    }
    let status = child.wait()?;
    if !planted.is_empty() {
        bail!(
            "{} lines above show a value that was planted to be kept secret",
            planted.len()
        );
    }
    if !status.success() {
        bail!(
            "cargo test ended with {status}: {} passed, {} failed",
            counts.passed,
            counts.failed
        );
    }
    if counts.passed == 0 {
        bail!("no test was run");
    }
    if let Err(missing) = azurite {
        // A green run is not to look like more than it is.
        print(&format!(
            "the store was tested in folders only, not in a blob container: {missing}"
        ));
    }
    for what in left_out {
        print(&what);
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
    print(&format!(
        "{} passed, {} failed",
        counts.passed, counts.failed
    ));
    Ok(())
}

impl Counts {
    /// Adds a line like `test result: ok. 12 passed; 0 failed; ...`, if it is one.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let number_before = |word: &str| -> u64 {
            let before = result.split(word).next().unwrap_or_default();
            before
                .split_whitespace()
                .next_back()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0)
        };
        self.passed += number_before(" passed");
        self.failed += number_before(" failed");
    }
}

#[expect(clippy::print_stdout, reason = "the output of the test run")]
fn print(line: &str) {
    println!("{line}");
}
