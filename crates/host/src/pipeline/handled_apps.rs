//! Deduplicates redeliveries: the apps for which an event is handled.

use std::time::Duration;

use keyrelay_model::{AppId, Verdict};
use keyrelay_records::RotationRecord;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// Time for which an event's apps are remembered. Later retries of Event Grid come with pauses of
/// half an hour and more.
const TIME_TO_LIVE: Duration = Duration::from_mins(20);

/// Largest number of pairs of an event and an app. One takes some 300 bytes.
const CAPACITY: u64 = 100_000;

/// The apps for which an event is handled. When a delivery does not get through all its apps, the
/// next one begins with those that are left.
///
/// It is kept in memory only: without an entry an app is checked again, and nothing else.
#[derive(Debug)]
pub(crate) struct HandledApps(Cache<(String, AppId), ()>);

impl Default for HandledApps {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(TIME_TO_LIVE);
        Self(cache.build())
    }
}

impl HandledApps {
    /// Adds the app of a rotation, if its verdict leaves nothing to do for another delivery: what is
    /// pending is in the store, and the reconcile timer continues it.
    pub(crate) fn insert(&self, event_id: &str, rotation: &RotationRecord) {
        if matches!(
            rotation.outcome.verdict,
            Verdict::Verified | Verdict::Refreshed | Verdict::Pending | Verdict::Unchanged
        ) {
            self.0
                .insert((event_id.to_owned(), rotation.app.clone()), ());
        }
    }

    /// Whether the event is handled for the app.
    pub(crate) fn contains(&self, event_id: &str, app: &AppId) -> bool {
        self.0.contains_key(&(event_id.to_owned(), app.clone()))
    }
}
