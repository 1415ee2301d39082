//! The output of test binaries: printed, counted, and searched for planted values.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail, ensure};

/// The beginning of every planted value. Tests put such values into plain-text settings and
/// secrets.
const PLANTED: &str = "planted-value-";

/// The results of test binaries.
#[derive(Default)]
pub(crate) struct Results {
    passed: u64,
    failed: u64,
    /// Lines that show a planted value.
    leaks: usize,
}

impl Results {
    /// Runs a program that runs tests, and adds what it prints.
    pub(crate) fn run(&mut self, command: &mut Command) -> anyhow::Result<ExitStatus> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = || format!("cannot run `{name}`");
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(failed)?;
        let output = child.stdout.take().with_context(failed)?;
        for line in BufReader::new(output).lines() {
            let line = line.with_context(failed)?;
            print(&line);
            self.add(&line);
        }
        child.wait().with_context(failed)
    }

    /// Adds a line. One like `test result: ok. 12 passed; 0 failed; ...` has counts.
    fn add(&mut self, line: &str) {
        self.leaks += usize::from(line.contains(PLANTED));
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

    /// Checks that no value leaked, that no program failed, and that there were tests at all.
    pub(crate) fn check(&self, failure: Option<ExitStatus>) -> anyhow::Result<()> {
        ensure!(
            self.leaks == 0,
            "{} lines above show a value that was planted to be kept secret",
            self.leaks
        );
        if let Some(status) = failure {
            bail!(
                "the tests ended with {status}: {} passed, {} failed",
                self.passed,
                self.failed
            );
        }
        ensure!(self.passed > 0, "no test was run");
        Ok(())
    }

    /// Prints the closing line of a test run.
    pub(crate) fn print(&self) {
        print(&format!("{} passed, {} failed", self.passed, self.failed));
    }
}

#[expect(clippy::print_stdout, reason = "the output of the test run")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}
