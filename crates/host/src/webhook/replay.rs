//! Deliveries that were seen before.
//!
//! Event Grid uses one token for many deliveries, and delivers an event again whenever an answer was lost, so neither the
//! token nor the second delivery is a sign of an attack, and an answer other than success would bring the second one back
//! for a day. What keeps somebody from delivering again what they have captured is:
//!
//! - the token, which ends after a day at most, and mostly after an hour;
//! - the time of the event: Event Grid keeps one for 24 h at most (its time-to-live), so an older one is refused;
//! - this memory: an event that was done with is not handled again for a while, and is answered as what it is, done;
//! - the handling itself: an event that is repeated, or late, never replaces a newer version (`admit`).
//!
//! The memory is this process's own. Without it, after a restart or with another replica, the last point still holds.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// The oldest an event can be when Event Grid delivers it, 24 h, and an hour for clocks and for Key Vault.
const OLDEST: Duration = Duration::from_hours(25);

/// How long an event is remembered that was done with.
const REMEMBERED: Duration = Duration::from_mins(15);

/// How many events are remembered: 32 bytes each, twice.
const MAX_REMEMBERED: usize = 10_000;

/// All of an event, as it was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// The events that were done with.
#[derive(Debug, Default)]
pub(super) struct Done(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    oldest_first: VecDeque<(Instant, Fingerprint)>,
    known: HashSet<Fingerprint>,
}

impl Fingerprint {
    /// The id alone would not do: whoever repeats it with other data is not repeating the event.
    pub(super) fn of(event: &Value) -> Self {
        Self(Sha256::digest(event.to_string()).into())
    }
}

impl Done {
    pub(super) fn contains(&self, event: &Fingerprint) -> bool {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget_old(Instant::now());
        memory.known.contains(event)
    }

    pub(super) fn note(&self, event: Fingerprint) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if memory.known.insert(event) {
            memory.oldest_first.push_back((now, event));
        }
        memory.forget_old(now);
    }
}

impl Memory {
    fn forget_old(&mut self, now: Instant) {
        while let Some((since, event)) = self.oldest_first.front().copied()
            && (self.oldest_first.len() > MAX_REMEMBERED || now.duration_since(since) > REMEMBERED)
        {
            self.oldest_first.pop_front();
            self.known.remove(&event);
        }
    }
}

/// Whether an event of this time, in seconds since 1970, cannot come from Event Grid any more.
pub(super) fn is_too_old(time: u64, now: Timestamp) -> bool {
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    now.saturating_sub(time) > OLDEST.as_secs()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fingerprint(id: usize) -> Fingerprint {
        Fingerprint::of(&json!({ "id": id }))
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_remembered_for_a_while() {
        let done = Done::default();
        done.note(fingerprint(1));
        assert!(done.contains(&fingerprint(1)) && !done.contains(&fingerprint(2)));
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        assert!(!done.contains(&fingerprint(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_has_an_end() {
        let done = Done::default();
        (0..=MAX_REMEMBERED).for_each(|id| done.note(fingerprint(id)));
        assert!(!done.contains(&fingerprint(0)));
        assert!(done.contains(&fingerprint(1)) && done.contains(&fingerprint(MAX_REMEMBERED)));
        let memory = done.0.lock().unwrap();
        assert_eq!(
            (memory.known.len(), memory.oldest_first.len()),
            (MAX_REMEMBERED, MAX_REMEMBERED)
        );
    }

    #[test]
    fn another_body_is_another_event() {
        let (one, other) = (
            json!({ "id": "a", "data": 1 }),
            json!({ "id": "a", "data": 2 }),
        );
        assert_ne!(Fingerprint::of(&one), Fingerprint::of(&other));
    }

    #[test]
    fn an_event_is_too_old_after_25_hours() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert!(!is_too_old(1_000_000 - 25 * 3600, now));
        assert!(is_too_old(1_000_000 - 25 * 3600 - 1, now));
        // A wrong clock is not a replay.
        assert!(!is_too_old(2_000_000, now));
    }
}
