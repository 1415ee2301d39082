//! The answers that all services have in common.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{Response as HttpResponse, StatusCode};
use serde_json::{Value, json};

pub(crate) type Response = HttpResponse<Body>;

/// A JSON body, with the headers that Azure's services send along.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = HttpResponse::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// 200 with a body.
pub(crate) fn ok(body: &Value) -> Response {
    json(StatusCode::OK, body)
}

/// A status alone.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The error body of Resource Manager and Key Vault.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

/// The error body that Microsoft.Web sends by itself: not wrapped, and every fact three times.
pub(crate) fn unwrapped_error(status: StatusCode, code: &str, message: &str) -> Response {
    let entity = json!({ "Code": code, "Message": message });
    let details = json!([{ "Message": message }, { "Code": code }, { "ErrorEntity": entity }]);
    let body = json!({ "Code": code, "Message": message, "Target": null, "Details": details, "Innererror": null });
    json(status, &body)
}

/// Sets a header whose value is made here, of characters that a header may hold.
pub(crate) fn set_header(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
