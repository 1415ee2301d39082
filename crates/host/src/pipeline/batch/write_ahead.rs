//! Write-ahead: the pending work of a rotation is in the store from before its first write to its
//! verdict, so that another instance can verify it, or roll it back, if this process dies.

use std::time::Duration;

use keyrelay_azure::ReferenceKind;
use keyrelay_model::Plan;
use keyrelay_records::{EventRecord, Outcome, PendingRotation, Rollback, of_plan};
use keyrelay_store::StoreError;

use super::context::BatchContext;
use crate::pipeline::rotation::Rotation;

/// Pauses between the attempts of the reconcile timer, where the schedule of refreshes names none.
/// The last one repeats.
const RETRIES: [Duration; 6] = [
    Duration::from_mins(1),
    Duration::from_mins(1),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
];

/// Records the intent to write the patches of all rotations, those of earlier attempts included.
pub(super) async fn record_intent(
    context: &BatchContext,
    rotations: &mut [Rotation],
) -> Result<(), Outcome> {
    // Another instance takes it over only when this process must have ended with it.
    let due_in = context.call.deadline.remaining() + context.services.config.lease;
    for rotation in rotations {
        if rotation.is_open() && !rotation.attempted.is_empty() {
            let reason = "about to be written";
            let work = work_of(context, rotation, &rotation.attempted, due_in, reason);
            keep(context, rotation, work).await?;
        }
    }
    Ok(())
}

/// Leaves a rotation that is not verified to the reconcile timer.
pub(super) async fn leave(context: &BatchContext, rotation: &mut Rotation) -> Result<(), Outcome> {
    let Some(verification) = rotation.verification() else {
        return Ok(());
    };
    let resumed = rotation.context.resumed.as_ref();
    let attempts = resumed.map_or(0, |resumed| resumed.work.attempts);
    let due_in = rotation.due_in.unwrap_or(pause_after(attempts));
    let reason = "not confirmed by Azure yet";
    let mut work = work_of(context, rotation, &verification.plan, due_in, reason);
    work.is_refresh |= verification.is_refresh;
    keep(context, rotation, work).await
}

/// Keeps the remarks on what was written with the pending work: the run may have ended before the
/// write did, and no other record would have them.
pub(super) async fn keep_notes(context: &BatchContext, rotation: &Rotation) {
    if rotation.notes.is_empty() {
        return;
    }
    // Without the deadline of the invocation, which may have passed.
    let pending = &context.services.pending;
    let run = rotation.context.first_run();
    let kept = async {
        while let Some(mut entry) = pending.of_run(&context.app, run).await? {
            if entry.keep_notes(&rotation.notes).await? {
                break;
            }
        }
        Ok::<(), StoreError>(())
    };
    if let Err(error) = kept.await {
        tracing::error!(run.id = %run, "remarks on a write are not in the store: {error}");
    }
}

/// Removes the entries of rotations that have their verdict, and then delivers the verdicts: nothing
/// is written after them.
///
/// The entry of a verdict that nobody waits for any more stays: its run has left the rotation to the
/// reconcile timer.
pub(super) async fn deliver(rotations: &mut [Rotation]) {
    for rotation in rotations.iter_mut().filter(|it| it.is_undelivered()) {
        if rotation.owns_entry()
            && !rotation.is_late()
            && let Some(entry) = rotation.entry.take()
            // The reconcile timer finds that there is nothing to do about work that stays too long.
            && let Err(error) = entry.finish().await
        {
            let run = &rotation.context.run;
            tracing::warn!(run.id = %run, "finished work stays in the store for now: {error}");
        }
        rotation.deliver();
    }
}

/// Keeps the pending work of a rotation in its entry. An entry that another instance has taken over
/// meanwhile stays as it is.
async fn keep(
    context: &BatchContext,
    rotation: &mut Rotation,
    work: PendingRotation,
) -> Result<(), Outcome> {
    match &mut rotation.entry {
        Some(entry) => {
            if !entry.update(work).await? {
                let message = "another instance has taken over the pending work of the app";
                return Err(Outcome::transient(message));
            }
        }
        None => {
            let pending = context
                .services
                .pending
                .until(context.store_deadline.moment());
            rotation.entry = Some(pending.keep_work(&context.app, work).await?);
        }
    }
    Ok(())
}

fn work_of(
    context: &BatchContext,
    rotation: &Rotation,
    plan: &Plan,
    due_in: Duration,
    reason: &str,
) -> PendingRotation {
    let event_context = &rotation.context;
    let resumed = event_context.resumed.as_ref();
    let now = context.services.now();
    let before = resumed.map_or(&[][..], |resumed| &resumed.work.rollback);
    PendingRotation {
        run: event_context.first_run().clone(),
        event: EventRecord::from(&event_context.event),
        since: resumed.map_or(now, |resumed| resumed.work.since),
        held: resumed.and_then(|resumed| resumed.work.held),
        due: now.checked_add(due_in).unwrap_or(now),
        attempts: resumed.map_or(0, |resumed| resumed.work.attempts + 1),
        reason: reason.to_owned(),
        is_refresh: resumed.is_some_and(|resumed| resumed.work.is_refresh),
        restarts: false,
        connection_strings: has_connection_strings(rotation),
        rollback: joined(before, of_plan(plan, context.vault_suffix())),
        notes: rotation.notes.clone(),
    }
}

/// Whether a rotation verifies references in connection strings. It may not know yet.
fn has_connection_strings(rotation: &Rotation) -> bool {
    rotation.verification().is_none_or(|verification| {
        let mut awaited = verification.awaited.iter();
        awaited.any(|it| it.kind == ReferenceKind::ConnectionString)
    })
}

/// The pause after an attempt of the reconcile timer, by the number of attempts before it.
fn pause_after(attempts: u32) -> Duration {
    let attempt = usize::try_from(attempts).unwrap_or(usize::MAX);
    let last = RETRIES.len() - 1;
    RETRIES.get(attempt.min(last)).copied().unwrap_or_default()
}

/// Joins the roll-back of an earlier write with that of a later one: the oldest former value of
/// each setting is the one to restore.
fn joined(before: &[Rollback], now: Vec<Rollback>) -> Vec<Rollback> {
    let mut all = before.to_vec();
    for rollback in now {
        match all
            .iter_mut()
            .find(|known| known.setting == rollback.setting)
        {
            Some(known) if known.after == rollback.before => known.after = rollback.after,
            Some(known) => *known = rollback,
            None => all.push(rollback),
        }
    }
    all
}
