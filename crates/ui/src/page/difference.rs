//! A plan as a difference: what a line of it removes, and what it adds.

use maud::{Markup, html};

/// The words of a value that is not there, and of one that is not shown.
const ABSENT: &str = "(absent)";

/// The change of one setting, as a line of a record has it.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    setting: &'a str,
    before: &'a str,
    after: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (setting, change) = line.split_once(": ")?;
        let (before, after) = change.split_once(" -> ")?;
        Some(Self {
            setting,
            before,
            after,
        })
    }
}

/// The lines of a plan as a difference.
pub(crate) fn difference(plan: &[String]) -> Markup {
    html! {
        ul.difference {
            @for line in plan {
                li {
                    @match Line::parse(line) {
                        None => code.break { (line) },
                        Some(Line { setting, before, after }) => {
                            strong { (setting) }
                            @if before != ABSENT { del { span.sign aria-hidden="true" { "− " } code.break { (before) } } }
                            @if after != ABSENT { ins { span.sign aria-hidden="true" { "+ " } code.break { (after) } } }
                            @else { small { "removed" } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_plan_has_a_setting_and_two_values() {
        let line = "SQL: @Microsoft.KeyVault(SecretUri=https://kv/secrets/a) -> (plain text)";
        let expected = Line {
            setting: "SQL",
            before: "@Microsoft.KeyVault(SecretUri=https://kv/secrets/a)",
            after: "(plain text)",
        };
        assert_eq!(Line::parse(line), Some(expected));
        assert_eq!(Line::parse("nothing"), None);
    }

    #[test]
    fn a_removed_setting_is_only_taken_away() {
        let shown = difference(&["OLD: (plain text) -> (absent)".to_owned()]).into_string();
        assert!(
            shown.contains("<del>") && !shown.contains("<ins>"),
            "{shown}"
        );
        let shown = difference(&["<b>: (absent) -> x".to_owned()]).into_string();
        assert!(
            !shown.contains("<del>") && shown.contains("&lt;b&gt;"),
            "{shown}"
        );
    }
}
