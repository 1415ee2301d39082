//! The frame of every page, and the parts that pages share.

mod difference;
mod parts;

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::assets::{ICON, SCRIPT, STYLE};
use crate::failure::PageFailure;
use crate::visit::Visit;

pub(crate) use difference::difference;
pub(crate) use parts::{
    Pager, ago, app_link, badge, class_of, code, duration, empty, field, lines, notice, pager,
    secret_link, short, state_badge, table, time, time_or, verdict_badge,
};

/// The configuration of htmx: no inline styles, no history, a refusal replaces nothing, and what the
/// user has opened stays open.
const HTMX: &str = r#"{"includeIndicatorCSS":false,"history":false,"mode":"same-origin","defaultTimeout":20000,"noSwap":[204,304,"4xx","5xx"],"morphIgnore":["data-htmx-powered","open"]}"#;

/// The seconds between two requests of a live page without scripts.
const RELOAD: u32 = 5;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    section: Section,
    is_live: bool,
    content: Markup,
}

/// The part of the site that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Fleet,
    Runs,
    Policies,
    Actions,
    /// None of those in the navigation.
    Other,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>, section: Section, content: Markup) -> Self {
        Self {
            title: title.into(),
            section,
            is_live: false,
            content,
        }
    }

    /// The same page, which is requested again every few seconds. With scripts, its parts are.
    pub(crate) fn live(self, is_live: bool) -> Self {
        Self { is_live, ..self }
    }

    pub(crate) fn respond(self, visit: &Visit) -> Response {
        Html(self.render(visit).into_string()).into_response()
    }

    fn render(self, visit: &Visit) -> Markup {
        let links = &visit.links;
        let navigation = [
            (Section::Overview, links.overview(), "Overview"),
            (Section::Fleet, links.fleet(""), "Fleet"),
            (Section::Runs, links.runs(""), "Runs"),
            (Section::Policies, links.policies(), "Policies"),
            (Section::Actions, links.actions(), "Actions"),
        ];
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="htmx-config" content=(HTMX);
                    title { (self.title) " · keyrelay" }
                    link rel="icon" href=(links.asset(&ICON)) type="image/svg+xml";
                    link rel="stylesheet" href=(links.asset(&STYLE));
                    script src=(links.asset(&SCRIPT)) defer {}
                    @if self.is_live {
                        noscript { meta http-equiv="refresh" content=(RELOAD); }
                    }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.site {
                        a.brand href=(links.overview()) { "keyrelay" }
                        nav aria-label="Pages" {
                            ul {
                                @for (section, link, name) in navigation {
                                    li {
                                        a href=(link) aria-current=[(section == self.section).then_some("page")] {
                                            (name)
                                        }
                                    }
                                }
                            }
                        }
                        p.user {
                            (visit.user.name)
                            @if visit.form_token.is_none() { " (read-only)" }
                        }
                    }
                    main #content tabindex="-1" {
                        h1 { (self.title) }
                        (self.content)
                    }
                    footer {
                        p { "Store: " span.break { (visit.sources.store) } ". Times are in UTC. Values of settings are never shown." }
                    }
                }
            }
        }
    }
}

/// The page of a failure.
pub(crate) fn failed(visit: &Visit, failure: &PageFailure) -> Response {
    let title = failure.status.canonical_reason().unwrap_or("Failure");
    let content = html! {
        p.notice.bad role="alert" { (failure.message) }
        p { a href=(visit.links.overview()) { "Back to the overview" } }
    };
    let page = Page::new(title, Section::Other, content);
    let mut response = page.respond(visit);
    *response.status_mut() = failure.status;
    response
}
