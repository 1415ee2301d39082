//! A request, read to its end before anything is done with it.

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::answer::{self, Response};
use crate::faults::Effect;
use crate::requests::Service;

/// A request with its body. It has no `Debug`: tokens and values are in it.
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) method: Method,
    /// The path as it was sent.
    pub(crate) path: String,
    pub(crate) query: Query,
    /// The query as it was sent.
    pub(crate) raw_query: Option<String>,
    /// What the faults that are switched on do to this request.
    pub(crate) effects: Vec<Effect>,
    headers: HeaderMap,
    body: Bytes,
}

/// The largest body that is taken, in bytes: more than any set of settings may have.
const LARGEST_BODY: usize = 4 << 20;

impl Call {
    pub(crate) async fn read(
        service: Service,
        request: Request<axum::body::Body>,
    ) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
            let message = "The request's body is too large, or ended too early.";
            return Err(answer::error(
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
            query: Query::parse(head.uri.query().unwrap_or_default()),
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

    /// The parts of the path, decoded. Clients may leave empty ones at the end: a version that was not given.
    pub(crate) fn segments(&self) -> Vec<String> {
        let path = self.path.trim_start_matches('/').trim_end_matches('/');
        path.split('/')
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// Where the client found us, for the links in bodies. Behind something that speaks TLS for us, that is said in
    /// `X-Forwarded-Proto`.
    pub(crate) fn origin(&self) -> String {
        let scheme = self.header("x-forwarded-proto").unwrap_or("http");
        format!("{scheme}://{}", self.header("host").unwrap_or("127.0.0.1"))
    }

    /// The body as JSON. The error says where it goes wrong and not what is written there.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body)
            .map_err(|error| format!("line {}, column {}", error.line(), error.column()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

/// Query parameters. Their names compare without case.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
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
