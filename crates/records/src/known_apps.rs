//! The apps with references that the comparison has found: Azure's lists can be partial without an error, so an app
//! that is missing from one is not gone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

const KEY: &str = "known/apps.json";

/// The number of attempts at a change while others change the same object.
const ATTEMPTS: u32 = 5;

/// The apps with references that the comparison has found, sites and slots: `known/apps.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownApps {
    /// By the id in lower case.
    apps: BTreeMap<String, KnownApp>,
}

/// An app that the comparison has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownApp {
    /// The app.
    #[serde(with = "crate::text")]
    pub id: AppId,
    /// The time at which Azure had it last.
    pub seen: Timestamp,
    /// By secret, `<vault host>/<name>` in lower case: the version that was set back by
    /// hand, and that was reported.
    #[serde(default)]
    pub set_back: BTreeMap<String, String>,
}

impl KnownApps {
    /// Reads the apps. Empty before the first comparison.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let found = store.read_json(KEY).await?;
        Ok(found.map(|(known, _)| known).unwrap_or_default())
    }

    /// Adds the apps that Azure has, and removes those that it does not have any more.
    pub async fn update(
        store: &Store,
        found: &[KnownApp],
        gone: &[AppId],
    ) -> Result<(), StoreError> {
        if found.is_empty() && gone.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let read = store.read_json::<Self>(KEY).await?;
            let (mut known, version) = read.map_or_else(
                || (Self::default(), None),
                |(known, version)| (known, Some(version)),
            );
            known.change(found, gone);
            let written = match &version {
                Some(version) => store.replace(KEY, &known, version).await,
                None => store.create(KEY, &known).await,
            };
            match written {
                Err(error) if error.is_conflict() => {}
                written => return written.map(drop),
            }
        }
        Err(StoreError::Conflict {
            key: KEY.to_owned(),
        })
    }

    /// The apps, sites and slots.
    pub fn apps(&self) -> impl Iterator<Item = &KnownApp> {
        self.apps.values()
    }

    /// The app with this id.
    pub fn get(&self, app: &AppId) -> Option<&KnownApp> {
        self.apps.get(&key(app))
    }

    fn change(&mut self, found: &[KnownApp], gone: &[AppId]) {
        for app in found {
            self.apps.insert(key(&app.id), app.clone());
        }
        for id in gone {
            self.apps.remove(&key(id));
        }
    }
}

fn key(app: &AppId) -> String {
    app.to_string().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

    #[tokio::test]
    async fn an_app_is_known_until_azure_does_not_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        let app = |id: &str| KnownApp {
            id: id.parse().unwrap(),
            seen: Timestamp::UNIX_EPOCH,
            set_back: BTreeMap::new(),
        };
        let (site, slot) = (app(SITE), app(&format!("{SITE}/slots/staging")));
        let update = async |found: &[KnownApp], gone: &[AppId]| {
            KnownApps::update(&store, found, gone).await.unwrap();
            KnownApps::read(&store).await.unwrap()
        };
        let known = update(&[site.clone(), slot.clone()], &[]).await;
        assert_eq!(known.apps().count(), 2);
        assert_eq!(update(&[], &[]).await, known);
        let known = update(&[], &[slot.id]).await;
        assert_eq!(known.apps().collect::<Vec<_>>(), [&site]);
        assert_eq!(known.get(&site.id), Some(&site));
    }
}
