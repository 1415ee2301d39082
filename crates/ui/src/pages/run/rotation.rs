//! The part of a run that is about one app.

use keyrelay_records::{Outcome, RotationRecord};
use maud::{Markup, html};

use super::requests::{self, Portal};
use crate::links::Links;
use crate::page::{app_link, difference, duration, lines, verdict_badge};

pub(super) fn article(links: &Links, rotation: &RotationRecord, portal: Option<&Portal>) -> Markup {
    let app = &rotation.app;
    let caption = format!("Requests for {}", keyrelay_records::filters::app_name(app));
    html! {
        article.rotation {
            h3 { (app_link(links, app)) " " (verdict_badge(&rotation.outcome.headline())) }
            p.message { (in_words(&rotation.outcome)) }
            @if let Some(before) = &rotation.before {
                p.notice.dim {
                    "Before: " (verdict_badge(&before.outcome.headline())) " " (before.outcome.message)
                    " Run " a href=(links.run(&before.settled_by)) { (before.settled_by) } " continued it."
                }
            }
            dl {
                @if let Some(decision) = &rotation.decision {
                    div { dt { "Decision" } dd { (decision) } }
                }
                div { dt { "Evidence" } dd {
                    @match rotation.outcome.evidence {
                        Some(evidence) => (evidence.as_str()),
                        None => "none",
                    }
                } }
                div { dt { "Took" } dd { (duration(rotation.duration_ms)) } }
            }
            @if !rotation.plan.is_empty() { h4 { "Plan" } (difference(&rotation.plan)) }
            @if !rotation.notes.is_empty() {
                h4 { "Remarks" }
                ul { @for note in &rotation.notes { li { (note) } } }
            }
            @if !rotation.policy_log.is_empty() {
                h4 { "Output of the policy" }
                (lines(rotation.policy_log.iter().map(String::as_str)))
            }
            @if !rotation.requests.is_empty() {
                details {
                    summary { (rotation.requests.len()) " requests" }
                    (requests::table(&caption, &rotation.requests, portal))
                }
            }
        }
    }
}

fn in_words(outcome: &Outcome) -> Markup {
    html! {
        (outcome.message)
        @if outcome.verdict.asks_for_redelivery() { " The event was to be delivered again." }
    }
}
