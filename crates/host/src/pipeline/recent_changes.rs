//! The number of changed apps that were noted of late: a flood of early news becomes one sweep, and not
//! a note for each.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Largest number of apps that one process notes in a [`WINDOW`]: about as many as the reconcile timer
/// reads between two invocations.
const MOST: usize = 1_000;

/// The time for which notes are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// The number of changed apps that this process has noted of late.
#[derive(Debug, Default)]
pub(crate) struct RecentChanges(Mutex<Option<(Instant, usize)>>);

impl RecentChanges {
    /// Counts changed apps. Returns false if they are too many to be noted.
    pub(crate) fn count(&self, apps: usize) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (began, counted) = window
            .filter(|(began, _)| began.elapsed() < WINDOW)
            .unwrap_or((now, 0));
        let is_few = counted.saturating_add(apps) <= MOST;
        if is_few {
            *window = Some((began, counted + apps));
        }
        is_few
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_has_a_thousand_notes() {
        let recent = RecentChanges::default();
        assert!(recent.count(600));
        assert!(!recent.count(401));
        assert!(recent.count(400));
        assert!(!recent.count(1));
        tokio::time::advance(WINDOW).await;
        assert!(recent.count(1));
    }
}
