//! The status of a Key Vault reference.

use std::fmt;

use keyrelay_model::{SecretVersion, SettingName};
use serde::Deserialize;
use serde_json::Value;

use crate::excerpt::excerpt;

/// The resolution of one reference by Azure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceStatus {
    /// The setting or connection string that holds the reference.
    pub setting: SettingName,
    /// The list that holds the reference.
    pub kind: ReferenceKind,
    /// The text of the reference.
    pub reference: String,
    /// The status of the resolution.
    pub status: Status,
    /// The vault's name.
    pub vault_name: Option<String>,
    /// The secret's name.
    pub secret_name: Option<String>,
    /// The version that the reference is pinned to.
    pub secret_version: Option<SecretVersion>,
    /// The version that the app uses. Azure does not always report it.
    pub active_version: Option<SecretVersion>,
    /// Azure's details beyond the status, on one line of at most 500 characters.
    pub details: Option<String>,
    /// The kind of the identity that resolves the reference: `SystemAssigned`, ...
    pub identity_type: Option<String>,
}

/// The list of an app's configuration that holds a reference. An app setting and a connection
/// string may have the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// An app setting: `config/appsettings`. The environment of the app has it under its name.
    AppSetting,
    /// A connection string: `config/connectionstrings`. The environment of the app has it under its
    /// name with a prefix for its type, such as `SQLCONNSTR_`.
    ConnectionString,
}

/// The status of a reference. The set is open, because Azure uses more values than it documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The app has the value of the secret.
    Resolved,
    /// Azure has not resolved the reference yet.
    Initialized,
    /// The syntax of the reference is invalid.
    InvalidSyntax,
    /// The app has no managed identity.
    MsiNotEnabled,
    /// The vault does not exist.
    VaultNotFound,
    /// The secret does not exist.
    SecretNotFound,
    /// The version of the secret does not exist.
    SecretVersionNotFound,
    /// The app's identity lacks the permission to read the secret, or the vault's firewall blocks
    /// the app.
    AccessToKeyVaultDenied,
    /// The vault did not respond in time.
    FetchTimedOut,
    /// The vault's tenant does not know the app's identity.
    UnauthorizedClient,
    /// Azure's value for all other reasons.
    OtherReasons,
    /// A value that is not documented.
    Other(String),
}

/// The progress of a reference towards its resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The reference is resolved.
    Resolved,
    /// The reference may still be resolved without a change by an operator.
    InProgress,
    /// The reference stays unresolved until an operator makes a change.
    Broken,
}

impl ReferenceKind {
    /// The name of the list in Resource Manager.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::AppSetting => "appsettings",
            Self::ConnectionString => "connectionstrings",
        }
    }
}

impl Status {
    const WORDS: [(&'static str, Self); 11] = [
        ("Resolved", Self::Resolved),
        ("Initialized", Self::Initialized),
        ("InvalidSyntax", Self::InvalidSyntax),
        ("MSINotEnabled", Self::MsiNotEnabled),
        ("VaultNotFound", Self::VaultNotFound),
        ("SecretNotFound", Self::SecretNotFound),
        ("SecretVersionNotFound", Self::SecretVersionNotFound),
        ("AccessToKeyVaultDenied", Self::AccessToKeyVaultDenied),
        ("FetchTimedOut", Self::FetchTimedOut),
        ("UnauthorizedClient", Self::UnauthorizedClient),
        ("OtherReasons", Self::OtherReasons),
    ];

    /// Azure's value.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => Self::WORDS
                .iter()
                .find(|(_, status)| status == known)
                .map_or("", |(word, _)| word),
        }
    }

    /// The progress that the status stands for.
    pub fn progress(&self) -> Progress {
        match self {
            Self::Resolved => Progress::Resolved,
            Self::Initialized | Self::FetchTimedOut | Self::OtherReasons | Self::Other(_) => {
                Progress::InProgress
            }
            Self::InvalidSyntax
            | Self::MsiNotEnabled
            | Self::VaultNotFound
            | Self::SecretNotFound
            | Self::SecretVersionNotFound
            | Self::AccessToKeyVaultDenied
            | Self::UnauthorizedClient => Progress::Broken,
        }
    }

    /// Whether the reference may still be resolved.
    pub fn may_heal(&self) -> bool {
        self.progress() == Progress::InProgress
    }

    /// The problem and its fix, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Resolved => "the app has the value of the secret",
            Self::Initialized => "Azure has not resolved the reference yet: wait",
            Self::InvalidSyntax => {
                "the syntax of the reference is invalid: \
                 write `@Microsoft.KeyVault(SecretUri=https://<vault>.vault.azure.net/secrets/<secret>/)`"
            }
            Self::MsiNotEnabled => {
                "the app has no managed identity: enable its system-assigned identity, \
                 or set `keyVaultReferenceIdentity` to a user-assigned one"
            }
            Self::VaultNotFound => {
                "the vault was not found: correct its name, or make sure that the app can resolve the vault's host name"
            }
            Self::SecretNotFound => {
                "the vault has no enabled secret with this name: create it, recover it, or correct the name"
            }
            Self::SecretVersionNotFound => {
                "the reference is pinned to a version that does not exist or is disabled: pin it to an enabled version, or to none"
            }
            Self::AccessToKeyVaultDenied => {
                "the app's identity may not read the secret: assign it the role `Key Vault Secrets User`, \
                 and allow the app through the vault's firewall"
            }
            Self::FetchTimedOut => {
                "the vault did not respond to the app in time: wait, and if it persists, check the network between app and vault"
            }
            Self::UnauthorizedClient => {
                "the vault's tenant does not know the app's identity: use an identity of that tenant"
            }
            Self::OtherReasons | Self::Other(_) => {
                "Azure gives no documented reason: see the details in the portal"
            }
        }
    }
}

impl From<&str> for Status {
    fn from(word: &str) -> Self {
        let known = Self::WORDS
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word));
        known.map_or_else(|| Self::Other(excerpt(word, 100)), |(_, status)| status)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reference as Resource Manager writes it.
#[derive(Deserialize)]
pub(super) struct ReferenceStatusRow {
    id: Option<String>,
    name: Option<String>,
    properties: Option<ReferenceProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferenceProperties {
    reference: Option<String>,
    status: Option<String>,
    vault_name: Option<String>,
    secret_name: Option<String>,
    secret_version: Option<String>,
    active_version: Option<String>,
    details: Option<String>,
    /// A text, or an object with a `type`: the interface's description and users' reports differ.
    identity_type: Option<Value>,
}

impl ReferenceStatusRow {
    /// Reads the row. The setting is `requested`, or in a list the name of the row or else the end
    /// of its id.
    pub(super) fn read(
        self,
        kind: ReferenceKind,
        requested: Option<&SettingName>,
    ) -> Option<ReferenceStatus> {
        let row = self.properties?;
        let listed = || {
            let from_id = || Some(self.id.as_deref()?.rsplit('/').next()?.to_owned());
            self.name
                .clone()
                .or_else(from_id)
                .filter(|name| !name.is_empty())
                .map(SettingName::listed)
        };
        let version = |text: Option<String>| text?.trim().parse().ok();
        let non_empty = |text: Option<String>| text.filter(|text| !text.is_empty());
        let identity_type = row
            .identity_type
            .as_ref()
            .and_then(|it| it.as_str().or_else(|| it.get("type")?.as_str()));
        Some(ReferenceStatus {
            setting: requested.cloned().or_else(listed)?,
            kind,
            reference: row.reference.unwrap_or_default(),
            status: Status::from(row.status.unwrap_or_default().as_str()),
            vault_name: non_empty(row.vault_name),
            secret_name: non_empty(row.secret_name),
            secret_version: version(row.secret_version),
            active_version: version(row.active_version),
            details: non_empty(row.details).map(|details| excerpt(&details, 500)),
            identity_type: identity_type.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_value_is_read_and_written() {
        for (word, status) in Status::WORDS {
            assert_eq!(Status::from(word), status);
            assert_eq!(Status::from(word.to_lowercase().as_str()), status);
            assert_eq!(status.to_string(), word);
        }
    }

    #[test]
    fn an_unknown_value_is_kept_and_may_heal() {
        let status = Status::from("SomethingNew");
        assert_eq!(status, Status::Other("SomethingNew".to_owned()));
        assert!(status.may_heal());
    }

    #[test]
    fn a_status_that_an_operator_must_fix_is_not_waited_for() {
        let waited_for: Vec<&str> = Status::WORDS
            .iter()
            .filter(|(_, status)| status.may_heal())
            .map(|(word, _)| *word)
            .collect();
        assert_eq!(waited_for, ["Initialized", "FetchTimedOut", "OtherReasons"]);
        assert_eq!(Status::Resolved.progress(), Progress::Resolved);
    }

    #[test]
    fn details_are_cut_to_excerpt() {
        let long = format!("a\r\nb {}", "x".repeat(1000));
        let row = serde_json::json!({ "name": "A", "properties": { "status": "OtherReasons", "details": long } });
        let status = serde_json::from_value::<ReferenceStatusRow>(row)
            .unwrap()
            .read(ReferenceKind::AppSetting, None)
            .unwrap();
        let details = status.details.unwrap();
        assert!(
            details.starts_with("a b xxx") && details.len() == 503,
            "{details}"
        );
    }
}
