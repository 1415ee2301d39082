//! The object of pending work: it has one owner at a time, which names or claims it, keeps work in
//! it, and closes it.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use uuid::Uuid;

use crate::pending::{Pending, PendingEntry, PendingRotation, PendingWork, app_folder};

/// An object of pending work in the store, and its owner's right to change it.
#[derive(Debug)]
pub struct PendingObject {
    pending: Pending,
    app: String,
    /// The folder and the name in the key. The due time follows them.
    folder: String,
    name: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The object has a name of its own. The key is None until it is written.
    Own(Option<String>),
    /// The object was written by another owner.
    Claimed(PendingEntry<PendingWork>),
}

impl PendingObject {
    /// Names an object that no other owner knows. It is not written yet.
    pub fn new(pending: Pending, app: &AppId) -> Self {
        Self {
            pending,
            app: app.to_string(),
            folder: app_folder(app),
            name: Uuid::new_v4().to_string(),
            state: State::Own(None),
        }
    }

    /// Claims the object of another owner for a time, and takes its work. None: it is closed
    /// already, or another instance has claimed it.
    pub async fn claim(
        pending: Pending,
        key: &str,
        duration: Duration,
    ) -> Result<Option<(Self, Vec<PendingRotation>)>, StoreError> {
        let entry: Option<PendingEntry<PendingWork>> = pending.read(key).await?;
        let Some(mut entry) = entry else {
            return Ok(None);
        };
        let now = Timestamp::now();
        if entry.value.claimed_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        entry.value.claimed_until = now.checked_add(duration).ok();
        if !pending.replace(&mut entry).await? {
            return Ok(None);
        }
        let works = std::mem::take(&mut entry.value.rotations);
        let (folder, _) = key.rsplit_once('/').unwrap_or_default();
        let object = Self {
            pending,
            app: entry.value.app.clone(),
            folder: folder.to_owned(),
            name: Uuid::new_v4().to_string(),
            state: State::Claimed(entry),
        };
        Ok(Some((object, works)))
    }

    /// The app, as the id that was written.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Keeps this work, and nothing else, in an object of its own name.
    pub async fn keep(&mut self, rotations: Vec<PendingRotation>) -> Result<(), StoreError> {
        let due = rotations.iter().map(|work| work.due).min();
        let key = Pending::work_key(&self.folder, &self.name, due);
        let work = PendingWork {
            app: self.app.clone(),
            rotations,
            claimed_until: None,
        };
        let former = match &mut self.state {
            State::Own(former) => {
                self.pending.write_work(&key, &work).await?;
                former.replace(key.clone()).filter(|former| *former != key)
            }
            State::Claimed(entry) => {
                // Under the former key first: the claim is still ours, and nothing is lost if the
                // process dies before the next step.
                entry.value = PendingWork {
                    claimed_until: entry.value.claimed_until,
                    ..work.clone()
                };
                if !self.pending.replace(entry).await? {
                    return Ok(());
                }
                self.pending.create_work(&key, &work).await?;
                let former = entry.key.clone();
                self.state = State::Own(Some(key));
                Some(former)
            }
        };
        match former {
            Some(former) => self.pending.remove(&former).await,
            None => Ok(()),
        }
    }

    /// Leaves this work in the object, or deletes the object if there is none. A claimed object
    /// that another owner has changed meanwhile keeps that change.
    pub async fn close(mut self, left: Vec<PendingRotation>) -> Result<(), StoreError> {
        match self.state {
            // It was never kept, so there is nothing to leave.
            State::Own(None) => Ok(()),
            _ if !left.is_empty() => self.keep(left).await,
            State::Own(Some(key)) => self.pending.remove(&key).await,
            State::Claimed(mut entry) => match self.pending.replace(&mut entry).await? {
                true => self.pending.remove(&entry.key).await,
                false => Ok(()),
            },
        }
    }
}
