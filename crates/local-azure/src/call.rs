//! A request, read completely before it is executed.

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::fault::Effect;
use crate::response::{self, Response};
use crate::service::Service;

/// A request with its body. It has no `Debug`, because it holds tokens and values.
pub(crate) struct ServiceCall {
    pub(crate) service: Service,
    pub(crate) method: Method,
    /// The path as sent.
    pub(crate) path: String,
    pub(crate) query: QueryParameters,
    /// The query as sent.
    pub(crate) raw_query: Option<String>,
    /// The effects of faults on this request.
    pub(crate) effects: Vec<Effect>,
    headers: HeaderMap,
    body: Bytes,
}

/// The limit of a body, in bytes. It exceeds the limit of app settings.
const LARGEST_BODY: usize = 4 << 20;

impl ServiceCall {
    pub(crate) async fn read(
        service: Service,
        request: Request<axum::body::Body>,
    ) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
            let message = "The request's body is too large or incomplete.";
            return Err(response::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLarge",
                message,
            ));
        };
        Ok(Self {
            service,
            method: head.method,
            path: head.uri.path().to_owned(),
            raw_query: head.uri.query().map(str::to_owned),
            query: QueryParameters::parse(head.uri.query().unwrap_or_default()),
            effects: Vec::new(),
            headers: head.headers,
            body,
        })
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The value of a header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The decoded segments of the path. Trailing empty segments are dropped: clients send one for
    /// an omitted version.
    pub(crate) fn segments(&self) -> Vec<String> {
        let path = self.path.trim_start_matches('/').trim_end_matches('/');
        path.split('/')
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// The origin that the client used, for links in bodies. Behind a TLS listener the scheme is in
    /// `X-Forwarded-Proto`.
    pub(crate) fn origin(&self) -> String {
        let scheme = self.header("x-forwarded-proto").unwrap_or("http");
        format!("{scheme}://{}", self.header("host").unwrap_or("127.0.0.1"))
    }

    /// The body as JSON. The error gives the position and not the content.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body)
            .map_err(|error| format!("line {}, column {}", error.line(), error.column()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

/// Query parameters. Their names compare case-insensitively.
pub(crate) struct QueryParameters(Vec<(String, String)>);

impl QueryParameters {
    fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
