//! Which apps need nothing more of which event.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keyrelay_model::{AppId, Verdict};
use tokio::time::Instant;

use crate::record::RotationRecord;

/// The apps for which an event needs nothing more. When a delivery did not get through all its apps, the next one begins
/// with those that are left. In memory only: without it apps are looked at twice, and nothing else.
#[derive(Debug, Default)]
pub struct Settled(Mutex<HashMap<(String, AppId), Instant>>);

impl Settled {
    /// How long an event's apps are remembered. Event Grid's later retries come with pauses of half an hour and more.
    const MEMORY: Duration = Duration::from_mins(20);

    pub(crate) fn note(&self, event_id: &str, rotation: &RotationRecord) {
        if !matches!(
            rotation.outcome.verdict,
            Verdict::Verified | Verdict::Unchanged
        ) {
            return;
        }
        let mut settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Looking through all of them for each would be quadratic.
        if settled.len().is_power_of_two() {
            settled.retain(|_, since| now.duration_since(*since) < Self::MEMORY);
        }
        settled.insert((event_id.to_owned(), rotation.app.clone()), now);
    }

    pub(crate) fn contains(&self, event_id: &str, app: &AppId) -> bool {
        let settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled
            .get(&(event_id.to_owned(), app.clone()))
            .is_some_and(|since| since.elapsed() < Self::MEMORY)
    }
}
