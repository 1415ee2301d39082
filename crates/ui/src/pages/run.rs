//! A run as a timeline: event, policy, then each app with its decision, plan, requests and verdict,
//! the failures first.

mod requests;
mod rotation;

use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use jiff::Timestamp;
use keyrelay_model::Verdict;
use keyrelay_records::holds::Hold;
use keyrelay_records::{EventRecord, RotationRecord, Run};
use maud::{Markup, html};

use crate::act::Act;
use crate::failure::{PageFailure, parse_run_id};
use crate::page::{
    Page, Pager, Section, duration, field, notice, pager, secret_link, time, verdict_badge,
};
use crate::query::{Pairs, to_query};
use crate::visit::Visit;

/// The number of apps on a page. One has up to a few kilobytes of requests.
const APPS: usize = 25;

pub(crate) async fn show(
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageFailure> {
    let id = parse_run_id(&id)?;
    let run = visit.sources.history().read(&id).await?;
    let page = Pairs::parse(&query.unwrap_or_default()).page();
    let setup = visit.sources.setup().await;
    let portal = setup.config.as_ref().ok();
    let portal = portal.and_then(|config| requests::Portal::of(&config.cloud.vault_suffix));
    let is_open = run
        .outcomes()
        .any(|outcome| outcome.verdict == Verdict::Pending);
    let content = content(&visit, &run, page, portal.as_ref(), is_open);
    let page = Page::new(format!("Run {id}"), Section::Runs, content).live(is_open);
    Ok(page.respond(&visit))
}

fn content(
    visit: &Visit,
    run: &Run,
    page: usize,
    portal: Option<&requests::Portal>,
    is_open: bool,
) -> Markup {
    let links = &visit.links;
    let mut rotations: Vec<&RotationRecord> = run.rotations.iter().collect();
    rotations.sort_by_key(|it| std::cmp::Reverse(it.outcome.verdict.weight()));
    let shown = Pager::new(page, rotations.len(), APPS);
    let link = |page: usize| {
        let number = page.to_string();
        let query = to_query([("page", number.as_str())]);
        format!("{}?{query}", links.run(&run.id))
    };
    let here = link(shown.page);
    html! {
        div #run
            hx-get=[is_open.then_some(&here)]
            hx-trigger=[is_open.then_some("every 2s")]
            hx-select=[is_open.then_some("#run")]
            hx-swap=[is_open.then_some("outerMorph")]
        {
            (head(visit, run))
            ol.timeline {
                (event_step(run))
                (policy_step(visit, run))
                (requests_step(run, portal))
                @if let Some(ended) = &run.ended {
                    li {
                        h2 { "Ended before its apps" }
                        p { (verdict_badge(&ended.headline())) " " (ended.message) }
                    }
                }
                @if !rotations.is_empty() {
                    li {
                        h2 #apps { "Apps" }
                        p { (counts(run)) }
                        @for rotation in shown.of(&rotations) {
                            (rotation::article(links, rotation, portal))
                        }
                        (pager(shown, link))
                    }
                }
            }
        }
    }
}

fn head(visit: &Visit, run: &Run) -> Markup {
    let links = &visit.links;
    html! {
        p.headline { (verdict_badge(&run.headline())) }
        @for note in &run.notes {
            (notice(if Hold::is_note(note) { "warn" } else { "dim" }, note))
        }
        dl {
            (field("Began", time(run.started)))
            (field("Took", duration(run.duration_ms)))
            (field("Cause", html! {
                (run.cause.as_str())
                @if let Some(of) = &run.of { ", of run " a href=(links.run(of)) { (of) } }
            }))
            @if let Some(event) = &run.event {
                (field("Secret", secret_link(links, &event.vault_host, &event.name)))
            }
            (field("Invocation", html! { code.break { (run.invocation) } }))
            @if let Some(instance) = &run.instance { (field("Instance", html! { code.break { (instance) } })) }
        }
        @if run.event.is_some() && visit.form_token.is_some() {
            p { a.button href=(Act::Resubmit { run: run.id.clone() }.link(links)) { "Resubmit …" } }
        }
    }
}

fn event_step(run: &Run) -> Markup {
    html! {
        li {
            @match &run.event {
                Some(event) => {
                    h2 { "Event: " (event.event_type) }
                    dl {
                        (field("Happened", moment(event)))
                        @if let Some(version) = &event.version { (field("Version", html! { code.break { (version) } })) }
                        @if let Some(expires) = seconds(event.expires) { (field("Expires", time(expires))) }
                        @if let Some(from) = seconds(event.not_before) { (field("Valid from", time(from))) }
                    }
                    details {
                        summary { "The event as JSON" }
                        pre tabindex="0" { (serde_json::to_string_pretty(event).unwrap_or_default()) }
                    }
                }
                None => { h2 { "Event: none" } p { "The invocation contained no valid event." } }
            }
        }
    }
}

fn moment(event: &EventRecord) -> Markup {
    html! {
        @match event.event_time() {
            Some(at) => (time(at)),
            None => { (event.time) " s after 1970" }
        }
        @if event.is_time_of_arrival { " (the time of its arrival)" }
    }
}

fn seconds(seconds: Option<u64>) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds?).ok()?).ok()
}

fn policy_step(visit: &Visit, run: &Run) -> Markup {
    html! {
        li {
            h2 { "Policy" }
            @match &run.policy {
                Some(policy) => dl {
                    (field("Policy", html! { a href=(visit.links.policy(&policy.name)) { (policy.name) } }))
                    (field("Digest", html! { code.break { (policy.digest) } }))
                    @if let Some(mode) = run.mode {
                        (field("Mode", format!("{mode:?}").to_lowercase()))
                    }
                },
                None => p { "None was asked." },
            }
        }
    }
}

fn requests_step(run: &Run, portal: Option<&requests::Portal>) -> Markup {
    html! {
        @if !run.requests.is_empty() {
            li {
                h2 { "Requests before the apps" }
                (requests::table("Requests before the apps", &run.requests, portal))
            }
        }
    }
}

/// The number of apps with each verdict, the most severe first.
fn counts(run: &Run) -> String {
    let mut verdicts: Vec<Verdict> = run.rotations.iter().map(|it| it.outcome.verdict).collect();
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.weight()));
    let alike = verdicts.chunk_by(|a, b| a.as_str() == b.as_str());
    let counts = alike.filter_map(|alike| {
        let verdict = alike.first()?;
        Some(format!("{} {verdict}", alike.len()))
    });
    counts.collect::<Vec<_>>().join(", ")
}
