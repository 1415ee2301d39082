//! The progress of the comparison of all apps with their vaults.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::remaining_sites::RemainingSites;

use super::{COMPARISON, Claimable, DueKey, Pending, PendingEntry, due};

/// The name of the object. There is one.
const NAME: &str = "all";

/// The object that requests a sweep.
const REQUESTED: &str = "pending/sweep/requested.json";

/// The progress of the comparison of all apps. The key of its object tells when it is due.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ComparisonProgress {
    /// The time at which the last comparison of all apps began.
    pub compared: Option<Timestamp>,
    /// Whether the one that is in progress is a sweep, which reads all apps of the scope. Others
    /// begin with the index, and read only apps whose secrets have a newer version.
    #[serde(default)]
    pub is_sweep: bool,
    /// The time at which the last sweep began that came to its end.
    #[serde(default)]
    pub swept: Option<Timestamp>,
    /// The sites that are left of a sweep, if there was no time for all. Empty: only the index is
    /// left. None: no comparison is in progress.
    #[serde(default)]
    pub remaining: Option<Vec<RemainingSites>>,
    /// The scopes whose sites a sweep that is in progress could not list. Events list them, until a
    /// sweep does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<RemainingSites>,
    /// The apps that a sweep in progress could not read for a passing reason, and the resource groups
    /// whose slots it could not list.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
    /// Whether a sweep in progress has made the lost objects of the index again.
    #[serde(default)]
    pub has_repaired: bool,
    /// Whether there were any: then the sweep reads apps that were rotated just now, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_rebuilding: bool,
    /// The id of the last app that was compared, in lower case, of the page of sites or of the object
    /// of the index that is in progress. Its apps are compared in the order of their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether a sweep that is in progress has compared any app.
    #[serde(default)]
    pub has_compared: bool,
    /// The objects of the index that are left. None: all.
    #[serde(default)]
    pub shards: Option<Vec<String>>,
    /// The time at which the first comparison of this installation began. None for installations
    /// that are older than this field.
    #[serde(default)]
    pub first: Option<Timestamp>,
    /// The time until which an instance compares, and no other one begins.
    #[serde(default)]
    pub claimed_until: Option<Timestamp>,
}

impl Claimable for ComparisonProgress {
    fn claimed_until(&mut self) -> &mut Option<Timestamp> {
        &mut self.claimed_until
    }
}

impl Pending {
    /// Requests a sweep of the scope that begins after this.
    pub async fn request_sweep(&self) -> Result<(), StoreError> {
        let requested = serde_json::json!({ "requested": self.0.now() });
        match self.0.create(REQUESTED, &requested).await {
            // The sweep that is requested has not begun: it removes the request before it reads.
            Err(error) if error.is_conflict() => Ok(()),
            requested => requested.map(drop),
        }
    }

    /// Removes the request for a sweep that begins now.
    pub async fn begin_sweep(&self) -> Result<(), StoreError> {
        self.remove(REQUESTED).await
    }

    /// Reads the progress of the comparison. None: there is none that can be read.
    pub async fn comparison(&self, key: &DueKey) -> Result<Option<ComparisonProgress>, StoreError> {
        match self.read::<ComparisonProgress>(key.as_str()).await {
            Err(StoreError::Unreadable { .. }) => Ok(None),
            read => Ok(read?.map(|entry| entry.value)),
        }
    }

    /// Claims the comparison, whose object is at `key` if there has been one. None: another instance
    /// compares.
    ///
    /// An object that cannot be read is removed, and the comparison begins again from its start. Pins that are older
    /// than this count as older than keyrelay then.
    pub async fn claim_comparison(
        &self,
        key: Option<&DueKey>,
        duration: Duration,
    ) -> Result<Option<PendingEntry<ComparisonProgress>>, StoreError> {
        if let Some(key) = key {
            match self.claim(key.as_str(), duration).await {
                Err(StoreError::Unreadable { key, reason }) => {
                    tracing::error!(
                        "the comparison begins again from its start, {key} cannot be parsed: {reason}"
                    );
                    self.remove(&key).await?;
                }
                claimed => return claimed,
            }
        }
        let key = due::key(COMPARISON, NAME, None);
        let now = self.0.now();
        let first = ComparisonProgress {
            first: Some(now),
            claimed_until: now.checked_add(duration).ok(),
            ..ComparisonProgress::default()
        };
        match self.0.create(&key, &first).await {
            Err(error) if error.is_conflict() => return Ok(None),
            created => created?,
        };
        // Another instance may have compared since the caller listed the keys. Its object has a due
        // time then.
        let keys = self.0.list(COMPARISON).await?;
        if keys.iter().any(|other| *other != key) {
            self.remove(&key).await?;
            return Ok(None);
        }
        self.read(&key).await
    }

    /// Keeps the progress of the claimed comparison until `due`, and gives the claim back. Returns
    /// false if another instance has taken over.
    pub async fn keep_comparison(
        &self,
        progress: PendingEntry<ComparisonProgress>,
        due: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = due::key(COMPARISON, NAME, Some(due));
        self.move_to(progress, &key).await
    }
}
