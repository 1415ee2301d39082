//! The services of the stand-in.

use serde::{Deserialize, Serialize};

/// One of the services of the stand-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// The identity endpoint, which issues tokens.
    Identity,
    /// The data plane of Key Vault.
    KeyVault,
    /// Resource Manager with Microsoft.Web.
    ResourceManager,
    /// Blob storage.
    Storage,
    /// The query service of Log Analytics.
    LogAnalytics,
}
