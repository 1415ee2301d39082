//! The wire format of one invocation between the Functions host and a custom handler.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use jiff::Timestamp;
use keyrelay_model::{
    Event, EventError, JsonError, MAX_EVENTS, MAX_VALUES, bounded_json, decode_events,
};
use keyrelay_records::{Outcome, Run};
use serde_json::{Value, json};

/// Largest body that is read, in bytes. Event Grid's largest event and largest batch have 1 MB, and
/// the envelope holds some fields twice.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Largest part of an oversized body that is read and dropped, in bytes, so that the sender gets
/// our response instead of a broken pipe.
const MAX_DRAINED: usize = 64 * 1024 * 1024;

/// The header in which the Functions host names the invocation.
const INVOCATION_ID: &str = "x-azure-functions-invocationid";

/// Longest invocation id that is used. Those of the Functions host are GUIDs of 36 characters.
const MAX_ID_LENGTH: usize = 64;

/// The reason why the body of an invocation holds no events.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is larger than any event.
    #[error("the body of the invocation is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// The sender disconnected before the end of the body.
    #[error("the body of the invocation ended early")]
    Incomplete,
    /// The body is not JSON.
    #[error("the body of the invocation is not JSON (line {line}, column {column})")]
    NotJson {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// The body has more values than any delivery.
    #[error(
        "the body of the invocation has more than {MAX_EVENTS} events, or more than {MAX_VALUES} values"
    )]
    TooManyValues,
    /// The body is JSON of another shape.
    #[error("the body of the invocation has no trigger value in `Data`")]
    NoData,
}

/// The id of an invocation, from its headers. It is `-` for a request without one, made by hand.
pub(crate) fn invocation_id(headers: &HeaderMap) -> String {
    let id = headers
        .get(INVOCATION_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or("-");
    id.chars().take(MAX_ID_LENGTH).collect()
}

/// Reads a body, chunked or not, up to its limit.
pub(crate) async fn read_body(body: Body) -> Result<Vec<u8>, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut size = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        size = size.saturating_add(chunk.len());
        if size <= MAX_BODY {
            bytes.extend_from_slice(&chunk);
        } else if size > MAX_DRAINED {
            break;
        }
    }
    if size > MAX_BODY {
        Err(BodyError::TooLarge)
    } else {
        Ok(bytes)
    }
}

/// Decodes the events in `{"Data":{"event":...},"Metadata":...}`. Each event is valid or not by
/// itself.
///
/// The binding is named `event` in our own `function.json`. If it was renamed, the only entry of
/// `Data` is used.
pub fn decode(body: &[u8]) -> Result<Vec<Result<Event, EventError>>, BodyError> {
    let envelope = bounded_json(body).map_err(|error| match error {
        JsonError::Syntax { line, column } => BodyError::NotJson { line, column },
        JsonError::TooManyValues => BodyError::TooManyValues,
    })?;
    let data = envelope
        .get("Data")
        .and_then(Value::as_object)
        .ok_or(BodyError::NoData)?;
    let only = || {
        if data.len() == 1 {
            data.values().next()
        } else {
            None
        }
    };
    let value = data.get("event").or_else(only).ok_or(BodyError::NoData)?;
    Ok(decode_events(value, Timestamp::now()))
}

/// The response to an invocation. It is made from verdicts only, and its body is never empty: the
/// Functions host would wait for one until its time-out.
#[derive(Debug)]
pub(crate) struct InvocationResponse {
    asks_for_redelivery: bool,
    /// Lines that the Functions host logs within a successful invocation.
    logs: Vec<String>,
}

impl InvocationResponse {
    /// The response to the events of an invocation.
    pub(crate) fn of_runs(runs: &[Run]) -> Self {
        Self {
            asks_for_redelivery: runs.iter().any(Run::asks_for_redelivery),
            logs: runs.iter().flat_map(Run::lines).collect(),
        }
    }

    /// The response to an invocation that holds no event.
    pub(crate) fn without_events(run: &Run) -> Self {
        let messages = run.outcomes().map(|outcome| outcome.message.clone());
        Self {
            asks_for_redelivery: run.asks_for_redelivery(),
            logs: messages.collect(),
        }
    }

    /// The response to an invocation of the timer. There is no redelivery for it, but a failed
    /// invocation is shown in Azure's portal.
    pub(crate) fn of_outcome(outcome: &Outcome) -> Self {
        Self {
            asks_for_redelivery: outcome.verdict.asks_for_redelivery(),
            logs: vec![outcome.message.clone()],
        }
    }
}

impl IntoResponse for InvocationResponse {
    fn into_response(self) -> Response {
        let status = match self.asks_for_redelivery {
            true => StatusCode::INTERNAL_SERVER_ERROR,
            false => StatusCode::OK,
        };
        let body = json!({ "Outputs": {}, "Logs": self.logs, "ReturnValue": null });
        let headers = [(header::CONTENT_TYPE, "application/json")];
        (status, headers, body.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::stream;

    use super::*;

    fn event() -> Value {
        json!({
            "id": "e-1",
            "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
            "eventTime": "2026-03-01T10:20:30Z",
            "data": { "Id": "https://kv.vault.azure.net/secrets/s/1" },
        })
    }

    fn check_events(data: &Value, fine: usize, bad: usize) {
        let body = json!({ "Data": data, "Metadata": {} }).to_string();
        let events = decode(body.as_bytes()).unwrap();
        let counted = (
            events.iter().filter(|it| it.is_ok()).count(),
            events.iter().filter(|it| it.is_err()).count(),
        );
        assert_eq!(counted, (fine, bad), "{body}");
    }

    #[test]
    fn events_are_found_in_every_envelope() {
        check_events(&json!({ "event": event() }), 1, 0);
        check_events(&json!({ "event": event(), "other": 1 }), 1, 0);
        check_events(&json!({ "eventGridEvent": event() }), 1, 0);
        check_events(
            &json!({ "event": json!([event(), event()]).to_string() }),
            2,
            0,
        );
        check_events(&json!({ "event": [event(), 1] }), 1, 1);
        check_events(&json!({ "event": null }), 0, 1);
    }

    #[test]
    fn what_is_no_envelope_is_an_error() {
        for body in [
            "",
            "x",
            "{",
            "\u{0}",
            "[]",
            "null",
            r#"{"Data":7}"#,
            r#"{"Data":{}}"#,
            r#"{"Data":{"a":1,"b":2}}"#,
        ] {
            assert!(decode(body.as_bytes()).is_err(), "{body}");
        }
        assert!(decode(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn the_text_of_a_broken_body_is_not_in_the_error() {
        let error = decode(b"planted-value").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"));
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_read_to_its_end_and_refused() {
        let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
        let chunks = stream::iter((0..10).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
        let error = read_body(Body::from_stream(chunks)).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge), "{error}");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_incomplete() {
        let chunks = stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);
        let error = read_body(Body::from_stream(chunks)).await.unwrap_err();
        assert!(matches!(error, BodyError::Incomplete), "{error}");
    }
}
