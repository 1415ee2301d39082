//! The errors of Resource Manager, each in its own form.

use std::time::Duration;

use axum::http::StatusCode;

use crate::apps::ReferenceKind;
use crate::azure_cloud::AzureCloud;
use crate::identity::BadToken;
use crate::response::{self, Response, unwrapped_error};

/// The reason that a request is rejected.
#[derive(Debug)]
pub(super) enum ResourceManagerRefusal {
    NoApiVersion,
    NoOperation,
    NoSubscription(String),
    NoResourceGroup(String),
    UnknownApiVersion {
        version: String,
        /// The resource type without its namespace. `None` for a type of Resource Manager itself.
        resource_type: Option<String>,
        supported: String,
    },
    NoProvider(String),
    /// The resource is given as its type and name.
    NoResource {
        resource: String,
        group: String,
    },
    InvalidFilter(String),
    /// A swap with a slot that does not exist.
    NoSwapSlot(String),
    /// A swap of a slot with itself.
    SameSlot(String),
    NoReference {
        kind: ReferenceKind,
        name: String,
    },
    Forbidden {
        caller: String,
        action: String,
        scope: String,
    },
    Unreadable(String),
    NoProperties,
    InvalidProperties,
    TooManyRequests {
        subscription: String,
        wait: Duration,
    },
}

impl ResourceManagerRefusal {
    pub(super) fn into_response(self) -> Response {
        let (status, code, message) = match &self {
            Self::NoReference { kind, name } => return reference_not_found(*kind, name),
            Self::NoProperties => {
                let message = "Properties object is not present in the request body.";
                return unwrapped_error(StatusCode::BAD_REQUEST, "BadRequest", message);
            }
            Self::InvalidProperties => {
                let message = "The parameter properties has an invalid value.";
                return unwrapped_error(StatusCode::BAD_REQUEST, "BadRequest", message);
            }
            Self::NoSwapSlot(slot) => {
                let message = format!("Cannot find Slot with name {slot}.");
                return unwrapped_error(StatusCode::NOT_FOUND, "NotFound", &message);
            }
            Self::SameSlot(slot) => {
                let message = format!("Cannot swap slot {slot} with itself.");
                return unwrapped_error(StatusCode::CONFLICT, "Conflict", &message);
            }
            Self::TooManyRequests { subscription, wait } => {
                return too_many_requests(subscription, *wait);
            }
            Self::NoApiVersion => (
                StatusCode::BAD_REQUEST,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests."
                    .to_owned(),
            ),
            Self::NoOperation => (
                StatusCode::NOT_FOUND,
                "InvalidResourceType",
                "There is no such resource type or operation here.".to_owned(),
            ),
            Self::NoSubscription(id) => (
                StatusCode::NOT_FOUND,
                "SubscriptionNotFound",
                format!("The subscription '{id}' could not be found."),
            ),
            Self::NoResourceGroup(name) => (
                StatusCode::NOT_FOUND,
                "ResourceGroupNotFound",
                format!("Resource group '{name}' could not be found."),
            ),
            Self::UnknownApiVersion {
                version,
                resource_type,
                supported,
            } => unknown_api_version(version, resource_type.as_deref(), supported),
            Self::NoProvider(namespace) => (
                StatusCode::NOT_FOUND,
                "InvalidResourceNamespace",
                format!("The resource namespace '{namespace}' is invalid."),
            ),
            Self::NoResource { resource, group } => (
                StatusCode::NOT_FOUND,
                "ResourceNotFound",
                format!("The Resource '{resource}' under resource group '{group}' was not found."),
            ),
            Self::InvalidFilter(filter) => (
                StatusCode::BAD_REQUEST,
                "InvalidFilterInQueryString",
                format!("Invalid $filter '{filter}' specified in the query string."),
            ),
            Self::Forbidden {
                caller,
                action,
                scope,
            } => (
                StatusCode::FORBIDDEN,
                "AuthorizationFailed",
                forbidden(caller, action, scope),
            ),
            Self::Unreadable(position) => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestContent",
                format!(
                    "The request content was invalid and could not be deserialized: '{position}'."
                ),
            ),
        };
        response::error(status, code, &message)
    }
}

fn reference_not_found(kind: ReferenceKind, name: &str) -> Response {
    let message = format!("Cannot find {} reference with name {name}.", kind.noun());
    unwrapped_error(StatusCode::NOT_FOUND, "NotFound", &message)
}

/// Resource Manager names the supported versions, and of a provider's type also the type.
fn unknown_api_version(
    version: &str,
    resource_type: Option<&str>,
    supported: &str,
) -> (StatusCode, &'static str, String) {
    let (code, message) = match resource_type {
        Some(resource_type) => (
            "NoRegisteredProviderFound",
            format!(
                "No registered resource provider found for location 'westeurope' and API version '{version}' \
                 for type '{resource_type}'. The supported api-versions are '{supported}'. \
                 The supported locations are 'westeurope'."
            ),
        ),
        None => (
            "InvalidApiVersionParameter",
            format!(
                "The api-version '{version}' is invalid. The supported versions are '{supported}'."
            ),
        ),
    };
    (StatusCode::BAD_REQUEST, code, message)
}

fn forbidden(caller: &str, action: &str, scope: &str) -> String {
    format!(
        "The client '{caller}' does not have authorization to perform action '{action}' over scope \
         '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    )
}

fn too_many_requests(subscription: &str, wait: Duration) -> Response {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let message = format!(
        "Number of requests for subscription '{subscription}' exceeded the limit. \
         Please try again after '{seconds}' seconds."
    );
    let mut response = response::error(
        StatusCode::TOO_MANY_REQUESTS,
        "SubscriptionRequestsThrottled",
        &message,
    );
    response::set_header(&mut response, "retry-after", &seconds.to_string());
    response
}

/// The status 401 with the authority that issues tokens.
pub(super) fn challenge(cloud: AzureCloud, tenant: &str, reason: BadToken) -> Response {
    let (code, message) = match reason {
        BadToken::Missing => (
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        ),
        BadToken::Unknown => ("InvalidAuthenticationToken", "The access token is invalid."),
        BadToken::Expired => (
            "ExpiredAuthenticationToken",
            "The access token expiry is in the past.",
        ),
        BadToken::WrongAudience => (
            "InvalidAuthenticationTokenAudience",
            "The access token has been obtained for wrong audience or resource.",
        ),
    };
    let mut response = response::error(StatusCode::UNAUTHORIZED, code, message);
    let challenge = format!(
        "Bearer authorization_uri=\"https://{}/{tenant}\", error=\"invalid_token\", error_description=\"{message}\"",
        cloud.login_host()
    );
    response::set_header(&mut response, "www-authenticate", &challenge);
    response
}
