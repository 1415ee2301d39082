//! The checks of the installation: what they have found, worst first, with its fix.

use axum::Extension;
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};

use crate::checks::{Checked, Checks, FindingLevel, InstallationFinding};
use crate::links::Links;
use crate::page::{Page, Section, ago, badge, empty, table, time};
use crate::visit::Visit;

/// The largest number of findings on the overview.
const LINES: usize = 5;

pub(crate) async fn show(Extension(visit): Extension<Visit>) -> Response {
    let content = match visit.sources.checks().map(Checks::last) {
        None => empty("Nothing is checked here: `keyrelay ui --doctor` has the checks."),
        Some(None) => empty("The installation is being checked: this takes up to two minutes."),
        Some(Some(checked)) => findings(&checked, visit.sources.now()),
    };
    Page::new("Health", Section::Overview, content).respond(&visit)
}

fn findings(checked: &Checked, now: Timestamp) -> Markup {
    let rows = html! {
        @for it in checked.findings.iter() {
            tr {
                td { (level_badge(it.level)) }
                td { (it.what) }
                td.remark { (it.message) }
                td.remark { @if let Some(fix) = &it.fix { (fix) } }
            }
        }
    };
    html! {
        p { (counts(checked)) ", as " code { "keyrelay doctor" } " found at " (time(checked.at)) ", " (ago(checked.at, now)) "." }
        (table("Findings, worst first", &["Level", "Check", "Found", "Fix"], rows))
    }
}

/// The summary for the overview: the counts, and the worst findings.
pub(super) fn summary(links: &Links, checks: Option<&Checks>, now: Timestamp) -> Markup {
    let Some(checks) = checks else {
        return html! {
            p.dim { "From the store alone. " code { "keyrelay ui --doctor" } " looks at Azure as well." }
        };
    };
    let Some(checked) = checks.last() else {
        return html! { p { "The installation is being checked." } };
    };
    let is_bad = |it: &&InstallationFinding| it.level != FindingLevel::Good;
    html! {
        p {
            a href=(links.health()) { (counts(&checked)) }
            ", as " code { "keyrelay doctor" } " found " (ago(checked.at, now)) "."
        }
        ul {
            @for it in checked.findings.iter().filter(is_bad).take(LINES) {
                li { (level_badge(it.level)) " " (it.what) ": " (it.message) }
            }
        }
    }
}

fn counts(checked: &Checked) -> String {
    let count = |level| checked.count(level);
    format!(
        "{} failed, {} warnings, {} ok",
        count(FindingLevel::Failed),
        count(FindingLevel::Warning),
        count(FindingLevel::Good)
    )
}

fn level_badge(level: FindingLevel) -> Markup {
    match level {
        FindingLevel::Failed => badge("bad", "failed"),
        FindingLevel::Warning => badge("warn", "warning"),
        FindingLevel::Good => badge("good", "ok"),
    }
}
