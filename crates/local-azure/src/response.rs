//! The HTTP responses that all services share.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{Response as HttpResponse, StatusCode};
use serde_json::{Value, json};

pub(crate) type Response = HttpResponse<Body>;

/// A response with a JSON body and the headers of Azure's services.
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

/// The status 200 with a JSON body.
pub(crate) fn ok(body: &Value) -> Response {
    json(StatusCode::OK, body)
}

/// The status 200 with an XML body.
pub(crate) fn xml(body: String) -> Response {
    let mut response = HttpResponse::new(Body::from(body));
    set_header(&mut response, "content-type", "application/xml");
    response
}

/// A response without a body.
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

/// The error body of Microsoft.Web, which is not wrapped and states code and message several times.
pub(crate) fn unwrapped_error(status: StatusCode, code: &str, message: &str) -> Response {
    let entity = json!({ "Code": code, "Message": message });
    let details = json!([{ "Message": message }, { "Code": code }, { "ErrorEntity": entity }]);
    let body = json!({ "Code": code, "Message": message, "Target": null, "Details": details, "Innererror": null });
    json(status, &body)
}

/// Sets a header. The value must be valid in a header.
pub(crate) fn set_header(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The error of blob storage, which also has its code in a header.
pub(crate) fn storage_error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = HttpResponse::new(Body::from(body));
    *response.status_mut() = status;
    set_header(&mut response, "content-type", "application/xml");
    set_header(&mut response, "x-ms-error-code", code);
    response
}
