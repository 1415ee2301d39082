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

use crate::snapshot::Snapshot;

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

/// The time after which a search stops, and the page offers to go on.
const SEARCH_TIMEOUT: Duration = Duration::from_millis(500);

/// The time before the snapshot whose runs are read again: a run is recorded when it ends, and pending
/// ones change soon after.
const OVERLAP: Duration = Duration::from_mins(20);

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

/// Finds the newest runs that match: those since the snapshot in the store, the older ones in the
/// snapshot, and what that has not in the store again.
pub(crate) async fn find(
    history: &History,
    snapshot: &Snapshot,
    filter: &RunFilter,
    bounds: &Bounds,
) -> Result<FoundRuns, StoreError> {
    let mut search = Search {
        filter,
        bounds,
        found: FoundRuns::default(),
        begin: Instant::now(),
    };
    let overlap = snapshot.began.checked_sub(OVERLAP);
    let overlap = run_id::from(overlap.unwrap_or(Timestamp::UNIX_EPOCH));
    let newest = newest(history, &overlap).await?;
    let newest = newest.into_iter().filter(|id| search.is_within(id));
    let newest: Vec<RunId> = newest.collect();
    let read = stream::iter(newest).map(|id| async {
        let entry = Entry::WithoutSummary(id.clone());
        Ok::<_, StoreError>((id, history.summary(entry).await?))
    });
    let mut read = read.buffered(AT_ONCE);
    while let Some((id, summary)) = read.try_next().await? {
        if search.add(&id, summary.as_ref()) {
            return Ok(search.found);
        }
    }
    let older = snapshot.runs.iter();
    for run in older.filter(|run| run.id.as_str() < overlap.as_str()) {
        if search.is_within(&run.id) && search.add(&run.id, Some(run)) {
            return Ok(search.found);
        }
    }
    if let Some(last) = snapshot.runs.last().filter(|_| snapshot.is_partial) {
        search.in_store(history, &last.id).await?;
    }
    Ok(search.found)
}

/// A search that goes on.
struct Search<'a> {
    filter: &'a RunFilter,
    bounds: &'a Bounds,
    found: FoundRuns,
    begin: Instant,
}

impl Search<'_> {
    fn is_within(&self, id: &RunId) -> bool {
        let Bounds { since, before, .. } = self.bounds;
        let is_before = before.as_ref().is_none_or(|before| id < before);
        is_before && since.is_none_or(|since| id.began().is_none_or(|began| began >= since))
    }

    /// Adds a run, if it matches. Returns whether the search has ended.
    fn add(&mut self, id: &RunId, run: Option<&Summary>) -> bool {
        let run = run.filter(|run| self.filter.matches(run));
        self.found.runs.extend(run.cloned());
        let is_full = self.found.runs.len() == self.bounds.limit;
        self.found.is_partial = !is_full && self.begin.elapsed() > SEARCH_TIMEOUT;
        if is_full || self.found.is_partial {
            self.found.next = Some(id.clone());
        }
        self.found.next.is_some()
    }

    /// Goes on in the store, with the runs before this one.
    async fn in_store(&mut self, history: &History, before: &RunId) -> Result<(), StoreError> {
        let oldest = self.bounds.since.map(run_id::from).unwrap_or_default();
        let mut parts = pin!(history.entries(&oldest));
        // Counted from here, so that every page gets on.
        let mut is_first = true;
        while let Some(part) = parts.try_next().await? {
            for entry in part {
                let Some(id) = id_of(&entry).cloned() else {
                    continue;
                };
                if id >= *before || !self.is_within(&id) {
                    continue;
                }
                if std::mem::take(&mut is_first) {
                    self.begin = Instant::now();
                }
                let summary = history.summary(entry).await?;
                if self.add(&id, summary.as_ref()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The ids of the runs from this one on, the newest first.
async fn newest(history: &History, from: &str) -> Result<Vec<RunId>, StoreError> {
    let mut ids = Vec::new();
    for day in history.days().await? {
        // The ids of a day begin with it, without its dashes.
        if day.replace('-', "").as_str() < from.get(..8).unwrap_or_default() {
            break;
        }
        let of_day = history.of_day(&day).await?;
        ids.extend(of_day.into_iter().filter(|id| id.as_str() >= from));
    }
    Ok(ids)
}

fn id_of(entry: &Entry) -> Option<&RunId> {
    match entry {
        Entry::Summary(summary) => Some(&summary.id),
        Entry::WithoutSummary(id) => Some(id),
        Entry::Ignored(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use keyrelay_model::Verdict;
    use keyrelay_records::{Cause, Outcome, Run};
    use keyrelay_store::Store;

    use super::*;

    fn run(age: Duration, verdict: Verdict) -> Run {
        let started = Timestamp::now() - age;
        Run {
            ended: Some(Outcome::new(verdict, "x")),
            ..Run::begin(Cause::Event, "", None, started)
        }
    }

    #[tokio::test]
    async fn runs_since_the_snapshot_are_found_as_they_are_now() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        let history = History::new(store.clone());
        let old = run(Duration::from_hours(3), Verdict::Verified);
        let pending = run(Duration::from_mins(5), Verdict::Pending);
        for run in [&old, &pending] {
            history.keep(run).await.unwrap();
        }
        let snapshot = Snapshot::read(&store).await.unwrap();
        let new = run(Duration::ZERO, Verdict::Refused);
        history.keep(&new).await.unwrap();
        let amended = history.amend(&pending.id, |run| {
            run.ended = Some(Outcome::new(Verdict::Verified, "x"));
        });
        amended.await.unwrap();
        let find = async |filter: &RunFilter, before: Option<&RunId>, limit| {
            let bounds = Bounds {
                before: before.cloned(),
                limit,
                since: None,
            };
            find(&history, &snapshot, filter, &bounds).await.unwrap()
        };
        let all = RunFilter::default();
        let ids = |found: &FoundRuns| {
            found
                .runs
                .iter()
                .map(|it| it.id.clone())
                .collect::<Vec<_>>()
        };
        let expected = [&new, &pending, &old].map(|run| run.id.clone());
        assert_eq!(ids(&find(&all, None, 9).await), expected);
        let verified = RunFilter {
            verdicts: vec!["verified".to_owned()],
            ..RunFilter::default()
        };
        assert_eq!(ids(&find(&verified, None, 9).await), expected[1..]);
        // Page by page, across the border of the snapshot.
        let first = find(&all, None, 2).await;
        assert_eq!(
            (ids(&first), first.is_partial),
            (expected[..2].to_vec(), false)
        );
        let second = find(&all, first.next.as_ref(), 2).await;
        assert_eq!((ids(&second), second.next), (expected[2..].to_vec(), None));
    }

    #[tokio::test]
    async fn runs_that_the_snapshot_leaves_out_are_found_in_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        let history = History::new(store.clone());
        let runs = [2, 3, 4].map(|hours| run(Duration::from_hours(hours), Verdict::Verified));
        for run in &runs {
            history.keep(run).await.unwrap();
        }
        let mut snapshot = Snapshot::read(&store).await.unwrap();
        snapshot.runs.truncate(1);
        snapshot.is_partial = true;
        let bounds = Bounds {
            limit: 9,
            ..Bounds::default()
        };
        let found = find(&history, &snapshot, &RunFilter::default(), &bounds)
            .await
            .unwrap();
        let ids: Vec<RunId> = found.runs.into_iter().map(|run| run.id).collect();
        assert_eq!(ids, runs.map(|run| run.id));
    }
}
