//! The run summaries: `run-summaries/segments/<first id>.json`, one object for each
//! [`Segment`], and `run-summaries/changed/<run>--<milliseconds since 1970>.json`, one for each change of
//! a run that a segment may already have.
//!
//! They are an accelerator: what is missing, or cannot be read, is read run by run.

use std::collections::BTreeSet;

use jiff::Timestamp;
use keyrelay_store::{ObjectVersion, Store, StoreError};

use super::segment::{Segment, SegmentError};
use crate::run_id::RunId;

const ALL: &str = "run-summaries";
const SEGMENTS: &str = "run-summaries/segments";
const CHANGED: &str = "run-summaries/changed";

/// The keys of the run summaries.
#[derive(Debug, Default)]
pub(super) struct SummaryKeys {
    /// The keys of the segments, oldest first.
    pub(super) segments: Vec<String>,
    /// The changes of runs that a segment may have missed.
    pub(super) changes: Vec<Change>,
}

/// A change of a run after it may have got into a segment.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) run: RunId,
    pub(super) at: Timestamp,
}

/// A segment with its version in the store.
#[derive(Debug)]
pub(super) struct StoredSegment {
    pub(super) segment: Segment,
    pub(super) version: ObjectVersion,
}

/// An object of the run summaries that is ignored.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` in the store is ignored, and the reconcile timer makes it again")]
pub struct SummaryError {
    /// The key.
    pub key: String,
    source: SegmentError,
}

impl SummaryKeys {
    pub(super) async fn list(store: &Store) -> Result<Self, StoreError> {
        let mut keys = Self::default();
        for key in store.list(ALL).await? {
            if first_id(&key).is_some() {
                keys.segments.push(key);
            } else {
                keys.changes.extend(Change::parse(key));
            }
        }
        Ok(keys)
    }

    /// The runs that have changed.
    pub(super) fn changed(&self) -> BTreeSet<RunId> {
        self.changes
            .iter()
            .map(|change| change.run.clone())
            .collect()
    }
}

impl Change {
    /// Announces a change of this run.
    pub(super) async fn announce(store: &Store, run: &RunId) -> Result<(), StoreError> {
        let now = store.now().as_millisecond();
        store
            .write(&format!("{CHANGED}/{run}--{now}.json"), &())
            .await
    }

    fn parse(key: String) -> Option<Self> {
        let name = key.strip_prefix(CHANGED)?.strip_prefix('/')?;
        let (run, at) = name.strip_suffix(".json")?.split_once("--")?;
        Some(Self {
            run: run.parse().ok()?,
            at: Timestamp::from_millisecond(at.parse().ok()?).ok()?,
            key,
        })
    }
}

/// The lower bound of a segment, from its key.
pub(super) fn first_id(key: &str) -> Option<&str> {
    key.strip_prefix(SEGMENTS)?
        .strip_prefix('/')?
        .strip_suffix(".json")
}

/// Reads a segment. None if it has been removed.
pub(super) async fn read(
    store: &Store,
    key: &str,
) -> Result<Result<Option<StoredSegment>, SummaryError>, StoreError> {
    let Some(object) = store.read(key).await? else {
        return Ok(Ok(None));
    };
    let parsed = Segment::parse(&object.bytes).and_then(|segment| {
        match first_id(key) == Some(&segment.from) {
            true => Ok(segment),
            false => Err(SegmentError::Content("its period is not that of its key")),
        }
    });
    Ok(match parsed {
        Ok(segment) => Ok(Some(StoredSegment {
            segment,
            version: object.version,
        })),
        Err(source) => Err(SummaryError {
            key: key.to_owned(),
            source,
        }),
    })
}

/// Writes a new segment. Fails with a conflict if another instance has written it.
pub(super) async fn create(store: &Store, segment: Segment) -> Result<StoredSegment, StoreError> {
    let key = format!("{SEGMENTS}/{}.json", segment.from);
    let version = store.create(&key, &segment.to_stored()).await?;
    Ok(StoredSegment { segment, version })
}

/// Replaces a segment. Fails with a conflict if another instance has changed it.
pub(super) async fn replace(store: &Store, stored: &mut StoredSegment) -> Result<(), StoreError> {
    let key = format!("{SEGMENTS}/{}.json", stored.segment.from);
    let value = stored.segment.to_stored();
    stored.version = store.replace(&key, &value, &stored.version).await?;
    Ok(())
}
