//! The fleet as one page that needs no other file, to hand over.

use jiff::Timestamp;
use keyrelay_records::filters::app_name;
use keyrelay_records::fleet::{Fleet, State, Use};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::assets::STYLE;
use crate::page::{self, class_of, short, time};
use crate::pages::use_list;

/// The fleet as one page of HTML, worst first. It has no link, no script, and nothing from elsewhere.
pub fn fleet_document(fleet: &Fleet, now: Timestamp) -> String {
    let style = String::from_utf8_lossy(STYLE.bytes);
    let columns = [
        "State", "App", "Secret", "Setting", "Version", "Evidence", "Expires", "Remark",
    ];
    let rows = html! { @for it in &fleet.uses { (row(it, now)) } };
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "keyrelay: secrets and the apps that use them" }
                style { (PreEscaped(style)) }
            }
            body {
                main {
                    h1 { "Secrets and the apps that use them" }
                    p { "As keyrelay knew them at " (time(now)) " (UTC)." }
                    (counts(fleet))
                    (page::table("Uses of secrets, worst first", &columns, rows))
                }
            }
        }
    };
    document.into_string()
}

fn counts(fleet: &Fleet) -> Markup {
    html! {
        ul.counts {
            @for state in State::ALL {
                li.(class_of(state)) { strong { (fleet.count(state)) } " " (state.as_str()) }
            }
        }
    }
}

fn row(it: &Use, now: Timestamp) -> Markup {
    let vault = it.vault.split('.').next().unwrap_or_default();
    let expires = it.newest.as_ref().and_then(|newest| newest.expires);
    html! {
        tr {
            td { (use_list::state(it, now)) }
            td title=(it.app) { (app_name(&it.app)) }
            td title=(it.vault) { (vault) "/" (it.secret) }
            td { (use_list::setting(it)) }
            td {
                @match &it.current { Some(current) => (short(&current.version)), None => "–" }
                @if it.reference.version.is_some() { br; small { "pinned" } }
            }
            td { (use_list::evidence(it)) }
            td { @if let Some(expires) = expires { (time(expires)) } @else { "–" } }
            td.remark { (it.reason) }
        }
    }
}
