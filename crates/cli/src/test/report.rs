//! The results of cases: as text, as JSON, and in JUnit format.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use crate::out;

/// The result of one case.
#[derive(Debug)]
pub(super) struct CaseResult {
    pub(super) case: String,
    /// The lines of the difference; empty if the outcome is as expected.
    pub(super) difference: Vec<String>,
    pub(super) is_updated: bool,
    /// The output of the policy.
    pub(super) log: Vec<String>,
    pub(super) elapsed: Duration,
}

/// The results of all cases, by policy.
#[derive(Debug, Default)]
pub(super) struct TestReport(Vec<(String, CaseResult)>);

impl CaseResult {
    /// The result of a case that could not be evaluated.
    pub(super) fn failed(case: &str, error: &anyhow::Error, began: Instant) -> Self {
        Self {
            case: case.to_owned(),
            difference: out::chain(error.as_ref())
                .lines()
                .map(str::to_owned)
                .collect(),
            is_updated: false,
            log: Vec::new(),
            elapsed: began.elapsed(),
        }
    }

    fn is_good(&self) -> bool {
        self.difference.is_empty()
    }

    fn word(&self) -> &'static str {
        match (self.is_good(), self.is_updated) {
            (true, true) => "new",
            (true, false) => "ok",
            (false, _) => "FAILED",
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("  {:6}  {}", self.word(), self.case);
        if !self.is_good() {
            // The output of the policy helps only with a failure.
            for line in self.difference.iter().chain(&self.log) {
                let _ = write!(text, "\n          {line}");
            }
        }
        text
    }

    pub(super) fn json(&self, policy: &str) -> String {
        json!({
            "policy": policy,
            "case": self.case,
            "result": self.word().to_lowercase(),
            "difference": self.difference,
            "log": self.log,
            "duration_us": u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
        })
        .to_string()
    }
}

impl TestReport {
    pub(super) fn add(&mut self, policy: &str, result: CaseResult) {
        self.0.push((policy.to_owned(), result));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn failed(&self) -> usize {
        self.0
            .iter()
            .filter(|(_, result)| !result.is_good())
            .count()
    }

    pub(super) fn summary(&self, elapsed: Duration) -> String {
        let updated = self
            .0
            .iter()
            .filter(|(_, result)| result.is_updated)
            .count();
        let updated = if updated > 0 {
            format!(", {updated} of them new")
        } else {
            String::new()
        };
        let (good, failed) = (self.len() - self.failed(), self.failed());
        let cases = out::counted(self.len(), "case", "cases");
        format!(
            "{cases}: {good} as expected{updated}, {failed} failed, in {} ms",
            elapsed.as_millis()
        )
    }

    /// The results in JUnit format, with a suite for each policy.
    pub(super) fn junit(&self) -> anyhow::Result<String> {
        let mut report = quick_junit::Report::new("keyrelay");
        let mut names: Vec<&str> = self.0.iter().map(|(policy, _)| policy.as_str()).collect();
        names.dedup();
        for name in names {
            let mut suite = TestSuite::new(name);
            for (_, result) in self.0.iter().filter(|(policy, _)| policy == name) {
                let mut status = TestCaseStatus::success();
                if !result.is_good() {
                    status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_description(result.difference.join("\n"));
                }
                let mut case = TestCase::new(&result.case, status);
                case.set_classname(name)
                    .set_time(result.elapsed)
                    .set_system_out(result.log.join("\n"));
                suite.add_test_case(case);
            }
            report.add_test_suite(suite);
        }
        Ok(report.to_string()?)
    }
}
