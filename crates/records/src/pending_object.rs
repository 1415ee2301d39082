//! The object of pending work: it has one owner at a time, which names or claims it, keeps work in
//! it, and closes it.

use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use uuid::Uuid;

use crate::pending::{Pending, PendingEntry, PendingRotation, PendingWork};

/// An object of pending work in the store, and its owner's right to change it.
#[derive(Debug)]
pub struct PendingObject {
    pending: Pending,
    app: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The object has a name of its own, and may not be written yet.
    Own { key: String, is_written: bool },
    /// The object was written by another owner.
    Claimed(PendingEntry<PendingWork>),
}

impl PendingObject {
    /// Names an object that no other owner knows. It is not written yet.
    pub fn new(pending: Pending, app: &AppId) -> Self {
        let key = Pending::work_key(app, &Uuid::new_v4().to_string());
        Self {
            pending,
            app: app.to_string(),
            state: State::Own {
                key,
                is_written: false,
            },
        }
    }

    /// Claims the object of another owner, and takes its work. None: it is closed already.
    pub async fn claim(
        pending: Pending,
        key: &str,
    ) -> Result<Option<(Self, Vec<PendingRotation>)>, StoreError> {
        let entry: Option<PendingEntry<PendingWork>> = pending.read(key).await?;
        let Some(mut entry) = entry else {
            return Ok(None);
        };
        let works = std::mem::take(&mut entry.value.rotations);
        let object = Self {
            pending,
            app: entry.value.app.clone(),
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
        let work = PendingWork {
            app: self.app.clone(),
            rotations,
        };
        match &mut self.state {
            State::Own { key, is_written } => {
                self.pending.write_work(key, &work).await?;
                *is_written = true;
                Ok(())
            }
            State::Claimed(entry) => {
                entry.value = work;
                self.pending.replace(entry).await
            }
        }
    }

    /// Leaves this work in the object, or deletes the object if there is none. A claimed object
    /// that its owner has changed meanwhile keeps that change.
    pub async fn close(mut self, left: Vec<PendingRotation>) -> Result<(), StoreError> {
        if !left.is_empty() {
            return match self.state {
                // It was never kept, so there is nothing to leave.
                State::Own {
                    is_written: false, ..
                } => Ok(()),
                _ => self.keep(left).await,
            };
        }
        match self.state {
            State::Own {
                is_written: false, ..
            } => Ok(()),
            State::Own { key, .. } => self.pending.remove(&key).await,
            State::Claimed(entry) => self.pending.remove(&entry.key).await,
        }
    }
}
