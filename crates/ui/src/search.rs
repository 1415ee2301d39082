//! The search for runs, page by page. It reads no more of the history than it shows, and ends in time.

use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_records::filters::RunFilter;
use keyrelay_records::history::Entry;
use keyrelay_records::summary::Summary;
use keyrelay_records::{History, RunId, run_id};
use keyrelay_store::StoreError;
use tokio::time::Instant;

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

/// The time after which a search stops, and the page offers to go on.
const PATIENCE: Duration = Duration::from_millis(500);

/// The bounds of a search.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// Only runs that began at this time or later.
    pub(crate) since: Option<Timestamp>,
    /// Only runs before this one.
    pub(crate) before: Option<RunId>,
    /// The largest number of runs.
    pub(crate) limit: usize,
}

/// The runs of one page.
#[derive(Debug, Default)]
pub(crate) struct FoundRuns {
    /// The newest first.
    pub(crate) runs: Vec<Summary>,
    /// The run from which the search for older ones goes on. None: there are no more.
    pub(crate) next: Option<RunId>,
    /// Whether the search has stopped before the page was full.
    pub(crate) is_partial: bool,
}

/// Finds the newest runs that match.
pub(crate) async fn find(
    history: &History,
    filter: &RunFilter,
    bounds: &Bounds,
) -> Result<FoundRuns, StoreError> {
    let oldest = bounds.since.map(run_id::from).unwrap_or_default();
    let mut parts = pin!(history.entries(&oldest));
    let mut found = FoundRuns::default();
    // Counted from the first run that is looked at, so that every page gets on.
    let mut begin = None;
    while let Some(part) = parts.try_next().await? {
        let entries = part.into_iter().filter(|entry| is_before(entry, bounds));
        let mut summaries = stream::iter(entries)
            .map(|entry| async {
                let id = id_of(&entry).cloned();
                let summary = history.summary(entry).await?;
                Ok::<_, StoreError>((id, summary))
            })
            .buffered(AT_ONCE);
        while let Some((id, summary)) = summaries.try_next().await? {
            let begin = *begin.get_or_insert_with(Instant::now);
            found.runs.extend(summary.filter(|run| filter.matches(run)));
            found.is_partial = begin.elapsed() > PATIENCE;
            if found.runs.len() == bounds.limit || found.is_partial {
                found.next = id;
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn id_of(entry: &Entry) -> Option<&RunId> {
    match entry {
        Entry::Summary(summary) => Some(&summary.id),
        Entry::WithoutSummary(id) => Some(id),
        Entry::Ignored(_) => None,
    }
}

fn is_before(entry: &Entry, bounds: &Bounds) -> bool {
    let before = bounds.before.as_ref();
    id_of(entry).is_some_and(|id| before.is_none_or(|before| id < before))
}
