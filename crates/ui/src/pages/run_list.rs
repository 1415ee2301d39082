//! Runs as a table, which several pages have.

use jiff::Timestamp;
use keyrelay_records::summary::{EventSummary, Summary};
use maud::{Markup, html};

use crate::links::Links;
use crate::page::{self, ago, app_link, duration, secret_link, time_or, verdict_badge};

/// The table of runs.
pub(crate) fn table(links: &Links, caption: &str, runs: &[Summary], now: Timestamp) -> Markup {
    page::table(
        caption,
        &[
            "Began", "Verdict", "Event", "Apps", "Cause", "Took", "Message",
        ],
        html! { @for run in runs { (row(links, run, now)) } },
    )
}

fn row(links: &Links, run: &Summary, now: Timestamp) -> Markup {
    let began = run.id.began();
    html! {
        tr {
            td {
                a href=(links.run(&run.id)) { (time_or(began)) }
                @if let Some(began) = began { br; small { (ago(began, now)) } }
            }
            td { (verdict_badge(&run.headline)) }
            td {
                @match &run.event {
                    Some(event) => {
                        (occurrence(event)) br;
                        (secret_link(links, &event.vault_host, &event.name))
                    }
                    None => "none",
                }
            }
            td {
                @match run.rotations.as_slice() {
                    [] => "–",
                    [(app, _)] => (app_link(links, app)),
                    many => (many.len()),
                }
            }
            td { (run.cause.as_str()) }
            td.number { (duration(run.duration_ms)) }
            td.remark { (run.message) }
        }
    }
}

/// The occurrence of an event, in words, with the kind of an object that is no secret.
fn occurrence(event: &EventSummary) -> String {
    let words = event.in_words();
    let object = words.rsplit_once(' ').map(|(occurrence, _)| occurrence);
    object.unwrap_or(&words).to_owned()
}
