//! The overview: the page that an operator opens first.

mod work;

use std::collections::BTreeSet;

use axum::Extension;
use axum::response::Response;
use jiff::Timestamp;
use keyrelay_records::fleet::{Fleet, State, Use};
use keyrelay_records::holds::{Hold, Holds};
use maud::{Markup, html};

use super::fleet::{counts, remarks};
use super::health;
use super::run_list;
use super::use_list::{self, Named};
use crate::act::Act;
use crate::failure::PageFailure;
use crate::page::{Page, Section, ago, empty, notice, secret_link, time, verdict_badge};
use crate::query::RunsQuery;
use crate::recent::Recent;
use crate::setup::Setup;
use crate::visit::Visit;

/// The largest number of lines in each list.
const LINES: usize = 10;

pub(crate) async fn show(Extension(visit): Extension<Visit>) -> Result<Response, PageFailure> {
    let (pending, holds) = (
        visit.sources.pending(),
        Holds::new(visit.sources.store.clone()),
    );
    let (fleet, snapshot, pending, holds, setup) = tokio::join!(
        visit.sources.fleet(),
        visit.sources.snapshot(),
        pending.list(),
        holds.list(),
        visit.sources.setup(),
    );
    let (fleet, snapshot, pending) = (fleet?, snapshot?, pending?);
    let recent = &snapshot.recent;
    let now = visit.sources.now();
    let content = html! {
        (remarks(&fleet))
        (counts(&visit, &fleet))
        (failures(&visit, &fleet, recent, now))
        (held(&visit, holds?))
        h2 { "The last day" }
        (last_day(&visit, recent, now))
        h2 { "Expires next" }
        (expiring(&visit, &fleet, now))
        h2 { "Open work" }
        (work::open(&pending, now))
        h2 { "Health" }
        (work::health(&fleet, &snapshot, &pending, now))
        (health::summary(&visit.links, visit.sources.checks(), now))
        h2 { "Policies" }
        (policies(&visit, &setup))
    };
    Ok(Page::new("Overview", Section::Overview, content).respond(&visit))
}

fn failures(visit: &Visit, fleet: &Fleet, recent: &Recent, now: Timestamp) -> Markup {
    let is_bad = |it: &&Use| matches!(it.state, State::Broken | State::Behind);
    let bad: Vec<&Use> = fleet.uses.iter().filter(is_bad).take(LINES).collect();
    let shown = recent.failed.get(..LINES).unwrap_or(&recent.failed);
    // A run is resubmitted if it began at this time or later.
    let oldest = recent.failed.iter().filter_map(|run| run.id.began()).min();
    html! {
        h2 { "Needs attention" }
        @if bad.is_empty() && shown.is_empty() {
            (notice("good", "Nothing is broken or behind, and no failed run is left."))
        }
        @if !bad.is_empty() {
            (use_list::table(&visit.links, "The worst uses", Named::Both, &bad, now))
        }
        @if !shown.is_empty() {
            (run_list::table(&visit.links, "Failed runs of the last 7 days that no later run has repaired", shown, now))
            @if recent.failed.len() > shown.len() { p { (recent.failed.len() - shown.len()) " more." } }
            @if let Some(since) = oldest.filter(|_| visit.form_token.is_some()) {
                p { a.button href=(Act::ResubmitFailed { since }.link(&visit.links)) { "Resubmit them …" } }
            }
        }
    }
}

fn held(visit: &Visit, holds: Vec<Hold>) -> Markup {
    html! {
        @if !holds.is_empty() {
            h2 { "Held secrets" }
            ul {
                @for hold in holds {
                    li {
                        (secret_link(&visit.links, &hold.vault_host, &hold.secret))
                        " by " (hold.by) " since " (time(hold.at)) ": " (hold.why)
                    }
                }
            }
        }
    }
}

fn last_day(visit: &Visit, recent: &Recent, now: Timestamp) -> Markup {
    let link = |verdict: &str| {
        let query = RunsQuery {
            verdicts: vec![verdict.to_owned()],
            since: "1d".to_owned(),
            ..RunsQuery::default()
        };
        visit.links.runs(&query.to_query())
    };
    html! {
        @if recent.verdicts.is_empty() {
            (empty("No run."))
        } @else {
            ul.counts {
                @for (verdict, count) in &recent.verdicts {
                    li { a href=(link(verdict)) { strong { (count) } " " (verdict_badge(verdict)) } }
                }
            }
        }
        @if !recent.changed.is_empty() {
            (run_list::table(&visit.links, "The newest changes of apps", &recent.changed, now))
        }
    }
}

/// The secrets whose newest version has an expiry, the next one first.
fn expiring(visit: &Visit, fleet: &Fleet, now: Timestamp) -> Markup {
    let expiry = |it: &Use| {
        let expires = it.newest.as_ref()?.expires?;
        Some((expires, it.vault.clone(), it.secret.clone()))
    };
    let expiring: BTreeSet<_> = fleet.uses.iter().filter_map(expiry).collect();
    html! {
        @if expiring.is_empty() {
            (empty("No secret that an app uses has an expiry, as far as events and the vaults have shown."))
        } @else {
            ul {
                @for (expires, vault, secret) in expiring.iter().take(LINES) {
                    li { (secret_link(&visit.links, vault, secret)) ": " (time(*expires)) ", " (ago(*expires, now)) }
                }
            }
            @if expiring.len() > LINES { p { (expiring.len() - LINES) " more." } }
        }
    }
}

fn policies(visit: &Visit, setup: &Setup) -> Markup {
    let quarantined = setup.files().iter();
    let quarantined = quarantined.filter_map(|file| Some((file, file.quarantined()?)));
    let quarantined: Vec<_> = quarantined.collect();
    html! {
        @if let Err(problems) = &setup.config {
            (notice("bad", "keyrelay.toml cannot be read."))
            ul { @for problem in problems { li { (problem) } } }
        }
        @if let Err(reason) = &setup.lock { (notice("bad", reason)) }
        @match &setup.policies {
            Err(reason) => (notice("bad", reason)),
            Ok(files) => p {
                a href=(visit.links.policies()) { (files.len()) " policies" } ", " (quarantined.len()) " quarantined."
            },
        }
        @if !quarantined.is_empty() {
            ul {
                @for (file, reason) in quarantined {
                    li { a href=(visit.links.policy(&file.name)) { (file.name) } ": " (reason) }
                }
            }
        }
    }
}
