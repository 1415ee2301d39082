//! Refreshes the references of an app: once for all rotations of a batch that need it, and never
//! more often than the schedule allows.

use keyrelay_azure::{ReferenceKind, ReferenceStatus};
use keyrelay_config::Mode;
use keyrelay_model::{Event, SettingName, Verdict, error_chain};
use keyrelay_records::Outcome;
use keyrelay_records::app_state::AppState;
use keyrelay_store::Lease;

use super::context::BatchContext;
use super::outcomes::proven;
use super::stages::Batch;
use super::status::Step;
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AppliedChange, Rotation, Stage, Verification};

/// Has Azure resolve all references again if a rotation needs it now, unless a write has done so.
pub(super) async fn refresh(
    batch: &mut Batch,
    lease: &mut Lease<AppState>,
    statuses: &[ReferenceStatus],
) -> Result<(), Outcome> {
    start(batch, lease, statuses);
    learn(batch, lease);
    let Batch {
        context,
        rotations,
        has_changed,
        ..
    } = batch;
    let due: Vec<usize> = rotations
        .iter()
        .enumerate()
        .filter(|(_, rotation)| is_due(context, rotation, statuses))
        .map(|(index, _)| index)
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    if !*has_changed {
        let of_due = due.iter().filter_map(|index| rotations.get(*index));
        let events: Vec<&Event> = of_due.map(|rotation| &rotation.context.event).collect();
        if let Err(outcome) = send(context, lease, &events).await? {
            // Only the rotations that need the refresh have failed.
            for index in due {
                if let Some(rotation) = rotations.get_mut(index) {
                    context.close(rotation, outcome.clone());
                }
            }
            return Ok(());
        }
        *has_changed = true;
    }
    for index in due {
        let rotation = rotations.get_mut(index);
        if let Some(verification) = rotation.and_then(Rotation::verification_mut)
            && verification.change == AppliedChange::None
        {
            verification.change = AppliedChange::Refreshed;
        }
    }
    Ok(())
}

/// Brings the refreshes so far, which the lease's document counts, to every rotation that has to be
/// verified.
pub(super) fn learn(batch: &mut Batch, lease: &mut Lease<AppState>) {
    let now = batch.context.services.now();
    for rotation in &mut batch.rotations {
        let progress = rotation.verification().map(|_| {
            lease
                .document
                .refresh_progress(&rotation.context.event, now)
        });
        if let Some((verification, progress)) = rotation.verification_mut().zip(progress) {
            verification.progress = progress;
            verification.progress_at = tokio::time::Instant::now();
        }
    }
}

/// Begins the verification of the rotations whose policy refreshes, and closes those that have the
/// version already.
fn start(batch: &mut Batch, lease: &mut Lease<AppState>, statuses: &[ReferenceStatus]) {
    let Batch {
        context, rotations, ..
    } = batch;
    // A setting that another rotation of the batch has written is verified by that rotation.
    let written: Vec<SettingName> = rotations
        .iter()
        .filter_map(Rotation::verification)
        .flat_map(|verification| verification.plan.changes())
        .map(|(name, _)| name.clone())
        .collect();
    let now = context.services.now();
    let refreshing = rotations
        .iter_mut()
        .filter(|rotation| matches!(rotation.stage, Stage::Refresh));
    for rotation in refreshing {
        let EventContext {
            event, run, mode, ..
        } = &*rotation.context;
        let mut verification = Verification::of(context.awaited(event, statuses));
        verification.is_refresh = true;
        verification
            .awaited
            .retain(|it| it.kind != ReferenceKind::AppSetting || !written.contains(&it.setting));
        verification.progress = lease.document.refresh_progress(event, now);
        let step = context.next_step(&rotation.context, &verification, statuses, None);
        let outcome = if verification.awaited.is_empty() {
            let message = "no reference of the app to the secret follows it without a version: a \
                           refresh changes nothing";
            Outcome::new(Verdict::Unchanged, message)
        } else if let Step::Proven(proof) = step {
            lease.document.record_applied(event, run, now);
            proven(&rotation.context, &verification, proof)
        } else if *mode == Mode::Monitor {
            let message = "would refresh the references of the app";
            Outcome::new(Verdict::Monitored, message)
        } else {
            rotation.stage = Stage::Verify(verification);
            continue;
        };
        context.close(rotation, outcome);
    }
}

/// Whether the schedule of a rotation has a refresh now.
fn is_due(context: &BatchContext, rotation: &Rotation, statuses: &[ReferenceStatus]) -> bool {
    // A policy that patches may have nothing to write.
    if rotation.context.mode != Mode::Enforce {
        return false;
    }
    rotation.verification().is_some_and(|verification| {
        let step = context.next_step(&rotation.context, verification, statuses, None);
        matches!(step, Step::Refresh(_))
    })
}

/// Sends a refresh. It is counted before it is sent, so that no crash makes it one too many. If it is
/// unknown whether Azure got it, it counts, and is no evidence.
///
/// The inner error is the outcome if Azure refused it, the outer one if the lease is lost.
async fn send(
    context: &BatchContext,
    lease: &mut Lease<AppState>,
    events: &[&Event],
) -> Result<Result<(), Outcome>, Outcome> {
    let began = context.services.now();
    let between = context.services.config.refresh_timing.between();
    lease.document.begin_refresh(events, began, between);
    // The fence: the lease is still ours right before the change.
    lease.renew().await?;
    let azure = &context.services.resource_manager;
    let sent = azure.refresh_references(&context.app, &context.call).await;
    match sent {
        Ok(()) => lease.document.accept_refresh(began, context.services.now()),
        Err(error) if error.may_have_been_written() => {
            tracing::warn!(app.id = %context.app, "{}", error_chain(&error));
        }
        Err(error) => {
            lease.document.withdraw_refresh(began);
            return Ok(Err(error.into()));
        }
    }
    Ok(Ok(()))
}
