//! The handshakes that validate a subscription.
//!
//! In Event Grid's own schema, an event holds a code, and the response repeats it ("Webhook Event
//! Delivery" in Event Grid's documentation). The alternative, to fetch a URL from the body, is not
//! used: no request makes keyrelay connect to an address. Event Grid can also send this event in the
//! schema of CloudEvents, with its data encoded twice (`HttpRequestProcessor` in Microsoft's Event
//! Grid extension for Functions). With CloudEvents, an `OPTIONS` request holds the sender's name, and
//! the response repeats it ("Abuse Protection" in the CloudEvents specification "HTTP 1.1 Web Hooks
//! for Event Delivery"). By that specification the request has no token, so every sender gets a
//! response; it reveals only the rate.

use std::num::NonZeroU32;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::refusal::WebhookRefusal;

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// The origins of Event Grid: in the public cloud, in that of the US Government, and in China.
const ORIGINS: [&str; 3] = [
    "eventgrid.azure.net",
    "eventgrid.azure.us",
    "eventgrid.azure.cn",
];

/// The header that distinguishes a validation from a notification.
const EVENT_TYPE: HeaderName = HeaderName::from_static("aeg-event-type");

const VALIDATION: &str = "SubscriptionValidation";
const VALIDATION_EVENT: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

/// Longest code that is repeated, in bytes. Those of Event Grid are GUIDs.
const MAX_CODE: usize = 512;

/// The response to an `OPTIONS` request.
pub(super) fn permission(headers: &HeaderMap, rate_per_minute: NonZeroU32) -> Response {
    let requested = headers
        .get(REQUEST_ORIGIN)
        .and_then(|origin| origin.to_str().ok())
        .map(str::trim);
    let origin = ORIGINS
        .into_iter()
        .find(|origin| requested.is_some_and(|requested| requested.eq_ignore_ascii_case(origin)));
    let Some(origin) = origin else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let rate = HeaderValue::from(rate_per_minute.get());
    [
        (ALLOWED_ORIGIN, HeaderValue::from_static(origin)),
        (ALLOWED_RATE, rate),
    ]
    .into_response()
}

/// The response to a validation. None: the body holds events.
pub(super) fn validation(
    headers: &HeaderMap,
    body: &Value,
) -> Option<Result<Response, WebhookRefusal>> {
    let kind = headers.get(EVENT_TYPE)?.to_str().ok()?;
    if !kind.eq_ignore_ascii_case(VALIDATION) {
        return None;
    }
    let event = body
        .as_array()
        .and_then(|events| events.first())
        .unwrap_or(body);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let event_type = event.get("eventType").or_else(|| event.get("type"));
    let is_validation =
        text(event_type).is_some_and(|it| it.eq_ignore_ascii_case(VALIDATION_EVENT));
    let decoded = event
        .get("data")
        .and_then(Value::as_str)
        .and_then(|data| serde_json::from_str::<Value>(data).ok());
    let data = decoded.as_ref().or_else(|| event.get("data"));
    let code = text(data.and_then(|data| data.get("validationCode")))
        .filter(|code| is_validation && code.len() <= MAX_CODE);
    Some(
        code.map(|code| Json(json!({ "validationResponse": code })).into_response())
            .ok_or(WebhookRefusal::NoCode),
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
        let request = |origin: &str| permission(&headers(REQUEST_ORIGIN, origin), NonZeroU32::MIN);
        let response = request("EventGrid.azure.net");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[ALLOWED_ORIGIN], "eventgrid.azure.net");
        assert_eq!(response.headers()[ALLOWED_RATE], "1");
        for other in ["", "*", "example.com", "eventgrid.azure.net.example.com"] {
            assert_eq!(request(other).status(), 403, "{other}");
        }
        assert_eq!(permission(&HeaderMap::new(), NonZeroU32::MIN).status(), 403);
    }

    #[test]
    fn a_validation_is_known_by_its_header_and_needs_a_code() {
        let event = |kind: &str, data: Value| json!([{ "eventType": kind, "data": data }]);
        let good = event(
            VALIDATION_EVENT,
            json!({ "validationCode": "c", "validationUrl": "https://example.com" }),
        );
        let header = headers(EVENT_TYPE, VALIDATION);
        assert!(matches!(validation(&header, &good), Some(Ok(_))));
        assert!(validation(&headers(EVENT_TYPE, "Notification"), &good).is_none());
        assert!(validation(&HeaderMap::new(), &good).is_none());
        let cloud_event = |data: Value| json!({ "type": VALIDATION_EVENT, "data": data });
        for data in [
            json!("{\n  \"validationCode\": \"c\",\n  \"validationUrl\": \"u\"}"),
            json!({ "validationCode": "c" }),
        ] {
            let response = validation(&header, &cloud_event(data));
            assert!(matches!(response, Some(Ok(_))));
        }
        let long = "x".repeat(MAX_CODE + 1);
        for bad in [
            event(VALIDATION_EVENT, json!({})),
            event("Other", json!({ "validationCode": "c" })),
            event(VALIDATION_EVENT, json!({ "validationCode": long })),
            cloud_event(json!("c")),
            cloud_event(json!("{'validationCode': 'c'}")),
            json!([]),
            json!(7),
        ] {
            assert!(
                matches!(validation(&header, &bad), Some(Err(WebhookRefusal::NoCode))),
                "{bad}"
            );
        }
    }
}
