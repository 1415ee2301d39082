//! Polling for new runs.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use keyrelay_records::history::{History, HistoryError};
use keyrelay_records::record::Run;
use keyrelay_records::run_id::RunId;

use super::read::{AT_ONCE, read};
use crate::out;

/// The polling interval.
const EVERY: Duration = Duration::from_secs(1);

/// The number of latest days that are polled. A run is recorded when it ends, under the day on
/// which it began.
const DAYS: usize = 2;

/// The runs that appear from now on.
#[derive(Debug)]
pub(super) struct Watch {
    history: History,
    /// A set and not the last id, because a long run appears after shorter ones that began later.
    known: HashSet<RunId>,
}

impl Watch {
    /// Starts to watch. Runs that exist now are not new.
    pub(super) async fn begin(history: History) -> Result<Self, HistoryError> {
        let known = present(&history).await?.into_iter().collect();
        Ok(Self { history, known })
    }

    /// Waits for new runs, and returns them by start time. Retries while the store is out of reach.
    pub(super) async fn next(&mut self) -> Vec<Run> {
        let mut out_of_reach = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match self.poll().await {
                Ok(runs) if runs.is_empty() => out_of_reach = false,
                Ok(runs) => return runs,
                Err(error) => {
                    if !out_of_reach {
                        out::warning(&format!("{}; trying again", out::chain(&error)));
                    }
                    out_of_reach = true;
                }
            }
        }
    }

    async fn poll(&mut self) -> Result<Vec<Run>, HistoryError> {
        let mut ids = present(&self.history).await?;
        ids.retain(|id| !self.known.contains(id));
        ids.sort();
        let history = &self.history;
        let runs = stream::iter(&ids)
            .map(async |id| read(history, id).await)
            .buffered(AT_ONCE);
        let runs: Vec<Option<Run>> = runs.try_collect().await?;
        self.known.extend(ids);
        Ok(runs.into_iter().flatten().collect())
    }
}

async fn present(history: &History) -> Result<Vec<RunId>, HistoryError> {
    let mut ids = Vec::new();
    for day in history.days().await?.into_iter().take(DAYS) {
        ids.extend(history.of_day(&day).await?);
    }
    Ok(ids)
}
