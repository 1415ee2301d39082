//! The progress of the comparison of all apps with their vaults.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::remaining_sites::RemainingSites;

use super::{COMPARISON, Claimable, DueKey, Pending, PendingEntry, due};

/// The name of the object. There is one.
const NAME: &str = "all";

/// The progress of the comparison of all apps. The key of its object tells when it is due.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ComparisonProgress {
    /// The time at which the last comparison of all apps began.
    pub compared: Option<Timestamp>,
    /// The sites that are left of it, if there was no time for all. Empty: only known apps that are
    /// in no list are left. None: it is complete.
    #[serde(default)]
    pub remaining: Option<Vec<RemainingSites>>,
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
    /// Claims the comparison, whose object is at `key` if there has been one. None: another instance
    /// compares.
    pub async fn claim_comparison(
        &self,
        key: Option<&DueKey>,
        duration: Duration,
    ) -> Result<Option<PendingEntry<ComparisonProgress>>, StoreError> {
        if let Some(key) = key {
            return self.claim(key.as_str(), duration).await;
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
