//! Apps that were changed, as events of Resource Manager report: their references are read soon.
//!
//! - `pending/changed/<app>.json`: an app that was changed. It is moved before the app is read, so that a
//!   change from then on is noted once more.
//! - `pending/reading/<app>.json`: an app that is being read. It stays until the index has what was found.

use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{CHANGED, Pending, READING, app_key};

/// The object of an app that was changed.
#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    app: String,
}

/// An app that was changed, and is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedApp {
    /// The app.
    pub app: AppId,
    /// The key of its note.
    key: String,
}

impl Pending {
    /// Notes that an app was changed, so that its references are read soon.
    pub async fn mark_changed(&self, app: &AppId) -> Result<(), StoreError> {
        let key = format!("{CHANGED}/{}.json", app_key(app));
        self.note(&key, &app.to_string()).await
    }

    /// Begins to read the app of a note. None: another instance has read it, or it names no app.
    pub async fn begin_reading(&self, key: &str) -> Result<Option<ChangedApp>, StoreError> {
        let read = self.0.read_json::<Changed>(key).await;
        let changed = match read {
            Err(StoreError::Unreadable { .. }) => None,
            read => match read? {
                Some((changed, _)) => Some(changed),
                None => return Ok(None),
            },
        };
        let Some(app) = changed.and_then(|changed| changed.app.parse::<AppId>().ok()) else {
            self.remove(key).await?;
            return Ok(None);
        };
        let reading = format!("{READING}/{}.json", app_key(&app));
        if key != reading {
            self.note(&reading, &app.to_string()).await?;
            self.remove(key).await?;
        }
        Ok(Some(ChangedApp { app, key: reading }))
    }

    /// Removes the note about an app that was read.
    pub async fn end_reading(&self, changed: &ChangedApp) -> Result<(), StoreError> {
        self.remove(&changed.key).await
    }

    async fn note(&self, key: &str, app: &str) -> Result<(), StoreError> {
        let changed = Changed {
            app: app.to_owned(),
        };
        match self.0.create(key, &changed).await {
            // It is noted already.
            Err(error) if error.is_conflict() => Ok(()),
            created => created.map(drop),
        }
    }
}
