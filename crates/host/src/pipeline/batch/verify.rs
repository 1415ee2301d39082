//! Verifies a batch: checks the status of its references until all are resolved, one of them is
//! broken, or the time is over.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::ReferenceStatus;
use keyrelay_model::{Retryability, Verdict, error_chain};
use keyrelay_records::Outcome;
use tokio::time::Instant;

use super::outcomes::{already_resolved, pending, verified};
use super::rollback::roll_back;
use super::stages::{Applied, Batch, Closed, Verifying};
use super::status::{ReferenceCheck, check_references};
use crate::pipeline::app_queue::AppQueue;
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AppliedChange, Rotation, Verification};

/// Time for which a broken status is not believed: right after a write or a refresh, Azure still
/// reports the status from before.
const BROKEN_AFTER: Duration = Duration::from_secs(3);

/// First pause between two status checks.
const FIRST_PAUSE: Duration = Duration::from_millis(150);

/// Longest pause between two status checks. A refresh takes Azure about 15 s, and a thousand apps
/// share the request rate.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// A rotation with a broken reference, and the reason.
struct Broken {
    context: Arc<EventContext>,
    verification: Verification,
    reason: String,
}

/// Starts the verification of a batch.
pub(super) fn start(applied: Applied, queue: &AppQueue) -> Verifying<'_> {
    let batch = applied.into_batch();
    let load = batch.context.services.app_queues.verifying();
    Verifying {
        batch,
        queue,
        load,
        started: Instant::now(),
    }
}

/// Checks the references until every rotation has its verdict.
pub(super) async fn verify(mut verifying: Verifying<'_>) -> Closed {
    let mut own_pause = FIRST_PAUSE;
    while is_due(&verifying.batch) {
        let pause = own_pause.max(verifying.load.pause());
        match verifying.batch.context.statuses().await {
            Ok(rows) => check(&mut verifying, &rows, pause).await,
            // The change is made; only its verification is left.
            Err(error) if error.retryability() == Retryability::Transient => {
                close_late(&mut verifying.batch, &error_chain(&error), pause).await;
            }
            Err(error) => {
                let message = Outcome::from(error).message;
                leave(&mut verifying.batch, |_| true, &message).await;
            }
        }
        if is_due(&verifying.batch) {
            let pause = own_pause.max(verifying.load.pause());
            let remaining = verifying.batch.context.call.deadline.remaining();
            tokio::time::sleep(pause.min(remaining)).await;
        }
        own_pause = (own_pause * 2).min(LONGEST_PAUSE);
    }
    Closed::new(verifying.batch)
}

fn is_due(batch: &Batch) -> bool {
    let mut rotations = batch.rotations.iter();
    rotations.any(|rotation| rotation.verification().is_some())
}

/// Closes the rotations whose references are resolved, rolls back those that are broken, and leaves
/// the others pending if their time is over.
async fn check(verifying: &mut Verifying<'_>, rows: &[ReferenceStatus], pause: Duration) {
    let believes_broken = verifying.started.elapsed() >= BROKEN_AFTER;
    let Batch {
        context, rotations, ..
    } = &mut verifying.batch;
    let (mut waiting_for, mut broken) = (None, Vec::new());
    for rotation in rotations.iter_mut() {
        let Some(verification) = rotation.verification() else {
            continue;
        };
        let suffix = context.vault_suffix();
        match check_references(
            &verification.awaited,
            rows,
            &rotation.context.versions,
            suffix,
        ) {
            ReferenceCheck::Resolved => {
                let outcome = match verification.change {
                    AppliedChange::None => {
                        already_resolved(&rotation.context, &verification.awaited)
                    }
                    AppliedChange::Written | AppliedChange::Refreshed => {
                        verified(&verification.awaited)
                    }
                };
                context.close(rotation, outcome);
            }
            ReferenceCheck::Broken(reason) if believes_broken => broken.push(Broken {
                context: Arc::clone(&rotation.context),
                verification: verification.clone(),
                reason,
            }),
            ReferenceCheck::Waiting(reason) | ReferenceCheck::Broken(reason) => {
                waiting_for = Some(reason);
            }
        }
    }
    for broken in broken {
        roll_back_broken(verifying, &broken).await;
    }
    if let Some(reason) = waiting_for {
        close_late(&mut verifying.batch, &reason, pause).await;
    }
}

/// Rolls a broken rotation back, and closes it. If it cannot be rolled back, its work is kept for
/// the next delivery, or for the reconcile timer.
async fn roll_back_broken(verifying: &mut Verifying<'_>, broken: &Broken) {
    let Broken {
        context,
        verification,
        reason,
    } = broken;
    let is_broken = |rotation: &Rotation| {
        rotation.verification().is_some() && Arc::ptr_eq(&rotation.context, context)
    };
    if !verifying.batch.rotations.iter().any(is_broken) {
        // The same event was queued twice for the app, and is rolled back.
        return;
    }
    let batch = &mut verifying.batch;
    let rolled_back = roll_back(
        &batch.context,
        verifying.queue,
        context,
        verification,
        reason,
    )
    .await;
    let outcome = match rolled_back {
        Ok(outcome) => outcome,
        Err(failed) => {
            let Batch {
                context,
                rotations,
                write_ahead,
                ..
            } = batch;
            let kept = write_ahead.keep(context, rotations, is_broken).await;
            match kept {
                Err(outcome) => outcome,
                Ok(()) if failed.verdict.asks_for_redelivery() => failed,
                Ok(()) => Outcome {
                    verdict: Verdict::Pending,
                    ..failed
                },
            }
        }
    };
    let Batch {
        context, rotations, ..
    } = batch;
    for rotation in rotations.iter_mut().filter(|rotation| is_broken(rotation)) {
        context.close(rotation, outcome.clone());
    }
}

/// Closes the rotations whose time is over as pending.
async fn close_late(batch: &mut Batch, reason: &str, pause: Duration) {
    let is_late = |rotation: &Rotation| rotation.budget.rotations().remaining() <= pause;
    leave(batch, is_late, reason).await;
}

/// Leaves the selected rotations to the reconcile timer: closes them as pending once that is kept
/// in the store.
async fn leave(batch: &mut Batch, is_left: impl Fn(&Rotation) -> bool, reason: &str) {
    let Batch {
        context,
        rotations,
        write_ahead,
        ..
    } = batch;
    let is_left = |rotation: &Rotation| rotation.verification().is_some() && is_left(rotation);
    if !rotations.iter().any(is_left) {
        return;
    }
    let kept = write_ahead.keep(context, rotations, is_left).await;
    for rotation in rotations.iter_mut() {
        let Some(verification) = rotation.verification() else {
            continue;
        };
        let change = verification.change;
        if is_left(rotation) {
            let outcome = kept.clone().err();
            context.close(rotation, outcome.unwrap_or_else(|| pending(change, reason)));
        }
    }
}
