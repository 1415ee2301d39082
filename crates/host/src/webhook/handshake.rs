//! The handshakes by which a webhook says that it wants the events.
//!
//! Event Grid's own schema: an event with a code, which is sent back ("Webhook Event Delivery" in Event Grid's
//! documentation). The other way, to fetch a URL out of the body, is not taken: nobody makes keyrelay ask an address.
//! CloudEvents: `OPTIONS` with the sender's name, which is sent back ("Abuse Protection" in the CloudEvents specification
//! "HTTP 1.1 Web Hooks for Event Delivery"). It has no token by that specification, so it is answered to whoever asks, and
//! tells nothing but the rate.

use std::num::NonZeroU32;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::refusal::Refusal;

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// What Event Grid calls itself: in the public cloud, for the US Government, in China.
const ORIGINS: [&str; 3] = [
    "eventgrid.azure.net",
    "eventgrid.azure.us",
    "eventgrid.azure.cn",
];

/// The header that tells a validation from a notification.
const EVENT_TYPE: HeaderName = HeaderName::from_static("aeg-event-type");

const VALIDATION: &str = "SubscriptionValidation";
const VALIDATION_EVENT: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

/// The longest code that is sent back. Event Grid's are GUIDs.
const MAX_CODE: usize = 512;

/// Answers `OPTIONS`.
pub(super) fn permission(headers: &HeaderMap, a_minute: NonZeroU32) -> Response {
    let asked = headers
        .get(REQUEST_ORIGIN)
        .and_then(|origin| origin.to_str().ok())
        .map(str::trim);
    let origin = ORIGINS
        .into_iter()
        .find(|origin| asked.is_some_and(|asked| asked.eq_ignore_ascii_case(origin)));
    let Some(origin) = origin else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let rate = HeaderValue::from(a_minute.get());
    [
        (ALLOWED_ORIGIN, HeaderValue::from_static(origin)),
        (ALLOWED_RATE, rate),
    ]
    .into_response()
}

/// The answer to a validation. None: the body holds events.
pub(super) fn validation(headers: &HeaderMap, body: &Value) -> Option<Result<Response, Refusal>> {
    let kind = headers.get(EVENT_TYPE)?.to_str().ok()?;
    if !kind.eq_ignore_ascii_case(VALIDATION) {
        return None;
    }
    let event = body
        .as_array()
        .and_then(|events| events.first())
        .unwrap_or(body);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let is_validation =
        text(event.get("eventType")).is_some_and(|it| it.eq_ignore_ascii_case(VALIDATION_EVENT));
    let code = text(event.pointer("/data/validationCode"))
        .filter(|code| is_validation && code.len() <= MAX_CODE);
    Some(
        code.map(|code| Json(json!({ "validationResponse": code })).into_response())
            .ok_or(Refusal::NoCode),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn only_event_grid_gets_permission() {
        let ask = |origin: &str| permission(&headers(REQUEST_ORIGIN, origin), NonZeroU32::MIN);
        let answer = ask("EventGrid.azure.net");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[ALLOWED_ORIGIN], "eventgrid.azure.net");
        assert_eq!(answer.headers()[ALLOWED_RATE], "1");
        for other in ["", "*", "example.com", "eventgrid.azure.net.example.com"] {
            assert_eq!(ask(other).status(), 403, "{other}");
        }
        assert_eq!(permission(&HeaderMap::new(), NonZeroU32::MIN).status(), 403);
    }

    #[test]
    fn a_validation_is_told_by_its_header_and_needs_a_code() {
        let event = |kind: &str, data: Value| json!([{ "eventType": kind, "data": data }]);
        let good = event(
            VALIDATION_EVENT,
            json!({ "validationCode": "c", "validationUrl": "https://example.com" }),
        );
        let header = headers(EVENT_TYPE, VALIDATION);
        assert!(matches!(validation(&header, &good), Some(Ok(_))));
        assert!(validation(&headers(EVENT_TYPE, "Notification"), &good).is_none());
        assert!(validation(&HeaderMap::new(), &good).is_none());
        let long = "x".repeat(MAX_CODE + 1);
        for bad in [
            event(VALIDATION_EVENT, json!({})),
            event("Other", json!({ "validationCode": "c" })),
            event(VALIDATION_EVENT, json!({ "validationCode": long })),
            json!([]),
            json!(7),
        ] {
            assert!(
                matches!(validation(&header, &bad), Some(Err(Refusal::NoCode))),
                "{bad}"
            );
        }
    }
}
