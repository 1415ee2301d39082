//! Applies the decisions of a batch: one write of settings, or one refresh of references
//! ([`mod@super::refresh`]).
//!
//! [`rollback`](super::rollback) is the reverse.

use jiff::Timestamp;
use keyrelay_azure::{ReferenceKind, ReferenceStatus};
use keyrelay_config::Mode;
use keyrelay_model::{Event, Plan, SettingName, Settings, Verdict};
use keyrelay_records::app_state::AppState;
use keyrelay_records::{Cause, Outcome};
use keyrelay_store::Lease;

use super::context::BatchContext;
use super::decide;
use super::outcomes::proven;
use super::refresh::{learn, refresh};
use super::stages::{Applied, Batch, Leased};
use super::status::Step;
use super::write::{Goal, write_until};
use super::write_ahead::{deliver, keep_notes, record_intent};
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
    let now = batch.context.services.now();
    for EventContext { event, run, .. } in unverified.map(|rotation| &*rotation.context) {
        lease.document.record_applied(event, run, now);
    }
    // Even if the time is over, other instances must not have to wait for the end of the lease.
    lease.set_deadline(None);
    let released = lease.release().await.map_err(Outcome::from);
    let mut applied = match applied.and(released) {
        Ok(()) => Applied::new(batch),
        Err(outcome) => Applied::abandoned(batch, &outcome),
    };
    deliver(applied.rotations_mut()).await;
    applied
}

async fn under_lease(batch: &mut Batch, lease: &mut Lease<AppState>) -> Result<(), Outcome> {
    let Batch {
        context, rotations, ..
    } = batch;
    decide::close_superseded(context, rotations, &lease.document);
    if !rotations.iter().any(Rotation::is_open) {
        return Ok(());
    }
    let statuses = match context.statuses(rotations).await {
        Ok(statuses) => statuses,
        // The index has it from an earlier sweep. An app that a rule names is an error.
        Err(error)
            if error.is_not_found() && rotations.iter().all(|it| !it.context.is_named_by_rule) =>
        {
            let message = "Azure does not have the app any more";
            return Err(Outcome::new(Verdict::Unchanged, message));
        }
        Err(error) => return Err(error.into()),
    };
    decide::by_references(context, rotations, &statuses).await;
    restart_refreshes(context, rotations, lease);
    if let Err(outcome) = patch(batch, lease, &statuses).await {
        // Only the rotations that patch have failed. If the lease is lost, the refresh fails too.
        let Batch {
            context, rotations, ..
        } = batch;
        for rotation in rotations.iter_mut().filter(|it| it.wants_settings()) {
            keep_notes(context, rotation).await;
            context.abandon(rotation, outcome.clone());
        }
    }
    refresh(batch, lease, &statuses).await?;
    learn(batch, lease);
    for rotation in &mut batch.rotations {
        batch
            .context
            .leave_if_nothing_is_visible(rotation, &statuses);
    }
    batch.rows_before = batch.has_changed.then_some(statuses);
    Ok(())
}

/// Starts the count of refreshes again for the rotations that begin because an operator has
/// resubmitted their run.
fn restart_refreshes(context: &BatchContext, rotations: &[Rotation], lease: &mut Lease<AppState>) {
    let between = context.services.config.refresh_timing.between();
    let begin = rotations
        .iter()
        .filter(|it| it.is_open() && it.verification().is_none());
    for EventContext {
        event,
        cause,
        resumed,
        ..
    } in begin.map(|rotation| &*rotation.context)
    {
        let is_left = resumed.as_ref().is_some_and(|it| it.work.restarts);
        if *cause == Cause::Resubmit || is_left {
            lease.document.restart_refreshes(event, between);
        }
    }
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
        has_changed,
        ..
    } = batch;
    if !rotations.iter().any(Rotation::wants_settings) {
        return Ok(());
    }
    let mut decisions = Decisions {
        rotations,
        has_changed,
        statuses,
        began: None,
    };
    let written = write_until(context, lease, &mut decisions).await;
    if let Some(began) = decisions.began {
        match (*decisions.has_changed, &written) {
            (true, Ok(_)) => lease.document.accept_refresh(began, context.services.now()),
            // It may have been carried out: it counts, and is no evidence.
            (true, Err(_)) => {}
            (false, _) => lease.document.withdraw_refresh(began),
        }
    }
    let settings = written?;
    for rotation in rotations.iter_mut() {
        if !matches!(rotation.stage, Stage::Patch) {
            continue;
        }
        let plan = std::mem::take(&mut rotation.attempted);
        let awaited = awaited_after(context, &rotation.context, &plan, &settings, statuses);
        let mut verification = Verification::of(awaited);
        if !plan.is_empty() {
            verification.change = AppliedChange::Written;
            verification.plan = plan;
        } else if let Step::Proven(proof) =
            context.next_step(&rotation.context, &verification, statuses, None)
        {
            let EventContext { event, run, .. } = &*rotation.context;
            let now = context.services.now();
            lease.document.record_applied(event, run, now);
            let outcome = proven(&rotation.context, &verification, proof);
            context.close(rotation, outcome);
            continue;
        } else if rotation.context.mode == Mode::Monitor {
            let outcome = Outcome::new(Verdict::Monitored, "would write nothing");
            context.close(rotation, outcome);
            continue;
        }
        rotation.stage = Stage::Verify(verification);
    }
    Ok(())
}

/// The decisions of the batch's policies, as the goal of a write.
struct Decisions<'b> {
    rotations: &'b mut [Rotation],
    has_changed: &'b mut bool,
    statuses: &'b [ReferenceStatus],
    /// The time at which the first write began.
    began: Option<Timestamp>,
}

impl Goal for Decisions<'_> {
    async fn target(&mut self, context: &BatchContext, settings: &Settings) -> Settings {
        decide::by_settings(context, self.rotations, settings, self.statuses).await
    }

    async fn before_write(
        &mut self,
        context: &BatchContext,
        lease: &mut Lease<AppState>,
    ) -> Result<(), Outcome> {
        record_intent(context, self.rotations).await?;
        // Written with the fence: no older version is applied afterwards, even if this process
        // dies.
        let now = context.services.now();
        for rotation in self.rotations.iter() {
            if rotation.is_open() && !rotation.attempted.is_empty() {
                let EventContext { event, run, .. } = &*rotation.context;
                lease.document.record_applied(event, run, now);
            }
        }
        // Azure resolves all references of the app after a write, as after a refresh.
        if self.began.is_none() {
            let open = self.rotations.iter().filter(|it| it.is_open());
            let events: Vec<&Event> = open.map(|it| &it.context.event).collect();
            let between = context.services.config.refresh_timing.between();
            lease.document.begin_refresh(&events, now, between);
            self.began = Some(now);
        }
        Ok(())
    }

    fn may_have_written(&mut self) {
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
        .map(|(setting, target)| {
            AwaitedReference::new((setting, ReferenceKind::AppSetting), target, event)
        })
        .collect();
    let others = context.awaited(event, statuses).into_iter();
    awaited.extend(others.filter(|it| {
        it.kind != ReferenceKind::AppSetting || plan.changes().all(|(name, _)| *name != it.setting)
    }));
    // The same holds for a setting that another rotation has pointed at another secret.
    awaited.retain(|it| {
        if it.kind != ReferenceKind::AppSetting {
            return true;
        }
        let now = settings
            .get(&it.setting)
            .and_then(|value| value.reference(suffix).ok());
        now.is_some_and(|now| *now.target() == it.target)
    });
    awaited
}
