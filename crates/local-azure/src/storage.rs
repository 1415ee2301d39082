//! The front of blob storage. It checks tokens and applies faults, and Azurite executes the
//! requests.

use axum::body::Body;
use axum::http::{HeaderName, Response as HttpResponse, StatusCode};
use jiff::Timestamp;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use url::Url;

use crate::azure_cloud::Audience;
use crate::call::ServiceCall;
use crate::identity::Identities;
use crate::response::{Response, storage_error};

/// The connection to Azurite.
pub(crate) struct Storage {
    /// The base URL, without an account.
    pub(crate) url: Url,
    pub(crate) client: reqwest::Client,
}

/// The headers of the connection, which are not forwarded.
const HOP_BY_HOP: [HeaderName; 4] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Authenticates the caller. The error is the response to a request without a valid token.
pub(crate) fn caller(
    identities: &Identities,
    call: &ServiceCall,
    now: Timestamp,
) -> Result<String, Box<Response>> {
    let owner = identities.owner(call, Audience::Storage, now);
    owner.map_err(|_| {
        let message = "Server failed to authenticate the request.";
        Box::new(storage_error(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationInfo",
            message,
        ))
    })
}

/// The response while storage is unavailable.
pub(crate) fn unavailable(message: &str) -> Response {
    storage_error(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", message)
}

impl Storage {
    /// Forwards a request to Azurite.
    pub(crate) async fn respond(&self, call: &ServiceCall) -> Response {
        let mut url = self.url.clone();
        url.set_path(&call.path);
        url.set_query(call.raw_query.as_deref());
        let mut request = self
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
        let Ok(forwarded) = request.send().await else {
            return unavailable("The storage is unreachable.");
        };
        let mut response = HttpResponse::builder().status(forwarded.status());
        for (name, value) in forwarded
            .headers()
            .iter()
            .filter(|(name, _)| !HOP_BY_HOP.contains(name))
        {
            response = response.header(name, value);
        }
        let Ok(body) = forwarded.bytes().await else {
            return unavailable("The storage closed the connection.");
        };
        response
            .body(Body::from(body))
            .unwrap_or_else(|_| unavailable("The response of the storage is invalid."))
    }
}
