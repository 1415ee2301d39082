//! The wire format between the Functions host and a custom handler: what comes in for one invocation, what goes out.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use keyrelay_model::{Event, EventError, decode_events};
use serde_json::{Value, json};

/// The largest body that is read. Event Grid's largest event has 1 MB; a batch has at most 1 MB too, and the envelope
/// holds some fields twice.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// How much of a body that is too large is read and dropped, so that the sender sees our answer and not a broken pipe.
const MAX_DRAINED: usize = 64 * 1024 * 1024;

/// The header in which the Functions host names the invocation.
const INVOCATION_ID: &str = "x-azure-functions-invocationid";

/// Longest invocation id that is taken over. The Functions host's are GUIDs of 36 characters.
const MAX_ID_LENGTH: usize = 64;

/// Why the body of an invocation holds no events at all. It would be the same next time.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More than any event can be.
    #[error("the body of the invocation is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// The sender went away in the middle of it.
    #[error("the body of the invocation ended early")]
    Incomplete,
    /// Not what the Functions host sends.
    #[error("the body of the invocation is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// JSON of another shape.
    #[error("the body of the invocation has no trigger value in `Data`")]
    NoData,
}

/// The id of an invocation, from its headers: `-` if there is none, as when somebody tries the handler by hand.
pub fn invocation_id(headers: &HeaderMap) -> String {
    let id = headers
        .get(INVOCATION_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or("-");
    id.chars().take(MAX_ID_LENGTH).collect()
}

/// Reads a body, chunked or not, up to its limit.
pub async fn read_body(body: Body) -> Result<Vec<u8>, BodyError> {
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

/// Takes the events out of `{"Data":{"event":...},"Metadata":...}`.
///
/// The binding's name is `event` in our own `function.json`; if it was renamed, the only entry of `Data` is taken.
pub fn decode(body: &[u8]) -> Result<Vec<Result<Event, EventError>>, BodyError> {
    let envelope: Value = serde_json::from_slice(body).map_err(|error| BodyError::NotJson {
        line: error.line(),
        column: error.column(),
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
    Ok(decode_events(value))
}

/// What an invocation is answered with. Never an empty body: the Functions host would wait for ever.
#[derive(Debug)]
pub struct Answer {
    /// Whether Event Grid should deliver the events again.
    pub redeliver: bool,
    /// Lines that the Functions host logs within the invocation, if it is a success.
    pub logs: Vec<String>,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = if self.redeliver {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        };
        let body = json!({ "Outputs": {}, "Logs": self.logs, "ReturnValue": null });
        (
            status,
            [(header::CONTENT_TYPE, "application/json")],
            body.to_string(),
        )
            .into_response()
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
