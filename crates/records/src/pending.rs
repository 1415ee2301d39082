//! Work in the store that outlives its invocation. The reconcile timer continues it.
//!
//! - `pending/events/<key>.json`: a [`PostponedEvent`], to be handled later.
//! - `pending/apps/<app>/<run>.json`: [`PendingWork`], one rotation of the app without a final
//!   verdict. It exists from before the settings are written until then, so that another instance
//!   can verify or roll back the write of one that was killed.
//! - `pending/audits/<app>/<run>.json`: an [`AuditCheck`].
//! - `pending/comparison/all.json`: the [`ComparisonProgress`].
//! - `pending/changed/<app>.json`: an app was changed, and its references are to be read.
//! - `pending/reading/<app>.json`: they are being read.
//! - `pending/sweep/requested.json`: events ask for a sweep of the scope, which begins after them.
//!
//! A key ends with the time at which its object is due ([`DueKey`]), so that one list tells that
//! nothing is. Several timers may run at once: each claims an object, with a conditional write,
//! before it handles it ([`Pending::claim`]), and changes it with conditional writes only.

mod audit_check;
mod changed;
mod claim;
mod comparison;
mod due;
mod postponed;
mod rollback;
mod work;

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::{ObjectVersion, Store, StoreError};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;

pub use audit_check::AuditCheck;
pub use changed::ChangedApp;
pub use claim::Claimable;
pub use comparison::ComparisonProgress;
pub use due::DueKey;
pub use postponed::PostponedEvent;
pub use rollback::{RecordedValue, Rollback, of_plan, to_plan};
pub use work::{PendingRotation, PendingWork, WorkEntry};

const ALL: &str = "pending";
const EVENTS: &str = "pending/events";
const APPS: &str = "pending/apps";
const AUDITS: &str = "pending/audits";
const COMPARISON: &str = "pending/comparison";
const CHANGED: &str = "pending/changed";
/// The folder of apps that were changed, and are being read.
const READING: &str = "pending/reading";
const SWEEP: &str = "pending/sweep";

/// The keys of everything that is pending.
#[derive(Debug, Default)]
pub struct PendingKeys {
    /// The objects of [`PendingWork`].
    pub work: Vec<DueKey>,
    /// The objects of [`PostponedEvent`].
    pub events: Vec<DueKey>,
    /// The objects of [`AuditCheck`].
    pub audits: Vec<DueKey>,
    /// The objects of apps that were changed, those that are being read included.
    pub changed: Vec<String>,
    /// The object of the [`ComparisonProgress`].
    pub comparison: Option<DueKey>,
    /// Whether a sweep of the scope is requested.
    pub sweep: bool,
}

/// A pending object with its key in the store.
#[derive(Debug, Clone)]
pub struct PendingEntry<T> {
    /// The key of the object.
    pub key: String,
    /// The value.
    pub value: T,
    version: ObjectVersion,
}

/// The pending work in a store.
#[derive(Debug, Clone)]
pub struct Pending(Store);

impl PendingKeys {
    /// The keys of everything that has a due time, but the comparison.
    pub fn all(&self) -> impl Iterator<Item = &DueKey> {
        self.work.iter().chain(&self.events).chain(&self.audits)
    }

    /// The earliest due time of everything but the comparison.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.all().map(DueKey::due).min()
    }
}

impl Pending {
    /// The pending work in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The same pending work, for operations that end by `moment`.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Self {
        Self(self.0.with_deadline(Some(moment)))
    }

    /// Lists the keys of everything that is pending.
    pub async fn list(&self) -> Result<PendingKeys, StoreError> {
        let mut keys = PendingKeys::default();
        for key in self.0.list(ALL).await? {
            let is_in = |folder: &str| {
                let rest = key.strip_prefix(folder);
                rest.is_some_and(|rest| rest.starts_with('/'))
            };
            let (is_work, is_event) = (is_in(APPS), is_in(EVENTS));
            let (is_audit, is_comparison) = (is_in(AUDITS), is_in(COMPARISON));
            keys.sweep |= is_in(SWEEP);
            if is_in(CHANGED) || is_in(READING) {
                keys.changed.push(key);
                continue;
            }
            let key = DueKey::new(key);
            if is_work {
                keys.work.push(key);
            } else if is_event {
                keys.events.push(key);
            } else if is_audit {
                keys.audits.push(key);
            } else if is_comparison {
                // Of two, the later one counts: the other one was to be removed.
                keys.comparison = keys.comparison.max(Some(key));
            }
        }
        Ok(keys)
    }

    /// Reads the object with this key. None if it has been removed.
    pub async fn read<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<PendingEntry<T>>, StoreError> {
        let found = self.0.read_json(key).await?;
        Ok(found.map(|(value, version)| PendingEntry {
            key: key.to_owned(),
            value,
            version,
        }))
    }

    /// Replaces the object of an entry. Returns false if another instance has changed or removed
    /// it, which has taken over then.
    pub async fn replace<T: Serialize>(
        &self,
        entry: &mut PendingEntry<T>,
    ) -> Result<bool, StoreError> {
        let replaced = self.0.replace(&entry.key, &entry.value, &entry.version);
        match replaced.await {
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
            Ok(version) => {
                entry.version = version;
                Ok(true)
            }
        }
    }

    /// Removes the object with this key, which the caller has claimed.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key).await
    }

    /// Moves a claimed object to the key of its new due time, without the claim. Returns false if
    /// another instance has taken over.
    ///
    /// The new object is created before the former one is removed, so that a crash in between loses
    /// nothing.
    async fn move_to<T: Serialize + Claimable>(
        &self,
        mut entry: PendingEntry<T>,
        key: &str,
    ) -> Result<bool, StoreError> {
        if key != entry.key && !self.replace(&mut entry).await? {
            return Ok(false);
        }
        *entry.value.claimed_until() = None;
        if key == entry.key {
            return self.replace(&mut entry).await;
        }
        let former = entry.key;
        self.put(key.to_owned(), entry.value).await?;
        self.remove(&former).await?;
        Ok(true)
    }

    /// Writes an object of one owner. A copy that a crash, or an earlier attempt, has left is
    /// replaced.
    async fn put<T: Serialize>(
        &self,
        key: String,
        value: T,
    ) -> Result<PendingEntry<T>, StoreError> {
        let created = self.0.create(&key, &value).await;
        let version = match created {
            Err(error) if error.is_conflict() => {
                let copy = self.read::<IgnoredAny>(&key).await?.ok_or(error)?;
                self.0.replace(&key, &value, &copy.version).await?
            }
            created => created?,
        };
        Ok(PendingEntry {
            key,
            value,
            version,
        })
    }
}

/// Returns the part of a key that stands for an app. Slots are below their sites.
pub fn app_key(app: &AppId) -> String {
    let slot = app
        .slot()
        .map(|slot| format!("/{slot}"))
        .unwrap_or_default();
    format!(
        "{}/{}/{}{slot}",
        app.subscription(),
        app.resource_group(),
        app.site()
    )
    .to_lowercase()
}

#[cfg(test)]
mod tests;
