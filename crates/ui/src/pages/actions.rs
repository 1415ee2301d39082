//! The record of actions.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use keyrelay_records::actions::{ActionRecord, Actions};
use maud::{Markup, html};

use crate::failure::{PageFailure, parse_run_id};
use crate::page::{self, Page, Section, badge, empty, field, time};
use crate::query::RunsQuery;
use crate::visit::Visit;

/// The number of actions that are listed.
const ACTIONS: usize = 50;

pub(crate) async fn show(Extension(visit): Extension<Visit>) -> Result<Response, PageFailure> {
    let actions = Actions::new(visit.sources.store.clone());
    let actions = actions.newest(ACTIONS).await?;
    let content = html! {
        @if actions.is_empty() {
            (empty("No operator has done anything here yet."))
        } @else {
            (table(&visit, &actions))
        }
    };
    Ok(Page::new("Actions", Section::Actions, content).respond(&visit))
}

fn table(visit: &Visit, actions: &[ActionRecord]) -> Markup {
    let caption = "Actions of operators, the newest first";
    page::table(
        caption,
        &["Time", "Action", "Object", "Operator", "Reason", "Result"],
        html! {
            @for action in actions {
                tr {
                    td { a href=(visit.links.action(&action.id)) { (time(action.at)) } }
                    td { (action.kind.as_str()) }
                    td.break { (action.subject) }
                    td { (action.by) }
                    td.remark { (action.why) }
                    td.remark { (result(action)) }
                }
            }
        },
    )
}

fn result(action: &ActionRecord) -> Markup {
    html! {
        @match &action.result {
            None => { (badge("warn", "interrupted")) " It may have been carried out." }
            Some(text) if action.is_failure => { (badge("bad", "failed")) " " (text) }
            Some(text) => { (badge("good", "done")) " " (text) }
        }
    }
}

pub(crate) async fn show_one(
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Result<Response, PageFailure> {
    let id = parse_run_id(&id)?;
    let action = Actions::new(visit.sources.store.clone()).read(&id).await?;
    let action = action.ok_or_else(|| PageFailure::missing("There is no such action."))?;
    let live = RunsQuery {
        is_live: true,
        ..RunsQuery::default()
    };
    let content = html! {
        p role="status" { (result(&action)) }
        dl {
            (field("Object", html! { span.break { (action.subject) } }))
            (field("Operator", &action.by))
            (field("Time", time(action.at)))
            @if !action.why.is_empty() { (field("Reason", &action.why)) }
        }
        @if !action.runs.is_empty() {
            h2 { "Resubmitted runs" }
            ul { @for run in &action.runs { li { a href=(visit.links.run(run)) { (run) } } } }
        }
        p { a href=(visit.links.runs(&live.to_query())) { "Follow new runs" } }
    };
    let title = format!("Action: {}", action.kind.as_str());
    Ok(Page::new(title, Section::Actions, content).respond(&visit))
}
