//! The apps that keyrelay knew before it had an index: `known/apps.json`. The first sweep reads them
//! and removes the object.

use std::collections::BTreeMap;

use keyrelay_model::AppId;
use keyrelay_store::{Store, StoreError};
use serde::Deserialize;

const KEY: &str = "known/apps.json";

/// The apps with references that an earlier keyrelay has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct KnownApps {
    /// By the id in lower case.
    apps: BTreeMap<String, KnownApp>,
}

/// An app that an earlier keyrelay has found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct KnownApp {
    #[serde(with = "crate::text")]
    id: AppId,
    /// By secret, `<vault host>/<name>` in lower case: the version that a person has set back, and
    /// that was reported.
    #[serde(default)]
    set_back: BTreeMap<String, String>,
}

impl KnownApps {
    /// Reads the apps. Empty if there is no such object, or none that can be read.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        match store.read_json(KEY).await {
            Ok(found) => Ok(found.map(|(known, _)| known).unwrap_or_default()),
            Err(StoreError::Unreadable { .. }) => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Removes the object.
    pub async fn remove(store: &Store) -> Result<(), StoreError> {
        store.delete(KEY).await
    }

    /// The apps, sites and slots.
    pub fn apps(&self) -> impl Iterator<Item = &AppId> {
        self.apps.values().map(|app| &app.id)
    }

    /// The version of a secret, `<vault host>/<name>` in lower case, that was set back in an app and
    /// reported.
    pub fn set_back(&self, app: &AppId, secret: &str) -> Option<&str> {
        let known = self.apps.get(&app.to_string().to_lowercase())?;
        known.set_back.get(secret).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

    #[tokio::test]
    async fn the_object_of_an_earlier_keyrelay_is_read_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        assert_eq!(KnownApps::read(&store).await.unwrap(), KnownApps::default());
        let known = serde_json::json!({ "apps": { SITE.to_lowercase(): {
            "id": SITE, "seen": "2026-11-25T00:00:00Z", "set_back": { "kv/sql": "a" },
        } } });
        store.write(KEY, &known).await.unwrap();
        let known = KnownApps::read(&store).await.unwrap();
        let app = SITE.parse().unwrap();
        assert_eq!(known.apps().collect::<Vec<_>>(), [&app]);
        assert_eq!(known.set_back(&app, "kv/sql"), Some("a"));
        KnownApps::remove(&store).await.unwrap();
        assert_eq!(KnownApps::read(&store).await.unwrap(), KnownApps::default());
    }
}
