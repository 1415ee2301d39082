//! The errors of the data plane, with the codes and messages of the service.

use axum::http::StatusCode;
use serde_json::json;

use crate::azure_cloud::AzureCloud;
use crate::identity::BadToken;
use crate::response::{self, Response};
use crate::vaults::VaultError;

/// The reason that a request is rejected.
#[derive(Debug)]
pub(super) enum KeyVaultRefusal {
    NoVault,
    NotFound,
    NoApiVersion,
    BadParameter(String),
    Denied {
        caller: String,
        resource: String,
    },
    NoPolicy {
        caller: String,
        permission: &'static str,
        vault: String,
    },
    Disabled,
    Vault(VaultError),
}

impl From<VaultError> for KeyVaultRefusal {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl KeyVaultRefusal {
    pub(super) fn unreadable(position: String) -> Self {
        Self::BadParameter(format!(
            "The request's body has the wrong form: {position}."
        ))
    }

    pub(super) fn into_response(self) -> Response {
        match self {
            Self::NoVault => response::error(
                StatusCode::NOT_FOUND,
                "VaultNotFound",
                "There is no such vault.",
            ),
            Self::NotFound => response::error(
                StatusCode::NOT_FOUND,
                "NotFound",
                "There is no such operation.",
            ),
            Self::NoApiVersion => bad_parameter("api-version must be specified"),
            Self::BadParameter(message) => bad_parameter(&message),
            Self::Denied { caller, resource } => {
                let message = format!(
                    "Caller is not authorized to perform action on resource.\r\n\
                     Caller: name={caller}\r\nResource: '{resource}'"
                );
                with_inner_code(
                    StatusCode::FORBIDDEN,
                    "Forbidden",
                    &message,
                    "ForbiddenByRbac",
                )
            }
            Self::NoPolicy {
                caller,
                permission,
                vault,
            } => {
                let message = format!(
                    "The user, group or application 'name={caller}' does not have secrets {permission} \
                     permission on key vault '{vault};location=westeurope'."
                );
                with_inner_code(
                    StatusCode::FORBIDDEN,
                    "Forbidden",
                    &message,
                    "ForbiddenByPolicy",
                )
            }
            Self::Disabled => {
                let message = "Operation get is not allowed on a disabled secret.";
                with_inner_code(
                    StatusCode::FORBIDDEN,
                    "Forbidden",
                    message,
                    "SecretDisabled",
                )
            }
            Self::Vault(error) => vault_error(error),
        }
    }
}

fn vault_error(error: VaultError) -> Response {
    match error {
        VaultError::InvalidName(name) => {
            bad_parameter(&format!("The request URI contains an invalid name: {name}"))
        }
        VaultError::NotFound(name) => not_found(&format!(
            "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret \
                 you may be able to recover it using the correct recovery command."
        )),
        VaultError::NotDeleted(name) => not_found(&format!("Deleted Secret not found: {name}")),
        VaultError::Deleted(name) => {
            let message = format!(
                "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; \
                     in this state, the secret can only be recovered or purged."
            );
            with_inner_code(
                StatusCode::CONFLICT,
                "Conflict",
                &message,
                "ObjectIsDeletedButRecoverable",
            )
        }
        VaultError::InvalidVersion(_)
        | VaultError::VersionExists(_)
        | VaultError::ValueTooLarge
        | VaultError::TooManyTags => bad_parameter(&error.to_string()),
    }
}

fn bad_parameter(message: &str) -> Response {
    response::error(StatusCode::BAD_REQUEST, "BadParameter", message)
}

/// The status 401 with the authority that issues tokens.
pub(super) fn challenge(cloud: AzureCloud, tenant: &str, reason: BadToken) -> Response {
    let message = match reason {
        BadToken::Missing => "AKV10000: Request is missing a Bearer or PoP token.",
        BadToken::Unknown => "[BearerReadAccessTokenFailed] Error validating token: IDX12729",
        BadToken::Expired => "[TokenExpired] Error validating token: IDX10223",
        BadToken::WrongAudience => "AKV10022: Invalid audience.",
    };
    let mut response = response::error(StatusCode::UNAUTHORIZED, "Unauthorized", message);
    let challenge = format!(
        "Bearer authorization=\"https://{}/{tenant}\", resource=\"https://{}\"",
        cloud.login_host(),
        cloud.vault_suffix()
    );
    response::set_header(&mut response, "www-authenticate", &challenge);
    response
}

fn not_found(message: &str) -> Response {
    response::error(StatusCode::NOT_FOUND, "SecretNotFound", message)
}

fn with_inner_code(status: StatusCode, code: &str, message: &str, inner: &str) -> Response {
    let body =
        json!({ "error": { "code": code, "message": message, "innererror": { "code": inner } } });
    response::json(status, &body)
}
