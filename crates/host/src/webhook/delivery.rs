//! From the body of a delivery to the relay: which events are in it, which of them are replays, and what came of the rest.
//!
//! Sources: Event Grid's event schema, and "Structured Content Mode" and "Batched Content Mode" of the CloudEvents
//! specification's HTTP protocol binding. Event Grid does not use the binary mode.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use futures::future::join_all;
use jiff::Timestamp;
use keyrelay_azure::Deadline;
use keyrelay_model::{Event, EventError, decode_events};
use serde_json::Value;

use super::refusal::Refusal;
use super::replay::{Done, Fingerprint, is_too_old};
use crate::relay::Relay;
use crate::server::run_apart;

/// In what form events come, by the content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Event Grid's schema: always an array.
    EventGrid,
    /// One event.
    CloudEvent,
    /// An array of them.
    CloudEvents,
}

/// What came of a delivery: how many events were handled, were done with before, and were too old.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) handled: usize,
    pub(super) known: usize,
    pub(super) too_old: usize,
    /// Whether Event Grid should deliver it again.
    pub(super) redeliver: bool,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default();
        let essence = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::EventGrid),
            "application/cloudevents+json" => Ok(Self::CloudEvent),
            "application/cloudevents-batch+json" => Ok(Self::CloudEvents),
            _ => Err(Refusal::ContentType),
        }
    }

    /// The events in a body. What each of them is worth, `decode_events` says.
    pub(super) fn events(self, body: Value) -> Result<Vec<Value>, Refusal> {
        let events = match (self, body) {
            (Self::EventGrid | Self::CloudEvents, Value::Array(events)) => events,
            (Self::CloudEvent, event @ Value::Object(_)) => vec![event],
            (Self::EventGrid, _) => return Err(Refusal::NotEvents("an array of events")),
            (Self::CloudEvent, _) => return Err(Refusal::NotEvents("a CloudEvent")),
            (Self::CloudEvents, _) => return Err(Refusal::NotEvents("an array of CloudEvents")),
        };
        if events.is_empty() {
            return Err(Refusal::NotEvents("an array with an event in it"));
        }
        let is_cloud_event =
            |event: &Value| event.get("specversion").and_then(Value::as_str) == Some("1.0");
        if self != Self::EventGrid && !events.iter().all(is_cloud_event) {
            return Err(Refusal::NotEvents("a CloudEvent of version 1.0"));
        }
        Ok(events)
    }
}

/// Handles the events of a delivery side by side.
pub(super) async fn deliver(
    relay: &Arc<Relay>,
    done: &Done,
    delivery: &str,
    events: Vec<Value>,
    deadline: Deadline,
) -> Report {
    let now = Timestamp::now();
    let fingerprints: Vec<Fingerprint> = events.iter().map(Fingerprint::of).collect();
    // One result for each event, in their order.
    let decoded = decode_events(&Value::Array(events));
    let mut report = Report::default();
    let mut runs = Vec::new();
    for (event, fingerprint) in decoded.into_iter().zip(fingerprints) {
        if let Ok(event) = &event
            && is_too_old(event.time, now)
        {
            report.too_old += 1;
            let age = now.as_second().saturating_sub_unsigned(event.time);
            tracing::warn!(
                invocation.id = delivery,
                event.id = event.id,
                "an event of {age} s ago was refused: Event Grid keeps none for so long, so this is a replay"
            );
        } else if done.contains(&fingerprint) {
            report.known += 1;
            let id = id(&event);
            tracing::info!(
                invocation.id = delivery,
                event.id = id,
                "an event came again that is done with"
            );
        } else {
            runs.push(handle(relay, delivery, event, fingerprint, deadline));
        }
    }
    report.handled = runs.len();
    for (fingerprint, redeliver) in join_all(runs).await {
        if redeliver {
            report.redeliver = true;
        } else {
            done.note(fingerprint);
        }
    }
    report
}

async fn handle(
    relay: &Arc<Relay>,
    delivery: &str,
    event: Result<Event, EventError>,
    fingerprint: Fingerprint,
    deadline: Deadline,
) -> (Fingerprint, bool) {
    let answer = run_apart(Arc::clone(relay), delivery.to_owned(), event, deadline).await;
    (fingerprint, answer.redeliver)
}

fn id(event: &Result<Event, EventError>) -> Option<&str> {
    event
        .as_ref()
        .map_or_else(|error| error.id.as_deref(), |event| Some(event.id.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(content_type: &str, body: Value, count: usize) {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
        let events = Form::of(&headers).and_then(|form| form.events(body));
        assert_eq!(events.map_or(0, |events| events.len()), count);
    }

    #[test]
    fn each_content_type_has_its_form() {
        let cloud = json!({ "specversion": "1.0", "id": "a" });
        check("application/json; charset=utf-8", json!([{}, {}]), 2);
        check(
            "Application/CloudEvents+JSON; charset=utf-8",
            cloud.clone(),
            1,
        );
        check(
            "application/cloudevents-batch+json",
            json!([cloud, cloud]),
            2,
        );
    }

    #[test]
    fn what_has_another_form_is_refused() {
        let cloud = json!({ "specversion": "1.0", "id": "a" });
        check("application/json", json!({}), 0);
        check("application/json", json!([]), 0);
        check("application/json", json!("[{}]"), 0);
        check("application/cloudevents+json", json!([cloud]), 0);
        check("application/cloudevents+json", json!({ "id": "a" }), 0);
        check(
            "application/cloudevents-batch+json",
            json!([cloud, { "specversion": "0.3" }]),
            0,
        );
        check("application/cloudevents-batch+json", cloud, 0);
        check("text/plain", json!([{}]), 0);
    }
}
