//! The fixed parts of a Key Vault reference.

/// The prefix of every reference. App Service compares it without case.
pub(super) const PREFIX: &str = "@Microsoft.KeyVault(";

/// The suffixes of vault hosts in the public, US Government, China and (closed) German clouds.
pub(super) const CLOUD_SUFFIXES: [&str; 4] = [
    "vault.azure.net",
    "vault.usgovcloudapi.net",
    "vault.azure.cn",
    "vault.microsoftazure.de",
];
