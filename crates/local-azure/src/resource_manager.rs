//! Resource Manager with the part of Microsoft.Web that concerns app settings.

mod bodies;
mod rate_limits;
mod refusal;
mod rights;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Method;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) use rate_limits::RateLimits;

use crate::answer::{self, Response};
use crate::apps::{App, Settings};
use crate::azure_cloud::Audience;
use crate::backend::Backend;
use crate::call::Call;
use crate::faults::Effect;
use crate::hidden::Hidden;
use crate::paging::{Keyed, page};
use refusal::Refusal;

/// Who asks, if it may ask now. The error is the answer it gets instead.
pub(crate) fn caller(
    backend: &Backend,
    call: &Call,
    now: Timestamp,
) -> Result<String, Box<Response>> {
    // Resource Manager looks for the version before it looks for a token.
    if call.query.get("api-version").is_none_or(str::is_empty) {
        return Err(Box::new(Refusal::NoApiVersion.into_response()));
    }
    let owner = backend
        .identities
        .owner(call, Audience::ResourceManager, now);
    let owner = owner.map_err(|reason| Box::new(refusal::challenge(backend, reason)))?;
    backend
        .rate_limits
        .take(&owner, &call.method, tokio::time::Instant::now())
        .map_err(|wait| {
            let refusal = Refusal::TooManyRequests {
                subscription: backend.subscription.clone(),
                wait,
            };
            Box::new(refusal.into_response())
        })?;
    Ok(owner)
}

/// Adds the headers that come with every answer.
pub(crate) fn add_headers(backend: &Backend, call: &Call, caller: &str, response: &mut Response) {
    let correlation = uuid::Uuid::new_v4().to_string();
    answer::set_header(response, "x-ms-correlation-request-id", &correlation);
    let (header, left) =
        backend
            .rate_limits
            .left(caller, &call.method, tokio::time::Instant::now());
    answer::set_header(response, header, &left.to_string());
}

/// Carries a request out.
pub(crate) fn answer(backend: &Arc<Backend>, call: &Call, caller: &str) -> Response {
    carry_out(backend, call, caller).unwrap_or_else(Refusal::into_response)
}

fn carry_out(backend: &Arc<Backend>, call: &Call, caller: &str) -> Result<Response, Refusal> {
    let segments = call.segments();
    // Ids compare without case.
    let lower: Vec<String> = segments
        .iter()
        .map(|segment| segment.to_lowercase())
        .collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let (subscription, rest) = match lower.as_slice() {
        ["subscriptions", subscription, rest @ ..] => (subscription, rest),
        _ => return Err(Refusal::NoOperation),
    };
    if !subscription.eq_ignore_ascii_case(&backend.subscription) {
        return Err(Refusal::NoSubscription((*subscription).to_owned()));
    }
    rights::check(backend, call, caller, rest)?;
    let provider = rest.iter().rposition(|part| *part == "providers");
    if let Some(at) = provider
        && let Some(["providers", "microsoft.authorization", asked @ ..]) = rest.get(at..)
    {
        let place = call.path.to_lowercase();
        let place = place
            .split("/providers/microsoft.authorization")
            .next()
            .unwrap_or_default();
        return rights::authorization(backend, call, caller, place, asked);
    }
    match (&call.method, rest) {
        (&Method::GET, ["providers", "microsoft.web", "sites"]) => {
            Ok(sites(backend, call, |_| true))
        }
        (_, ["providers", "microsoft.eventgrid", rest @ ..]) => {
            topics::in_subscription(backend, call, rest)
        }
        (method, ["resourcegroups", group, rest @ ..]) => {
            let name = group_named(backend, group)?;
            match (method, rest) {
                (&Method::GET, []) => Ok(answer::ok(&bodies::resource_group(backend, name))),
                (&Method::GET, ["providers", "microsoft.web", "sites"]) => {
                    Ok(sites(backend, call, |app| {
                        app.resource_group.eq_ignore_ascii_case(name)
                    }))
                }
                (_, ["providers", "microsoft.eventgrid", rest @ ..]) => {
                    topics::in_group(backend, call, rest)
                }
                (_, ["providers", "microsoft.web", "sites", site, rest @ ..]) => {
                    site_operation(backend, call, name, site, rest)
                }
                _ => Err(Refusal::NoOperation),
            }
        }
        _ => Err(Refusal::NoOperation),
    }
}

/// A resource group, as it is written. It exists if something is in it.
fn group_named<'a>(backend: &'a Backend, name: &str) -> Result<&'a str, Refusal> {
    let groups = backend
        .apps
        .iter()
        .map(|app| app.resource_group.as_str())
        .chain(backend.vaults.resource_groups());
    let mut groups = groups.filter(|group| group.eq_ignore_ascii_case(name));
    groups
        .next()
        .ok_or_else(|| Refusal::NoResourceGroup(name.to_owned()))
}

/// What is asked of a site or one of its slots.
fn site_operation(
    backend: &Arc<Backend>,
    call: &Call,
    group: &str,
    site: &str,
    rest: &[&str],
) -> Result<Response, Refusal> {
    let find = |name: &str| {
        let app = backend
            .apps
            .named(name)
            .filter(|app| app.resource_group.eq_ignore_ascii_case(group));
        app.ok_or_else(|| Refusal::NoApp {
            name: name.to_owned(),
            group: group.to_owned(),
        })
    };
    let app = find(site)?;
    match (&call.method, rest) {
        (&Method::GET, ["slots"]) => {
            let slots = backend
                .apps
                .iter()
                .filter(|it| it.slot.is_some() && it.id.starts_with(&format!("{}/", app.id)));
            Ok(list(
                backend,
                call,
                slots
                    .map(|slot| (slot.id.to_lowercase(), bodies::app(backend, slot)))
                    .collect(),
            ))
        }
        (_, ["slots", slot, rest @ ..]) => {
            app_operation(backend, call, find(&format!("{site}/{slot}"))?, rest)
        }
        _ => app_operation(backend, call, app, rest),
    }
}

fn app_operation(
    backend: &Arc<Backend>,
    call: &Call,
    app: &Arc<App>,
    rest: &[&str],
) -> Result<Response, Refusal> {
    match (&call.method, rest) {
        (&Method::GET, []) => Ok(answer::ok(&bodies::app(backend, app))),
        (&Method::POST, ["config", "appsettings", "list"]) => Ok(list_settings(backend, call, app)),
        (&Method::PUT, ["config", "appsettings"]) => write_settings(backend, call, app),
        (&Method::GET, ["config", "configreferences", "appsettings"]) => {
            Ok(references(backend, call, app))
        }
        (&Method::GET, ["config", "configreferences", "appsettings", setting]) => {
            let row = app
                .references()
                .into_iter()
                .find(|row| row.setting.eq_ignore_ascii_case(setting));
            let row = row.ok_or_else(|| Refusal::NoReference((*setting).to_owned()))?;
            Ok(answer::ok(&bodies::reference(backend, app, row)))
        }
        (&Method::POST, ["config", "configreferences", "appsettings", "refresh"]) => {
            let before = references(backend, call, app);
            backend.resolve_after(backend.options.refresh_after, app);
            Ok(before)
        }
        _ => Err(Refusal::NoOperation),
    }
}

/// The sites of a scope, without their slots.
fn sites(backend: &Backend, call: &Call, in_scope: impl Fn(&App) -> bool) -> Response {
    let sites = backend
        .apps
        .iter()
        .filter(|app| app.slot.is_none() && in_scope(app));
    list(
        backend,
        call,
        sites
            .map(|site| (site.id.to_lowercase(), bodies::app(backend, site)))
            .collect(),
    )
}

fn references(backend: &Backend, call: &Call, app: &App) -> Response {
    let rows = app.references().into_iter();
    list(
        backend,
        call,
        rows.map(|row| (row.setting.clone(), bodies::reference(backend, app, row)))
            .collect(),
    )
}

fn list(backend: &Backend, call: &Call, items: Vec<Keyed>) -> Response {
    answer::ok(&page(call, items, backend.options.page_size.max(1)))
}

fn list_settings(backend: &Arc<Backend>, call: &Call, app: &Arc<App>) -> Response {
    let response = answer::ok(&bodies::settings(app, &app.settings()));
    for effect in &call.effects {
        if let Effect::Interfere { setting, value } = effect {
            write(backend, app, |settings| {
                settings.insert(setting.clone(), value.clone());
            });
        }
    }
    response
}

fn write_settings(
    backend: &Arc<Backend>,
    call: &Call,
    app: &Arc<App>,
) -> Result<Response, Refusal> {
    let body: Value = call.json().map_err(Refusal::Unreadable)?;
    let properties = body
        .get("properties")
        .filter(|it| !it.is_null())
        .ok_or(Refusal::NoProperties)?;
    let properties: BTreeMap<String, Value> =
        serde_json::from_value(properties.clone()).map_err(|_| Refusal::InvalidProperties)?;
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, Hidden::from(text))),
        Value::Bool(_) | Value::Number(_) => Ok((name, Hidden::from(value.to_string()))),
        _ => Err(Refusal::InvalidProperties),
    };
    let wanted: Settings = properties.into_iter().map(text).collect::<Result<_, _>>()?;
    let response = answer::ok(&bodies::settings(app, &wanted));
    if !call
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::LoseWrite))
    {
        write(backend, app, |settings| *settings = wanted);
    }
    Ok(response)
}

/// Changes an app's settings, whoever it is that does, and lets its references be resolved.
pub(crate) fn write(backend: &Arc<Backend>, app: &Arc<App>, change: impl FnOnce(&mut Settings)) {
    app.edit(Timestamp::now(), change);
    backend.resolve_after(backend.options.resolve_after, app);
}
