//! The body of an invocation: `{"Data":{"<binding>":<value>},"Metadata":{...}}`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::files::function::Function;
use super::schedule::Schedule;

/// The body for an Event Grid trigger. `value` is an event or an array of events.
///
/// With `double_encoded` the trigger's value is a string that holds the event, as in older
/// extensions.
pub(super) fn of_events(function: &Function, value: &Value, double_encoded: bool) -> Vec<u8> {
    let data = match value {
        Value::Array(events) => {
            Value::Array(events.iter().map(|event| data_of(event).clone()).collect())
        }
        event => data_of(event).clone(),
    };
    let mut metadata = Map::new();
    // The host omits binding data without a value.
    if !data.is_null() {
        metadata.insert("data".to_owned(), encode(&data));
    }
    let value = if double_encoded {
        Value::String(value.to_string())
    } else {
        encode(value)
    };
    body(function, value, metadata)
}

/// The body for a timer trigger.
pub(super) fn of_timer(
    function: &Function,
    schedule: &Schedule,
    last: Option<Timestamp>,
) -> Vec<u8> {
    let now = Timestamp::now();
    let next = schedule.next_after(now);
    // The host does not monitor schedules below one minute, so they have no status.
    let after_next = next.and_then(|next| schedule.next_after(next));
    let monitored = match (next, after_next) {
        (Some(next), Some(after)) => after.duration_since(next).as_secs() >= 60,
        _ => true,
    };
    let date =
        |time: Option<Timestamp>| time.map_or_else(|| "0001-01-01T00:00:00".to_owned(), text);
    let status = json!({ "Last": date(last), "LastUpdated": date(last), "Next": date(next) });
    let value = json!({
        "Schedule": { "AdjustForDST": true },
        "ScheduleStatus": if monitored { status } else { Value::Null },
        "IsPastDue": false,
    });
    body(function, value, Map::new())
}

/// The body for an HTTP trigger.
pub(super) fn of_request(function: &Function, request: Value) -> Vec<u8> {
    body(function, request, Map::new())
}

fn body(function: &Function, value: Value, mut metadata: Map<String, Value>) -> Vec<u8> {
    metadata.insert(
        "sys".to_owned(),
        json!({
            "MethodName": function.name,
            "UtcNow": text(Timestamp::now()),
            "RandGuid": Uuid::new_v4().to_string(),
        }),
    );
    let binding = function.binding.as_str();
    json!({ "Data": { binding: value }, "Metadata": metadata })
        .to_string()
        .into_bytes()
}

fn data_of(event: &Value) -> &Value {
    event.get("data").unwrap_or(&Value::Null)
}

/// Encodes a value as the host does: an object stays, any other value becomes a string that holds
/// its JSON.
///
/// Source: `GetHttpScriptInvocationContextValue` in Azure/azure-functions-host.
fn encode(value: &Value) -> Value {
    if value.is_object() {
        value.clone()
    } else {
        Value::String(value.to_string())
    }
}

/// A time in .NET's format, with seven decimal places.
fn text(time: Timestamp) -> String {
    format!("{time:.7}")
}
