//! The actions of operators: each has a page that says what will happen, and a record.

mod carry_out;
mod command;
mod consequences;

use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderValue, StatusCode, header::LOCATION};
use axum::response::{IntoResponse, Response};
use keyrelay_records::actions::Actions;
use maud::{Markup, html};

use crate::access::CsrfKey;
use crate::failure::PageFailure;
use crate::page::{Page, Section};
use crate::query::Pairs;
use crate::visit::Visit;
pub(crate) use command::Act;
use consequences::Consequences;

/// The name of the field with the token of the form.
const TOKEN: &str = "token";

/// The length of the longest reason, in characters.
const WHY: usize = 500;

/// The page that says what will happen, with the form that makes it happen.
pub(crate) async fn confirm(
    Extension(visit): Extension<Visit>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageFailure> {
    let act = Act::parse(&name, &Pairs::parse(&query.unwrap_or_default()))?;
    let Some(token) = &visit.form_token else {
        return Err(PageFailure::forbidden("These pages are read-only for you."));
    };
    let consequences = Consequences::of(&visit, &act).await?;
    let content = confirmation(&visit, &act, &consequences, token);
    Ok(Page::new(act.title(), Section::Other, content).respond(&visit))
}

fn confirmation(visit: &Visit, act: &Act, consequences: &Consequences, token: &str) -> Markup {
    html! {
        h2 { "What will happen" }
        ul { @for line in &consequences.lines { li { (line) } } }
        @if consequences.is_possible {
            form.confirm method="post" action=(visit.links.act(act.name(), "")) {
                input type="hidden" name=(TOKEN) value=(token);
                @for (name, value) in act.fields() { input type="hidden" name=(name) value=(value); }
                @for run in &consequences.runs { input type="hidden" name="run" value=(run); }
                label {
                    span { "Reason" @if !act.needs_reason() { " (may be empty)" } }
                    input type="text" name="why" maxlength=(WHY) required[act.needs_reason()] autocomplete="off";
                }
                p { "It is recorded as an action of " strong { (visit.user.name) } "." }
                button type="submit" { (act.button()) }
                a href=(act.back(&visit.links)) { "Cancel" }
            }
        } @else {
            p { a href=(act.back(&visit.links)) { "Back" } }
        }
    }
}

/// Carries out an action, records it, and goes to the record.
pub(crate) async fn carry_out(
    Extension(visit): Extension<Visit>,
    Extension(csrf): Extension<CsrfKey>,
    Path(name): Path<String>,
    body: String,
) -> Result<Response, PageFailure> {
    let form = Pairs::parse(&body);
    if !csrf.is_token(&visit.user.session, form.one(TOKEN)) {
        return Err(PageFailure::forbidden(
            "The form is of another session. Nothing was done: open its page again.",
        ));
    }
    let act = Act::parse(&name, &form)?;
    let why: String = form.one("why").chars().take(WHY).collect();
    if why.is_empty() && act.needs_reason() {
        return Err(PageFailure::invalid(
            "A reason is needed. Nothing was done.",
        ));
    }
    let actions = Actions::new(visit.sources.store.clone());
    let subject = act.subject();
    let begun = actions.begin(act.kind(), &visit.user.name, &subject, &why);
    let begun = begun.await?;
    let result = carry_out::carry_out(&visit, &act, &form.runs()?, &why).await;
    visit.sources.invalidate();
    let record = actions.end(begun, result).await?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(&visit.links.action(&record.id));
    let location = location.map_err(|error| PageFailure::invalid(error.to_string()))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
