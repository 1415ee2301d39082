//! The envelope in which the Functions host delivers events.

use jiff::Timestamp;
use keyrelay_host::functions::invocation::decode;
use keyrelay_model::{Event, EventError, MAX_EVENTS, decode_events};
use serde_json::Value;

/// The length of the longest error, in bytes. An error never quotes the body, which may hold
/// anything.
const LONGEST_ERROR: usize = 120;

/// Decodes the body of an invocation. It gives the events of the envelope's trigger value, or an
/// error that does not quote it.
pub fn run(data: &[u8]) {
    let parsed: Option<Value> = serde_json::from_slice(data).ok();
    match decode(data) {
        Ok(events) => {
            assert!(!events.is_empty() && events.len() <= MAX_EVENTS);
            let envelope = parsed.expect("a body that is decoded is JSON");
            let value = trigger_value(&envelope).expect("a body that is decoded has a value");
            let expected = decode_events(value, Timestamp::UNIX_EPOCH);
            assert_eq!(timeless(events), timeless(expected));
        }
        Err(error) => assert!(error.to_string().len() <= LONGEST_ERROR, "{error}"),
    }
}

/// The entry `event` of `Data`, or its only entry.
fn trigger_value(envelope: &Value) -> Option<&Value> {
    let data = envelope.get("Data")?.as_object()?;
    data.get("event")
        .or_else(|| data.values().next().filter(|_| data.len() == 1))
}

/// The events without the time of their arrival.
fn timeless(events: Vec<Result<Event, EventError>>) -> Vec<Result<Event, EventError>> {
    let timeless = |event: Event| match event.is_time_of_arrival {
        true => Event {
            time: 0,
            nanoseconds: 0,
            ..event
        },
        false => event,
    };
    events.into_iter().map(|it| it.map(timeless)).collect()
}
