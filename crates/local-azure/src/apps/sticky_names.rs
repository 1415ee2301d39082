//! The names of settings that stay with their slot.

use serde::{Deserialize, Serialize};

/// The names of the settings and connection strings that a swap does not exchange. Names compare
/// case-insensitively.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StickyNames {
    app_setting_names: Option<Vec<String>>,
    connection_string_names: Option<Vec<String>>,
    /// Kept for clients that write back what they read.
    azure_storage_config_names: Option<Vec<String>>,
}

impl StickyNames {
    pub(super) fn has_setting(&self, name: &str) -> bool {
        contains(self.app_setting_names.as_deref(), name)
    }

    pub(super) fn has_connection_string(&self, name: &str) -> bool {
        contains(self.connection_string_names.as_deref(), name)
    }
}

fn contains(names: Option<&[String]>, name: &str) -> bool {
    names
        .unwrap_or_default()
        .iter()
        .any(|it| it.eq_ignore_ascii_case(name))
}
