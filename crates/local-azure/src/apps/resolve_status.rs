//! The status of a reference.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The status of a reference, as named by Microsoft.Web.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResolveStatus {
    /// The reference has not been resolved yet.
    #[default]
    Initialized,
    /// The app has the value.
    Resolved,
    /// The reference has a syntax error.
    InvalidSyntax,
    /// The app has no identity.
    #[serde(rename = "MSINotEnabled")]
    MsiNotEnabled,
    /// The vault does not exist.
    VaultNotFound,
    /// The vault has no such secret.
    SecretNotFound,
    /// The secret has no such version.
    SecretVersionNotFound,
    /// The identity has no access to the vault, or the version is disabled. The vault responds with
    /// 403 to both.
    AccessToKeyVaultDenied,
    /// The vault did not respond in time. Set only by a fault.
    FetchTimedOut,
    /// The identity got no token. Set only by a fault.
    UnauthorizedClient,
    /// Any other reason. In the stand-in: the version is not valid yet.
    OtherReasons,
}

impl fmt::Display for ResolveStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MsiNotEnabled => f.write_str("MSINotEnabled"),
            other => fmt::Debug::fmt(other, f),
        }
    }
}
