//! A secret: its versions, its users, its rule, what a rotation now would do, and its last runs.

mod future;
mod versions;

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use keyrelay_config::SecretPattern;
use keyrelay_model::{SecretName, VaultHost};
use keyrelay_records::IndexedReference;
use keyrelay_records::filters::RunFilter;
use keyrelay_records::fleet::Use;
use keyrelay_records::holds::{Hold, Holds};
use maud::{Markup, html};

use super::use_list::{self, Named};
use super::{rule, run_list};
use crate::act::Act;
use crate::failure::PageFailure;
use crate::form;
use crate::page::{Page, Pager, Section, empty, notice, pager, time};
use crate::query::{Pairs, RunsQuery, to_query};
use crate::search::{Bounds, FoundRuns};
use crate::visit::Visit;

/// The number of uses on a page. The policy is evaluated for the apps of one page.
const USES: usize = 50;

/// The number of runs that are listed, and whose events tell the versions.
const RUNS: usize = 20;

/// The secret that a page is about.
#[derive(Debug)]
struct PageSecret {
    vault: VaultHost,
    secret: SecretName,
}

pub(crate) async fn show(
    Extension(visit): Extension<Visit>,
    Path((vault, secret)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageFailure> {
    let missing = |error: keyrelay_model::NameError| PageFailure::missing(error.to_string());
    let subject = PageSecret {
        vault: vault.parse().map_err(missing)?,
        secret: secret.parse().map_err(missing)?,
    };
    let PageSecret { vault, secret } = &subject;
    let fleet = visit.sources.fleet().await?;
    let name = secret.as_str().to_lowercase();
    let is_of = |it: &&Use| it.vault == vault.as_str() && it.secret == name;
    let uses: Vec<&Use> = fleet.uses.iter().filter(is_of).collect();
    let holds = Holds::new(visit.sources.store.clone());
    let (hold, runs, setup) = tokio::join!(
        holds.find(vault, secret),
        last_runs(&visit, &subject),
        visit.sources.setup(),
    );
    let (hold, runs) = (hold?, runs?);
    if uses.is_empty() && runs.runs.is_empty() && hold.is_none() {
        return Err(PageFailure::missing(format!(
            "Neither the index nor the run history has a secret `{secret}` of the vault {vault}."
        )));
    }
    let history = visit.sources.history();
    let versions = versions::read(&history, &runs.runs, &uses).await?;
    let page = Pager::new(
        Pairs::parse(&query.unwrap_or_default()).page(),
        uses.len(),
        USES,
    );
    let shown = page.of(&uses);
    let future = future::FutureRotation {
        setup: &setup,
        vault,
        secret,
        kind: versions.kind,
        is_held: hold.is_some(),
    };
    let content = html! {
        (status(hold.as_ref()))
        (buttons(&visit, &subject, hold.is_some()))
        h2 { "Versions" }
        (versions::table(&visit.links, &versions))
        h2 { "Who uses it" }
        (users(&visit, &subject, page, &uses))
        h2 { "Rule, policy and mode" }
        (rule::description(&visit.links, &setup, vault, secret, hold.as_ref()))
        h2 #future { "What a rotation now would do" }
        (future.section(&visit, &by_app(shown)).await)
        h2 { "Last runs" }
        (last(&visit, &subject, &runs))
        h2 { "Evidence" }
        (export(&visit, &subject))
    };
    let title = format!("{}/{secret}", vault.vault());
    Ok(Page::new(title, Section::Fleet, content).respond(&visit))
}

/// The references of each app, in the order of the uses.
fn by_app<'a>(uses: &[&'a Use]) -> Vec<(&'a keyrelay_model::AppId, Vec<&'a IndexedReference>)> {
    let mut order = Vec::new();
    let mut found: BTreeMap<&keyrelay_model::AppId, Vec<&IndexedReference>> = BTreeMap::new();
    for it in uses {
        let references = found.entry(&it.app).or_default();
        if references.is_empty() {
            order.push(&it.app);
        }
        references.push(&it.reference);
    }
    let references = |app| (app, found.remove(app).unwrap_or_default());
    order.into_iter().map(references).collect()
}

async fn last_runs(visit: &Visit, subject: &PageSecret) -> Result<FoundRuns, PageFailure> {
    let pattern: Result<SecretPattern, _> = subject.secret.as_str().parse();
    let filter = RunFilter {
        secrets: pattern.into_iter().collect(),
        vaults: vec![subject.vault.to_string()],
        ..RunFilter::default()
    };
    let bounds = Bounds {
        limit: RUNS,
        ..Bounds::default()
    };
    Ok(visit.sources.find_runs(&filter, &bounds).await?)
}

fn status(hold: Option<&Hold>) -> Markup {
    html! {
        @if let Some(hold) = hold {
            (notice("warn", html! {
                strong { "Held" } " by " (hold.by) " since " (time(hold.at)) ": " (hold.why)
                " Events are decided and recorded, and no app is changed."
            }))
        }
    }
}

fn buttons(visit: &Visit, PageSecret { vault, secret }: &PageSecret, is_held: bool) -> Markup {
    let (vault, secret) = (vault.clone(), secret.clone());
    let act = match is_held {
        true => Act::Resume { vault, secret },
        false => Act::Hold { vault, secret },
    };
    html! {
        @if visit.form_token.is_some() {
            p { a.button href=(act.link(&visit.links)) { (act.button()) " …" } }
        }
    }
}

fn users(
    visit: &Visit,
    PageSecret { vault, secret }: &PageSecret,
    page: Pager,
    uses: &[&Use],
) -> Markup {
    let links = &visit.links;
    let caption = format!("Uses {} to {} of {}", page.begin + 1, page.end, uses.len());
    let link = |page: usize| {
        let number = page.to_string();
        let query = to_query([("page", number.as_str())]);
        format!("{}?{query}", links.secret(vault.as_str(), secret.as_str()))
    };
    html! {
        @if uses.is_empty() {
            (empty("The index knows no app that references it."))
        } @else {
            (use_list::table(links, &caption, Named::App, page.of(uses), visit.sources.now()))
            (pager(page, link))
        }
    }
}

fn last(visit: &Visit, PageSecret { vault, secret }: &PageSecret, runs: &FoundRuns) -> Markup {
    let all = RunsQuery {
        vault: vault.to_string(),
        secret: secret.to_string(),
        ..RunsQuery::default()
    };
    html! {
        @if runs.runs.is_empty() {
            (empty("No run about it was found."))
        } @else {
            (run_list::table(&visit.links, "The newest runs", &runs.runs, visit.sources.now()))
        }
        p { a href=(visit.links.runs(&all.to_query())) { "All its runs" } }
    }
}

fn export(visit: &Visit, PageSecret { vault, secret }: &PageSecret) -> Markup {
    html! {
        p { "When it was rotated, who had which version when, and how that is proven." }
        form.filters method="get" action=(visit.links.export("")) aria-label="Evidence" {
            input type="hidden" name="vault" value=(vault);
            input type="hidden" name="secret" value=(secret);
            (form::text("from", "From", "90d", "90d, 2026-11-01"))
            (form::text("to", "To", "", "now"))
            (form::choice("format", "Format", "csv", "CSV", &["csv", "json"]))
            button type="submit" { "Download" }
        }
    }
}
