//! Why a patch is not applied, in words that name the grant that would allow it.

use std::fmt;

use crate::names::{SecretName, SettingName, VaultHost};

/// A patch that goes beyond its grant, with everything that is wrong with it. Nothing of it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// At least one.
    pub objections: Vec<Objection>,
}

/// One thing that a patch may not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// The setting does not reference the event's secret, and no grant covers it.
    #[error("the policy may not set `{name}`: missing grant `set = [\"{name}\"]`{}", exactly(*protected))]
    NoGrantToSet {
        /// The setting.
        name: SettingName,
        /// Whether only the exact name grants it.
        protected: bool,
    },
    /// Removing needs a grant, always.
    #[error("the policy may not remove `{name}`: missing grant `remove = [\"{name}\"]`{}", exactly(*protected))]
    NoGrantToRemove {
        /// The setting.
        name: SettingName,
        /// Whether only the exact name grants it.
        protected: bool,
    },
    /// A reference to another secret than the event's.
    #[error(
        "the policy may not reference secret `{secret}` of `{vault_host}` in `{name}`: missing grant \
         `secrets = [\"{}{secret}\"]`", vault_prefix(vault_host, *other_vault)
    )]
    NoGrantForSecret {
        /// The setting.
        name: SettingName,
        /// The vault of the secret.
        vault_host: VaultHost,
        /// The secret.
        secret: SecretName,
        /// Whether the vault is another than the event's.
        other_vault: bool,
    },
    /// Plain text needs a grant, always.
    #[error("the policy may not write plain text into `{name}`: missing grant `text = true`")]
    NoGrantForText {
        /// The setting.
        name: SettingName,
    },
    /// A name is set twice, removed twice, or set and removed.
    #[error("the policy names `{name}` twice in one patch")]
    NamedTwice {
        /// The setting.
        name: SettingName,
    },
    /// The app has the setting in another spelling. On some platforms that would be one setting, on others two.
    #[error("the policy sets `{name}`, but the app has `{existing}`: use that spelling")]
    ExistsInOtherCase {
        /// The setting as the policy writes it.
        name: SettingName,
        /// The setting as the app has it.
        existing: SettingName,
    },
}

fn exactly(protected: bool) -> &'static str {
    if protected {
        " (a protected name: patterns do not grant it)"
    } else {
        ""
    }
}

fn vault_prefix(vault_host: &VaultHost, other_vault: bool) -> String {
    if other_vault {
        format!("{}/", vault_host.vault())
    } else {
        String::new()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objections: Vec<String> = self.objections.iter().map(ToString::to_string).collect();
        f.write_str(&objections.join("; "))
    }
}

impl std::error::Error for Refusal {}
