//! Uses of secrets as a table, which several pages have.

use jiff::Timestamp;
use keyrelay_records::RunId;
use keyrelay_records::fleet::Use;
use maud::{Markup, html};

use crate::links::Links;
use crate::page::{self, ago, app_link, secret_link, short, state_badge, time};

/// The columns that name a use. A page leaves out what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// The app and the secret.
    Both,
    /// The app.
    App,
    /// The secret.
    Secret,
}

/// The table of uses.
pub(crate) fn table(
    links: &Links,
    caption: &str,
    named: Named,
    uses: &[&Use],
    now: Timestamp,
) -> Markup {
    let mut columns = vec![
        "State", "App", "Secret", "Setting", "Version", "Evidence", "Remark",
    ];
    columns.retain(|column| match named {
        Named::Both => true,
        Named::App => *column != "Secret",
        Named::Secret => *column != "App",
    });
    let rows = html! { @for it in uses { (row(links, named, it, now)) } };
    page::table(caption, &columns, rows)
}

/// The state of a use, and since when it is behind.
pub(crate) fn state(it: &Use, now: Timestamp) -> Markup {
    html! {
        (state_badge(it.state))
        @if let Some(since) = it.behind_since { br; small { (ago(since, now)) } }
    }
}

/// The setting that has the reference.
pub(crate) fn setting(it: &Use) -> Markup {
    html! {
        code.break { (it.reference.setting) }
        @if it.reference.is_connection_string { br; small { "connection string" } }
    }
}

/// The evidence for the version that the app has, and its time.
pub(crate) fn evidence(it: &Use) -> Markup {
    html! {
        @if let Some(current) = &it.current {
            (current.evidence.as_deref().unwrap_or("taken by Azure itself"))
            br;
            small { (time(current.at)) }
        } @else { "–" }
    }
}

/// The reason for a state. The run that it names is a link.
fn reason(links: &Links, reason: &str) -> Markup {
    let run = reason.strip_prefix("run ").and_then(|rest| {
        let (id, message) = rest.split_once(": ")?;
        Some((id.parse::<RunId>().ok()?, message))
    });
    html! {
        @match run {
            Some((id, message)) => { a href=(links.run(&id)) { "run " (id) } ": " (message) }
            None => (reason),
        }
    }
}

fn row(links: &Links, named: Named, it: &Use, now: Timestamp) -> Markup {
    let reference = &it.reference;
    let expires = it.newest.as_ref().and_then(|newest| newest.expires);
    html! {
        tr {
            td { (state(it, now)) }
            @if named != Named::Secret { td { (app_link(links, &it.app)) } }
            @if named != Named::App { td { (secret_link(links, &it.vault, &it.secret)) } }
            td { (setting(it)) }
            td {
                @match &it.current { Some(current) => (short(&current.version)), None => "–" }
                br;
                @if let Some(expires) = expires {
                    small { "expires " (ago(expires, now)) }
                    br;
                }
                small {
                    @match &reference.version {
                        Some(version) => { "pinned to " (short(version)) }
                        None => "follows the newest",
                    }
                }
            }
            td { (evidence(it)) }
            td.remark { (reason(links, &it.reason)) }
        }
    }
}
