//! The host's own HTTP listener: the Event Grid webhook, the admin API, and HTTP functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::files::function::FunctionTrigger;
use super::handler::HandlerStatus;
use super::host::{Host, text_of};
use super::http_function;
use super::invocation::Invocation;
use super::invoker::HOST_VERSION;

/// The real host's limit of a request body: 100 MB.
const MAX_BODY: usize = 104_857_600;

/// Serves requests until the guard is dropped. Requests already received are completed.
pub(super) fn serve(listener: TcpListener, host: Arc<Host>) -> DropGuard {
    let router = Router::new()
        .route("/", get(async || "The Functions host is running."))
        .route("/runtime/webhooks/{extension}", any(webhook))
        .route("/admin/host/status", get(host_status))
        .route("/admin/functions/{name}", post(run_manually))
        .fallback(http_function::call)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(host);
    let stop = CancellationToken::new();
    let server =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the listener of the Functions host ended");
        }
    });
    stop.drop_guard()
}

/// `POST` and `OPTIONS` of `/runtime/webhooks/eventgrid?functionName=<name>&code=<key>`.
///
/// Source: `HttpRequestProcessor` and `EventGridExtensionConfigProvider` in
/// Azure/azure-sdk-for-net.
async fn webhook(
    State(host): State<Arc<Host>>,
    Path(extension): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let parameter = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    if !extension.eq_ignore_ascii_case("eventgrid") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let key = parameter("code")
        .map(String::as_str)
        .or_else(|| text_of(&headers, "x-functions-key"));
    if key.is_none_or(|key| key != host.event_grid_key && key != host.master_key) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if method == Method::OPTIONS {
        return allow_origin(&headers);
    }
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if let Some(stopped) = host.stopped_response() {
        return stopped;
    }
    let name = parameter("functionName").map_or("", String::as_str);
    if host.event_function(name).is_err() {
        return (
            StatusCode::NOT_FOUND,
            format!("cannot find function: '{name}'"),
        )
            .into_response();
    }
    let event_type = text_of(&headers, "aeg-event-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let Some(value) = lenient_json(&body) else {
        return (StatusCode::BAD_REQUEST, "the body is not JSON").into_response();
    };
    match event_type.as_str() {
        "subscriptionvalidation" => validation(&value),
        "notification" => notification(&host, name, value).await,
        "unsubscribe" => StatusCode::ACCEPTED.into_response(),
        _ => (
            StatusCode::BAD_REQUEST,
            "the header `aeg-event-type` is not `Notification`",
        )
            .into_response(),
    }
}

/// The handshake of `CloudEvents`: the endpoint allows the requested origin.
fn allow_origin(headers: &HeaderMap) -> Response {
    match headers.get("webhook-request-origin") {
        None => StatusCode::BAD_REQUEST.into_response(),
        Some(origin) => [("webhook-allowed-origin", origin.clone())].into_response(),
    }
}

/// Parses a body as the Functions host does, whose JSON library accepts strings in single quotes, as
/// in Microsoft's own samples of the validation event.
fn lenient_json(body: &[u8]) -> Option<Value> {
    let parsed = serde_json::from_slice(body).ok();
    parsed.or_else(|| json5::from_str(str::from_utf8(body).ok()?).ok())
}

/// The handshake of Event Grid: the endpoint returns the validation code of the event.
fn validation(value: &Value) -> Response {
    let event = if value.is_array() {
        value.get(0)
    } else {
        Some(value)
    };
    let code = match event.and_then(|event| event.get("data")) {
        // In the CloudEvents schema the data is encoded twice.
        Some(Value::String(data)) => serde_json::from_str::<Value>(data)
            .ok()
            .and_then(|data| data.get("validationCode").cloned()),
        data => data.and_then(|data| data.get("validationCode").cloned()),
    };
    match code {
        Some(code) => json!({ "validationResponse": code })
            .to_string()
            .into_response(),
        None => (
            StatusCode::BAD_REQUEST,
            "the event has no `data.validationCode`",
        )
            .into_response(),
    }
}

/// Runs one concurrent invocation per event, or a single one if the cardinality is `many`.
///
/// On any failure Event Grid delivers the whole batch again.
async fn notification(host: &Arc<Host>, name: &str, value: Value) -> Response {
    let Ok(function) = host.event_function(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let events = match value {
        Value::Array(events) => events,
        Value::Object(_) => vec![value],
        _ => {
            return (
                StatusCode::BAD_REQUEST,
                "the body is not an event, or an array of events",
            )
                .into_response();
        }
    };
    let invocations: Vec<Invocation> = if matches!(function.trigger, FunctionTrigger::Events) {
        vec![host.run_with_events(function, &Value::Array(events)).await]
    } else {
        join_all(
            events
                .iter()
                .map(|event| host.run_with_events(function, event)),
        )
        .await
    };
    match invocations
        .iter()
        .find_map(|invocation| invocation.outcome.as_ref().err())
    {
        Some(failure) => (StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// `POST /admin/functions/<name>` with `{"input": ...}`. The response does not wait for the
/// function.
async fn run_manually(
    State(host): State<Arc<Host>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !host.has_master_key(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(function) = host.functions.get(&name).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let input = match serde_json::from_slice::<Value>(&body) {
        Ok(body) if body.is_object() => body.get("input").cloned().unwrap_or_default(),
        _ => return (StatusCode::BAD_REQUEST, "the body is not a JSON object").into_response(),
    };
    // The real host requires a string that holds the value. The value itself is accepted too.
    let input = match &input {
        Value::String(text) => serde_json::from_str(text).unwrap_or(input),
        _ => input,
    };
    match &function.trigger {
        FunctionTrigger::Http { .. } => {
            return (
                StatusCode::BAD_REQUEST,
                "call an HTTP function under its own path",
            )
                .into_response();
        }
        FunctionTrigger::Timer { .. } => {
            tokio::spawn(async move {
                if let Some(timer) = host.timers.get(&name) {
                    timer.run(&host.invoker).await;
                }
            });
        }
        FunctionTrigger::Event | FunctionTrigger::Events => {
            tokio::spawn(async move { host.run_with_events(&function, &input).await });
        }
    }
    StatusCode::ACCEPTED.into_response()
}

/// `GET /admin/host/status`. Unlike the real host, it needs no key.
async fn host_status(State(host): State<Arc<Host>>) -> Response {
    let status = host.invoker.instances.status();
    let state = match status {
        HandlerStatus::Running { .. } => "Running",
        HandlerStatus::Starting => "Default",
        HandlerStatus::Dead(_) | HandlerStatus::Stopped(_) => "Error",
    };
    axum::Json(json!({ "id": "local", "state": state, "version": HOST_VERSION, "handler": status.to_string() }))
        .into_response()
}
