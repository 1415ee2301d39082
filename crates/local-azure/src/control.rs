//! The paths below `/local`, by which people and scripts move the stand-in without a token.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::answer::{self, Response};
use crate::backend::Backend;
use crate::call::Call;
use crate::faults::Fault;
use crate::vaults::Occurrence;

/// Whether a path is one of these.
pub(crate) fn is_meant_by(call: &Call) -> bool {
    call.path == "/local" || call.path.starts_with("/local/")
}

/// Carries a request out.
///
/// - `GET`, `POST` (one as JSON) and `DELETE /local/faults`: list faults, switch one on, switch all off.
/// - `DELETE /local/tokens`: revokes all tokens.
/// - `GET /local/requests`: what arrived.
/// - `PUT /local/vaults/{vault}/secrets/{secret}`: sets a secret to the body.
/// - `POST /local/vaults/{vault}/secrets/{secret}/near-expiry` or `/expired`: publishes the event.
pub(crate) fn answer(backend: &Backend, call: &Call) -> Response {
    let segments = call.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&call.method, path.as_slice()) {
        (&Method::GET, ["local", "faults"]) => answer::ok(&json!(backend.faults.all())),
        (&Method::POST, ["local", "faults"]) => match call.json::<Fault>() {
            Ok(fault) => {
                backend.faults.switch_on(fault);
                answer::empty(StatusCode::NO_CONTENT)
            }
            Err(place) => refuse(
                StatusCode::BAD_REQUEST,
                &format!("the fault cannot be read, {place}"),
            ),
        },
        (&Method::DELETE, ["local", "faults"]) => {
            backend.faults.switch_off();
            answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::DELETE, ["local", "tokens"]) => {
            backend.identities.revoke_all();
            answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, ["local", "requests"]) => answer::ok(&json!(backend.requests.all())),
        (&Method::PUT, ["local", "vaults", vault, "secrets", secret]) => {
            set(backend, call, vault, secret)
        }
        (&Method::POST, ["local", "vaults", vault, "secrets", secret, "near-expiry"]) => {
            publish(backend, vault, secret, Occurrence::NearExpiry)
        }
        (&Method::POST, ["local", "vaults", vault, "secrets", secret, "expired"]) => {
            publish(backend, vault, secret, Occurrence::Expired)
        }
        _ => refuse(StatusCode::NOT_FOUND, "there is nothing to be done there"),
    }
}

fn set(backend: &Backend, call: &Call, vault: &str, secret: &str) -> Response {
    let Some(value) = call.text() else {
        return refuse(StatusCode::BAD_REQUEST, "the value is not text");
    };
    match backend.set_secret_value(vault, secret, value.into()) {
        Ok(version) => answer::ok(&json!({ "version": version })),
        Err(error) => refuse(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

fn publish(backend: &Backend, vault: &str, secret: &str, what: Occurrence) -> Response {
    match backend.publish_of_newest(vault, secret, what) {
        Ok(()) => answer::empty(StatusCode::NO_CONTENT),
        Err(error) => refuse(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    answer::error(status, "Local", message)
}
