//! The list of all runs, newest first, from the run summaries and from the keys of runs without one.

use std::collections::BTreeSet;

use futures::{Stream, TryStreamExt, stream, try_join};
use keyrelay_store::StoreError;

use super::segment::Segment;
use super::summaries::{self, SummaryError, SummaryKeys};
use super::{History, HistoryError};
use crate::run_id::{self, RunId};
use crate::summary::Summary;

/// An entry of the list.
#[derive(Debug)]
pub enum Entry {
    /// A run with its summary.
    Summary(Summary),
    /// A run without a summary, or one that has changed since.
    WithoutSummary(RunId),
    /// A part of the run summaries cannot be read. Its runs follow, as runs without a summary.
    Ignored(SummaryError),
}

/// The position in the list.
struct Listing<'a> {
    history: &'a History,
    /// The days that have runs, newest first.
    days: Vec<String>,
    /// The keys of the segments that are still to be read, oldest first.
    segments: Vec<String>,
    changed: BTreeSet<RunId>,
    /// The next segment.
    next: Option<Segment>,
    /// The entries so far are those of the ids from here on.
    reached: String,
    /// The list ends with the ids before this.
    end: String,
}

impl History {
    /// Lists the runs with ids from `oldest` on, newest first, in parts: a day, or a segment of the
    /// run summaries. A part is read when it is reached.
    pub fn entries(&self, oldest: &str) -> impl Stream<Item = Result<Vec<Entry>, StoreError>> {
        let begin = async move {
            let (days, keys) = try_join!(self.days(), SummaryKeys::list(&self.0))?;
            let listing = Listing {
                history: self,
                days,
                changed: keys.changed(),
                segments: keys.segments,
                next: None,
                reached: run_id::AFTER_ALL.to_owned(),
                end: oldest.to_owned(),
            };
            Ok(stream::try_unfold(listing, Listing::part))
        };
        stream::once(begin).try_flatten()
    }
}

impl History {
    /// The summary of an entry. None: the run has been removed meanwhile, it cannot be read, or a
    /// newer keyrelay wrote it.
    pub async fn summary(&self, entry: Entry) -> Result<Option<Summary>, StoreError> {
        match entry {
            Entry::Summary(summary) => Ok(Some(summary)),
            Entry::Ignored(_) => Ok(None),
            Entry::WithoutSummary(id) => match self.read(&id).await {
                Ok(run) => Ok(Some(Summary::of(&run))),
                Err(HistoryError::Missing(_) | HistoryError::Newer { .. }) => Ok(None),
                Err(HistoryError::Store(StoreError::Unreadable { .. })) => Ok(None),
                Err(HistoryError::Store(error)) => Err(error),
            },
        }
    }
}

impl Listing<'_> {
    /// The next part of the list.
    async fn part(mut self) -> Result<Option<(Vec<Entry>, Self)>, StoreError> {
        if self.next.is_none()
            && let Some(key) = self.segments.pop()
        {
            match summaries::read(&self.history.0, &key).await? {
                Ok(stored) => self.next = stored.map(|stored| stored.segment),
                Err(error) => return Ok(Some((vec![Entry::Ignored(error)], self))),
            }
            if self.next.is_none() {
                return Ok(Some((Vec::new(), self)));
            }
        }
        // The runs between the last part and the next segment.
        let summarized_to = self.next.as_ref().map_or("", |segment| &segment.to);
        let gap = summarized_to.max(self.end.as_str()).to_owned();
        let overlaps = |day: &&String| {
            let (begin, end) = run_id::of_day(day);
            begin < self.reached && end > gap
        };
        if gap < self.reached
            && let Some(day) = self.days.iter().find(overlaps)
        {
            let mut ids = self.history.of_day(day).await?;
            ids.retain(|id| gap.as_str() <= id.as_str() && id.as_str() < self.reached.as_str());
            self.reached = run_id::of_day(day).0.max(gap);
            return Ok(Some((
                ids.into_iter().map(Entry::WithoutSummary).collect(),
                self,
            )));
        }
        self.reached = gap.min(self.reached);
        let Some(segment) = self.next.take() else {
            return Ok(None);
        };
        if self.reached <= self.end {
            return Ok(None);
        }
        let from = segment.from.clone();
        let entries = self.of_segment(segment);
        self.reached = from.min(self.reached);
        Ok(Some((entries, self)))
    }

    /// The entries of a segment, without those of days that have been removed.
    fn of_segment(&self, segment: Segment) -> Vec<Entry> {
        let mut read: BTreeSet<RunId> = segment.unreadable.iter().cloned().collect();
        let changed = self.changed.iter().filter(|id| segment.covers(id));
        read.extend(changed.cloned());
        let days: BTreeSet<String> = self.days.iter().map(|day| run_id::of_day(day).0).collect();
        let is_kept = |id: &RunId| {
            let is_in_range =
                self.end.as_str() <= id.as_str() && id.as_str() < self.reached.as_str();
            is_in_range && days.contains(run_id::day_of(id))
        };
        let summaries = segment.summaries.into_iter();
        let unchanged = summaries.filter(|run| is_kept(&run.id) && !read.contains(&run.id));
        let unchanged = unchanged.map(|run| (run.id.clone(), Entry::Summary(run)));
        let read_ids = read.iter().filter(|id| is_kept(id)).cloned();
        let read_ids = read_ids.map(|id| (id.clone(), Entry::WithoutSummary(id)));
        let mut entries: Vec<_> = unchanged.chain(read_ids).collect();
        entries.sort_by(|(a, _), (b, _)| b.cmp(a));
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}
