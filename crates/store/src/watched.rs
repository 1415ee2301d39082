//! The versions of objects that this process has seen, and since when: a lease expires when its object
//! does not change.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time after which an object that nobody asks for is forgotten: longer than the longest lease.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// The objects that are watched for changes, by their keys.
#[derive(Debug)]
pub(crate) struct Watched<V>(Mutex<HashMap<String, Seen<V>>>);

#[derive(Debug)]
struct Seen<V> {
    version: V,
    first: Instant,
    last: Instant,
}

impl<V> Default for Watched<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone + PartialEq> Watched<V> {
    /// The time for which an object has had this version, as far as this process has seen it. Zero
    /// if it is new.
    pub(crate) fn unchanged(&self, key: &str, version: &V) -> Duration {
        let now = Instant::now();
        let mut watched = self.lock();
        watched.retain(|_, seen| now - seen.last < FORGOTTEN_AFTER);
        let seen = watched
            .entry(key.to_owned())
            .and_modify(|seen| seen.last = now)
            .or_insert_with(|| Seen::new(version, now));
        if seen.version != *version {
            *seen = Seen::new(version, now);
        }
        now - seen.first
    }

    /// Forgets an object.
    pub(crate) fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> Seen<V> {
    fn new(version: &V, now: Instant) -> Self {
        Self {
            version: version.clone(),
            first: now,
            last: now,
        }
    }
}
