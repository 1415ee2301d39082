//! The vault, the events and the references that all tests use.

use serde_json::{Value, json};

/// The start of every secret and of every plain-text setting. No log may contain it.
pub(crate) const PLANTED: &str = "planted-value-";

pub(crate) const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const VAULT: &str = "contoso-kv";

/// An event of a new version of a secret, with an id of its own.
pub(crate) fn event(id: &str, secret: &str, version: &str) -> Value {
    json!({
        "id": id,
        "topic": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/{VAULT}"),
        "subject": secret,
        "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
        "eventTime": "2026-03-01T10:20:30Z",
        "data": {
            "Id": format!("https://{VAULT}.vault.azure.net/secrets/{secret}/{version}"),
            "VaultName": VAULT,
            "ObjectType": "Secret",
            "ObjectName": secret,
            "Version": version,
            "NBF": null,
            "EXP": null,
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    })
}

/// A reference to the newest version of a secret in the vault.
pub(crate) fn reference(secret: &str) -> String {
    format!("@Microsoft.KeyVault(SecretUri=https://{VAULT}.vault.azure.net/secrets/{secret}/)")
}
