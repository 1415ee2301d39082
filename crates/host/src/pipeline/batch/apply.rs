//! Applies the decisions of a batch: one write of settings, or one refresh of references.
//!
//! [`rollback`](super::rollback) is the reverse.

use keyrelay_azure::ReferenceStatus;
use keyrelay_config::Mode;
use keyrelay_model::{Plan, SettingName, Settings, Verdict};
use keyrelay_records::Outcome;
use keyrelay_records::app_state::AppState;
use keyrelay_store::Lease;

use super::context::BatchContext;
use super::decide;
use super::outcomes::already_resolved;
use super::stages::{Applied, Batch, Leased};
use super::write::{Goal, write_until};
use super::write_ahead::WriteAhead;
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AppliedChange, AwaitedReference, Rotation, Stage, Verification};

/// Decides and applies the rotations of a batch, and releases the lease.
pub(super) async fn apply(leased: Leased) -> Applied {
    let Leased {
        mut batch,
        mut lease,
    } = leased;
    let applied = under_lease(&mut batch, &mut lease).await;
    let unverified = batch
        .rotations
        .iter()
        .filter(|it| it.verification().is_some());
    for EventContext { event, run, .. } in unverified.map(|rotation| &*rotation.context) {
        lease.document.record_applied(event, run);
    }
    // Even if the time is over, other instances must not have to wait for the end of the lease.
    lease.set_deadline(None);
    let released = lease.release().await.map_err(Outcome::from);
    match applied.and(released) {
        Ok(()) => Applied::new(batch),
        Err(outcome) => Applied::abandoned(batch, &outcome),
    }
}

async fn under_lease(batch: &mut Batch, lease: &mut Lease<AppState>) -> Result<(), Outcome> {
    let Batch {
        context, rotations, ..
    } = batch;
    decide::close_superseded(context, rotations, &lease.document);
    if !rotations.iter().any(Rotation::is_open) {
        return Ok(());
    }
    let statuses = context.statuses().await?;
    decide::by_references(context, rotations, &statuses).await;
    patch(batch, lease, &statuses).await?;
    refresh(batch, lease, &statuses).await
}

/// Writes what the policies decide, all at once.
async fn patch(
    batch: &mut Batch,
    lease: &mut Lease<AppState>,
    statuses: &[ReferenceStatus],
) -> Result<(), Outcome> {
    let Batch {
        context,
        rotations,
        write_ahead,
        has_changed,
    } = batch;
    if !rotations.iter().any(Rotation::wants_settings) {
        return Ok(());
    }
    let mut decisions = Decisions {
        rotations,
        write_ahead,
        has_changed,
    };
    let settings = write_until(context, lease, &mut decisions).await?;
    for rotation in rotations.iter_mut() {
        if !matches!(rotation.stage, Stage::Patch) {
            continue;
        }
        let plan = std::mem::take(&mut rotation.attempted);
        let awaited = awaited_after(context, &rotation.context, &plan, &settings, statuses);
        if plan.is_empty() && context.are_resolved(&rotation.context, &awaited, statuses) {
            let EventContext { event, run, .. } = &*rotation.context;
            lease.document.record_applied(event, run);
            let outcome = already_resolved(&rotation.context, &awaited);
            context.close(rotation, outcome);
            continue;
        }
        let change = if plan.is_empty() {
            AppliedChange::None
        } else {
            AppliedChange::Written
        };
        rotation.stage = Stage::Verify(Verification {
            awaited,
            plan,
            unrecoverable: Vec::new(),
            change,
        });
    }
    Ok(())
}

/// The decisions of the batch's policies, as the goal of a write.
struct Decisions<'b> {
    rotations: &'b mut [Rotation],
    write_ahead: &'b mut WriteAhead,
    has_changed: &'b mut bool,
}

impl Goal for Decisions<'_> {
    async fn target(&mut self, context: &BatchContext, settings: &Settings) -> Settings {
        decide::by_settings(context, self.rotations, settings).await
    }

    async fn before_write(
        &mut self,
        context: &BatchContext,
        lease: &mut Lease<AppState>,
    ) -> Result<(), Outcome> {
        self.write_ahead
            .record_intent(context, self.rotations)
            .await?;
        // Written with the fence: no older version is applied afterwards, even if this process
        // dies.
        for rotation in self.rotations.iter() {
            if rotation.is_open() && !rotation.attempted.is_empty() {
                let EventContext { event, run, .. } = &*rotation.context;
                lease.document.record_applied(event, run);
            }
        }
        Ok(())
    }

    fn write_sent(&mut self) {
        *self.has_changed = true;
    }

    fn note(&mut self, note: &str) {
        let patching = self.rotations.iter_mut();
        for rotation in patching.filter(|it| matches!(it.stage, Stage::Patch)) {
            rotation.notes.push(note.to_owned());
        }
    }
}

/// The references to wait for after a write: those of the plan, and those that Azure resolves along
/// with them.
fn awaited_after(
    context: &BatchContext,
    event_context: &EventContext,
    plan: &Plan,
    settings: &Settings,
    statuses: &[ReferenceStatus],
) -> Vec<AwaitedReference> {
    let suffix = context.vault_suffix();
    let event = &event_context.event;
    // A setting that a later event of the batch has changed again is verified by its rotation.
    let holds = |setting: &SettingName| {
        plan.changes()
            .any(|(name, change)| name == setting && settings.get(name) == change.after.as_ref())
    };
    let written = plan
        .references(suffix)
        .into_iter()
        .filter(|(setting, _)| holds(setting));
    let mut awaited: Vec<AwaitedReference> = written
        .map(|(setting, target)| AwaitedReference::new(setting, target, event))
        .collect();
    let others = context.awaited(event, statuses).into_iter();
    awaited.extend(others.filter(|it| plan.changes().all(|(name, _)| *name != it.setting)));
    // The same holds for a setting that another rotation has pointed at another secret.
    awaited.retain(|it| {
        let now = settings
            .get(&it.setting)
            .and_then(|value| value.reference(suffix).ok());
        now.is_some_and(|now| *now.target() == it.target)
    });
    awaited
}

/// Has Azure resolve all references again, unless those of the secrets are resolved with the wanted
/// versions, or a write has resolved them.
async fn refresh(
    batch: &mut Batch,
    lease: &mut Lease<AppState>,
    statuses: &[ReferenceStatus],
) -> Result<(), Outcome> {
    let Batch {
        context,
        rotations,
        has_changed,
        ..
    } = batch;
    // A setting that another rotation of the batch has written is verified by that rotation.
    let written: Vec<SettingName> = rotations
        .iter()
        .filter_map(Rotation::verification)
        .flat_map(|verification| verification.plan.changes())
        .map(|(name, _)| name.clone())
        .collect();
    let refreshing = rotations
        .iter_mut()
        .filter(|rotation| matches!(rotation.stage, Stage::Refresh));
    let mut is_needed = false;
    for rotation in refreshing {
        let event_context = &rotation.context;
        let mut awaited = context.awaited(&event_context.event, statuses);
        awaited.retain(|it| !written.contains(&it.setting));
        let outcome = if awaited.is_empty() {
            let message = "no setting of the app references the secret without a version: a \
                           refresh changes nothing";
            Outcome::new(Verdict::Unchanged, message)
        } else if context.are_resolved(event_context, &awaited, statuses) {
            let EventContext { event, run, .. } = &**event_context;
            lease.document.record_applied(event, run);
            already_resolved(event_context, &awaited)
        } else if event_context.mode == Mode::Monitor {
            let message = "would refresh the references of the app";
            Outcome::new(Verdict::Monitored, message)
        } else {
            is_needed = true;
            rotation.stage = Stage::Verify(Verification {
                awaited,
                plan: Plan::default(),
                unrecoverable: Vec::new(),
                change: match *has_changed {
                    true => AppliedChange::Written,
                    false => AppliedChange::Refreshed,
                },
            });
            continue;
        };
        context.close(rotation, outcome);
    }
    if is_needed && !*has_changed {
        // The fence: the lease is still ours right before the change.
        lease.renew().await?;
        let azure = &context.services.resource_manager;
        azure
            .refresh_references(&context.app, &context.call)
            .await?;
        *has_changed = true;
    }
    Ok(())
}
