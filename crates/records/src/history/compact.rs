//! Keeps the run summaries up to date. Nothing depends on them: a run without a summary is read by
//! itself.
//!
//! A run gets into a segment 15 minutes after it began, so that it has been recorded by then. The
//! record of a run that is written or changed later is announced first ([`Change`]), and the list
//! reads an announced run by itself until a segment has the change. An announcement is kept for
//! 15 minutes: the change has been written then.
//!
//! Several instances may compact at once: each write is conditional, and the one that is refused
//! stops.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::error_chain;
use keyrelay_store::StoreError;
use tokio::time::Instant;

use super::segment::Segment;
use super::summaries::{self, Change, StoredSegment, SummaryKeys};
use super::{History, HistoryError};
use crate::run_id::{self, RunId};
use crate::summary::Summary;

/// The age at which a run gets a summary, and at which the announcement of a change has come
/// true.
const SETTLED_AFTER: Duration = Duration::from_mins(15);

/// The age from which a change of a run is announced. It is less than [`SETTLED_AFTER`] by more
/// than the time that a change takes: at most 11 operations of 8 s.
const ANNOUNCED_AFTER: Duration = Duration::from_mins(10);

/// The sizes of the parts of the run summaries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The number of runs and rotations from which a segment takes no more runs. It has at most a
    /// few megabytes then.
    pub(super) segment: usize,
    /// The number of runs that are read before they are written.
    pub(super) batch: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            segment: 50_000,
            batch: 1_000,
        }
    }
}

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

/// The run summaries end there until runs have been recorded.
const BEGIN: &str = "0";

struct Compaction<'a> {
    history: &'a History,
    /// The days that have runs, oldest first.
    days: Vec<String>,
    deadline: Instant,
    sizes: Sizes,
    /// The number of runs that got a summary.
    added: usize,
}

/// A record as the run summaries have it.
enum Summarized {
    Summary(Summary),
    Unreadable(RunId),
    Missing(RunId),
}

impl History {
    /// Adds the runs that are older than 15 minutes at `now` to the run summaries, the oldest first,
    /// until `deadline`, and the changes of runs that have one. Returns the number of added runs. What
    /// is left is added the next time.
    pub async fn compact(&self, now: Timestamp, deadline: Instant) -> Result<usize, StoreError> {
        self.compact_to(Sizes::default(), now, deadline).await
    }

    pub(super) async fn compact_to(
        &self,
        sizes: Sizes,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<usize, StoreError> {
        let mut days = self.days().await?;
        days.reverse();
        let mut compaction = Compaction {
            history: self,
            days,
            deadline,
            sizes,
            added: 0,
        };
        match compaction.run(now).await {
            // Another instance compacts.
            Err(error) if error.is_conflict() => Ok(compaction.added),
            ran => ran.map(|()| compaction.added),
        }
    }

    /// Announces a change of the record of a run, if the run may have a summary already.
    pub(super) async fn announce_late(&self, id: &RunId) -> Result<(), StoreError> {
        if id.as_str() >= before(self.0.now(), ANNOUNCED_AFTER).as_str() {
            return Ok(());
        }
        Change::announce(&self.0, id).await
    }

    /// Removes the segments of runs before `oldest`, the lower bound of ids.
    pub(super) async fn prune_summaries(&self, oldest: &str) -> Result<(), StoreError> {
        let segments = SummaryKeys::list(&self.0).await?.segments;
        // A segment ends where the next one begins, or before.
        let old = segments.iter().zip(segments.iter().skip(1));
        let old =
            old.filter(|(_, next)| summaries::first_id(next).is_some_and(|end| end <= oldest));
        let old: Vec<String> = old.map(|(key, _)| key.clone()).collect();
        self.0.delete_all(&old).await
    }

    /// Reads the records of these runs, in their order.
    async fn summarize_all(&self, ids: Vec<RunId>) -> Result<Vec<Summarized>, StoreError> {
        let reading = stream::iter(ids).map(async |id| self.summarize(&id).await);
        reading.buffered(AT_ONCE).try_collect().await
    }

    async fn summarize(&self, id: &RunId) -> Result<Summarized, StoreError> {
        match self.read(id).await {
            Ok(run) => Ok(Summarized::Summary(Summary::of(&run))),
            Err(HistoryError::Missing(id)) => Ok(Summarized::Missing(id)),
            Err(
                HistoryError::Newer { .. } | HistoryError::Store(StoreError::Unreadable { .. }),
            ) => Ok(Summarized::Unreadable(id.clone())),
            Err(HistoryError::Store(error)) => Err(error),
        }
    }
}

impl Compaction<'_> {
    async fn run(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let store = &self.history.0;
        let SummaryKeys { segments, changes } = SummaryKeys::list(store).await?;
        let is_settled = |change: &Change| change.at.duration_until(now) >= settled_after();
        let changes: Vec<Change> = changes.into_iter().filter(is_settled).collect();
        let mut last = None;
        for key in segments {
            match summaries::read(store, &key).await? {
                Ok(None) => {}
                Ok(Some(mut next)) => {
                    // The runs of a segment that has been lost.
                    self.fill(last, &next.segment.from).await?;
                    self.update(&mut next, &changes).await?;
                    last = Some(next);
                }
                Err(error) => {
                    tracing::warn!("{}", error_chain(&error));
                    store.delete(&key).await?;
                }
            }
        }
        let end = before(now, SETTLED_AFTER);
        self.fill(last, &end).await?;
        if !self.is_late() {
            // The other changes are of runs that were read just now, or have no summary.
            let changes: Vec<String> = changes.into_iter().map(|change| change.key).collect();
            store.delete_all(&changes).await?;
        }
        Ok(())
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Adds the runs after the segment `last` that have ids below `end`.
    async fn fill(&mut self, mut last: Option<StoredSegment>, end: &str) -> Result<(), StoreError> {
        for day in self.days.clone() {
            let (day_begin, day_end) = run_id::of_day(&day);
            let begin = last.as_ref().map_or(BEGIN, |last| &last.segment.to);
            if day_end.as_str() <= begin || end <= day_begin.as_str() || self.is_late() {
                continue;
            }
            let mut ids = self.history.of_day(&day).await?;
            ids.retain(|id| begin <= id.as_str() && id.as_str() < end);
            ids.reverse();
            let mut batches = ids.chunks(self.sizes.batch).peekable();
            while let Some(batch) = batches.next() {
                if self.is_late() {
                    return Ok(());
                }
                let next = batches.peek().and_then(|batch| batch.first());
                let to = next.map_or_else(|| day_end.as_str().min(end), RunId::as_str);
                last = Some(self.append(last, batch, to).await?);
            }
        }
        Ok(())
    }

    /// Adds runs to the segment `last`, or to a new one after it. It covers the ids below `to` then.
    async fn append(
        &mut self,
        last: Option<StoredSegment>,
        ids: &[RunId],
        to: &str,
    ) -> Result<StoredSegment, StoreError> {
        let history = self.history;
        let runs = history.summarize_all(ids.to_vec()).await?;
        let begin = last.as_ref().map_or(BEGIN, |last| &last.segment.to);
        let new = Segment::new(begin.to_owned());
        let open = last.filter(|last| last.segment.size() < self.sizes.segment);
        let (mut segment, version) = match open {
            Some(StoredSegment { segment, version }) => (segment, Some(version)),
            None => (new, None),
        };
        for run in runs {
            match run {
                Summarized::Summary(summary) => segment.summaries.push(summary),
                Summarized::Unreadable(id) => segment.unreadable.push(id),
                Summarized::Missing(_) => {}
            }
        }
        to.clone_into(&mut segment.to);
        let stored = match version {
            Some(version) => {
                let mut stored = StoredSegment { segment, version };
                summaries::replace(&history.0, &mut stored).await?;
                stored
            }
            None => summaries::create(&history.0, segment).await?,
        };
        self.added += ids.len();
        Ok(stored)
    }

    /// Reads the changed runs of a segment again.
    async fn update(
        &mut self,
        stored: &mut StoredSegment,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        let of_segment = changes.iter().filter(|it| stored.segment.covers(&it.run));
        let mut keys: BTreeMap<&RunId, Vec<String>> = BTreeMap::new();
        for change in of_segment {
            keys.entry(&change.run)
                .or_default()
                .push(change.key.clone());
        }
        if keys.is_empty() || self.is_late() {
            return Ok(());
        }
        let history = self.history;
        let runs = history
            .summarize_all(keys.keys().copied().cloned().collect())
            .await?;
        for run in runs {
            match run {
                Summarized::Summary(summary) => {
                    let id = summary.id.clone();
                    stored.segment.set(&id, Some(summary));
                }
                Summarized::Missing(id) => stored.segment.set(&id, None),
                Summarized::Unreadable(id) => {
                    stored.segment.set(&id, None);
                    stored.segment.unreadable.push(id);
                }
            }
        }
        summaries::replace(&history.0, stored).await?;
        // Only now: a list that finds no announcement relies on the segment.
        let keys: Vec<String> = keys.into_values().flatten().collect();
        history.0.delete_all(&keys).await
    }
}

/// The lower bound of the ids of runs that began at `now` minus `age`.
fn before(now: Timestamp, age: Duration) -> String {
    run_id::from(now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn settled_after() -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(SETTLED_AFTER).unwrap_or(jiff::SignedDuration::MAX)
}
