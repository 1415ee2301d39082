//! What Azure says about a reference.

use std::fmt;

use keyrelay_model::{SecretVersion, SettingName};
use serde::Deserialize;
use serde_json::Value;

use crate::error::one_line;

/// How Azure got on with one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceStatus {
    /// The setting that holds the reference.
    pub setting: SettingName,
    /// The reference as it is written.
    pub reference: String,
    /// How Azure got on with it.
    pub status: Status,
    /// The vault's name.
    pub vault_name: Option<String>,
    /// The secret's name.
    pub secret_name: Option<String>,
    /// The version that the reference is pinned to.
    pub secret_version: Option<SecretVersion>,
    /// The version that the app has now. Azure does not always tell.
    pub active_version: Option<SecretVersion>,
    /// What Azure says beyond the status, on one line of at most 500 characters.
    pub details: Option<String>,
    /// The kind of identity that is used: `SystemAssigned`, ...
    pub identity_type: Option<String>,
}

/// The status of a reference. The set is open: Azure knows more words than it documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The app has the secret.
    Resolved,
    /// Not tried yet.
    Initialized,
    /// The reference is not written correctly.
    InvalidSyntax,
    /// The app has no managed identity to read the secret with.
    MsiNotEnabled,
    /// There is no such vault.
    VaultNotFound,
    /// There is no such secret.
    SecretNotFound,
    /// The secret has no such version.
    SecretVersionNotFound,
    /// The app's identity may not read the secret, or the vault's firewall keeps the app out.
    AccessToKeyVaultDenied,
    /// The vault did not answer in time.
    FetchTimedOut,
    /// The app's identity is not known where the vault is.
    UnauthorizedClient,
    /// Azure's word for everything else.
    OtherReasons,
    /// A word that is not documented.
    Other(String),
}

/// Where a reference is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// At its end.
    Resolved,
    /// It may still be resolved, without anybody doing anything.
    InProgress,
    /// It will not be resolved before somebody changes something.
    Broken,
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

    /// Azure's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => Self::WORDS
                .iter()
                .find(|(_, status)| status == known)
                .map_or("", |(word, _)| word),
        }
    }

    /// Where the reference is on its way.
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

    /// Whether it is worth waiting for.
    pub fn may_heal(&self) -> bool {
        self.progress() == Progress::InProgress
    }

    /// What is wrong and what to do about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Resolved => "the app has the secret",
            Self::Initialized => "Azure has not resolved the reference yet: wait",
            Self::InvalidSyntax => {
                "the reference is not written correctly: \
                 write `@Microsoft.KeyVault(SecretUri=https://<vault>.vault.azure.net/secrets/<secret>/)`"
            }
            Self::MsiNotEnabled => {
                "the app has no identity to read the secret with: switch on its system-assigned identity, \
                 or name a user-assigned one in `keyVaultReferenceIdentity`"
            }
            Self::VaultNotFound => {
                "Azure finds no vault of this name: correct the name, or let the app resolve the vault's address"
            }
            Self::SecretNotFound => {
                "the vault has no enabled secret of this name: create it, recover it, or correct the name"
            }
            Self::SecretVersionNotFound => {
                "the secret has no enabled version like the one it is pinned to: pin it to one that exists, or to none"
            }
            Self::AccessToKeyVaultDenied => {
                "the app's identity may not read the secret: give it the role `Key Vault Secrets User`, \
                 and let the app through the vault's firewall"
            }
            Self::FetchTimedOut => {
                "the vault did not answer the app in time: wait, and if it stays check the network between the two"
            }
            Self::UnauthorizedClient => {
                "the app's identity is not known where the vault is: use an identity of the vault's own tenant"
            }
            Self::OtherReasons | Self::Other(_) => {
                "Azure names no documented reason: see the details in the portal"
            }
        }
    }
}

impl From<&str> for Status {
    fn from(word: &str) -> Self {
        let known = Self::WORDS
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word));
        known.map_or_else(|| Self::Other(one_line(word, 100)), |(_, status)| status)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reference as Resource Manager writes it.
#[derive(Deserialize)]
pub(super) struct ReferenceRow {
    id: Option<String>,
    name: Option<String>,
    properties: Option<Properties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
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

impl ReferenceRow {
    /// Reads the row. The setting is the one that was asked for; in a list it is the row's name, or the end of its id.
    pub(super) fn read(self, asked: Option<&SettingName>) -> Option<ReferenceStatus> {
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
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let identity_type = row
            .identity_type
            .as_ref()
            .and_then(|it| it.as_str().or_else(|| it.get("type")?.as_str()));
        Some(ReferenceStatus {
            setting: asked.cloned().or_else(listed)?,
            reference: row.reference.unwrap_or_default(),
            status: Status::from(row.status.unwrap_or_default().as_str()),
            vault_name: given(row.vault_name),
            secret_name: given(row.secret_name),
            secret_version: version(row.secret_version),
            active_version: version(row.active_version),
            details: given(row.details).map(|details| one_line(&details, 500)),
            identity_type: identity_type.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_word_is_read_and_written() {
        for (word, status) in Status::WORDS {
            assert_eq!(Status::from(word), status);
            assert_eq!(Status::from(word.to_lowercase().as_str()), status);
            assert_eq!(status.to_string(), word);
        }
    }

    #[test]
    fn an_unknown_word_is_kept_and_worth_waiting_for() {
        let status = Status::from("SomethingNew");
        assert_eq!(status, Status::Other("SomethingNew".to_owned()));
        assert!(status.may_heal());
    }

    #[test]
    fn what_somebody_has_to_fix_is_not_waited_for() {
        let waited_for: Vec<&str> = Status::WORDS
            .iter()
            .filter(|(_, status)| status.may_heal())
            .map(|(word, _)| *word)
            .collect();
        assert_eq!(waited_for, ["Initialized", "FetchTimedOut", "OtherReasons"]);
        assert_eq!(Status::Resolved.progress(), Progress::Resolved);
    }

    #[test]
    fn details_are_cut_to_one_line() {
        let long = format!("a\r\nb {}", "x".repeat(1000));
        let row = serde_json::json!({ "name": "A", "properties": { "status": "OtherReasons", "details": long } });
        let status = serde_json::from_value::<ReferenceRow>(row)
            .unwrap()
            .read(None)
            .unwrap();
        let details = status.details.unwrap();
        assert!(
            details.starts_with("a b xxx") && details.len() == 503,
            "{details}"
        );
    }
}
