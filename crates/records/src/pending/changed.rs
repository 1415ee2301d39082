//! Apps that were changed, as events of Resource Manager report: their references are read soon.

use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{CHANGED, Pending, app_key};

/// The object of an app that was changed.
#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    app: String,
}

impl Pending {
    /// Notes that an app was changed, so that its references are read soon.
    pub async fn mark_changed(&self, app: &AppId) -> Result<(), StoreError> {
        let key = format!("{CHANGED}/{}.json", app_key(app));
        let changed = Changed {
            app: app.to_string(),
        };
        match self.0.create(&key, &changed).await {
            // It is known already, and has not been read: the note is removed before that.
            Err(error) if error.is_conflict() => Ok(()),
            created => created.map(drop),
        }
    }

    /// Takes the note about a changed app, which the caller is to read. None: another instance has
    /// taken it, or it names no app.
    pub async fn take_changed(&self, key: &str) -> Result<Option<AppId>, StoreError> {
        let read = self.0.read_json::<Changed>(key).await;
        let changed = match read {
            Err(StoreError::Unreadable { .. }) => None,
            read => match read? {
                Some((changed, _)) => Some(changed),
                None => return Ok(None),
            },
        };
        self.remove(key).await?;
        Ok(changed.and_then(|changed| changed.app.parse().ok()))
    }
}
