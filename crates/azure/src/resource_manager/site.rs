//! Sites and slots.

use keyrelay_model::AppId;
use serde::Deserialize;

/// A site or a slot, as a list tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: AppId,
    /// What it is: `app`, `functionapp,linux`, ...
    pub kind: Option<String>,
    /// `Running` or `Stopped`.
    pub state: Option<String>,
    /// Whether it may serve at all.
    pub enabled: bool,
    /// The kinds of identity that it has: `SystemAssigned`, `UserAssigned`, both with a comma between, or none.
    pub identity: Option<String>,
    /// The identity that its references are resolved with: `SystemAssigned`, or the id of a user-assigned one.
    pub reference_identity: Option<String>,
}

/// A site as Resource Manager writes it.
#[derive(Deserialize)]
pub(super) struct SiteRow {
    id: String,
    kind: Option<String>,
    identity: Option<IdentityRow>,
    properties: Option<Properties>,
}

#[derive(Deserialize)]
struct IdentityRow {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    state: Option<String>,
    enabled: Option<bool>,
    key_vault_reference_identity: Option<String>,
}

impl SiteRow {
    pub(super) fn read(self) -> Option<Site> {
        let Properties {
            state,
            enabled,
            key_vault_reference_identity,
        } = self.properties.unwrap_or_default();
        Some(Site {
            id: self.id.parse().ok()?,
            kind: self.kind,
            state,
            enabled: enabled.unwrap_or(true),
            identity: self.identity.and_then(|identity| identity.kind),
            reference_identity: key_vault_reference_identity
                .filter(|identity| !identity.is_empty()),
        })
    }
}
