//! A snapshot of the run history in memory: the summaries of all runs, and what follows from them.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_records::History;
use keyrelay_records::summary::Summary;
use keyrelay_store::{Store, StoreError};

use crate::recent::Recent;

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

/// The largest number of runs in memory, of some 200 bytes each. Older ones are searched in the store.
const RUNS: usize = 200_000;

/// The summaries of runs at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The time at which reading began.
    pub(crate) began: Timestamp,
    /// The newest first.
    pub(crate) runs: Vec<Summary>,
    /// Whether older runs are left out.
    pub(crate) is_partial: bool,
    pub(crate) recent: Recent,
}

impl Snapshot {
    /// Reads the summaries of all runs.
    pub(crate) async fn read(store: &Store) -> Result<Self, StoreError> {
        let began = store.now();
        let history = &History::new(store.clone());
        let mut parts = std::pin::pin!(history.entries(""));
        let mut runs = Vec::new();
        while runs.len() < RUNS
            && let Some(part) = parts.try_next().await?
        {
            let summaries = stream::iter(part).map(|entry| history.summary(entry));
            let mut summaries = summaries.buffered(AT_ONCE);
            while let Some(summary) = summaries.try_next().await? {
                runs.extend(summary);
            }
        }
        let is_partial = runs.len() >= RUNS;
        let recent = Recent::of(&runs, began);
        Ok(Self {
            began,
            runs,
            is_partial,
            recent,
        })
    }
}
