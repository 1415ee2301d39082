//! The fleet: every use of every secret, worst first.

use axum::Extension;
use axum::extract::RawQuery;
use axum::response::Response;
use keyrelay_records::fleet::{Fleet, State, Use};
use maud::{Markup, html};

use super::use_list::{self, Named};
use crate::failure::PageFailure;
use crate::form;
use crate::page::{Page, Pager, Section, class_of, empty, notice, pager};
use crate::query::{FleetQuery, Pairs};
use crate::visit::Visit;

/// The number of uses on a page.
const USES: usize = 100;

pub(crate) async fn show(
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageFailure> {
    let query = FleetQuery::parse(&Pairs::parse(&query.unwrap_or_default()));
    let fleet = visit.sources.fleet().await?;
    Ok(Page::new("Fleet", Section::Fleet, content(&visit, &query, &fleet)).respond(&visit))
}

fn content(visit: &Visit, query: &FleetQuery, fleet: &Fleet) -> Markup {
    let (filter, errors) = query.filter();
    let search = query.search.to_lowercase();
    let matches = |it: &&Use| filter.matches(it) && (search.is_empty() || has(it, &search));
    let uses: Vec<&Use> = fleet.uses.iter().filter(matches).collect();
    let page = Pager::new(query.page, uses.len(), USES);
    let caption = match uses.len() {
        0 => String::new(),
        all => format!(
            "Uses {} to {} of {all}, worst first",
            page.begin + 1,
            page.end
        ),
    };
    html! {
        (remarks(fleet))
        (counts(visit, fleet))
        (filters(visit, query))
        (form::errors(&errors))
        @if uses.is_empty() {
            (empty("No use of a secret matches."))
        } @else {
            (use_list::table(&visit.links, &caption, Named::Both, page.of(&uses), visit.sources.now()))
        }
        (pager(page, |page| visit.links.fleet(&query.of_page(page))))
    }
}

/// Remarks on what is missing in the fleet.
pub(crate) fn remarks(fleet: &Fleet) -> Markup {
    html! {
        @if fleet.swept.is_none() {
            (notice("warn", "No sweep of all apps has come to its end yet: some may be missing. The reconcile timer makes one."))
        }
        @for reason in &fleet.unreadable {
            (notice("bad", html! { "A part of the index cannot be read: " (reason) }))
        }
    }
}

/// The counts of the states, each with a link to its uses.
pub(crate) fn counts(visit: &Visit, fleet: &Fleet) -> Markup {
    let link = |state: State| {
        let query = FleetQuery {
            states: vec![state.as_str().to_owned()],
            ..FleetQuery::default()
        };
        visit.links.fleet(&query.of_page(1))
    };
    html! {
        ul.counts {
            @for state in State::ALL {
                li.(class_of(state)) {
                    a href=(link(state)) { strong { (fleet.count(state)) } " " (state.as_str()) }
                }
            }
        }
    }
}

fn filters(visit: &Visit, query: &FleetQuery) -> Markup {
    let states = State::ALL.map(State::as_str);
    html! {
        form.filters method="get" action=(visit.links.fleet("")) role="search" aria-label="Uses of secrets" {
            (form::choices("state", "State", &query.states, &states))
            (form::text("secret", "Secret", &query.secret, "sql-*"))
            (form::text("vault", "Vault", &query.vault, "contoso-kv"))
            (form::text("app", "App", &query.app, "orders/staging"))
            (form::text("q", "Part of any name", &query.search, ""))
            button type="submit" { "Show" }
            a href=(visit.links.fleet("")) { "All" }
        }
    }
}

/// Whether any name of a use has this part, which is in lower case.
fn has(it: &Use, part: &str) -> bool {
    let app = it.app.to_string();
    [&it.vault, &it.secret, &it.reference.setting, &app]
        .iter()
        .any(|name| name.to_lowercase().contains(part))
}
