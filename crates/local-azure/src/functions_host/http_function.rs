//! HTTP functions without forwarding. The request is sent in `Data`, and the response is read from
//! `Outputs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::envelope;
use super::files::function::{Function, FunctionTrigger};
use super::host::Host;

/// Calls the HTTP function that matches the route and method.
pub(super) async fn call(
    State(host): State<Arc<Host>>,
    Query(query): Query<BTreeMap<String, String>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some((function, parameters)) = host.http_function(&method, uri.path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let FunctionTrigger::Http {
        anonymous, output, ..
    } = &function.trigger
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let by_code = query
        .get("code")
        .is_some_and(|code| *code == host.master_key);
    if !anonymous && !by_code && !host.has_master_key(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some(stopped) = host.stopped_response() {
        return stopped;
    }
    let request = describe(&method, &uri, &query, &headers, &parameters, &body);
    let invocation = host
        .invoker
        .run(
            function,
            &host.round,
            Ok(envelope::of_request(function, request)),
        )
        .await;
    match invocation.outcome {
        Ok(returned) => response(&returned, output.as_deref()),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Host {
    /// The function of a request, with the parameters of its route.
    fn http_function(
        &self,
        method: &Method,
        path: &str,
    ) -> Option<(&Function, Map<String, Value>)> {
        let path = path.trim_start_matches('/');
        let path = match self.route_prefix.as_str() {
            "" => path,
            prefix => path.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        self.functions
            .values()
            .find_map(|function| match &function.trigger {
                FunctionTrigger::Http { methods, route, .. }
                    if methods.is_empty() || methods.iter().any(|it| it == method.as_str()) =>
                {
                    Some((function, match_route(route, path)?))
                }
                _ => None,
            })
    }
}

/// The parameters of a path that matches a route such as `apps/{name}/{id:int}` or `pages/{*path}`, whose last
/// parameter takes the rest, or nothing. Constraints are not checked.
fn match_route(route: &str, path: &str) -> Option<Map<String, Value>> {
    let mut parts = path.trim_end_matches('/').split('/');
    let mut parameters = Map::new();
    for wanted in route.trim_matches('/').split('/') {
        let rest = wanted
            .strip_prefix("{*")
            .and_then(|rest| rest.strip_suffix('}'));
        if let Some(parameter) = rest {
            let rest: Vec<&str> = parts.collect();
            parameters.insert(parameter.to_owned(), json!(rest.join("/")));
            return Some(parameters);
        }
        let part = parts.next()?;
        match wanted
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(parameter) => {
                let name = parameter.split(':').next().unwrap_or(parameter);
                parameters.insert(name.to_owned(), json!(part));
            }
            None if wanted.eq_ignore_ascii_case(part) => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some(parameters)
}

/// Serialises a request in the form of `HttpRequestExtensions.GetRequestAsJObject` in
/// Azure/azure-functions-host. Query and identities are strings that hold JSON.
fn describe(
    method: &Method,
    uri: &Uri,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    parameters: &Map<String, Value>,
    body: &[u8],
) -> Value {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = headers.get(header::HOST).map(text).unwrap_or_default();
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        lines.entry(name.as_str()).or_default().push(text(value));
    }
    let mut request = json!({
        "Url": format!("http://{host}{uri}"),
        "Method": method.as_str(),
        "Query": json!(query).to_string(),
        "Headers": lines,
        "Params": parameters,
        "Identities": "[]",
    });
    // The field `Body` is omitted for a request without a body.
    if let Some(fields) = request.as_object_mut().filter(|_| !body.is_empty()) {
        fields.insert("Body".to_owned(), json!(String::from_utf8_lossy(body)));
    }
    request
}

/// The HTTP response in the output binding of a handler's response. Without one it is an empty 200.
fn response(returned: &Value, output: Option<&str>) -> Response {
    let described = match output {
        None => None,
        Some("$return") => returned.get("ReturnValue"),
        Some(name) => returned
            .get("Outputs")
            .and_then(|outputs| outputs.get(name)),
    };
    let Some(described) = described else {
        return StatusCode::OK.into_response();
    };
    // Newtonsoft reads a number and a numeric string alike.
    let status = match described.get("statusCode") {
        None => Some(StatusCode::OK),
        Some(Value::String(text)) => StatusCode::from_bytes(text.as_bytes()).ok(),
        Some(number) => number
            .as_u64()
            .and_then(|number| StatusCode::from_u16(number.try_into().ok()?).ok()),
    };
    let (body, content_type) = match described.get("body") {
        None | Some(Value::Null) => (String::new(), None),
        Some(Value::String(text)) => (text.clone(), Some("text/plain; charset=utf-8")),
        Some(value) => (value.to_string(), Some("application/json; charset=utf-8")),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let described = described
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let content_type =
        content_type.map(|text| (header::CONTENT_TYPE, HeaderValue::from_static(text)));
    let own = described.filter_map(|(name, value)| {
        Some((
            name.parse::<HeaderName>().ok()?,
            HeaderValue::from_str(value.as_str()?).ok()?,
        ))
    });
    // The server chooses the framing of the body.
    let framing = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ];
    let own = own.filter(|(name, _)| !framing.contains(name));
    // The handler's headers come last and win.
    for (name, value) in content_type.into_iter().chain(own) {
        response.headers_mut().insert(name, value);
    }
    response
}
