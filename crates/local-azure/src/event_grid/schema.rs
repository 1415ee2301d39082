//! The two schemas of events.

use serde::Deserialize;
use serde_json::{Value, json};

/// A schema for deliveries, under its name in Resource Manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum DeliverySchema {
    /// Event Grid's own schema.
    #[default]
    EventGridSchema,
    /// `CloudEvents` 1.0.
    #[serde(rename = "CloudEventSchemaV1_0")]
    CloudEventSchemaV10,
}

/// Converts an event to the schema of an event subscription.
///
/// Event Grid cannot convert `CloudEvents` to its own schema, so such an event stays as it was
/// published.
pub(super) fn convert(event: &Value, schema: DeliverySchema) -> Value {
    if schema == DeliverySchema::EventGridSchema || is_cloud_event(event) {
        return event.clone();
    }
    json!({
        "id": field(event, "id"),
        "source": field(event, "topic"),
        "subject": field(event, "subject"),
        "type": field(event, "eventType"),
        "time": field(event, "eventTime"),
        "data": field(event, "data"),
        "specversion": "1.0",
    })
}

pub(super) fn is_cloud_event(event: &Value) -> bool {
    event.get("specversion").is_some()
}

pub(super) fn id(event: &Value) -> &str {
    text(event, "id")
}

pub(super) fn subject(event: &Value) -> &str {
    text(event, "subject")
}

pub(super) fn event_type(event: &Value) -> &str {
    text(
        event,
        if is_cloud_event(event) {
            "type"
        } else {
            "eventType"
        },
    )
}

/// The text of a field, or an empty text.
pub(super) fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn field<'a>(event: &'a Value, name: &str) -> &'a Value {
    event.get(name).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_becomes_a_cloud_event() {
        let event = json!({
            "id": "e-1", "topic": "/t", "subject": "s", "eventType": "T", "eventTime": "2026-03-01T00:00:00Z",
            "data": { "Id": "x" }, "dataVersion": "1", "metadataVersion": "1",
        });
        let expected = json!({
            "id": "e-1", "source": "/t", "subject": "s", "type": "T", "time": "2026-03-01T00:00:00Z",
            "data": { "Id": "x" }, "specversion": "1.0",
        });
        assert_eq!(
            convert(&event, DeliverySchema::CloudEventSchemaV10),
            expected
        );
        assert_eq!(convert(&event, DeliverySchema::EventGridSchema), event);
    }

    #[test]
    fn a_cloud_event_stays_one() {
        let event = json!({ "specversion": "1.0", "id": "e-1" });
        assert_eq!(convert(&event, DeliverySchema::EventGridSchema), event);
        assert_eq!(convert(&event, DeliverySchema::CloudEventSchemaV10), event);
    }
}
