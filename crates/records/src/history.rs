//! The run history. Each run is an object in the store: `runs/<day>/<id>.json`. The run summaries
//! are those of older runs, many in one object.

mod compact;
mod listing;
mod segment;
mod summaries;

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_store::{Store, StoreError};
use tokio::time::Instant;

use crate::days;
use crate::record::{FORMAT, Run};
use crate::run_id::{self, RunId};
pub use listing::Entry;
pub use summaries::SummaryError;

/// The folder of all runs in the store.
const FOLDER: &str = "runs";

/// The number of attempts at an amendment while others amend the same run.
const ATTEMPTS: u32 = 5;

/// The run history in a store.
#[derive(Debug, Clone)]
pub struct History(Store);

/// The reason why a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no such run.
    #[error("there is no run `{0}` (runs are kept for as long as `keep_runs_days` says)")]
    Missing(RunId),
    /// A newer keyrelay wrote the run.
    #[error("run `{id}` has format {format}; this keyrelay knows formats up to {FORMAT}")]
    Newer {
        /// The run.
        id: RunId,
        /// Its format.
        format: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl History {
    /// The run history in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The same history, for operations that end by `moment`.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Self {
        Self(self.0.with_deadline(Some(moment)))
    }

    /// Writes the record of a run.
    pub async fn keep(&self, run: &Run) -> Result<(), StoreError> {
        self.announce_late(&run.id).await?;
        match self.0.create(&key(&run.id), run).await {
            // No other run has this id: the response to an earlier attempt of this write was lost.
            Err(error) if error.is_conflict() => Ok(()),
            kept => kept.map(drop),
        }
    }

    /// Reads a run.
    pub async fn read(&self, id: &RunId) -> Result<Run, HistoryError> {
        let found = self.0.read_json::<serde_json::Value>(&key(id)).await?;
        let (value, _) = found.ok_or_else(|| HistoryError::Missing(id.clone()))?;
        parse(id, value)
    }

    /// Changes the record of a run. Does nothing if there is none: the instance may have died
    /// before it wrote one.
    ///
    /// A record that cannot be read, or that a newer keyrelay wrote, stays unchanged, with a
    /// warning in the log. The run that continues it has the rest.
    pub async fn amend(&self, id: &RunId, change: impl Fn(&mut Run)) -> Result<(), StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some((value, version)) = self
                .0
                .read_json::<serde_json::Value>(&key(id))
                .await
                .or_else(unreadable)?
            else {
                return Ok(());
            };
            let mut run = match parse(id, value) {
                Ok(run) => run,
                Err(error) => {
                    tracing::warn!(run.id = %id, "the record of the run stays as it is: {error}");
                    return Ok(());
                }
            };
            change(&mut run);
            if attempt == 0 {
                self.announce_late(id).await?;
            }
            match self.0.replace(&key(id), &run, &version).await {
                Err(error) if error.is_conflict() => {}
                amended => return amended.map(drop),
            }
        }
        Err(StoreError::Conflict { key: key(id) })
    }

    /// Lists the days that have runs, newest first, as `2026-11-23`.
    pub async fn days(&self) -> Result<Vec<String>, StoreError> {
        let mut days = self.0.folders(FOLDER).await?;
        days.reverse();
        Ok(days)
    }

    /// Lists the runs of a day, newest first.
    pub async fn of_day(&self, day: &str) -> Result<Vec<RunId>, StoreError> {
        let keys = self.0.list(&format!("{FOLDER}/{day}")).await?;
        let id = |key: &String| key.rsplit('/').next()?.strip_suffix(".json")?.parse().ok();
        let mut ids: Vec<RunId> = keys.iter().filter_map(id).collect();
        ids.reverse();
        Ok(ids)
    }

    /// Removes the runs of the days before `now` minus `keep`, the oldest first, until `deadline`,
    /// and their run summaries. Returns the number of runs. What is left is removed the next
    /// time.
    pub async fn prune(
        &self,
        keep: Duration,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<usize, StoreError> {
        let oldest = days::oldest(keep, now);
        let pruned = days::prune(&self.0, FOLDER, &oldest, deadline).await?;
        if pruned > 0 && Instant::now() < deadline {
            self.prune_summaries(&run_id::of_day(&oldest).0).await?;
        }
        Ok(pruned)
    }
}

/// Treats a record that is not JSON as missing, with a warning.
fn unreadable<T>(error: StoreError) -> Result<Option<T>, StoreError> {
    match error {
        StoreError::Unreadable { .. } => {
            tracing::warn!("a record stays as it is: {error}");
            Ok(None)
        }
        error => Err(error),
    }
}

/// Parses a record, if this version knows its format.
fn parse(id: &RunId, value: serde_json::Value) -> Result<Run, HistoryError> {
    let format = value
        .get("format")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0);
    if format > u64::from(FORMAT) {
        return Err(HistoryError::Newer {
            id: id.clone(),
            format: u32::try_from(format).unwrap_or(u32::MAX),
        });
    }
    serde_json::from_value(value).map_err(|error| {
        HistoryError::Store(StoreError::Unreadable {
            key: key(id),
            reason: error.to_string(),
        })
    })
}

fn key(id: &RunId) -> String {
    format!("{FOLDER}/{}/{id}.json", id.day())
}

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod summary_tests;
#[cfg(test)]
mod tests;
