//! The routes of the custom handler: `GET /`, and one `POST` for each function.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use keyrelay_records::{Outcome, Run};
use serde_json::json;
use tokio::sync::SetOnce;
use tracing::Instrument as _;

use super::invocation::{self, BodyError, InvocationResponse};
use super::pages;
use crate::pipeline::events::run_events;
use crate::pipeline::run::{TimeBudget, refuse, unrecorded};
use crate::reconcile;
use crate::services::Services;
use crate::telemetry::invocation_span;

/// The services, once they are started.
type Ready = Arc<SetOnce<Arc<Services>>>;

/// The routes. The Functions host requests `/` to see whether the handler is ready, and at any time
/// later.
pub fn router(services: Ready) -> Router {
    Router::new()
        .route("/", get(ready))
        .route("/SecretEvent", post(secret_event))
        .route("/Reconcile", post(reconcile))
        .route("/Ui", post(page))
        .route("/{function}", post(unknown_function))
        .with_state(services)
}

async fn ready() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain")],
        concat!("keyrelay-host ", env!("CARGO_PKG_VERSION"), "\n"),
    )
}

/// One invocation of the function `SecretEvent`: one event, or a batch of them.
async fn secret_event(
    State(services): State<Ready>,
    headers: HeaderMap,
    body: Body,
) -> InvocationResponse {
    let services = services.wait().await;
    let id = invocation::invocation_id(&headers);
    let span = invocation_span("SecretEvent", &id, &headers);
    let response = events(services, id, body).instrument(span).await;
    services.telemetry.flush().await;
    response
}

async fn events(services: &Arc<Services>, id: String, body: Body) -> InvocationResponse {
    let budget = TimeBudget::of_invocation(services.config.answer_within);
    let body = invocation::read_body(body).await;
    let events = match body.and_then(|body| invocation::decode(&body)) {
        Ok(events) => events,
        Err(error) => {
            let message = format!("not handled: {error}");
            // A body that was cut off may be complete the next time; any other error would recur.
            let run = match error {
                BodyError::Incomplete => unrecorded(&id, Outcome::transient(message)),
                _ => refuse(services, &id, message, budget).await,
            };
            return InvocationResponse::without_events(&run);
        }
    };
    let events = events.into_iter().map(|event| ((), event));
    let runs = run_events(services, &id, events, budget).await;
    let runs: Vec<Run> = runs.into_iter().map(|(_, run)| run).collect();
    InvocationResponse::of_runs(&runs)
}

/// One invocation of the function `Reconcile`, by the timer or by hand. Its body is ignored.
async fn reconcile(State(services): State<Ready>, headers: HeaderMap) -> InvocationResponse {
    let services = Arc::clone(services.wait().await);
    let id = invocation::invocation_id(&headers);
    let span = invocation_span("Reconcile", &id, &headers);
    let work = {
        let services = Arc::clone(&services);
        async move { reconcile::reconcile(&services, &id).await }
    };
    let done = tokio::spawn(work.instrument(span)).await;
    services.telemetry.flush().await;
    let outcome = done.unwrap_or_else(|_| {
        Outcome::transient("a panic occurred in the reconcile timer: please report this")
    });
    InvocationResponse::of_outcome(&outcome)
}

/// One invocation of the function `Ui`: a request for a page. It is as if there were none, unless the pages are on.
async fn page(State(services): State<Ready>, body: Body) -> Response {
    let services = Arc::clone(services.wait().await);
    // An action does not stop halfway because the browser has gone.
    let responding = tokio::spawn(async move {
        match &services.pages {
            None => pages::plain(404, "There is no such page."),
            Some(pages) => pages.respond(&services.store, body).await,
        }
    });
    let body = responding
        .await
        .unwrap_or_else(|_| pages::plain(500, "A panic occurred on the page: please report this."));
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn unknown_function(Path(function): Path<String>) -> Response {
    let message = format!(
        "there is no function `{function}`: the folders of functions must be called SecretEvent, \
         Reconcile and Ui"
    );
    tracing::error!("{message}");
    (StatusCode::NOT_FOUND, Json(json!({ "error": message }))).into_response()
}
