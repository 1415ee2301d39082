//! Deduplicates deliveries.
//!
//! Event Grid uses one token for many deliveries, and delivers an event again if a response was
//! lost. So neither the token nor a second delivery is a sign of an attack, and a response other
//! than success would bring the second delivery back for a day. A captured delivery cannot be
//! replayed because of:
//!
//! - the token, which expires after a day at most, and usually after an hour;
//! - the time of the event: Event Grid keeps an event for 24 h at most (its time-to-live), so an
//!   older one is refused;
//! - this cache: an event that was handled is not handled again for a while, and gets the response
//!   "handled";
//! - the pipeline: a repeated or late event never replaces a newer version.
//!
//! The cache is in the memory of this process. After a restart, or on another replica, the last
//! point still holds.

use std::time::Duration;

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Largest age of an event: the 24 h of Event Grid, and an hour for clocks and for Key Vault.
const MAX_AGE: Duration = Duration::from_hours(25);

/// Time for which a handled event is remembered.
const TIME_TO_LIVE: Duration = Duration::from_mins(15);

/// Largest number of events that are remembered. One takes some 200 bytes.
const CAPACITY: u64 = 10_000;

/// The digest of a whole event, as it was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// The events that were handled.
#[derive(Debug)]
pub(super) struct HandledEvents(Cache<Fingerprint, ()>);

impl Fingerprint {
    /// The fingerprint of an event. Its id is not enough: another event could repeat the id with
    /// other data.
    pub(super) fn of(event: &Value) -> Self {
        Self(Sha256::digest(event.to_string()).into())
    }
}

impl Default for HandledEvents {
    fn default() -> Self {
        Self::new(TIME_TO_LIVE)
    }
}

impl HandledEvents {
    fn new(time_to_live: Duration) -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(time_to_live);
        Self(cache.build())
    }

    pub(super) fn contains(&self, event: &Fingerprint) -> bool {
        self.0.contains_key(event)
    }

    pub(super) fn insert(&self, event: Fingerprint) {
        self.0.insert(event, ());
    }
}

/// Whether an event of this time, in seconds since 1970, is too old to come from Event Grid.
pub(super) fn is_too_old(time: u64, now: Timestamp) -> bool {
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    now.saturating_sub(time) > MAX_AGE.as_secs()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn fingerprint(id: u64) -> Fingerprint {
        Fingerprint::of(&json!({ "id": id }))
    }

    #[test]
    fn an_event_is_remembered_for_a_while() {
        let handled = HandledEvents::default();
        handled.insert(fingerprint(1));
        assert!(handled.contains(&fingerprint(1)) && !handled.contains(&fingerprint(2)));
        let handled = HandledEvents::new(Duration::from_millis(1));
        handled.insert(fingerprint(1));
        let began = Instant::now();
        while handled.contains(&fingerprint(1)) {
            assert!(began.elapsed() < Duration::from_secs(10), "it stays");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_number_of_events_is_bounded() {
        let handled = HandledEvents::default();
        for id in 0..CAPACITY + 1_000 {
            handled.insert(fingerprint(id));
        }
        handled.0.run_pending_tasks();
        assert!(handled.0.entry_count() <= CAPACITY);
        assert!(!handled.contains(&fingerprint(0)));
        assert!(handled.contains(&fingerprint(CAPACITY + 999)));
    }

    #[test]
    fn another_body_is_another_event() {
        let bodies = [1, 2].map(|data| json!({ "id": "a", "data": data }));
        let [one, other] = bodies.map(|body| Fingerprint::of(&body));
        assert_ne!(one, other);
    }

    #[test]
    fn an_event_is_too_old_after_25_hours() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert!(!is_too_old(1_000_000 - 25 * 3600, now));
        assert!(is_too_old(1_000_000 - 25 * 3600 - 1, now));
        // A wrong clock is no replay.
        assert!(!is_too_old(2_000_000, now));
    }
}
