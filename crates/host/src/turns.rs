//! One writer for each app in this process, and who waits meanwhile is handled together.
//!
//! A rotation joins the queue of its app. Whoever gets the turn takes all that wait by then along: one read, one plan of
//! all, one write. So a thousand events for one app cost a few writes, and the app restarts as often.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyrelay_azure::Deadline;
use keyrelay_model::AppId;
use tokio::sync::{Mutex as Queue, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;

use crate::group::Group;
use crate::order::{Order, Rotation};
use crate::outcome::Outcome;
use crate::record::RotationRecord;
use crate::relay::Relay;

/// How long a turn waits for events that have come in but not to their apps yet.
const GATHERING: Duration = Duration::from_secs(2);

/// How long an app is left alone after each change, while more and more events come in for it. Each change may restart it.
const REST: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(6),
    Duration::from_secs(15),
];

/// How long after its deadline a verdict is still waited for.
const LATE: Duration = Duration::from_millis(500);

/// The queues of all apps that something is waiting for.
#[derive(Debug, Default)]
pub struct Turns {
    lines: Mutex<HashMap<AppId, Arc<Line>>>,
    arriving: Arriving,
    /// How many groups look whether what they did has come true.
    proving: Arc<AtomicUsize>,
}

/// The queue of one app.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: Mutex<Vec<Rotation>>,
    turn: Queue<Rhythm>,
}

/// When the app was changed last, and how often in a row while others were waiting.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    changed: Option<Instant>,
    in_a_row: usize,
}

/// A group that looks whether what it did has come true, until this is dropped.
#[derive(Debug)]
pub(crate) struct Proving(Arc<AtomicUsize>);

/// How many events have come in and are not with their apps yet.
#[derive(Debug)]
struct Arriving(watch::Sender<usize>);

/// An event that has come in and is not with its apps yet, until this is dropped.
#[derive(Debug)]
pub(crate) struct Arrival(watch::Sender<usize>);

impl Turns {
    /// Says that an event has come in.
    pub(crate) fn arrival(&self) -> Arrival {
        self.arriving.0.send_modify(|count| *count += 1);
        Arrival(self.arriving.0.clone())
    }

    /// Says that a group begins to look whether what it did has come true.
    pub(crate) fn proving(&self) -> Proving {
        self.proving.fetch_add(1, Ordering::Relaxed);
        Proving(Arc::clone(&self.proving))
    }

    /// Goes the way of a rotation, together with whoever waits for the same app.
    ///
    /// It is in the queue when this returns; the record is there when the future is.
    pub(crate) fn rotate(
        relay: &Arc<Relay>,
        order: Arc<Order>,
        app: AppId,
        deadline: Deadline,
    ) -> impl Future<Output = RotationRecord> + use<> {
        let began = Instant::now();
        let line = relay.turns.line(&app);
        let (rotation, record) = Rotation::new(order, &app, deadline);
        line.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(rotation);
        // In a task of its own: others depend on it, whatever becomes of the invocation that began it.
        tokio::spawn(lead(Arc::clone(relay), line, app.clone()));
        async move {
            // A verdict may come a little after its time: it has to be kept in the store before it is given out.
            let outcome = match Deadline::at(deadline.moment() + LATE).bound(record).await {
                Some(Ok(record)) => return record,
                Some(Err(_)) => Outcome::transient(
                    "handling the app's events made keyrelay panic: please report this",
                ),
                None => Outcome::transient(
                    "the app's turn took all the time of this invocation: deliver the event again",
                ),
            };
            RotationRecord::ended(app, outcome, began.elapsed())
        }
    }

    fn line(&self, app: &AppId) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // A queue that only this map holds is one that nobody is in.
        lines.retain(|_, line| Arc::strong_count(line) > 1);
        Arc::clone(lines.entry(app.clone()).or_default())
    }
}

impl Proving {
    /// How long to wait before another look, so that the looks of all leave half of the rate of requests to others.
    pub(crate) fn pause(&self) -> Duration {
        const ONE: Duration = Duration::from_millis(90);
        ONE.saturating_mul(u32::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
    }
}

impl Drop for Proving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for the turn of an app and handles all that wait by then.
async fn lead(relay: Arc<Relay>, line: Arc<Line>, app: AppId) {
    let (mut rhythm, crowded) = match line.turn.try_lock() {
        Ok(rhythm) => (rhythm, false),
        Err(_) => (line.turn.lock().await, true),
    };
    if line.is_empty() {
        // Taken along by the one before.
        return;
    }
    if crowded {
        rhythm.rest().await;
    }
    relay.turns.arriving.gathered().await;
    let mut group = Group::new(Arc::clone(&relay), app, line.take());
    let span = group.span("apply");
    let changed = group.apply().instrument(span).await;
    rhythm.note(changed, crowded);
    // The proof takes up to half a minute and changes nothing: the next may have their turn.
    drop(rhythm);
    let span = group.span("verify");
    group.prove(&line).instrument(span).await;
}

impl Line {
    fn is_empty(&self) -> bool {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    fn take(&self) -> Vec<Rotation> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The turn once more, for who has to take something back.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, Rhythm> {
        self.turn.lock().await
    }
}

impl Rhythm {
    async fn rest(&self) {
        let Some(changed) = self.changed else { return };
        let rest = REST
            .get(self.in_a_row.saturating_sub(1).min(REST.len() - 1))
            .copied()
            .unwrap_or_default();
        sleep_until(changed + rest).await;
    }

    fn note(&mut self, changed: bool, crowded: bool) {
        if changed {
            self.in_a_row = if crowded { self.in_a_row + 1 } else { 1 };
            self.changed = Some(Instant::now());
        }
    }
}

impl Default for Arriving {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Arriving {
    /// Waits until every event that has come in is with its apps, but not for long.
    async fn gathered(&self) {
        let mut count = self.0.subscribe();
        // Late ones have a turn of their own. The sender lives as long as we do.
        let _ = timeout(GATHERING, count.wait_for(|count| *count == 0)).await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
