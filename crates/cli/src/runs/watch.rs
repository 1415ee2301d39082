//! Waiting for runs that are not there yet.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use keyrelay_host::history::{History, HistoryError};
use keyrelay_host::record::Run;
use keyrelay_host::run_id::RunId;

use super::{AT_ONCE, read};
use crate::out;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How many days are looked at, newest first. A run is kept when it ends, under the day on which it began.
const DAYS: usize = 2;

/// The runs that appear from now on.
#[derive(Debug)]
pub(super) struct Watch {
    history: History,
    /// A run that took long appears after shorter ones that began later: a last id would not be enough.
    seen: HashSet<RunId>,
}

impl Watch {
    /// Begins to watch: what is there now is not new.
    pub(super) async fn begin(history: History) -> Result<Self, HistoryError> {
        let seen = present(&history).await?.into_iter().collect();
        Ok(Self { history, seen })
    }

    /// Waits until there are new runs, and returns them in the order in which they began. A store that is out of reach
    /// is waited for.
    pub(super) async fn next(&mut self) -> Vec<Run> {
        let mut out_of_reach = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match self.look().await {
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

    async fn look(&mut self) -> Result<Vec<Run>, HistoryError> {
        let mut ids = present(&self.history).await?;
        ids.retain(|id| !self.seen.contains(id));
        ids.sort();
        let history = &self.history;
        let runs = stream::iter(&ids)
            .map(async |id| read(history, id).await)
            .buffered(AT_ONCE);
        let runs: Vec<Option<Run>> = runs.try_collect().await?;
        self.seen.extend(ids);
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
