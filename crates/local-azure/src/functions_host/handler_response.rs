//! The handler's response, as the host reads it.

use reqwest::{Response, header};
use serde_json::{Map, Value};

use super::invocation::InvocationFailure;

/// A response that is not a failure.
#[derive(Debug)]
pub(super) enum HandlerResponse {
    /// A JSON object.
    Object(Map<String, Value>),
    /// A response with neither a result nor an error. The host never completes such an invocation.
    ///
    /// Source: in `DefaultHttpWorkerService.ProcessDefaultInvocationRequest`
    /// (Azure/azure-functions-host) the result source is set only for a result that is not null.
    Empty,
}

/// Reads a response after redirects.
pub(super) async fn read(response: Response) -> Result<HandlerResponse, InvocationFailure> {
    if !response.status().is_success() {
        return Err(InvocationFailure::Status(response.status().as_u16()));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type =
        content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let says_empty = response.content_length() == Some(0);
    let body = response
        .bytes()
        .await
        .map_err(|error| InvocationFailure::Connection(innermost(&error)))?;
    read_body(content_type.as_deref(), says_empty, &body)
}

/// A field of the response. The host compares field names case-insensitively.
pub(super) fn field<'a>(response: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    response
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Reads a body. `says_empty` means a `Content-Length` of 0 or a status without a body, and
/// overrides the content type.
fn read_body(
    content_type: Option<&str>,
    says_empty: bool,
    body: &[u8],
) -> Result<HandlerResponse, InvocationFailure> {
    if says_empty {
        return Ok(HandlerResponse::Empty);
    }
    // The host treats a missing type as a stream of bytes.
    let content_type = content_type.unwrap_or("application/octet-stream");
    if !is_json(content_type) {
        return Err(InvocationFailure::ContentType(content_type.to_owned()));
    }
    if body.trim_ascii().is_empty() {
        return Ok(HandlerResponse::Empty);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Ok(HandlerResponse::Empty),
        Ok(Value::Object(response)) => {
            check_fields(&response).map(|()| HandlerResponse::Object(response))
        }
        Ok(_) => Err(InvocationFailure::InvalidResponse("a JSON object")),
        Err(_) => Err(InvocationFailure::InvalidResponse("JSON")),
    }
}

/// Whether the host's JSON formatter reads this type.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/json", "text/json"]
        .iter()
        .any(|json| essence.eq_ignore_ascii_case(json))
}

/// Checks the types of the fields that the host knows.
fn check_fields(response: &Map<String, Value>) -> Result<(), InvocationFailure> {
    let is = |name, wanted: fn(&Value) -> bool| {
        field(response, name).is_none_or(|value| value.is_null() || wanted(value))
    };
    if !is("Outputs", Value::is_object) {
        return Err(InvocationFailure::InvalidResponse(
            "one with an object in `Outputs`",
        ));
    }
    if !is("Logs", |logs| {
        logs.as_array()
            .is_some_and(|lines| lines.iter().all(is_line))
    }) {
        return Err(InvocationFailure::InvalidResponse(
            "one with a list of texts in `Logs`",
        ));
    }
    Ok(())
}

fn is_line(line: &Value) -> bool {
    !line.is_array() && !line.is_object()
}

/// The text of the last error in a chain: `connection refused` rather than `error sending request`.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: Option<&str>, body: &str, wanted: &str) {
        let found = match read_body(content_type, false, body.as_bytes()) {
            Ok(HandlerResponse::Object(_)) => "success".to_owned(),
            Ok(HandlerResponse::Empty) => "empty".to_owned(),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(found, wanted, "{content_type:?} {body}");
    }

    #[test]
    fn a_json_object_is_a_success() {
        for body in [
            "{}",
            r#"{"Outputs":{},"Logs":["x",1],"ReturnValue":null}"#,
            r#"{"logs":null,"other":[]}"#,
        ] {
            check(Some("application/json"), body, "success");
        }
        check(Some("Application/JSON; charset=utf-8"), "{}", "success");
        check(Some("text/json"), "{}", "success");
    }

    #[test]
    fn null_and_an_empty_body_are_empty() {
        check(Some("application/json"), "null", "empty");
        check(Some("application/json"), "", "empty");
        assert!(matches!(
            read_body(None, true, b""),
            Ok(HandlerResponse::Empty)
        ));
        assert!(matches!(
            read_body(Some("text/plain"), true, b""),
            Ok(HandlerResponse::Empty)
        ));
    }

    #[test]
    fn other_types_are_failures() {
        check(
            Some("text/plain"),
            "{}",
            "the handler responded with the content type `text/plain`",
        );
        check(
            None,
            "{}",
            "the handler responded with the content type `application/octet-stream`",
        );
        check(
            Some("application/problem+json"),
            "{}",
            "the handler responded with the content type `application/problem+json`",
        );
    }

    #[test]
    fn other_shapes_are_failures() {
        check(
            Some("application/json"),
            "ok",
            "the handler's response is not JSON",
        );
        check(
            Some("application/json"),
            "[]",
            "the handler's response is not a JSON object",
        );
        check(
            Some("application/json"),
            r#"{"outputs":[]}"#,
            "the handler's response is not one with an object in `Outputs`",
        );
        check(
            Some("application/json"),
            r#"{"Logs":"x"}"#,
            "the handler's response is not one with a list of texts in `Logs`",
        );
    }
}
