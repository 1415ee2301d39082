//! Work that outlives its invocation, in the store: what the reconcile timer goes on with.
//!
//! - `pending/events/<key>.json`: an event to be handled later, as a whole. [`Postponed`]
//! - `pending/apps/<app>/<key>.json`: rotations of an app whose end is open. [`OpenWork`] is there from before the settings are
//!   written until the verdict is final, so that a killed instance's write can still be proven, or taken back.

mod undo;

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::{ObjectVersion, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::record::{Cause, EventRecord, Run};
use crate::run_id::RunId;
pub use undo::{Undo, Written};
pub(crate) use undo::{of_plan, to_plan};

const EVENTS: &str = "pending/events";
const APPS: &str = "pending/apps";

/// An event to be handled later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Postponed {
    /// The run that left it to later, or that is to be repeated. None for reminders.
    pub run: Option<RunId>,
    /// What it is.
    pub event: EventRecord,
    /// What the run will say made it happen.
    pub cause: Cause,
    /// When it is to be handled.
    pub due: Timestamp,
    /// Since when it waits.
    pub since: Timestamp,
    /// What it waits for.
    pub reason: String,
    /// Since when it has been tried, without success.
    #[serde(default)]
    pub tried_since: Option<Timestamp>,
}

/// Rotations of one app whose end is open. They were decided together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenWork {
    /// The app.
    pub app: String,
    /// The rotations.
    pub works: Vec<Work>,
}

/// One rotation whose end is open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Work {
    /// The run that the rotation belongs to.
    pub run: RunId,
    /// The event.
    pub event: EventRecord,
    /// Since when the end is open.
    pub since: Timestamp,
    /// When to look at it again.
    pub due: Timestamp,
    /// How often it has been looked at by the reconcile timer.
    pub attempts: u32,
    /// What is still missing.
    pub reason: String,
    /// How to take back what was written, or was about to be.
    pub undo: Vec<Undo>,
}

/// Something pending, as it is in the store.
#[derive(Debug)]
pub struct Entry<T> {
    /// Where.
    pub key: String,
    /// What.
    pub value: T,
    version: ObjectVersion,
}

/// What is pending in a store.
#[derive(Debug, Clone)]
pub struct Pending(Store);

impl Postponed {
    /// The event of a run, to be handled again as soon as possible. None if the run had none.
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

    /// The same event waits only once.
    fn key(&self) -> String {
        let cause = match (&self.cause, &self.run) {
            // Each time that somebody asks counts.
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
        format!("{EVENTS}/{vault_host}--{kind}--{name}--{version}--{occurrence}--{cause}.json")
            .to_lowercase()
    }
}

impl Work {
    /// Whether it is about the same version of the same object.
    pub(crate) fn is_about(&self, event: &EventRecord) -> bool {
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
    /// What is pending in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Keeps an event for later, and says whether it was not kept already: then it stays as it is.
    pub async fn postpone(&self, postponed: &Postponed) -> Result<bool, StoreError> {
        match self.0.create(&postponed.key(), postponed).await {
            Err(error) if error.is_conflict() => Ok(false),
            kept => kept.map(|_| true),
        }
    }

    /// Keeps the open work of an app under a name of its own.
    pub async fn keep(&self, app: &AppId, name: &str, work: &OpenWork) -> Result<(), StoreError> {
        self.0.write(&work_key(app, name), work).await
    }

    /// Forgets the open work of an app of that name.
    pub async fn forget(&self, app: &AppId, name: &str) -> Result<(), StoreError> {
        self.0.delete(&work_key(app, name)).await
    }

    /// All open work of an app, of whatever instance.
    pub async fn of_app(&self, app: &AppId) -> Result<Vec<Entry<OpenWork>>, StoreError> {
        let mut entries = Vec::new();
        let folder = app_folder(app);
        for key in self.0.list(&folder).await? {
            // Below a site's folder are those of its slots.
            let own = key
                .strip_prefix(&folder)
                .is_some_and(|rest| !rest.trim_start_matches('/').contains('/'));
            if own {
                entries.extend(self.read(&key).await?);
            }
        }
        Ok(entries)
    }

    /// Takes out what is done with of all open work of an app.
    pub async fn drop_works(
        &self,
        app: &AppId,
        is_done: impl Fn(&Work) -> bool,
    ) -> Result<(), StoreError> {
        for mut entry in self.of_app(app).await? {
            let before = entry.value.works.len();
            entry.value.works.retain(|work| !is_done(work));
            match entry.value.works.len() {
                0 => self.done(entry).await?,
                left if left < before => self.leave(entry).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The keys of all postponed events.
    pub async fn events(&self) -> Result<Vec<String>, StoreError> {
        self.0.list(EVENTS).await
    }

    /// The keys of all open work.
    pub async fn open_work(&self) -> Result<Vec<String>, StoreError> {
        self.0.list(APPS).await
    }

    /// Reads one of them; none if it is done with.
    pub async fn read<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<Entry<T>>, StoreError> {
        let found = self.0.read_json(key).await?;
        Ok(found.map(|(value, version)| Entry {
            key: key.to_owned(),
            value,
            version,
        }))
    }

    /// Puts what is left of an entry in its place, unless somebody has changed it meanwhile.
    pub async fn leave<T: Serialize>(&self, entry: Entry<T>) -> Result<(), StoreError> {
        match self
            .0
            .replace(&entry.key, &entry.value, &entry.version)
            .await
        {
            // Then it is theirs.
            Err(error) if error.is_conflict() => Ok(()),
            left => left.map(drop),
        }
    }

    /// Removes an entry that is done with.
    pub async fn done<T>(&self, entry: Entry<T>) -> Result<(), StoreError> {
        self.0.delete(&entry.key).await
    }
}

/// The part of a key that stands for an app. Slots are below their sites.
pub(crate) fn app_key(app: &AppId) -> String {
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

fn app_folder(app: &AppId) -> String {
    format!("{APPS}/{}", app_key(app))
}

fn work_key(app: &AppId, name: &str) -> String {
    format!("{}/{name}.json", app_folder(app))
}
