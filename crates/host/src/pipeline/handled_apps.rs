//! Deduplicates redeliveries: the apps for which an event is handled.

use std::time::Duration;

use keyrelay_model::{AppId, Event, Verdict};
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
pub(crate) struct HandledApps(Cache<(EventKey, AppId), ()>);

/// The identity of an event: its id, and the version of the object that it is about. A sender may
/// use one id for events of several objects.
type EventKey = (String, &'static str, String, Option<String>);

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
    pub(crate) fn insert(&self, event: &Event, rotation: &RotationRecord) {
        if matches!(
            rotation.outcome.verdict,
            Verdict::Verified
                | Verdict::Refreshed
                | Verdict::Notice
                | Verdict::Pending
                | Verdict::Unchanged
        ) {
            self.0.insert((key(event), rotation.app.clone()), ());
        }
    }

    /// Whether the event is handled for the app.
    pub(crate) fn contains(&self, event: &Event, app: &AppId) -> bool {
        self.0.contains_key(&(key(event), app.clone()))
    }
}

fn key(event: &Event) -> EventKey {
    let object = format!("{}/{}", event.vault_host, event.name).to_lowercase();
    let version = event.version.as_ref().map(ToString::to_string);
    (event.id.clone(), event.kind.as_str(), object, version)
}
