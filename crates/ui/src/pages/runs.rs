//! The runs: the newest first, with filters, and live.

use axum::Extension;
use axum::extract::RawQuery;
use axum::response::Response;
use keyrelay_model::Verdict;
use keyrelay_records::Cause;
use maud::{Markup, html};

use super::run_list;
use crate::act::Act;
use crate::failure::PageFailure;
use crate::form;
use crate::page::{Page, Section, empty, time_or};
use crate::query::{Pairs, RunsQuery};
use crate::search::{Bounds, FoundRuns};
use crate::visit::Visit;

/// The number of runs on a page.
const RUNS: usize = 50;

pub(crate) async fn show(
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageFailure> {
    let query = RunsQuery::parse(&Pairs::parse(&query.unwrap_or_default()));
    let (filter, since, errors) = query.filter(visit.sources.now());
    let bounds = Bounds {
        since,
        before: query.before.clone(),
        limit: RUNS,
    };
    let found = visit.sources.find_runs(&filter, &bounds).await?;
    let content = html! {
        (filters(&visit, &query))
        (form::errors(&errors))
        (tail(&visit, &query))
        (list(&visit, &query, &found))
        @if let Some(since) = since.filter(|_| visit.form_token.is_some()) {
            p { a.button href=(Act::ResubmitFailed { since }.link(&visit.links)) { "Resubmit all that failed since then …" } }
        }
    };
    let page = Page::new("Runs", Section::Runs, content).live(query.is_live);
    Ok(page.respond(&visit))
}

fn filters(visit: &Visit, query: &RunsQuery) -> Markup {
    html! {
        form.filters method="get" action=(visit.links.runs("")) role="search" aria-label="Runs" {
            (form::choices("verdict", "Verdict", &query.verdicts, &Verdict::WORDS))
            (form::text("secret", "Secret", &query.secret, "sql-*"))
            (form::text("vault", "Vault", &query.vault, "contoso-kv"))
            (form::text("app", "App", &query.app, "orders/staging"))
            (form::choice("cause", "Cause", &query.cause, "any", &Cause::WORDS))
            (form::text("since", "Since", &query.since, "90m, 2h, 3d, 2026-11-01"))
            button type="submit" { "Show" }
            a href=(visit.links.runs("")) { "All" }
        }
    }
}

/// The switch of the live tail.
fn tail(visit: &Visit, query: &RunsQuery) -> Markup {
    let mut other = query.before(None);
    other.is_live = !query.is_live;
    let link = visit.links.runs(&other.to_query());
    html! {
        p {
            @if query.is_live {
                span.badge.good { "live" } " New runs appear as they end. "
                a href=(link) { "Stop" }
            } @else {
                a href=(link) { "Follow new runs" }
            }
        }
    }
}

fn list(visit: &Visit, query: &RunsQuery, found: &FoundRuns) -> Markup {
    let links = &visit.links;
    let again = links.runs(&query.to_query());
    let is_live = query.is_live;
    let older = found.next.as_ref();
    let older = older.map(|id| (id, links.runs(&query.before(Some(id)).to_query())));
    html! {
        div #runs
            hx-get=[is_live.then_some(&again)]
            hx-trigger=[is_live.then_some("every 2s")]
            hx-select=[is_live.then_some("#runs")]
            hx-swap=[is_live.then_some("outerMorph")]
        {
            @if found.runs.is_empty() {
                (empty("No run matches."))
            } @else {
                (run_list::table(links, "Runs, the newest first", &found.runs, visit.sources.now()))
            }
            @if let Some((id, link)) = older {
                @if found.is_partial {
                    p.notice.dim { "The search has got to " (time_or(id.began())) ", and goes on from there." }
                }
                nav.pager aria-label="Parts of the list" {
                    @if query.before.is_some() { a href=(links.runs(&query.before(None).to_query())) { "Newest" } }
                    a href=(link) rel="next" { "Older" }
                }
            } @else if query.before.is_some() {
                nav.pager aria-label="Parts of the list" {
                    a href=(links.runs(&query.before(None).to_query())) { "Newest" }
                }
            }
        }
    }
}
