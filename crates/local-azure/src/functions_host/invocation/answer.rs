//! What the host makes of the handler's answer.

use reqwest::{Response, header};
use serde_json::{Map, Value};

use super::Failure;

/// An answer that is not a failure.
#[derive(Debug)]
pub(super) enum Answer {
    /// The JSON object.
    Given(Map<String, Value>),
    /// Nothing that the host could read a result from, and no error either: the invocation is never completed.
    ///
    /// Source: in `DefaultHttpWorkerService.ProcessDefaultInvocationRequest` (Azure/azure-functions-host) the result
    /// source is only set if the result is not null.
    Nothing,
}

/// Reads an answer whose redirects have been followed.
pub(super) async fn read_answer(response: Response) -> Result<Answer, Failure> {
    if !response.status().is_success() {
        return Err(Failure::Status(response.status().as_u16()));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type =
        content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let says_empty = response.content_length() == Some(0);
    let body = response
        .bytes()
        .await
        .map_err(|error| Failure::Connection(super::innermost(&error)))?;
    read_body(content_type.as_deref(), says_empty, &body)
}

/// The field of an answer. The host compares the names of fields without case.
pub(super) fn field<'a>(answer: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    answer
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// `says_empty` is a `Content-Length` of 0, or a status that has no body. Then the content type does not matter.
fn read_body(content_type: Option<&str>, says_empty: bool, body: &[u8]) -> Result<Answer, Failure> {
    if says_empty {
        return Ok(Answer::Nothing);
    }
    // What has no type is a stream of bytes to the host.
    let content_type = content_type.unwrap_or("application/octet-stream");
    if !is_json(content_type) {
        return Err(Failure::ContentType(content_type.to_owned()));
    }
    if body.trim_ascii().is_empty() {
        return Ok(Answer::Nothing);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Ok(Answer::Nothing),
        Ok(Value::Object(answer)) => fits(&answer).map(|()| Answer::Given(answer)),
        Ok(_) => Err(Failure::NotAnAnswer("a JSON object")),
        Err(_) => Err(Failure::NotAnAnswer("JSON")),
    }
}

/// The two types that the host's JSON formatter reads.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/json", "text/json"]
        .iter()
        .any(|json| essence.eq_ignore_ascii_case(json))
}

/// Whether the fields that the host knows have the types that it expects.
fn fits(answer: &Map<String, Value>) -> Result<(), Failure> {
    let is = |name, wanted: fn(&Value) -> bool| {
        field(answer, name).is_none_or(|value| value.is_null() || wanted(value))
    };
    if !is("Outputs", Value::is_object) {
        return Err(Failure::NotAnAnswer("one with an object in `Outputs`"));
    }
    if !is("Logs", |logs| {
        logs.as_array()
            .is_some_and(|lines| lines.iter().all(is_line))
    }) {
        return Err(Failure::NotAnAnswer("one with a list of texts in `Logs`"));
    }
    Ok(())
}

fn is_line(line: &Value) -> bool {
    !line.is_array() && !line.is_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: Option<&str>, body: &str, wanted: &str) {
        let found = match read_body(content_type, false, body.as_bytes()) {
            Ok(Answer::Given(_)) => "success".to_owned(),
            Ok(Answer::Nothing) => "nothing".to_owned(),
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
    fn nothing_comes_of_null_and_of_an_empty_body() {
        check(Some("application/json"), "null", "nothing");
        check(Some("application/json"), "", "nothing");
        assert!(matches!(read_body(None, true, b""), Ok(Answer::Nothing)));
        assert!(matches!(
            read_body(Some("text/plain"), true, b""),
            Ok(Answer::Nothing)
        ));
    }

    #[test]
    fn other_types_are_failures() {
        check(
            Some("text/plain"),
            "{}",
            "the handler answered with the content type `text/plain`",
        );
        check(
            None,
            "{}",
            "the handler answered with the content type `application/octet-stream`",
        );
        check(
            Some("application/problem+json"),
            "{}",
            "the handler answered with the content type `application/problem+json`",
        );
    }

    #[test]
    fn other_shapes_are_failures() {
        check(
            Some("application/json"),
            "ok",
            "the handler's answer is not JSON",
        );
        check(
            Some("application/json"),
            "[]",
            "the handler's answer is not a JSON object",
        );
        check(
            Some("application/json"),
            r#"{"outputs":[]}"#,
            "the handler's answer is not one with an object in `Outputs`",
        );
        check(
            Some("application/json"),
            r#"{"Logs":"x"}"#,
            "the handler's answer is not one with a list of texts in `Logs`",
        );
    }
}
