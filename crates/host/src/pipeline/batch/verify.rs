//! Verifies a batch: checks the status of its references until all have the version, one of them is
//! broken, no check finds anything new, or the time is over.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::ReferenceStatus;
use keyrelay_model::{Retryability, Verdict, error_chain};
use keyrelay_records::Outcome;

use super::outcomes::{pending, proven};
use super::rollback::roll_back;
use super::stages::{Applied, Batch, Verifying};
use super::status::Step;
use super::write_ahead;
use crate::pipeline::app_queue::AppQueue;
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{Rotation, Verification};

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
    Verifying { batch, queue, load }
}

/// Checks the references until every rotation has its verdict.
pub(super) async fn verify(mut verifying: Verifying<'_>) {
    // What no check can advance is left without one.
    leave(&mut verifying.batch, |rotation| !rotation.is_visible).await;
    let mut own_pause = FIRST_PAUSE;
    while is_due(&verifying.batch) {
        let pause = own_pause.max(verifying.load.pause());
        let Batch {
            context, rotations, ..
        } = &verifying.batch;
        match context.statuses(rotations).await {
            Ok(rows) => check(&mut verifying, &rows, pause).await,
            // The change is made; only its verification is left.
            Err(error) => {
                let is_transient = error.retryability() == Retryability::Transient;
                let reason = match is_transient {
                    true => error_chain(&error),
                    false => Outcome::from(error).message,
                };
                for rotation in &mut verifying.batch.rotations {
                    rotation.wait(reason.clone(), None, true);
                }
                let is_late = |it: &Rotation| it.budget.rotations().remaining() <= pause;
                leave(&mut verifying.batch, |it| !is_transient || is_late(it)).await;
            }
        }
        write_ahead::deliver(&mut verifying.batch.rotations).await;
        if is_due(&verifying.batch) {
            let pause = own_pause.max(verifying.load.pause());
            let remaining = verifying.batch.context.call.deadline.remaining();
            tokio::time::sleep(pause.min(remaining)).await;
        }
        own_pause = (own_pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_due(batch: &Batch) -> bool {
    let mut rotations = batch.rotations.iter();
    rotations.any(|rotation| rotation.verification().is_some())
}

/// Closes the rotations whose references have the version, rolls back those that are broken, and
/// leaves to the reconcile timer those whose time is over, or that a check cannot advance.
async fn check(verifying: &mut Verifying<'_>, rows: &[ReferenceStatus], pause: Duration) {
    let Batch {
        context,
        rotations,
        rows_before,
        ..
    } = &mut verifying.batch;
    let mut broken = Vec::new();
    for rotation in rotations.iter_mut() {
        let Some(verification) = rotation.verification() else {
            continue;
        };
        let before = rows_before.as_deref();
        match context.next_step(&rotation.context, verification, rows, before) {
            Step::Proven(proof) => {
                let outcome = proven(&rotation.context, verification, proof);
                context.close(rotation, outcome);
            }
            Step::Unproven { reason, is_visible } if is_visible && !is_last_attempt(rotation) => {
                rotation.wait(reason, None, is_visible);
            }
            // What was written works, so nothing is rolled back.
            Step::Unproven { reason, .. } => context.close(rotation, Outcome::permanent(reason)),
            step if gives_up(rotation) => broken.push(Broken {
                context: Arc::clone(&rotation.context),
                verification: verification.clone(),
                reason: format!("given up after 24 hours: {}", step.reason()),
            }),
            Step::Failed(reason) => broken.push(Broken {
                context: Arc::clone(&rotation.context),
                verification: verification.clone(),
                reason,
            }),
            Step::Refresh(reason) => rotation.wait(reason, Some(Duration::ZERO), false),
            Step::Wait {
                reason,
                pause,
                is_visible,
            } => rotation.wait(reason, pause, is_visible),
        }
    }
    for broken in broken {
        roll_back_broken(verifying, &broken).await;
    }
    let is_left = |rotation: &Rotation| {
        let is_late = rotation.budget.rotations().remaining() <= pause;
        is_late || !rotation.is_visible
    };
    leave(&mut verifying.batch, is_left).await;
}

/// Whether what a rotation has written, or an earlier run, is rolled back if it is not verified now.
fn gives_up(rotation: &Rotation) -> bool {
    let resumed = rotation.context.resumed.as_ref();
    is_last_attempt(rotation) && resumed.is_some_and(|resumed| !resumed.work.rollback.is_empty())
}

/// Whether its pending work is 24 hours old, and is not kept any longer.
fn is_last_attempt(rotation: &Rotation) -> bool {
    let resumed = rotation.context.resumed.as_ref();
    resumed.is_some_and(|resumed| resumed.is_last)
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
    let batch = &verifying.batch;
    let rolled_back = roll_back(
        &batch.context,
        verifying.queue,
        context,
        verification,
        reason,
    )
    .await;
    let Batch {
        context, rotations, ..
    } = &mut verifying.batch;
    for rotation in rotations.iter_mut().filter(|rotation| is_broken(rotation)) {
        match &rolled_back {
            Ok(outcome) => context.close(rotation, outcome.clone()),
            Err(failed) => {
                let outcome = match write_ahead::leave(context, rotation).await {
                    Err(outcome) => outcome,
                    Ok(()) => Outcome {
                        verdict: Verdict::Pending,
                        ..failed.clone()
                    },
                };
                context.abandon(rotation, outcome);
            }
        }
    }
}

/// Leaves the selected rotations to the reconcile timer: closes them as pending once that is kept
/// in the store.
async fn leave(batch: &mut Batch, is_left: impl Fn(&Rotation) -> bool) {
    let Batch {
        context, rotations, ..
    } = batch;
    for rotation in rotations.iter_mut() {
        if !is_left(rotation) {
            continue;
        }
        let Some(verification) = rotation.verification() else {
            continue;
        };
        let outcome = pending(verification, &rotation.reason, rotation.due_in);
        let kept = write_ahead::leave(context, rotation).await;
        context.abandon(rotation, kept.err().unwrap_or(outcome));
    }
}
