//! Work in the store that outlives its invocation. The reconcile timer continues it.
//!
//! - `pending/events/<key>.json`: a [`PostponedEvent`], to be handled later.
//! - `pending/apps/<app>/<key>.json`: [`PendingWork`], the write-ahead record of rotations of one
//!   app. It exists from before the settings are written until the verdict is final, so that
//!   another instance can verify or roll back the write of one that was killed.
//!
//! A key ends with the time at which its object is due ([`DueKey`]), so that one list tells that
//! nothing is.

mod audit_check;
mod due;
mod rollback;

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::{ObjectVersion, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::record::{Cause, EventRecord, Run};
use crate::run_id::RunId;
pub use audit_check::AuditCheck;
pub use due::DueKey;
pub use rollback::{RecordedValue, Rollback, of_plan, to_plan};

const ALL: &str = "pending";
const EVENTS: &str = "pending/events";
const APPS: &str = "pending/apps";
const AUDITS: &str = "pending/audits";
const COMPARISON: &str = "pending/comparison";

/// An event to be handled later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostponedEvent {
    /// The run that postponed it, or that is resubmitted. None for reminders.
    pub run: Option<RunId>,
    /// The event.
    pub event: EventRecord,
    /// The cause of the run that will handle it.
    pub cause: Cause,
    /// The time from which it is handled.
    pub due: Timestamp,
    /// The time at which it was postponed.
    pub since: Timestamp,
    /// The reason for the wait.
    pub reason: String,
    /// The time of the first failed attempt.
    #[serde(default)]
    pub tried_since: Option<Timestamp>,
}

/// Rotations of one app without a final verdict. They were decided together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingWork {
    /// The app.
    pub app: String,
    /// The rotations.
    #[serde(rename = "works")]
    pub rotations: Vec<PendingRotation>,
    /// The time until which an instance works on it, and no other one begins.
    #[serde(default)]
    pub claimed_until: Option<Timestamp>,
}

/// The keys of everything that is pending.
#[derive(Debug, Default)]
pub struct PendingKeys {
    /// The objects of [`PendingWork`].
    pub work: Vec<DueKey>,
    /// The objects of [`PostponedEvent`].
    pub events: Vec<DueKey>,
    /// The objects of [`AuditCheck`].
    pub audits: Vec<DueKey>,
    /// The object of the comparison of all apps.
    pub comparison: Option<DueKey>,
}

/// One rotation without a final verdict.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingRotation {
    /// The run that the rotation belongs to.
    pub run: RunId,
    /// The event.
    pub event: EventRecord,
    /// The time at which it began.
    pub since: Timestamp,
    /// The time of the next check.
    pub due: Timestamp,
    /// The number of checks by the reconcile timer.
    pub attempts: u32,
    /// The reason why there is no final verdict.
    pub reason: String,
    /// Whether references in connection strings are to be verified too.
    #[serde(default = "yes")]
    pub connection_strings: bool,
    /// The rollback of what was written, or was about to be.
    #[serde(alias = "undo")]
    pub rollback: Vec<Rollback>,
}

/// Earlier versions did not say.
fn yes() -> bool {
    true
}

/// A pending object with its key in the store.
#[derive(Debug)]
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
    /// The keys of everything but the comparison.
    pub fn all(&self) -> impl Iterator<Item = &DueKey> {
        self.work.iter().chain(&self.events).chain(&self.audits)
    }

    /// The earliest due time of everything but the comparison.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.all().map(DueKey::due).min()
    }
}

impl PostponedEvent {
    /// Resubmits the event of a run. None if the run had none.
    pub fn resubmission(run: &Run, now: Timestamp) -> Option<Self> {
        let event = run.event.clone()?;
        let reason = format!("resubmitted: run {} is to be repeated", run.id);
        Some(Self {
            run: Some(run.id.clone()),
            event,
            cause: Cause::Resubmit,
            due: now,
            since: now,
            reason,
            tried_since: None,
        })
    }

    /// The key in the store. Deliveries of the same event share it, so that it waits once.
    fn key(&self) -> String {
        let cause = match (&self.cause, &self.run) {
            // Each request of an operator counts.
            (Cause::Resubmit, Some(run)) => format!("resubmit-{run}"),
            (Cause::Reminder, _) => self.event.id.clone(),
            _ => "event".to_owned(),
        };
        let EventRecord {
            vault_host,
            kind,
            name,
            version,
            occurrence,
            ..
        } = &self.event;
        let version = version.as_deref().unwrap_or("newest");
        let name = format!("{vault_host}--{kind}--{name}--{version}--{occurrence}--{cause}");
        // Events that are due at once share a key, independently of the time of their delivery.
        let due = (self.due > self.since).then_some(self.due);
        due::key(EVENTS, &name.to_lowercase(), due)
    }
}

impl PendingRotation {
    /// Whether the rotation is about the same version of the same object as an event.
    pub fn is_about(&self, event: &EventRecord) -> bool {
        let about = |it: &EventRecord| {
            (
                format!("{}/{}", it.vault_host, it.name).to_lowercase(),
                it.version.clone(),
            )
        };
        about(&self.event) == about(event)
    }
}

impl Pending {
    /// The pending work in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Postpones an event. Returns false if it is postponed already, and then leaves the stored one
    /// unchanged.
    pub async fn postpone(&self, postponed: &PostponedEvent) -> Result<bool, StoreError> {
        // A later attempt has moved it to another due time.
        let key = DueKey::new(postponed.key());
        let mut kept = self.0.list(EVENTS).await?.into_iter().map(DueKey::new);
        if kept.any(|kept| kept.name() == key.name()) {
            return Ok(false);
        }
        match self.0.create(key.as_str(), postponed).await {
            Err(error) if error.is_conflict() => Ok(false),
            kept => kept.map(|_| true),
        }
    }

    /// The same pending work, for operations that end by `moment`.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Self {
        Self(self.0.with_deadline(Some(moment)))
    }

    /// Writes an object of pending work.
    pub(crate) async fn write_work(&self, key: &str, work: &PendingWork) -> Result<(), StoreError> {
        self.0.write(key, work).await
    }

    /// Creates an object of pending work under a new key.
    pub(crate) async fn create_work(
        &self,
        key: &str,
        work: &PendingWork,
    ) -> Result<(), StoreError> {
        self.0.create(key, work).await.map(drop)
    }

    /// The key of an object of pending work that is due at `due`.
    pub(crate) fn work_key(folder: &str, name: &str, due: Option<Timestamp>) -> String {
        due::key(folder, name, due)
    }

    /// Reads all pending work of an app, of all instances.
    pub async fn of_app(&self, app: &AppId) -> Result<Vec<PendingEntry<PendingWork>>, StoreError> {
        let mut entries = Vec::new();
        let folder = app_folder(app);
        for key in self.0.list(&folder).await? {
            // The folder of a site contains those of its slots.
            let own = key
                .strip_prefix(&folder)
                .is_some_and(|rest| !rest.trim_start_matches('/').contains('/'));
            if own {
                entries.extend(self.read(&key).await?);
            }
        }
        Ok(entries)
    }

    /// Removes the finished rotations from all pending work of an app.
    pub async fn remove_finished(
        &self,
        app: &AppId,
        is_finished: impl Fn(&PendingRotation) -> bool,
    ) -> Result<(), StoreError> {
        for mut entry in self.of_app(app).await? {
            let before = entry.value.rotations.len();
            entry.value.rotations.retain(|work| !is_finished(work));
            match entry.value.rotations.len() {
                0 => self.remove(&entry.key).await?,
                left if left < before => self.replace(&mut entry).await.map(drop)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Lists the keys of everything that is pending.
    pub async fn list(&self) -> Result<PendingKeys, StoreError> {
        let listed = self.0.list(ALL).await?;
        let mut keys = PendingKeys {
            audits: audit_check::of_keys(&listed),
            ..PendingKeys::default()
        };
        for key in listed {
            let is_in = |folder: &str| key.starts_with(&format!("{folder}/"));
            let (is_work, is_event) = (is_in(APPS), is_in(EVENTS));
            let is_comparison = is_in(COMPARISON);
            let key = DueKey::new(key);
            if is_work {
                keys.work.push(key);
            } else if is_event {
                keys.events.push(key);
            } else if is_comparison {
                // Of two, a later version counts: the other one was to be removed.
                keys.comparison = keys.comparison.max(Some(key));
            }
        }
        Ok(keys)
    }

    /// Moves the entry of a postponed event to its new due time.
    pub async fn postpone_again(
        &self,
        entry: &PendingEntry<PostponedEvent>,
    ) -> Result<(), StoreError> {
        let name = DueKey::new(entry.key.clone()).name().to_owned();
        let key = due::key(EVENTS, &name, Some(entry.value.due));
        self.0.write(&key, &entry.value).await?;
        if key == entry.key {
            return Ok(());
        }
        self.remove(&entry.key).await
    }

    /// Keeps the progress of the comparison of all apps until `due`, instead of the one at
    /// `former`.
    pub async fn keep_comparison<T: Serialize>(
        &self,
        progress: &T,
        due: Timestamp,
        former: Option<&DueKey>,
    ) -> Result<(), StoreError> {
        let key = due::key(COMPARISON, "all", Some(due));
        self.0.write(&key, progress).await?;
        match former {
            Some(former) if former.as_str() != key => self.remove(former.as_str()).await,
            _ => Ok(()),
        }
    }

    /// Reads the object with this key. None if it has been removed.
    pub async fn read<T: serde::de::DeserializeOwned>(
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

    /// Replaces the object of an entry. Returns false if another writer has changed it, which has
    /// taken over then.
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

    /// Removes the object with this key.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key).await
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

pub(crate) fn app_folder(app: &AppId) -> String {
    format!("{APPS}/{}", app_key(app))
}

#[cfg(test)]
mod tests;
