//! A plan as a difference: what each change removes, and what it adds.

use keyrelay_model::PlannedChange;
use maud::{Markup, html};

/// The changes of a plan as a difference.
pub(crate) fn difference(plan: &[PlannedChange]) -> Markup {
    html! {
        ul.difference {
            @for change in plan {
                li {
                    strong { (change.setting) }
                    @if let Some(before) = &change.before { del { span.sign aria-hidden="true" { "− " } code.break { (before) } } }
                    @if let Some(after) = &change.after { ins { span.sign aria-hidden="true" { "+ " } code.break { (after) } } }
                    @else if change.before.is_some() { small { "removed" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(setting: &str, before: Option<&str>, after: Option<&str>) -> String {
        let change = PlannedChange {
            setting: setting.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        difference(&[change]).into_string()
    }

    #[test]
    fn a_change_removes_what_was_there_and_adds_what_is_there_afterwards() {
        let removed = shown("OLD", Some("(plain text)"), None);
        assert!(
            removed.contains("<del>") && !removed.contains("<ins>"),
            "{removed}"
        );
        let new = shown("<b>", None, Some("x"));
        assert!(!new.contains("<del>") && new.contains("&lt;b&gt;"), "{new}");
        let other = shown("SQL", Some("a"), Some("b"));
        assert!(
            other.contains("<del>") && other.contains("<ins>"),
            "{other}"
        );
    }
}
