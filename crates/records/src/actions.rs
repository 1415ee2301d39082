//! The record of what operators did: `actions/<day>/<id>.json`.
//!
//! An action is recorded before it is carried out, and again with its result. One without a result
//! was interrupted, and may have been carried out.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_store::{ObjectVersion, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::days;
use crate::run_id::RunId;

/// The format of the records that this version writes.
pub const FORMAT: u32 = 1;

const FOLDER: &str = "actions";

/// The actions in a store.
#[derive(Debug, Clone)]
pub struct Actions(Store);

/// An action of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// The id, in the form of the id of a run.
    pub id: RunId,
    /// The kind of action.
    pub kind: ActionKind,
    /// The operator.
    pub by: String,
    /// The time.
    pub at: Timestamp,
    /// The run, the secret or the app that it is about.
    pub subject: String,
    /// The reason that the operator gave. Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The result. None: it was interrupted.
    #[serde(default)]
    pub result: Option<String>,
    /// Whether it failed.
    #[serde(default)]
    pub is_failure: bool,
    /// The runs whose events were resubmitted.
    #[serde(default)]
    pub runs: Vec<RunId>,
}

/// The kinds of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// The event of a run is handled again.
    Resubmit,
    /// The events of all failed runs since a time are handled again.
    ResubmitFailed,
    /// The rotations of a secret are held.
    Hold,
    /// The rotations of a held secret are resumed.
    Resume,
    /// An app is verified as soon as possible.
    VerifyNow,
}

/// An action that is being carried out.
#[derive(Debug)]
pub struct OpenAction {
    /// The record, without a result.
    pub record: ActionRecord,
    version: ObjectVersion,
}

impl ActionKind {
    /// The word for the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resubmit => "resubmit",
            Self::ResubmitFailed => "resubmit all failed",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::VerifyNow => "verify now",
        }
    }
}

impl Actions {
    /// The actions in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Records an action before it is carried out.
    pub async fn begin(
        &self,
        kind: ActionKind,
        by: &str,
        subject: &str,
        why: &str,
    ) -> Result<OpenAction, StoreError> {
        let at = self.0.now();
        let record = ActionRecord {
            format: FORMAT,
            id: RunId::at(at),
            kind,
            by: by.to_owned(),
            at,
            subject: subject.to_owned(),
            why: why.to_owned(),
            result: None,
            is_failure: false,
            runs: Vec::new(),
        };
        let version = self.0.create(&key(&record.id), &record).await?;
        Ok(OpenAction { record, version })
    }

    /// Records the result of an action: a text, and the runs that were resubmitted. The error is
    /// the text of one that failed.
    pub async fn end(
        &self,
        action: OpenAction,
        result: Result<(String, Vec<RunId>), String>,
    ) -> Result<ActionRecord, StoreError> {
        let OpenAction {
            mut record,
            version,
        } = action;
        record.is_failure = result.is_err();
        let (text, runs) = result.unwrap_or_else(|reason| (reason, Vec::new()));
        record.result = Some(text);
        record.runs = runs;
        self.0.replace(&key(&record.id), &record, &version).await?;
        Ok(record)
    }

    /// Reads an action. None: there is none with this id.
    pub async fn read(&self, id: &RunId) -> Result<Option<ActionRecord>, StoreError> {
        let found = self.0.read_json(&key(id)).await?;
        Ok(found.map(|(record, _)| record))
    }

    /// Removes the actions of the days before `now` minus `keep`, as [`History::prune`](crate::History::prune).
    pub async fn prune(
        &self,
        keep: Duration,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<usize, StoreError> {
        days::prune(&self.0, FOLDER, &days::oldest(keep, now), deadline).await
    }

    /// The newest actions, up to a number. Those that cannot be read are left out.
    pub async fn newest(&self, limit: usize) -> Result<Vec<ActionRecord>, StoreError> {
        let mut actions = Vec::new();
        for day in self.0.folders(FOLDER).await?.into_iter().rev() {
            let keys = self.0.list(&format!("{FOLDER}/{day}")).await?;
            for key in keys.into_iter().rev() {
                if actions.len() == limit {
                    return Ok(actions);
                }
                match self.0.read_json(&key).await {
                    Err(StoreError::Unreadable { .. }) => {}
                    read => actions.extend(read?.map(|(record, _)| record)),
                }
            }
        }
        Ok(actions)
    }
}

fn key(id: &RunId) -> String {
    format!("{FOLDER}/{}/{id}.json", id.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_action_is_on_record_before_it_has_a_result() {
        let folder = tempfile::tempdir().unwrap();
        let actions = Actions::new(Store::folder(folder.path()).unwrap());
        let open = actions.begin(ActionKind::Hold, "ada", "kv/sql", "the freeze");
        let open = open.await.unwrap();
        let id = open.record.id.clone();
        let read = actions.read(&id).await.unwrap().unwrap();
        assert_eq!((read.result, read.is_failure), (None, false));
        let ended = actions.end(open, Err("no".to_owned())).await.unwrap();
        assert!(ended.is_failure);
        assert_eq!(actions.newest(5).await.unwrap(), [ended]);
        assert_eq!(actions.newest(0).await.unwrap(), []);
    }

    #[tokio::test]
    async fn actions_are_removed_with_the_runs_of_their_day() {
        let folder = tempfile::tempdir().unwrap();
        let actions = Actions::new(Store::folder(folder.path()).unwrap());
        let open = actions.begin(ActionKind::Hold, "ada", "kv/sql", "the freeze");
        let id = open.await.unwrap().record.id;
        let deadline = Instant::now() + Duration::from_secs(60);
        let keep = Duration::from_hours(24);
        let now = Timestamp::now();
        let pruned = |now| actions.prune(keep, now, deadline);
        assert_eq!(pruned(now).await.unwrap(), 0);
        assert!(actions.read(&id).await.unwrap().is_some());
        let later = now + Duration::from_hours(49);
        assert_eq!(pruned(later).await.unwrap(), 1);
        assert_eq!(actions.read(&id).await.unwrap(), None);
    }
}
