//! An app: its uses of secrets, its pending work, and its last runs.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use keyrelay_model::AppId;
use keyrelay_records::filters::{AppName, RunFilter, app_name};
use keyrelay_records::fleet::Use;
use keyrelay_records::pending::WorkEntry;
use maud::{Markup, html};

use super::run_list;
use super::use_list::{self, Named};
use crate::act::Act;
use crate::failure::PageFailure;
use crate::page::{Page, Section, ago, empty, field, secret_link, time};
use crate::query::RunsQuery;
use crate::search::Bounds;
use crate::visit::Visit;

/// The number of runs that are listed.
const RUNS: usize = 20;

/// The largest number of uses that are listed. An app has some hundred settings.
const USES: usize = 500;

pub(crate) async fn show(
    Extension(visit): Extension<Visit>,
    Path((subscription, group, site)): Path<(String, String, String)>,
) -> Result<Response, PageFailure> {
    let id = site_id(&subscription, &group, &site);
    page(&visit, &id).await
}

pub(crate) async fn show_slot(
    Extension(visit): Extension<Visit>,
    Path((subscription, group, site, slot)): Path<(String, String, String, String)>,
) -> Result<Response, PageFailure> {
    let id = format!("{}/slots/{slot}", site_id(&subscription, &group, &site));
    page(&visit, &id).await
}

fn site_id(subscription: &str, group: &str, site: &str) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{site}"
    )
}

async fn page(visit: &Visit, id: &str) -> Result<Response, PageFailure> {
    let missing = |error: keyrelay_model::AppIdError| PageFailure::missing(error.to_string());
    let app: AppId = id.parse().map_err(missing)?;
    let filter = RunFilter {
        apps: vec![AppName::Id(app.clone())],
        ..RunFilter::default()
    };
    let bounds = Bounds {
        limit: RUNS,
        ..Bounds::default()
    };
    let pending = visit.sources.pending();
    let (fleet, work, runs) = tokio::join!(
        visit.sources.fleet(),
        pending.of_app(&app),
        visit.sources.find_runs(&filter, &bounds),
    );
    let (fleet, work, runs) = (fleet?, work?, runs?);
    let of_app = fleet.uses.iter().filter(|it| it.app == app);
    let uses: Vec<&Use> = of_app.take(USES).collect();
    if uses.is_empty() && runs.runs.is_empty() && work.is_empty() {
        return Err(PageFailure::missing(format!(
            "Neither the index nor the run history has the app {app}."
        )));
    }
    // The id as the index has it: an address may have another spelling.
    let app = uses.first().map_or(app, |it| it.app.clone());
    let now = visit.sources.now();
    let all = RunsQuery {
        app: app.to_string(),
        ..RunsQuery::default()
    };
    let content = html! {
        dl { (field("Id", html! { code.break { (app) } })) }
        @if visit.form_token.is_some() {
            p { a.button href=(Act::VerifyNow { app: app.clone() }.link(&visit.links)) { "Verify now …" } }
        }
        h2 { "Secrets that it uses" }
        @if uses.is_empty() {
            (empty("The index knows no reference of the app."))
        } @else {
            (use_list::table(&visit.links, "Its references, worst first", Named::Secret, &uses, now))
        }
        h2 { "Pending work" }
        (pending_work(visit, &work))
        h2 { "Last runs" }
        @if runs.runs.is_empty() {
            (empty("No run about it was found."))
        } @else {
            (run_list::table(&visit.links, "The newest runs", &runs.runs, now))
        }
        p { a href=(visit.links.runs(&all.to_query())) { "All its runs" } }
    };
    Ok(Page::new(app_name(&app), Section::Fleet, content).respond(visit))
}

fn pending_work(visit: &Visit, work: &[WorkEntry]) -> Markup {
    let now = visit.sources.now();
    let rotations: Vec<_> = work.iter().flat_map(WorkEntry::rotations).collect();
    html! {
        @if rotations.is_empty() {
            (empty("None."))
        } @else {
            ul {
                @for it in rotations {
                    li {
                        (secret_link(&visit.links, &it.event.vault_host, &it.event.name))
                        ", run " a href=(visit.links.run(&it.run)) { (it.run) }
                        ", since " (time(it.since)) ", due " (ago(it.due, now))
                        ", " (it.attempts) " checks: " (it.reason)
                    }
                }
            }
        }
    }
}
