//! The custom handler's face: `GET /` and `POST /SecretEvent` on 127.0.0.1.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::future::join_all;
use keyrelay_azure::Deadline;
use keyrelay_model::{Event, EventError};
use serde_json::json;
use tokio::sync::SetOnce;
use tokio::time::timeout_at;
use tracing::{Instrument as _, Span};

use crate::invocation::{self, Answer, BodyError};
use crate::reconcile;
use crate::relay::{Relay, Trigger};
use crate::telemetry::{self, SPANS};

/// How long after its deadline a run may still come to its end. Everything that is asked of Azure ends at the deadline;
/// a policy that is being compiled, or uses up a generous limit of its own, may take longer than Event Grid waits.
const GRACE: Duration = Duration::from_secs(2);

/// How much of an invocation's time is kept for writing down what was done.
const KEEPING: Duration = Duration::from_millis(1_500);

/// The relay, once it is put together.
type Ready = Arc<SetOnce<Arc<Relay>>>;

/// The routes. The Functions host asks for `/` to see whether we are ready, and at any time later.
pub fn router(relay: Ready) -> Router {
    Router::new()
        .route("/", get(ready))
        .route("/SecretEvent", post(secret_event))
        .route("/Reconcile", post(reconcile))
        .route("/{function}", post(unknown_function))
        .with_state(relay)
}

async fn ready() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain")],
        concat!("keyrelay-host ", env!("CARGO_PKG_VERSION"), "\n"),
    )
}

/// One invocation of the function `SecretEvent`: one event, or a batch of them.
async fn secret_event(State(relay): State<Ready>, headers: HeaderMap, body: Body) -> Answer {
    let relay = relay.wait().await;
    let span = invocation_span(
        "SecretEvent",
        &invocation::invocation_id(&headers),
        &headers,
    );
    let answer = events(relay, &headers, body).instrument(span).await;
    relay.telemetry.flush().await;
    answer
}

/// An invocation's part of the trace, which the Functions host may have begun.
pub(crate) fn invocation_span(function: &'static str, id: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: SPANS,
        "invocation",
        otel.name = function,
        otel.kind = "server",
        invocation.id = id,
    );
    telemetry::go_on(&span, headers);
    span
}

async fn events(relay: &Arc<Relay>, headers: &HeaderMap, body: Body) -> Answer {
    let deadline = Deadline::after(relay.config.answer_within);
    let id = invocation::invocation_id(headers);
    let events = match invocation::read_body(body)
        .await
        .and_then(|body| invocation::decode(&body))
    {
        Ok(events) => events,
        Err(error) => return without_events(relay, &id, &error).await,
    };
    let runs = events
        .into_iter()
        .map(|event| run_apart(Arc::clone(relay), id.clone(), event, deadline));
    let answers = join_all(runs).await;
    Answer {
        redeliver: answers.iter().any(|answer| answer.redeliver),
        logs: answers.into_iter().flat_map(|answer| answer.logs).collect(),
    }
}

/// Runs one event in a task of its own: it goes on if the sender hangs up, and a panic ends nothing but itself.
pub(crate) async fn run_apart(
    relay: Arc<Relay>,
    invocation: String,
    event: Result<Event, EventError>,
    deadline: Deadline,
) -> Answer {
    let id = invocation.clone();
    // What is done must be kept in the store before it is answered.
    let work = Deadline::at(deadline.moment() - KEEPING.min(relay.config.answer_within / 8));
    let run = async move { relay.run(Trigger::event(&invocation), event, work).await };
    let run = tokio::spawn(run.in_current_span());
    match timeout_at(deadline.moment() + GRACE, run).await {
        Ok(Ok(run)) => Answer {
            redeliver: run.asks_for_redelivery(),
            logs: run.lines(),
        },
        Ok(Err(_)) => unfinished(
            &id,
            "handling the event made keyrelay panic: please report this",
        ),
        Err(_) => unfinished(&id, "the event was not handled in time: deliver it again"),
    }
}

/// Answers for an event whose run did not come to its own end.
fn unfinished(invocation: &str, message: &str) -> Answer {
    tracing::error!(
        invocation.id = invocation,
        verdict = "failed",
        redelivery = true,
        "{message}"
    );
    Answer {
        redeliver: true,
        logs: vec![message.to_owned()],
    }
}

/// A body without events stays one, however often it is delivered, unless it was cut off on its way.
async fn without_events(relay: &Relay, invocation: &str, error: &BodyError) -> Answer {
    let message = format!("not handled: {error}");
    if matches!(error, BodyError::Incomplete) {
        return unfinished(invocation, &message);
    }
    let run = relay.refuse(invocation, message.clone()).await;
    Answer {
        redeliver: run.asks_for_redelivery(),
        logs: vec![message],
    }
}

/// One invocation of the function `Reconcile`, by the timer or by hand. What is in the body does not matter.
async fn reconcile(State(relay): State<Ready>, headers: HeaderMap) -> Answer {
    let relay = Arc::clone(relay.wait().await);
    let id = invocation::invocation_id(&headers);
    let span = invocation_span("Reconcile", &id, &headers);
    let working = Arc::clone(&relay);
    let work = async move { reconcile::reconcile(&working, &id).await };
    let done = tokio::spawn(work.instrument(span)).await;
    relay.telemetry.flush().await;
    match done {
        Ok(Ok(summary)) => Answer {
            redeliver: false,
            logs: vec![summary.to_string()],
        },
        // There is no redelivery for timers; the next one comes by itself. An error is what makes it seen.
        Ok(Err(message)) => Answer {
            redeliver: true,
            logs: vec![message],
        },
        Err(_) => Answer {
            redeliver: true,
            logs: vec!["reconciling made keyrelay panic: please report this".into()],
        },
    }
}

async fn unknown_function(Path(function): Path<String>) -> Response {
    let message = format!(
        "there is no function `{function}`: the folders of functions must be called SecretEvent and Reconcile"
    );
    tracing::error!("{message}");
    (StatusCode::NOT_FOUND, Json(json!({ "error": message }))).into_response()
}
