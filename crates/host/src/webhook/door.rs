//! The routes of the webhook, and the order in which a request is judged.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use keyrelay_azure::Deadline;
use serde_json::{Value, json};
use tokio::sync::SetOnce;
use tracing::Instrument as _;
use uuid::Uuid;

use super::body::Incoming;
use super::delivery::{Form, Report, deliver};
use super::gate::Gate;
use super::handshake;
use super::limits::Limits;
use super::refusal::Refusal;
use super::replay::Done;
use crate::config::Webhook;
use crate::relay::Relay;
use crate::server::invocation_span;

/// What all requests share.
pub(super) struct Door {
    gate: Gate,
    limits: Arc<Limits>,
    relay: Arc<SetOnce<Arc<Relay>>>,
    done: Arc<Done>,
    largest_body: usize,
    a_minute: NonZeroU32,
    answer_within: Duration,
}

/// The routes. Probes of the orchestrator have their usual names.
pub(super) fn router(door: Door) -> Router {
    Router::new()
        .route("/", get(alive))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/events", post(events).options(permission))
        .with_state(Arc::new(door))
}

async fn alive() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain")],
        concat!("keyrelay-host ", env!("CARGO_PKG_VERSION"), "\n"),
    )
}

/// Whether events can be handled, and not only taken.
async fn ready(State(door): State<Arc<Door>>) -> (StatusCode, &'static str) {
    match door.relay.get() {
        Some(_) => (StatusCode::OK, "ready\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
    }
}

async fn permission(State(door): State<Arc<Door>>, headers: HeaderMap) -> Response {
    handshake::permission(&headers, door.a_minute)
}

async fn events(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    let mut body = Incoming::new(body);
    match door.take(&headers, &mut body).await {
        Ok(response) => response,
        Err(refusal) => {
            if door.limits.may_log() {
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

impl Door {
    pub(super) fn new(
        gate: Gate,
        limits: Arc<Limits>,
        relay: Arc<SetOnce<Arc<Relay>>>,
        webhook: &Webhook,
        answer_within: Duration,
    ) -> Self {
        Self {
            gate,
            limits,
            relay,
            done: Arc::default(),
            largest_body: webhook.largest_body,
            a_minute: webhook.a_minute,
            answer_within,
        }
    }

    /// One delivery. Nothing of its body is read for somebody who may not deliver.
    async fn take(&self, headers: &HeaderMap, body: &mut Incoming) -> Result<Response, Refusal> {
        let deadline = Deadline::after(self.answer_within);
        self.gate.check(headers).await?;
        let place = self.limits.enter()?;
        let form = Form::of(headers)?;
        let body = body.read(headers, self.largest_body).await?;
        let body: Value = serde_json::from_slice(&body).map_err(|_| Refusal::NotEvents("JSON"))?;
        if let Some(answer) = handshake::validation(headers, &body) {
            return answer;
        }
        let events = form.events(body)?;
        let relay = Arc::clone(self.relay.get().ok_or(Refusal::NotReady)?);
        let (delivery, done) = (Uuid::new_v4().to_string(), Arc::clone(&self.done));
        // A task of its own: it goes on if the sender hangs up, and its place stays taken as long.
        let span = invocation_span("webhook", &delivery, headers);
        let delivered = tokio::spawn(async move {
            let _place = place;
            let report = deliver(&relay, &done, &delivery, events, deadline)
                .instrument(span)
                .await;
            relay.telemetry.flush().await;
            report
        });
        match delivered.await {
            Ok(report) => answer(&report),
            Err(_) => {
                tracing::error!("handling a delivery made keyrelay panic: please report this");
                Ok(again())
            }
        }
    }
}

fn answer(report: &Report) -> Result<Response, Refusal> {
    let Report {
        handled,
        known,
        too_old,
        redeliver,
    } = *report;
    match (redeliver, handled + known) {
        (true, _) => Ok(again()),
        (false, 0) => Err(Refusal::TooOld),
        (false, _) => Ok(
            Json(json!({ "handled": handled, "known": known, "refused": too_old })).into_response(),
        ),
    }
}

/// Asks Event Grid to deliver it again.
fn again() -> Response {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(json!({ "error": "not done yet: deliver it again" })),
    )
        .into_response()
}
