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
    /// The names of the tests that failed, each with what its panics said.
    failures: Vec<String>,
    /// The lines that are left of the message of a panic.
    panic_lines: usize,
}

/// The number of lines of a panic that are repeated at the end: the place, and the beginning of the
/// message.
const PANIC_LINES: usize = 4;

/// The longest line that is repeated at the end, in characters.
const LONGEST_LINE: usize = 300;

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
        self.add_failure(line);
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

    /// Keeps the lines that tell which tests failed, and why: the log of a whole run is long, and its
    /// end is what is seen first.
    fn add_failure(&mut self, line: &str) {
        let is_name = line.starts_with("test ") && line.ends_with(" ... FAILED");
        let is_panic = line.starts_with("thread '") && line.contains(" panicked at ");
        // How the fault suite reports a scenario.
        let is_scenario = line.starts_with("scenario ") && line.contains(" panicked ");
        if is_name || is_panic || is_scenario {
            self.panic_lines = if is_panic { PANIC_LINES } else { 1 };
        }
        if self.panic_lines > 0 {
            self.panic_lines -= 1;
            let line = line.chars().take(LONGEST_LINE);
            self.failures.push(line.collect());
        }
    }

    /// Checks that no value leaked, that no program failed, and that there were tests at all.
    pub(crate) fn check(&self, failure: Option<ExitStatus>) -> anyhow::Result<()> {
        ensure!(
            self.leaks == 0,
            "{} lines above show a value that was planted to be kept secret",
            self.leaks
        );
        if let Some(status) = failure {
            print("\nfailures of all binaries:");
            self.failures.iter().for_each(|line| print(line));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_kept_with_their_reasons() {
        let mut results = Results::default();
        for line in [
            "test a::works ... ok",
            "test a::breaks ... FAILED",
            "---- a::breaks stdout ----",
            "thread 'a::breaks' (12) panicked at src/a.rs:1:2:",
            "the reason",
            "a second line",
            "a third one",
            "stack backtrace:",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored",
        ] {
            results.add(line);
        }
        assert_eq!((results.passed, results.failed), (1, 1));
        assert_eq!(
            results.failures,
            [
                "test a::breaks ... FAILED",
                "thread 'a::breaks' (12) panicked at src/a.rs:1:2:",
                "the reason",
                "a second line",
                "a third one",
            ]
        );
    }
}
