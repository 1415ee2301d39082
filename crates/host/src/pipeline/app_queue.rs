//! Serialises the rotations of one app, and coalesces those that arrive while one is in progress
//! into a batch.
//!
//! A rotation joins the queue of its app. One worker at a time writes the app, and takes everything
//! that is queued by then: one read, one plan of all, one write. So a thousand events for one app
//! cost a few writes and a few restarts.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyrelay_model::AppId;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

use super::arrivals::{Arrival, ArrivalId, Arrivals};
use super::rotation::Rotation;

/// Longest debounce: a worker waits for events that have arrived and are not queued yet.
const DEBOUNCE: Duration = Duration::from_secs(2);

/// Cooldown of an app after each change in a row, while events keep arriving for it. Each change
/// may restart the app.
const COOLDOWN: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(6),
    Duration::from_secs(15),
];

/// Share of the request rate that one batch in verification takes, as a pause.
const PAUSE_PER_BATCH: Duration = Duration::from_millis(90);

/// The queues of all apps that have rotations waiting or in progress.
#[derive(Debug, Default)]
pub(crate) struct AppQueues {
    queues: Mutex<HashMap<AppId, Arc<AppQueue>>>,
    arrivals: Arrivals,
    /// The number of batches in verification.
    verifying: Arc<AtomicUsize>,
}

/// The queue of one app.
#[derive(Debug, Default)]
pub(crate) struct AppQueue {
    waiting: Mutex<Vec<Rotation>>,
    worker: AsyncMutex<Cooldown>,
}

/// The right to write the app, in this process.
#[derive(Debug)]
pub(crate) struct Worker<'q> {
    cooldown: MutexGuard<'q, Cooldown>,
    is_contended: bool,
}

/// The last change of an app, and the number of changes in a row with others waiting.
#[derive(Debug, Default)]
pub(crate) struct Cooldown {
    changed: Option<Instant>,
    in_a_row: usize,
}

/// A batch in verification, until this is dropped.
#[derive(Debug)]
pub(crate) struct VerifyingBatch(Arc<AtomicUsize>);

impl AppQueues {
    /// Announces an event.
    pub(crate) fn announce(&self) -> Arrival {
        self.arrivals.announce()
    }

    /// Counts a batch in verification.
    pub(crate) fn verifying(&self) -> VerifyingBatch {
        self.verifying.fetch_add(1, Ordering::Relaxed);
        VerifyingBatch(Arc::clone(&self.verifying))
    }

    /// Returns the queue of an app.
    pub(crate) fn of(&self, app: &AppId) -> Arc<AppQueue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // A queue that only this map holds has no rotations.
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        Arc::clone(queues.entry(app.clone()).or_default())
    }

    /// Waits for the right to write the app, then for its cooldown and for events that are about to
    /// be queued, and takes all queued rotations. None: an earlier worker has taken them.
    pub(crate) async fn next_batch<'q>(
        &self,
        queue: &'q AppQueue,
    ) -> Option<(Worker<'q>, Vec<Rotation>)> {
        let worker = match queue.worker.try_lock() {
            Ok(cooldown) => Worker {
                cooldown,
                is_contended: false,
            },
            Err(_) => Worker {
                cooldown: queue.worker.lock().await,
                is_contended: true,
            },
        };
        if queue.is_empty() {
            return None;
        }
        if worker.is_contended {
            worker.cooldown.wait().await;
        }
        // Late events get a batch of their own.
        self.arrivals.wait(DEBOUNCE, || queue.arrivals()).await;
        Some((worker, queue.take()))
    }
}

impl AppQueue {
    /// Adds a rotation.
    pub(crate) fn push(&self, rotation: Rotation) {
        self.waiting().push(rotation);
    }

    /// Waits for the right to write the app once more, to roll back.
    pub(crate) async fn worker(&self) -> Worker<'_> {
        Worker {
            cooldown: self.worker.lock().await,
            is_contended: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// The events of the rotations that wait.
    fn arrivals(&self) -> HashSet<ArrivalId> {
        self.waiting().iter().map(|it| it.arrival).collect()
    }

    fn take(&self) -> Vec<Rotation> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Rotation>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker<'_> {
    /// Gives the right to write back. A change starts the app's cooldown.
    pub(crate) fn finish(mut self, changed: bool) {
        if changed {
            let cooldown = &mut *self.cooldown;
            cooldown.in_a_row = if self.is_contended {
                cooldown.in_a_row + 1
            } else {
                1
            };
            cooldown.changed = Some(Instant::now());
        }
    }
}

impl Cooldown {
    async fn wait(&self) {
        let Some(changed) = self.changed else { return };
        let nth = self.in_a_row.saturating_sub(1).min(COOLDOWN.len() - 1);
        let cooldown = COOLDOWN.get(nth).copied().unwrap_or_default();
        sleep_until(changed + cooldown).await;
    }
}

impl VerifyingBatch {
    /// The pause between two status checks, such that the checks of all batches leave half of the
    /// request rate to others.
    pub(crate) fn pause(&self) -> Duration {
        let batches = u32::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        PAUSE_PER_BATCH.saturating_mul(batches)
    }
}

impl Drop for VerifyingBatch {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
