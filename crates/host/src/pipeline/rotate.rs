//! Rotates the apps of an event side by side, as they are discovered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use keyrelay_azure::{AzureError, Deadline};
use keyrelay_model::{AppId, Verdict};
use keyrelay_records::{Outcome, RotationRecord};
use tokio::time::Instant;

use super::app_queue::{AppQueue, Arrival};
use super::batch;
use super::discover::DiscoveredApp;
use super::event_context::EventContext;
use super::rotation::Rotation;
use super::route::Routed;
use super::time_budget::TimeBudget;
use crate::services::Services;

/// Time after its deadline in which a verdict is still accepted: a pending one has to be kept in
/// the store before it is returned.
const LATE_VERDICT: Duration = Duration::from_millis(500);

/// Whether all apps were rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// All apps have a verdict.
    Complete,
    /// The time was over before all apps were discovered, or before all rotations had begun.
    Partial,
}

/// Rotates the apps, and adds their records to `records`.
///
/// The error is the outcome if the list of sites cannot be read; no rotation has begun then.
pub(crate) async fn rotate(
    services: &Arc<Services>,
    routed: &Routed<'_>,
    apps: impl Stream<Item = Result<DiscoveredApp, AzureError>>,
    budget: TimeBudget,
    arrival: Arrival,
    records: &mut Vec<RotationRecord>,
) -> Result<Coverage, Outcome> {
    let began = Instant::now();
    let limit = services.config.apps_at_once;
    let mut apps = std::pin::pin!(apps);
    let (mut waiting, mut in_progress) = (VecDeque::new(), FuturesUnordered::new());
    let (mut arrival, mut is_discovering) = (Some(arrival), true);
    let mut coverage = Coverage::Complete;
    loop {
        while in_progress.len() < limit
            && let Some(app) = waiting.pop_front()
        {
            if let Some(outcome) = skip(services, routed, &app) {
                records.push(RotationRecord::ended(app, outcome, Duration::ZERO));
            } else if budget.rotations().has_passed() {
                coverage = Coverage::Partial;
            } else {
                let context = Arc::clone(&routed.context);
                in_progress.push(enqueue(services, context, app, budget.for_rotation()));
            }
        }
        if !is_discovering || in_progress.len() >= limit {
            // The event is in the queues of its apps, or of as many as are rotated at once.
            arrival.take();
        }
        tokio::select! {
            Some(record) = in_progress.next() => {
                if routed.trigger.is_deduplicated() {
                    services.handled_apps.insert(&routed.context.event.id, &record);
                }
                records.push(record);
            }
            next = apps.next(), if is_discovering => match next {
                Some(Ok(DiscoveredApp::Uses(app))) => waiting.push_back(app),
                Some(Ok(DiscoveredApp::Unknown(_, error))) if error.is_deadline_exceeded() => {
                    coverage = Coverage::Partial;
                }
                Some(Ok(DiscoveredApp::Unknown(app, error))) => {
                    records.push(RotationRecord::ended(app, error.into(), began.elapsed()));
                }
                // The list of sites takes longer than its part of the budget.
                Some(Err(error)) if error.is_deadline_exceeded() => {
                    coverage = Coverage::Partial;
                    is_discovering = false;
                }
                // Only the list of sites fails like this, before anything has begun.
                Some(Err(error)) => return Err(error.into()),
                None => is_discovering = false,
            },
            else => break,
        }
    }
    Ok(coverage)
}

/// The outcome of a rotation that needs no request.
fn skip(services: &Services, routed: &Routed<'_>, app: &AppId) -> Option<Outcome> {
    if services.own_app.is(app) {
        let message =
            "keyrelay does not change the app that it runs in: a write would stop it half-way";
        return Some(Outcome::new(Verdict::Refused, message));
    }
    let is_handled = routed.trigger.is_deduplicated()
        && services
            .handled_apps
            .contains(&routed.context.event.id, app);
    is_handled.then(|| {
        let message = "an earlier delivery of the event was handled for the app";
        Outcome::new(Verdict::Unchanged, message)
    })
}

/// Queues a rotation of an app. It is in the queue when this returns, and its record is there when
/// the future is ready.
fn enqueue(
    services: &Arc<Services>,
    context: Arc<EventContext>,
    app: AppId,
    budget: TimeBudget,
) -> impl Future<Output = RotationRecord> + use<> {
    let began = Instant::now();
    let queue = services.app_queues.of(&app);
    let (rotation, record) = Rotation::new(context, &app, budget);
    queue.push(rotation);
    // A task of its own: other rotations are coalesced into the same batch, and outlive the
    // invocation that began it.
    tokio::spawn(work(Arc::clone(services), queue, app.clone()));
    async move {
        let accepted_until = Deadline::at(budget.rotations().moment() + LATE_VERDICT);
        let outcome = match accepted_until.bound(record).await {
            Some(Ok(record)) => return record,
            Some(Err(_)) => Outcome::transient(
                "a panic occurred while keyrelay handled the app's events: please report this",
            ),
            None => Outcome::transient(
                "the queue of the app took all the time of this invocation; Event Grid delivers the \
                 event again",
            ),
        };
        RotationRecord::ended(app, outcome, began.elapsed())
    }
}

/// Takes the next batch of an app, unless another worker has taken it.
async fn work(services: Arc<Services>, queue: Arc<AppQueue>, app: AppId) {
    let Some((worker, rotations)) = services.app_queues.next_batch(&queue).await else {
        return;
    };
    batch::run(&services, &queue, worker, app, rotations).await;
}
