//! Decodes the events of a delivery, deduplicates them, and runs the others.
//!
//! Sources: Event Grid's event schema; "Structured Content Mode" and "Batched Content Mode" of the
//! CloudEvents specification's HTTP protocol binding. Event Grid does not use the binary mode.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use keyrelay_model::{Event, EventError, MAX_EVENTS, decode_events};
use keyrelay_records::Outcome;
use serde_json::Value;

use super::deduplication::{Fingerprint, HandledEvents, is_too_old};
use super::refusal::WebhookRefusal;
use crate::pipeline::events::run_events;
use crate::pipeline::run::TimeBudget;
use crate::services::Services;

/// The form of the events in a body, by the content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Event Grid's schema: always an array.
    EventGrid,
    /// One event.
    CloudEvent,
    /// An array of them.
    CloudEvents,
}

/// An event of a delivery, or the reason why it is none, with its fingerprint.
pub(super) type DecodedEvent = (Fingerprint, Result<Event, EventError>);

/// The result of a delivery.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The number of events that were handled.
    pub(super) handled: usize,
    /// The number of events that an earlier delivery has handled.
    pub(super) known: usize,
    /// The number of events that were refused because of their age.
    pub(super) too_old: usize,
    /// The outcomes of the events that were handled.
    pub(super) outcomes: Vec<Outcome>,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, WebhookRefusal> {
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
            _ => Err(WebhookRefusal::ContentType),
        }
    }

    /// The events in a body, not decoded yet.
    pub(super) fn events(self, body: Value) -> Result<Vec<Value>, WebhookRefusal> {
        let events = match (self, body) {
            (Self::EventGrid | Self::CloudEvents, Value::Array(events)) => events,
            (Self::CloudEvent, event @ Value::Object(_)) => vec![event],
            (Self::EventGrid, _) => return Err(WebhookRefusal::NotEvents("an array of events")),
            (Self::CloudEvent, _) => return Err(WebhookRefusal::NotEvents("a CloudEvent")),
            (Self::CloudEvents, _) => {
                return Err(WebhookRefusal::NotEvents("an array of CloudEvents"));
            }
        };
        if events.is_empty() {
            return Err(WebhookRefusal::NotEvents("an array with an event in it"));
        }
        if events.len() > MAX_EVENTS {
            return Err(WebhookRefusal::TooManyEvents);
        }
        let is_cloud_event =
            |event: &Value| event.get("specversion").and_then(Value::as_str) == Some("1.0");
        if self != Self::EventGrid && !events.iter().all(is_cloud_event) {
            return Err(WebhookRefusal::NotEvents("a CloudEvent of version 1.0"));
        }
        Ok(events)
    }
}

/// Decodes the events of a delivery. The JSON of a delivery that waits is dropped here: it takes
/// many times the memory of the events.
pub(super) fn decode(events: Vec<Value>, now: Timestamp) -> Vec<DecodedEvent> {
    let fingerprints: Vec<Fingerprint> = events.iter().map(Fingerprint::of).collect();
    // One result for each event, in the same order.
    let decoded = decode_events(&Value::Array(events), now);
    fingerprints.into_iter().zip(decoded).collect()
}

/// Handles the events of a delivery concurrently.
pub(super) async fn deliver(
    services: &Arc<Services>,
    handled: &HandledEvents,
    delivery: &str,
    events: Vec<DecodedEvent>,
    budget: TimeBudget,
) -> Report {
    let now = Timestamp::now();
    let mut report = Report::default();
    let mut new = Vec::new();
    for (fingerprint, event) in events {
        if let Ok(event) = &event
            && is_too_old(event.time, now)
        {
            report.too_old += 1;
            let age = now.as_second().saturating_sub_unsigned(event.time);
            tracing::warn!(
                invocation.id = delivery,
                event.id = event.id,
                "refused an event that is {age} s old: Event Grid keeps an event for 24 h, so this is \
                 a replay"
            );
        } else if handled.contains(&fingerprint) {
            report.known += 1;
            tracing::info!(
                invocation.id = delivery,
                event.id = event_id(&event),
                "skipped a redelivered event that was handled before"
            );
        } else {
            new.push((fingerprint, event));
        }
    }
    report.handled = new.len();
    for (fingerprints, run) in run_events(services, delivery, new, budget).await {
        if !run.asks_for_redelivery() {
            fingerprints.into_iter().for_each(|it| handled.insert(it));
        }
        report.outcomes.extend(run.outcomes().cloned());
    }
    report
}

fn event_id(event: &Result<Event, EventError>) -> Option<&str> {
    match event {
        Ok(event) => Some(&event.id),
        Err(error) => error.id.as_deref(),
    }
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

    #[test]
    fn a_body_has_a_thousand_events_at_most() {
        check(
            "application/json",
            json!(vec![json!({}); MAX_EVENTS]),
            MAX_EVENTS,
        );
        check(
            "application/json",
            json!(vec![json!({}); MAX_EVENTS + 1]),
            0,
        );
    }
}
