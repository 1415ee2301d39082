//! The routes of the webhook, and the order of the checks of a request.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use keyrelay_azure::Deadline;
use keyrelay_model::{JsonError, bounded_json};
use keyrelay_records::Outcome;
use serde_json::json;
use tokio::sync::SetOnce;
use tracing::Instrument as _;
use uuid::Uuid;

use super::auth::Auth;
use super::body::Incoming;
use super::deduplication::HandledEvents;
use super::delivery::{Form, Report, decode, deliver};
use super::handshake;
use super::limits::DeliveryLimits;
use super::refusal::WebhookRefusal;
use crate::pipeline::run::TimeBudget;
use crate::services::Services;
use crate::telemetry::invocation_span;

/// The services, once they are started.
type Ready = Arc<SetOnce<Arc<Services>>>;

/// The state that all requests share.
pub(super) struct WebhookState {
    pub(super) auth: Auth,
    pub(super) limits: Arc<DeliveryLimits>,
    /// The services, once they are started.
    pub(super) services: Ready,
    pub(super) handled: Arc<HandledEvents>,
    /// Largest body of a delivery, in bytes.
    pub(super) max_body: usize,
    /// Deliveries per minute.
    pub(super) rate_per_minute: NonZeroU32,
    /// Longest time for a response.
    pub(super) respond_within: Duration,
}

/// The routes. The probes of orchestrators have their usual names.
pub(super) fn router(state: WebhookState) -> Router {
    let services = Arc::clone(&state.services);
    Router::new()
        .route("/events", post(events).options(permission))
        .with_state(Arc::new(state))
        .merge(probes(services))
}

/// The routes of the probes alone.
pub(super) fn probes(services: Ready) -> Router {
    Router::new()
        .route("/", get(alive))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(services)
}

async fn alive() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain")],
        concat!("keyrelay-host ", env!("CARGO_PKG_VERSION"), "\n"),
    )
}

/// Whether events can be handled.
async fn ready(State(services): State<Ready>) -> (StatusCode, &'static str) {
    match services.get() {
        Some(_) => (StatusCode::OK, "ready\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
    }
}

async fn permission(State(state): State<Arc<WebhookState>>, headers: HeaderMap) -> Response {
    handshake::permission(&headers, state.rate_per_minute)
}

async fn events(
    State(state): State<Arc<WebhookState>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = Incoming::new(body);
    match receive(&state, &headers, &mut body).await {
        Ok(response) => response,
        Err(refusal) => {
            if state.limits.may_log() {
                tracing::warn!(
                    status = refusal.status().as_u16(),
                    "a delivery was refused: {refusal}"
                );
            }
            body.discard().await;
            refusal.into_response()
        }
    }
}

/// Receives one delivery. The body is read only after the sender is authenticated.
async fn receive(
    state: &WebhookState,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Response, WebhookRefusal> {
    let deadline = Deadline::after(state.respond_within);
    state.auth.check(headers).await?;
    let permit = state.limits.enter()?;
    let form = Form::of(headers)?;
    let body = body.read(headers, state.max_body).await?;
    let body = bounded_json(&body).map_err(|error| match error {
        JsonError::Syntax { .. } => WebhookRefusal::NotEvents("JSON"),
        JsonError::TooManyValues => WebhookRefusal::TooManyEvents,
    })?;
    if let Some(response) = handshake::validation(headers, &body) {
        return response;
    }
    let events = form.events(body)?;
    let events = decode(events, Timestamp::now());
    let services = state.services.get().ok_or(WebhookRefusal::NotReady)?;
    let (services, handled) = (Arc::clone(services), Arc::clone(&state.handled));
    let budget = TimeBudget::of_delivery(deadline, state.respond_within);
    let delivery = Uuid::new_v4().to_string();
    let span = invocation_span("webhook", &delivery, headers);
    // A task of its own: it continues if the sender disconnects, and holds its permit until then.
    let delivered = tokio::spawn(async move {
        let _permit = permit;
        let report = deliver(&services, &handled, &delivery, events, budget);
        let report = report.instrument(span).await;
        services.telemetry.flush().await;
        report
    });
    let report = delivered.await.unwrap_or_else(|_| {
        let message = "a panic occurred while keyrelay handled a delivery: please report this";
        tracing::error!("{message}");
        Report {
            outcomes: vec![Outcome::transient(message)],
            ..Report::default()
        }
    });
    response(&report)
}

/// The response to a delivery, made from the verdicts of its runs.
fn response(report: &Report) -> Result<Response, WebhookRefusal> {
    let mut outcomes = report.outcomes.iter();
    if outcomes.any(|outcome| outcome.verdict.asks_for_redelivery()) {
        let body = Json(json!({ "error": "not done yet: deliver it again" }));
        return Ok((StatusCode::INTERNAL_SERVER_ERROR, body).into_response());
    }
    if report.handled + report.known == 0 {
        return Err(WebhookRefusal::TooOld);
    }
    let body = json!({
        "handled": report.handled,
        "known": report.known,
        "refused": report.too_old,
    });
    Ok(Json(body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_alive_and_not_ready_while_the_services_start() {
        assert_eq!(alive().await.into_response().status(), StatusCode::OK);
        let (status, _) = ready(State(Ready::default())).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let refused = WebhookRefusal::NotReady.into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key(header::RETRY_AFTER));
    }
}
