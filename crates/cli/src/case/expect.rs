//! The expected and the actual outcome of a case.

use std::collections::BTreeMap;

use anyhow::bail;
use keyrelay_sandbox::EvaluationOutcome;
use serde::{Deserialize, Serialize};

/// The table `[expect]`, with the keys that its decision has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    decision: ExpectedDecision,
    /// The exact text of a notice, a skip or an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The reason for which the check refuses the patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remove: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ExpectedDecision {
    Patch,
    Refresh,
    Notice,
    Skip,
    Error,
}

impl Expect {
    /// The expectation that an outcome meets. Plain text in it comes from the case itself.
    pub(crate) fn of(outcome: &EvaluationOutcome) -> Self {
        let empty = Self {
            decision: ExpectedDecision::Patch,
            message: None,
            refused: None,
            remove: Vec::new(),
            set: BTreeMap::new(),
        };
        let with = |decision, message: &str| Self {
            decision,
            message: Some(message.to_owned()),
            ..empty.clone()
        };
        match outcome {
            EvaluationOutcome::Patch(plan) => {
                let mut expect = empty.clone();
                for (name, change) in plan.changes() {
                    match &change.after {
                        Some(value) => {
                            expect
                                .set
                                .insert(name.to_string(), value.expose().to_owned());
                        }
                        None => expect.remove.push(name.to_string()),
                    }
                }
                expect
            }
            EvaluationOutcome::Refused(reason) => Self {
                refused: Some(reason.clone()),
                ..empty
            },
            EvaluationOutcome::Refresh => Self {
                decision: ExpectedDecision::Refresh,
                ..empty
            },
            EvaluationOutcome::Notice(text) => with(ExpectedDecision::Notice, text),
            EvaluationOutcome::Skip(reason) => with(ExpectedDecision::Skip, reason),
            EvaluationOutcome::Error(reason) => with(ExpectedDecision::Error, reason),
        }
    }

    /// Checks that the keys are consistent: an expectation that no outcome can meet is an error.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let has_plan = !self.set.is_empty() || !self.remove.is_empty();
        match self.decision {
            ExpectedDecision::Patch if self.message.is_some() => {
                bail!("expect: a patch has no `message`")
            }
            ExpectedDecision::Patch if has_plan && self.refused.is_some() => {
                bail!("expect: a patch that is refused sets and removes nothing")
            }
            ExpectedDecision::Patch => Ok(()),
            _ if has_plan || self.refused.is_some() => {
                bail!("expect: only a patch has `set`, `remove` or `refused`")
            }
            ExpectedDecision::Refresh if self.message.is_some() => {
                bail!("expect: a refresh has no `message`")
            }
            ExpectedDecision::Notice | ExpectedDecision::Skip | ExpectedDecision::Error
                if self.message.is_none() =>
            {
                bail!(
                    "expect: `message` is missing: the exact text, or let `keyrelay test --update` write it"
                )
            }
            _ => Ok(()),
        }
    }

    /// The lines of the expectation, as a case has them.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = toml::to_string(&Wrapped { expect: self }).unwrap_or_default();
        text.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

#[derive(Serialize)]
struct Wrapped<'a> {
    expect: &'a Expect,
}

/// The difference between two expectations: missing lines start with `-`, unexpected ones with `+`.
pub(crate) fn difference(expected: Option<&Expect>, actual: &Expect) -> Vec<String> {
    let expected = expected.map(Expect::lines).unwrap_or_default();
    let actual = actual.lines();
    let missing = expected
        .iter()
        .filter(|line| !actual.contains(line))
        .map(|line| format!("- {line}"));
    let both = actual.iter().map(|line| {
        if expected.contains(line) {
            format!("  {line}")
        } else {
            format!("+ {line}")
        }
    });
    missing.chain(both).collect()
}

/// The text of a case with another expectation. Everything before `[expect]` is kept.
pub(crate) fn replaced(text: &str, actual: &Expect) -> String {
    let is_expect = |line: &str| {
        let line = line.trim_start();
        line.starts_with("[expect]") || line.starts_with("[expect.")
    };
    let mut kept = Vec::new();
    let mut skipping = false;
    for line in text.lines() {
        if line.trim_start().starts_with('[') {
            skipping = is_expect(line);
        }
        if !skipping {
            kept.push(line);
        }
    }
    while kept.last().is_some_and(|line| line.trim().is_empty()) {
        kept.pop();
    }
    format!(
        "{}\n\n{}\n",
        kept.join("\n"),
        actual
            .lines()
            .join("\n")
            .replace("\n[expect.set]", "\n\n[expect.set]")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(message: &str) -> Expect {
        Expect::of(&EvaluationOutcome::Skip(message.to_owned()))
    }

    #[test]
    fn the_actual_outcome_replaces_the_expected_one() {
        let text = "# About.\n[event]\nsecret = \"sql\"\n\n[expect]\ndecision = \"refresh\"\n\n[expect.set]\nA = \"1\"\n";
        let updated = replaced(text, &skip("why"));
        let expected = "# About.\n[event]\nsecret = \"sql\"\n\n[expect]\ndecision = \"skip\"\nmessage = \"why\"\n";
        assert_eq!(updated, expected);
        assert_eq!(replaced(&updated, &skip("why")), updated);
    }

    #[test]
    fn a_difference_shows_what_is_missing_and_what_is_new() {
        let lines = difference(Some(&skip("one")), &skip("two"));
        let expected = [
            "- message = \"one\"",
            "  [expect]",
            "  decision = \"skip\"",
            "+ message = \"two\"",
        ];
        assert_eq!(lines, expected);
    }
}
