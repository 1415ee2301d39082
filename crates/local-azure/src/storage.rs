//! The front of blob storage: tokens and faults are ours, everything else is Azurite's.

use axum::body::Body;
use axum::http::{HeaderName, Response as HttpResponse, StatusCode};
use jiff::Timestamp;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use url::Url;

use crate::answer::{self, Response};
use crate::azure_cloud::Audience;
use crate::backend::Backend;
use crate::call::Call;

/// Where requests for blob storage are carried out.
pub(crate) struct Storage {
    /// The service, without an account.
    pub(crate) url: Url,
    pub(crate) client: reqwest::Client,
}

/// What belongs to one connection and not to the request.
const HOP_BY_HOP: [HeaderName; 4] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Whose token a request has. The error is the answer for somebody without a good one.
pub(crate) fn caller(
    backend: &Backend,
    call: &Call,
    now: Timestamp,
) -> Result<String, Box<Response>> {
    let owner = backend.identities.owner(call, Audience::Storage, now);
    owner.map_err(|_| {
        let message = "Server failed to authenticate the request.";
        Box::new(error(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationInfo",
            message,
        ))
    })
}

/// Has a request carried out.
pub(crate) async fn answer(backend: &Backend, call: &Call) -> Response {
    let unreachable = |message: &str| error(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", message);
    let Some(storage) = &backend.storage else {
        return unreachable("There is no storage.");
    };
    let mut url = storage.url.clone();
    url.set_path(&call.path);
    url.set_query(call.raw_query.as_deref());
    let mut request = storage
        .client
        .request(call.method.clone(), url)
        .body(call.body().clone());
    for (name, value) in call
        .headers()
        .iter()
        .filter(|(name, _)| !HOP_BY_HOP.contains(name))
    {
        request = request.header(name, value);
    }
    let Ok(answered) = request.send().await else {
        return unreachable("The storage is away.");
    };
    let mut response = HttpResponse::builder().status(answered.status());
    for (name, value) in answered
        .headers()
        .iter()
        .filter(|(name, _)| !HOP_BY_HOP.contains(name))
    {
        response = response.header(name, value);
    }
    let Ok(body) = answered.bytes().await else {
        return unreachable("The storage has gone away.");
    };
    response
        .body(Body::from(body))
        .unwrap_or_else(|_| unreachable("The storage answers what is no answer."))
}

/// The error of blob storage: the code is in a header, too.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = HttpResponse::new(Body::from(body));
    *response.status_mut() = status;
    answer::set_header(&mut response, "content-type", "application/xml");
    answer::set_header(&mut response, "x-ms-error-code", code);
    response
}
