//! Pending work: the rotations without a final verdict, one object for each run of an app.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{APPS, Claimable, DueKey, Pending, PendingEntry, Rollback, app_key, due};
use crate::record::EventRecord;
use crate::run_id::RunId;

/// A rotation of one app without a final verdict. Earlier versions kept several together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingWork {
    /// The app.
    pub app: String,
    /// The rotations. None: all have their verdict, and the object was to be removed.
    #[serde(rename = "works")]
    pub rotations: Vec<PendingRotation>,
    /// The time until which an instance works on it, and no other one begins.
    #[serde(default)]
    pub claimed_until: Option<Timestamp>,
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
    /// The time at which a hold kept it from being tried last. It is not given up because of a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Timestamp>,
    /// The time of the next check.
    pub due: Timestamp,
    /// The number of checks by the reconcile timer.
    pub attempts: u32,
    /// The reason why there is no final verdict.
    pub reason: String,
    /// Whether the policy has decided to refresh.
    #[serde(default)]
    pub is_refresh: bool,
    /// Whether the count of refreshes starts again, because an operator has resubmitted the event and
    /// the app could not be tried yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarts: bool,
    /// Whether references in connection strings are to be verified too.
    #[serde(default = "yes")]
    pub connection_strings: bool,
    /// The rollback of what was written, or was about to be.
    #[serde(alias = "undo")]
    pub rollback: Vec<Rollback>,
    /// Remarks for operators on what was written, for the record of the run that goes on with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Earlier versions did not say.
fn yes() -> bool {
    true
}

impl Claimable for PendingWork {
    fn claimed_until(&mut self) -> &mut Option<Timestamp> {
        &mut self.claimed_until
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

/// The object of one rotation, and its owner's right to change it.
///
/// Its name is the run, so that the work of a run for an app is in the store once.
#[derive(Debug, Clone)]
pub struct WorkEntry {
    pending: Pending,
    entry: PendingEntry<PendingWork>,
}

impl Pending {
    /// Keeps a rotation of an app under the name of its run.
    pub async fn keep_work(
        &self,
        app: &AppId,
        rotation: PendingRotation,
    ) -> Result<WorkEntry, StoreError> {
        let key = work_key(&app_folder(app), &rotation);
        let work = PendingWork {
            app: app.to_string(),
            rotations: vec![rotation],
            claimed_until: None,
        };
        Ok(WorkEntry {
            pending: self.clone(),
            entry: self.put(key, work).await?,
        })
    }

    /// Claims the objects of an entry's rotations for a time. Empty: it is closed already, or
    /// another instance has claimed it.
    pub async fn claim_work(
        &self,
        key: &str,
        duration: Duration,
    ) -> Result<Vec<WorkEntry>, StoreError> {
        let claimed = self.claim::<PendingWork>(key, duration).await?;
        let Some(entry) = claimed else {
            return Ok(Vec::new());
        };
        let work_entry = WorkEntry {
            pending: self.clone(),
            entry,
        };
        match work_entry.entry.value.rotations.len() {
            // Its removal did not get through.
            0 => self.remove(key).await.map(|()| Vec::new()),
            1 => Ok(vec![work_entry]),
            _ => work_entry.split(duration).await,
        }
    }

    /// Reads all pending work of an app, of all instances.
    pub async fn of_app(&self, app: &AppId) -> Result<Vec<WorkEntry>, StoreError> {
        let mut entries = Vec::new();
        for key in self.keys_of(&app_folder(app)).await? {
            entries.extend(self.read(&key).await?.map(|entry| WorkEntry {
                pending: self.clone(),
                entry,
            }));
        }
        Ok(entries)
    }

    /// Finds the work of a run for an app.
    pub async fn of_run(&self, app: &AppId, run: &RunId) -> Result<Option<WorkEntry>, StoreError> {
        for key in self.keys_of(&app_folder(app)).await? {
            if DueKey::new(key.clone()).name() != run.as_str() {
                continue;
            }
            if let Some(entry) = self.read::<PendingWork>(&key).await?
                && !entry.value.rotations.is_empty()
            {
                let pending = self.clone();
                return Ok(Some(WorkEntry { pending, entry }));
            }
        }
        Ok(None)
    }

    /// The keys of an app. The folder of a site contains those of its slots.
    async fn keys_of(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = self.0.list(folder).await?;
        keys.retain(|key| {
            let rest = key.strip_prefix(folder);
            rest.is_some_and(|rest| !rest.trim_start_matches('/').contains('/'))
        });
        Ok(keys)
    }
}

impl WorkEntry {
    /// The app, as the id that was written.
    pub fn app(&self) -> &str {
        &self.entry.value.app
    }

    /// The rotations. There is one, except in entries of earlier versions.
    pub fn rotations(&self) -> &[PendingRotation] {
        &self.entry.value.rotations
    }

    /// Replaces the rotation, and gives a claim back. Returns false if another instance has taken
    /// over, whose work stays as it is.
    pub async fn update(&mut self, rotation: PendingRotation) -> Result<bool, StoreError> {
        let (folder, _) = self.entry.key.rsplit_once('/').unwrap_or_default();
        let key = work_key(folder, &rotation);
        self.entry.value.rotations = vec![rotation];
        if key == self.entry.key {
            self.entry.value.claimed_until = None;
            return self.pending.replace(&mut self.entry).await;
        }
        // Under the former key first: the right to change it is still ours, and nothing is lost if
        // the process dies before the next step.
        if !self.pending.replace(&mut self.entry).await? {
            return Ok(false);
        }
        let value = PendingWork {
            claimed_until: None,
            ..self.entry.value.clone()
        };
        let moved = self.pending.put(key, value).await?;
        let former = std::mem::replace(&mut self.entry, moved);
        let former = Self {
            pending: self.pending.clone(),
            entry: former,
        };
        // Another instance that has taken the former object up meanwhile removes the new one.
        former.finish().await
    }

    /// Adds remarks to the rotation, and leaves its due time and a claim as they are. Returns false
    /// if another instance has changed it meanwhile.
    pub async fn keep_notes(&mut self, notes: &[String]) -> Result<bool, StoreError> {
        for rotation in &mut self.entry.value.rotations {
            rotation.notes = notes.to_vec();
        }
        self.pending.replace(&mut self.entry).await
    }

    /// Removes the work, because it has its verdict. Returns false if another instance has taken
    /// over, whose work stays as it is.
    pub async fn finish(mut self) -> Result<bool, StoreError> {
        self.entry.value.rotations.clear();
        // The store has no conditional delete: an entry without rotations is removed in any case.
        if !self.pending.replace(&mut self.entry).await? {
            return Ok(false);
        }
        self.pending.remove(&self.entry.key).await?;
        Ok(true)
    }

    /// Removes the rotations that are selected.
    pub async fn remove_finished(
        mut self,
        is_finished: impl Fn(&PendingRotation) -> bool,
    ) -> Result<(), StoreError> {
        let rotations = &mut self.entry.value.rotations;
        let before = rotations.len();
        rotations.retain(|rotation| !is_finished(rotation));
        match rotations.len() {
            0 if before > 0 => self.finish().await.map(drop),
            left if left < before => self.pending.replace(&mut self.entry).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Gives each rotation of an entry of an earlier version an entry of its own.
    async fn split(self, duration: Duration) -> Result<Vec<Self>, StoreError> {
        let (folder, _) = self.entry.key.rsplit_once('/').unwrap_or_default();
        let claimed_until = self.pending.0.now().checked_add(duration).ok();
        let mut entries = Vec::new();
        for rotation in self.entry.value.rotations.clone() {
            let key = work_key(folder, &rotation);
            let value = PendingWork {
                app: self.entry.value.app.clone(),
                rotations: vec![rotation],
                claimed_until,
            };
            entries.push(Self {
                pending: self.pending.clone(),
                entry: self.pending.put(key, value).await?,
            });
        }
        self.finish().await?;
        Ok(entries)
    }
}

fn work_key(folder: &str, rotation: &PendingRotation) -> String {
    due::key(folder, rotation.run.as_str(), Some(rotation.due))
}

fn app_folder(app: &AppId) -> String {
    format!("{APPS}/{}", app_key(app))
}
