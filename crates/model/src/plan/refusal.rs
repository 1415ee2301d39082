//! Refusals of a patch. Each message names the grant that would allow it.

use std::fmt;

use crate::names::{SecretName, SettingName, VaultHost};

/// The objections to a patch that its grant does not allow. Nothing of the patch is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRefusal {
    /// The objections. There is at least one.
    pub objections: Vec<Objection>,
}

/// One reason why a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// The setting does not reference the event's secret, and no grant covers it.
    #[error("the policy may not set `{name}`: missing grant `set = [\"{name}\"]`{}", exactly(*protected))]
    NoGrantToSet {
        /// The setting.
        name: SettingName,
        /// Whether the name is protected, so that only the exact name grants it.
        protected: bool,
    },
    /// A setting is removed without a grant.
    #[error("the policy may not remove `{name}`: missing grant `remove = [\"{name}\"]`{}", exactly(*protected))]
    NoGrantToRemove {
        /// The setting.
        name: SettingName,
        /// Whether the name is protected, so that only the exact name grants it.
        protected: bool,
    },
    /// The reference is to another secret than the event's, and no grant covers it.
    #[error(
        "the policy may not reference secret `{secret}` of `{vault_host}` in `{name}`: missing grant \
         `secrets = [\"{}/{secret}\"]`", vault_host.vault()
    )]
    NoGrantForSecret {
        /// The setting.
        name: SettingName,
        /// The vault of the secret.
        vault_host: VaultHost,
        /// The secret.
        secret: SecretName,
    },
    /// Plain text is written without a grant.
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
    /// Text begins like a reference of App Service, but is no Key Vault reference. Azure may
    /// resolve it with the identity of the app.
    #[error(
        "the policy may not write text into `{name}` that begins with `@Microsoft.` and is no valid Key \
         Vault reference: write a reference"
    )]
    TextLikeReference {
        /// The setting.
        name: SettingName,
    },
    /// Two names in the patch are one setting to some platforms.
    #[error(
        "the policy names `{name}` and `{other}`, which a platform may read as one setting: use one of them"
    )]
    Twins {
        /// The second of the names.
        name: SettingName,
        /// The first of the names.
        other: SettingName,
    },
    /// The app has the setting in another spelling. Some platforms treat the two names as one
    /// setting, others as two.
    #[error("the policy sets `{name}`, but the app has `{existing}`: use that spelling")]
    ExistsInOtherSpelling {
        /// The name as the policy spells it.
        name: SettingName,
        /// The name as the app spells it.
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

impl fmt::Display for PlanRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objections: Vec<String> = self.objections.iter().map(ToString::to_string).collect();
        f.write_str(&objections.join("; "))
    }
}

impl std::error::Error for PlanRefusal {}
