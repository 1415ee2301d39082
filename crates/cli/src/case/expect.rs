//! What should come out, and what did.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::ask::Outcome;

/// `[expect]`, with only what the decision has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    decision: Word,
    /// The exact text of a notice, a skip or an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Why the check refuses the patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remove: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Patch,
    Refresh,
    Notice,
    Skip,
    Error,
}

impl Expect {
    /// What came out, in the words of a case. The plain text in it is what the case itself holds.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let empty = Self {
            decision: Word::Patch,
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
            Outcome::Patch(plan) => {
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
            Outcome::Refused(reason) => Self {
                refused: Some(reason.clone()),
                ..empty
            },
            Outcome::Refresh => Self {
                decision: Word::Refresh,
                ..empty
            },
            Outcome::Notice(text) => with(Word::Notice, text),
            Outcome::Skip(reason) => with(Word::Skip, reason),
            Outcome::Error(reason) => with(Word::Error, reason),
        }
    }

    /// Whether the parts fit together: an expectation that can never come true is a mistake.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let has_plan = !self.set.is_empty() || !self.remove.is_empty();
        match self.decision {
            Word::Patch if self.message.is_some() => bail!("expect: a patch has no `message`"),
            Word::Patch if has_plan && self.refused.is_some() => {
                bail!("expect: a patch that is refused sets and removes nothing")
            }
            Word::Patch => Ok(()),
            _ if has_plan || self.refused.is_some() => {
                bail!("expect: only a patch has `set`, `remove` or `refused`")
            }
            Word::Refresh if self.message.is_some() => bail!("expect: a refresh has no `message`"),
            Word::Notice | Word::Skip | Word::Error if self.message.is_none() => {
                bail!(
                    "expect: `message` is missing: the exact text, or let `keyrelay test --update` write it"
                )
            }
            _ => Ok(()),
        }
    }

    /// The lines of it, as they are in a case.
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

/// The lines of both: what was expected and did not come with `-`, what came unexpectedly with `+`.
pub(crate) fn difference(expected: Option<&Expect>, came: &Expect) -> Vec<String> {
    let expected = expected.map(Expect::lines).unwrap_or_default();
    let came = came.lines();
    let missing = expected
        .iter()
        .filter(|line| !came.contains(line))
        .map(|line| format!("- {line}"));
    let both = came.iter().map(|line| {
        if expected.contains(line) {
            format!("  {line}")
        } else {
            format!("+ {line}")
        }
    });
    missing.chain(both).collect()
}

/// The text of a case with another expectation. Everything before `[expect]` stays as it is.
pub(crate) fn replaced(text: &str, came: &Expect) -> String {
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
        came.lines()
            .join("\n")
            .replace("\n[expect.set]", "\n\n[expect.set]")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(message: &str) -> Expect {
        Expect::of(&Outcome::Skip(message.to_owned()))
    }

    #[test]
    fn what_came_out_is_written_in_the_place_of_what_was_expected() {
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
