//! Folders of days: `runs/2026-11-26/...`. What is too old is removed day by day.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use keyrelay_store::{Store, StoreError};
use tokio::time::Instant;

/// The number of objects that are removed together.
const BATCH: usize = 1_024;

/// The name of the oldest day that is kept.
pub(crate) fn oldest(keep: Duration, now: Timestamp) -> String {
    let oldest = now.checked_sub(keep).unwrap_or(Timestamp::UNIX_EPOCH);
    oldest.to_zoned(TimeZone::UTC).date().to_string()
}

/// Removes the days before `oldest`, the oldest first, until `deadline`. Returns the number of objects. What is left
/// is removed the next time.
pub(crate) async fn prune(
    store: &Store,
    folder: &str,
    oldest: &str,
    deadline: Instant,
) -> Result<usize, StoreError> {
    let is_late = || Instant::now() >= deadline;
    let mut pruned = 0;
    for day in store.folders(folder).await? {
        if day.as_str() >= oldest || is_late() {
            break;
        }
        let keys = store.list(&format!("{folder}/{day}")).await?;
        for batch in keys.chunks(BATCH) {
            if is_late() {
                return Ok(pruned);
            }
            store.delete_all(batch).await?;
            pruned += batch.len();
        }
    }
    Ok(pruned)
}
