//! The run history. Each run is an object in the store: `runs/<day>/<id>.json`.

use std::time::Duration;

use futures::future::ready;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use keyrelay_store::{Store, StoreError};
use tokio::time::Instant;

use crate::record::{FORMAT, Run};
use crate::run_id::RunId;

/// The folder of all runs in the store.
const FOLDER: &str = "runs";

/// The number of attempts at an amendment while others amend the same run.
const ATTEMPTS: u32 = 5;

/// The number of objects that are deleted at once.
const AT_ONCE: usize = 8;

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
        for _ in 0..ATTEMPTS {
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

    /// Removes the runs of the days before `now` minus `keep`, the oldest first, until `deadline`.
    /// Returns their number. What is left is removed the next time.
    pub async fn prune(
        &self,
        keep: Duration,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<usize, StoreError> {
        let is_late = || Instant::now() >= deadline;
        let oldest = now
            .checked_sub(keep)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_zoned(TimeZone::UTC)
            .date()
            .to_string();
        let mut pruned = 0;
        for day in self.0.folders(FOLDER).await? {
            if day >= oldest || is_late() {
                break;
            }
            let keys = self.0.list(&format!("{FOLDER}/{day}")).await?;
            let in_time = stream::iter(keys).take_while(|_| ready(!is_late()));
            let deleting = in_time.map(|key| async move { self.0.delete(&key).await });
            let deleted: Vec<_> = deleting.buffer_unordered(AT_ONCE).collect().await;
            pruned += deleted.len();
            deleted.into_iter().collect::<Result<Vec<()>, _>>()?;
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
mod tests {
    use super::*;
    use crate::record::Cause;

    fn history() -> (tempfile::TempDir, History) {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(Store::folder(folder.path()).unwrap());
        (folder, history)
    }

    fn run(started: &str) -> Run {
        Run {
            id: RunId::at(started.parse().unwrap()),
            ..Run::begin(Cause::Event, "i", None, Timestamp::now())
        }
    }

    #[tokio::test]
    async fn runs_are_found_by_day_newest_first() {
        let (_folder, history) = history();
        let runs = [
            "2026-11-22T23:00:00Z",
            "2026-11-23T01:00:00Z",
            "2026-11-23T02:00:00Z",
        ]
        .map(run);
        for run in &runs {
            history.keep(run).await.unwrap();
            history.keep(run).await.unwrap();
        }
        assert_eq!(history.days().await.unwrap(), ["2026-11-23", "2026-11-22"]);
        assert_eq!(
            history.of_day("2026-11-23").await.unwrap(),
            [runs[2].id.clone(), runs[1].id.clone()]
        );
        assert_eq!(history.read(&runs[0].id).await.unwrap().id, runs[0].id);
    }

    #[tokio::test]
    async fn old_days_are_removed() {
        let (_folder, history) = history();
        for started in [
            "2026-08-01T00:00:00Z",
            "2026-08-25T00:00:00Z",
            "2026-11-23T00:00:00Z",
        ] {
            history.keep(&run(started)).await.unwrap();
        }
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let keep = Duration::from_hours(90 * 24);
        assert_eq!(history.prune(keep, now, Instant::now()).await.unwrap(), 0);
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(history.prune(keep, now, deadline).await.unwrap(), 1);
        assert_eq!(history.days().await.unwrap(), ["2026-11-23", "2026-08-25"]);
    }

    #[tokio::test]
    async fn a_record_of_a_newer_keyrelay_is_refused() {
        let (_folder, history) = history();
        let newer = Run {
            format: FORMAT + 1,
            ..run("2026-11-23T00:00:00Z")
        };
        history.keep(&newer).await.unwrap();
        assert!(matches!(
            history.read(&newer.id).await,
            Err(HistoryError::Newer { .. })
        ));
    }

    #[tokio::test]
    async fn a_run_that_is_not_there_is_missing_and_not_amended() {
        let (_folder, history) = history();
        let id = run("2026-11-23T00:00:00Z").id;
        assert!(matches!(
            history.read(&id).await,
            Err(HistoryError::Missing(_))
        ));
        history
            .amend(&id, |_| panic!("there is nothing to amend"))
            .await
            .unwrap();
    }
}
