//! A segment of the run summaries: those of all runs that began in a period, in one object.
//!
//! Equal texts are stored once, so that a run with one app takes about 80 bytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use keyrelay_model::AppId;
use serde::{Deserialize, Serialize};

use crate::record::Cause;
use crate::run_id::RunId;
use crate::summary::{EventSummary, Summary, VerdictWord};

/// The format of the segments that this version writes. Others are ignored, and made again.
pub(super) const FORMAT: u32 = 1;

/// A segment: each run whose id is at least `from` and below `to` is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) from: String,
    pub(super) to: String,
    /// The summaries, oldest first.
    pub(super) summaries: Vec<Summary>,
    /// The runs whose records could not be read, oldest first.
    pub(super) unreadable: Vec<RunId>,
}

/// The reason why a segment is ignored.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    #[error("it has format {0}; this keyrelay knows format {FORMAT}")]
    Format(u32),
    #[error("it is not JSON of its format")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Content(&'static str),
}

#[derive(Deserialize)]
struct Envelope {
    format: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    format: u32,
    from: String,
    to: String,
    apps: Vec<String>,
    events: Vec<EventSummary>,
    texts: Vec<String>,
    verdicts: Vec<String>,
    runs: Vec<StoredRun>,
    unreadable: Vec<RunId>,
}

/// A run: its id, cause, duration in milliseconds, event, headline, message, own verdict, and the
/// apps with their verdicts. Numbers other than the duration are positions in the tables.
#[derive(Serialize, Deserialize)]
struct StoredRun(
    RunId,
    Cause,
    u64,
    Option<usize>,
    usize,
    usize,
    Option<usize>,
    Vec<(usize, usize)>,
);

impl Segment {
    pub(super) fn new(from: String) -> Self {
        Self {
            to: from.clone(),
            from,
            summaries: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// The number of runs and rotations.
    pub(super) fn size(&self) -> usize {
        let sizes = self.summaries.iter().map(|run| 1 + run.rotations.len());
        sizes.sum::<usize>() + self.unreadable.len()
    }

    pub(super) fn covers(&self, id: &RunId) -> bool {
        self.from.as_str() <= id.as_str() && id.as_str() < self.to.as_str()
    }

    /// Replaces what the segment says about a run. `None` as the summary removes the run.
    pub(super) fn set(&mut self, id: &RunId, summary: Option<Summary>) {
        match (
            self.summaries.binary_search_by(|run| run.id.cmp(id)),
            summary,
        ) {
            (Ok(at), Some(summary)) => {
                if let Some(present) = self.summaries.get_mut(at) {
                    *present = summary;
                }
            }
            (Ok(at), None) => drop(self.summaries.remove(at)),
            (Err(at), Some(summary)) => self.summaries.insert(at, summary),
            (Err(_), None) => {}
        }
        self.unreadable.retain(|other| other != id);
    }

    pub(super) fn to_stored(&self) -> Stored {
        let (mut apps, mut events) = (Table::default(), Table::default());
        let (mut texts, mut verdicts) = (Table::default(), Table::default());
        let runs = self.summaries.iter().map(|run| {
            let ended = run.ended.map(|verdict| verdicts.add(verdict.as_str()));
            let rotations = run.rotations.iter().map(|(app, verdict)| {
                // By its text: apps compare without case.
                (apps.add(app.to_string()), verdicts.add(verdict.as_str()))
            });
            StoredRun(
                run.id.clone(),
                run.cause,
                run.duration_ms,
                run.event.as_ref().map(|event| events.add(&**event)),
                texts.add(&*run.headline),
                texts.add(&*run.message),
                ended,
                rotations.collect(),
            )
        });
        let runs = runs.collect();
        Stored {
            format: FORMAT,
            from: self.from.clone(),
            to: self.to.clone(),
            apps: apps.values,
            events: events.values.into_iter().cloned().collect(),
            texts: texts.values.into_iter().map(str::to_owned).collect(),
            verdicts: verdicts.values.into_iter().map(str::to_owned).collect(),
            runs,
            unreadable: self.unreadable.clone(),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SegmentError> {
        let Envelope { format } = serde_json::from_slice(bytes)?;
        if format != FORMAT {
            return Err(SegmentError::Format(format));
        }
        let stored: Stored = serde_json::from_slice(bytes)?;
        let segment = stored.into_segment()?;
        let is_sorted = segment.summaries.is_sorted_by(|a, b| a.id < b.id);
        let is_covered = segment.summaries.iter().all(|run| segment.covers(&run.id));
        match is_sorted && is_covered {
            true => Ok(segment),
            false => Err(SegmentError::Content(
                "its runs are not those of its period",
            )),
        }
    }
}

impl Stored {
    fn into_segment(self) -> Result<Segment, SegmentError> {
        const NOT_IN_TABLE: SegmentError = SegmentError::Content("a number is in no table");
        let apps: Result<Vec<Arc<AppId>>, _> = self
            .apps
            .iter()
            .map(|app| app.parse().map(Arc::new))
            .collect();
        let apps = apps.map_err(|_| SegmentError::Content("a text is not the id of an app"))?;
        let events: Vec<_> = self.events.into_iter().map(Arc::new).collect();
        let texts: Vec<Arc<str>> = self.texts.into_iter().map(Arc::from).collect();
        let verdicts = self.verdicts.iter().map(|word| VerdictWord::parse(word));
        let verdicts: Option<Vec<VerdictWord>> = verdicts.collect();
        let verdicts = verdicts.ok_or(SegmentError::Content("a text is not a verdict"))?;
        let summaries = self.runs.into_iter().map(|run| {
            let StoredRun(id, cause, duration_ms, event, headline, message, ended, rotations) = run;
            let rotations = rotations.into_iter().map(|(app, verdict)| {
                let app = apps.get(app).cloned();
                app.zip(verdicts.get(verdict).copied()).ok_or(NOT_IN_TABLE)
            });
            Ok(Summary {
                id,
                cause,
                duration_ms,
                event: event.map(|at| get(&events, at)).transpose()?,
                headline: get(&texts, headline)?,
                message: get(&texts, message)?,
                ended: ended.map(|at| get(&verdicts, at)).transpose()?,
                rotations: rotations.collect::<Result<_, _>>()?,
            })
        });
        let summaries = summaries.collect::<Result<_, SegmentError>>()?;
        return Ok(Segment {
            from: self.from,
            to: self.to,
            summaries,
            unreadable: self.unreadable,
        });

        fn get<T: Clone>(table: &[T], at: usize) -> Result<T, SegmentError> {
            table.get(at).cloned().ok_or(NOT_IN_TABLE)
        }
    }
}

/// Values that are stored once.
struct Table<T> {
    positions: HashMap<T, usize>,
    values: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            positions: HashMap::new(),
            values: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn add(&mut self, value: T) -> usize {
        let next = self.values.len();
        match self.positions.entry(value) {
            std::collections::hash_map::Entry::Occupied(at) => *at.get(),
            std::collections::hash_map::Entry::Vacant(free) => {
                self.values.push(free.key().clone());
                *free.insert(next)
            }
        }
    }
}
