//! The paths below `/local`, which control the stand-in without a token.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::error::CloudError;
use super::services::CloudServices;
use crate::call::ServiceCall;
use crate::fault::Fault;
use crate::response::{self, Response};
use crate::vaults::{NewVersion, SecretOccurrence, VersionId};

/// Whether a request is for one of these paths.
pub(super) fn is_control(call: &ServiceCall) -> bool {
    call.path == "/local" || call.path.starts_with("/local/")
}

/// Executes a request.
///
/// - `GET`, `POST` (one as JSON) and `DELETE /local/faults`: lists faults, switches one on,
///   switches all off.
/// - `DELETE /local/tokens`: revokes all tokens.
/// - `GET /local/requests`: lists the recorded requests.
/// - `PUT /local/vaults/{vault}/secrets/{secret}`: sets a secret to the body. The optional
///   parameter `version` is the id of the new version.
/// - `POST /local/vaults/{vault}/secrets/{secret}/near-expiry` or `/expired`: publishes the event.
pub(super) fn respond(services: &CloudServices, call: &ServiceCall) -> Response {
    let segments = call.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&call.method, path.as_slice()) {
        (&Method::GET, ["local", "faults"]) => response::ok(&json!(services.faults.all())),
        (&Method::POST, ["local", "faults"]) => match call.json::<Fault>() {
            Ok(fault) => {
                services.faults.switch_on(fault);
                response::empty(StatusCode::NO_CONTENT)
            }
            Err(position) => rejection(
                StatusCode::BAD_REQUEST,
                &format!("the fault cannot be read, {position}"),
            ),
        },
        (&Method::DELETE, ["local", "faults"]) => {
            services.faults.switch_off();
            response::empty(StatusCode::NO_CONTENT)
        }
        (&Method::DELETE, ["local", "tokens"]) => {
            services.identities.revoke_all();
            response::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, ["local", "requests"]) => response::ok(&json!(services.requests.all())),
        (&Method::PUT, ["local", "vaults", vault, "secrets", secret]) => {
            set(services, call, vault, secret)
        }
        (&Method::POST, ["local", "vaults", vault, "secrets", secret, "near-expiry"]) => {
            publish(services, vault, secret, SecretOccurrence::NearExpiry)
        }
        (&Method::POST, ["local", "vaults", vault, "secrets", secret, "expired"]) => {
            publish(services, vault, secret, SecretOccurrence::Expired)
        }
        _ => rejection(StatusCode::NOT_FOUND, "there is no such operation"),
    }
}

fn set(services: &CloudServices, call: &ServiceCall, vault: &str, secret: &str) -> Response {
    let Some(value) = call.text() else {
        return rejection(StatusCode::BAD_REQUEST, "the value is not text");
    };
    let id = call.query.get("version").map(VersionId::parse).transpose();
    let set = id.map_err(CloudError::from).and_then(|id| {
        let new = NewVersion {
            id,
            ..NewVersion::of(value.into())
        };
        services.set_version(vault, secret, new)
    });
    match set {
        Ok(version) => response::ok(&json!({ "version": version })),
        Err(error) => {
            let status = match error {
                CloudError::Vault(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::NOT_FOUND,
            };
            rejection(status, &error.to_string())
        }
    }
}

fn publish(
    services: &CloudServices,
    vault: &str,
    secret: &str,
    occurrence: SecretOccurrence,
) -> Response {
    match services.publish_newest(vault, secret, occurrence) {
        Ok(()) => response::empty(StatusCode::NO_CONTENT),
        Err(error) => rejection(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

fn rejection(status: StatusCode, message: &str) -> Response {
    response::error(status, "Local", message)
}
