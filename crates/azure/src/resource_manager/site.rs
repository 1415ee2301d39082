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
}

/// A site as Resource Manager writes it.
#[derive(Deserialize)]
pub(super) struct SiteRow {
    id: String,
    kind: Option<String>,
    properties: Option<Properties>,
}

#[derive(Default, Deserialize)]
struct Properties {
    state: Option<String>,
    enabled: Option<bool>,
}

impl SiteRow {
    pub(super) fn read(self) -> Option<Site> {
        let Properties { state, enabled } = self.properties.unwrap_or_default();
        Some(Site { id: self.id.parse().ok()?, kind: self.kind, state, enabled: enabled.unwrap_or(true) })
    }
}
