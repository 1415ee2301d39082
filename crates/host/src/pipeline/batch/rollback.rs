//! Rolls back a patch whose references do not resolve. It compensates for [`mod@super::apply`].

use keyrelay_model::{Plan, Settings, Verdict};
use keyrelay_records::app_state::AppState;
use keyrelay_records::{EventRecord, Outcome, Pending, PendingRotation, WorkEntry, to_plan};
use keyrelay_store::Lease;

use super::context::BatchContext;
use super::lease::lease_of;
use super::write::{Goal, write_until};
use crate::pipeline::app_queue::AppQueue;
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::Verification;

/// Rolls back what was written for an event: by this run, or by an earlier one that is still
/// pending.
///
/// The error is the outcome if the former values could not be restored.
pub(super) async fn roll_back(
    context: &BatchContext,
    queue: &AppQueue,
    event_context: &EventContext,
    verification: &Verification,
    reason: &str,
) -> Result<Outcome, Outcome> {
    let Verification {
        plan,
        unrecoverable,
        ..
    } = verification;
    let (mut plan, mut unrecoverable) = (plan.clone(), unrecoverable.clone());
    if plan.is_empty() && unrecoverable.is_empty() {
        (plan, unrecoverable) = written_by_others(context, event_context).await?;
    }
    if plan.is_empty() && unrecoverable.is_empty() {
        return Ok(Outcome::permanent(reason));
    }
    let mut restored = Restored {
        plan: &plan,
        notes: String::new(),
    };
    let result = as_worker(context, queue, event_context, &mut restored).await;
    let notes = restored.notes;
    result.map_err(|outcome| Outcome {
        message: format!(
            "{reason}; the former values could not be restored: {}{notes}",
            outcome.message
        ),
        ..outcome
    })?;
    let except = match unrecoverable.as_slice() {
        [] => String::new(),
        names => format!(
            " (except {}: keyrelay does not store plain text, set it yourself)",
            names.join(", ")
        ),
    };
    let message = format!("the former values are restored{except}: {reason}{notes}");
    Ok(Outcome::new(Verdict::RolledBack, message))
}

/// Rolls a plan back as the only writer of the app, in this process and across instances.
async fn as_worker(
    context: &BatchContext,
    queue: &AppQueue,
    event_context: &EventContext,
    restored: &mut Restored<'_>,
) -> Result<(), Outcome> {
    let _worker = queue.worker().await;
    let mut lease = lease_of(context).await?;
    let result = match write_until(context, &mut lease, restored).await {
        Ok(_) => {
            lease.document.roll_back(&event_context.event);
            // Before the lease is released: the next holder may keep work of its own.
            remove_work_of_others(context, event_context).await
        }
        Err(outcome) => Err(outcome),
    };
    lease.set_deadline(None);
    let released = lease.release().await;
    result?;
    Ok(released?)
}

/// Removes the pending work of other runs for the same event: it would write the patch again.
async fn remove_work_of_others(
    context: &BatchContext,
    event_context: &EventContext,
) -> Result<(), Outcome> {
    let event = EventRecord::from(&event_context.event);
    let own = event_context.first_run();
    let is_done = |work: &PendingRotation| {
        work.is_about(&event) && !work.rollback.is_empty() && work.run != *own
    };
    for entry in pending(context).of_app(&context.app).await? {
        entry.remove_finished(is_done).await?;
    }
    Ok(())
}

fn pending(context: &BatchContext) -> Pending {
    let deadline = context.store_deadline.moment();
    context.services.pending.until(deadline)
}

/// The settings before a plan, as the goal of a write: for the names of the plan only, and only
/// where no other writer has changed them since.
struct Restored<'p> {
    plan: &'p Plan,
    /// The remarks for operators, each after a semicolon.
    notes: String,
}

impl Goal for Restored<'_> {
    async fn target(&mut self, _: &BatchContext, settings: &Settings) -> Settings {
        self.plan.roll_back(settings).apply_to(settings)
    }

    async fn before_write(
        &mut self,
        _: &BatchContext,
        _: &mut Lease<AppState>,
    ) -> Result<(), Outcome> {
        // The intent of the patch, which is in the store, covers its roll-back.
        Ok(())
    }

    fn may_have_written(&mut self) {}

    fn note(&mut self, note: &str) {
        self.notes.push_str("; ");
        self.notes.push_str(note);
    }
}

/// The plan that earlier runs, or instances that died, have written for the same event, and the
/// settings whose former values are unknown.
async fn written_by_others(
    context: &BatchContext,
    event_context: &EventContext,
) -> Result<(Plan, Vec<String>), Outcome> {
    let event = EventRecord::from(&event_context.event);
    let entries = pending(context).of_app(&context.app).await?;
    let works = entries.iter().flat_map(WorkEntry::rotations);
    let (mut plan, mut unrecoverable) = (Plan::default(), Vec::new());
    for work in works.filter(|work| work.is_about(&event)) {
        let (written, unknown) = to_plan(&work.rollback, context.vault_suffix());
        plan = plan.followed_by(written);
        unrecoverable.extend(unknown);
    }
    Ok((plan, unrecoverable))
}
