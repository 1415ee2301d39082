//! Write-ahead: the pending work of a batch is in the store from before the first write to the last
//! verdict, so that another instance can verify it, or roll it back, if this process dies.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::ReferenceKind;
use keyrelay_model::Plan;
use keyrelay_records::{EventRecord, Outcome, PendingObject, PendingRotation, Rollback, of_plan};

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

/// The pending work of a batch.
pub(super) struct WriteAhead {
    object: PendingObject,
    /// The work that is left to the reconcile timer.
    left: Vec<PendingRotation>,
    /// Whether the object has that work, and nothing else.
    is_stored: bool,
    is_abandoned: bool,
}

impl WriteAhead {
    /// Names the object of a batch. Nothing is written yet.
    pub(super) fn new(context: &BatchContext) -> Self {
        let deadline = context.store_deadline.moment();
        let pending = context.services.pending.until(deadline);
        Self {
            object: PendingObject::new(pending, &context.app),
            left: Vec::new(),
            is_stored: false,
            is_abandoned: false,
        }
    }

    /// Records the intent to write the patches of all rotations, those of earlier attempts included.
    pub(super) async fn record_intent(
        &mut self,
        context: &BatchContext,
        rotations: &[Rotation],
    ) -> Result<(), Outcome> {
        // Another instance takes it over only when this process must have ended with it.
        let due_in = context.call.deadline.remaining() + context.services.config.lease;
        let reason = "about to be written";
        let works = rotations
            .iter()
            .filter(|rotation| rotation.is_open() && !rotation.attempted.is_empty())
            .map(|rotation| work_of(context, rotation, &rotation.attempted, due_in, reason))
            .collect();
        self.is_stored = false;
        Ok(self.object.keep(works).await?)
    }

    /// Keeps the rotations that are not verified. Those that `is_left` selects stay there for the
    /// reconcile timer; the others are removed when they are verified.
    pub(super) async fn keep(
        &mut self,
        context: &BatchContext,
        rotations: &[Rotation],
        is_left: impl Fn(&Rotation) -> bool,
    ) -> Result<(), Outcome> {
        let mut left = self.left.clone();
        let mut works = Vec::new();
        for rotation in rotations {
            let Some(verification) = rotation.verification() else {
                continue;
            };
            let resumed = rotation.context.resumed.as_ref();
            let attempts = resumed.map_or(0, |resumed| resumed.attempts);
            let due_in = rotation.due_in.unwrap_or(pause_after(attempts));
            let reason = "not confirmed by Azure yet";
            let work = work_of(context, rotation, &verification.plan, due_in, reason);
            if is_left(rotation) {
                left.push(work);
            } else {
                works.push(work);
            }
        }
        let is_complete = works.is_empty();
        works.extend(left.iter().cloned());
        self.object.keep(works).await?;
        self.left = left;
        self.is_stored = is_complete;
        Ok(())
    }

    /// Leaves the object as it is: it is not known how far the write got.
    pub(super) fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    /// Deletes the object, or leaves in it the work for the reconcile timer.
    pub(super) async fn close(self) {
        // The reconcile timer may have taken over what is stored.
        if self.is_abandoned || (self.is_stored && !self.left.is_empty()) {
            return;
        }
        let app = self.object.app().to_owned();
        // The reconcile timer finds that there is nothing to do about work that stays too long.
        if let Err(error) = self.object.close(self.left).await {
            tracing::warn!(
                app.id = app,
                "finished work stays in the store for now: {error}"
            );
        }
    }
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
    let now = Timestamp::now();
    let before = resumed.map_or(&[][..], |resumed| &resumed.rollback);
    PendingRotation {
        run: event_context.first_run().clone(),
        event: EventRecord::from(&event_context.event),
        since: resumed.map_or(now, |resumed| resumed.since),
        due: now.checked_add(due_in).unwrap_or(now),
        attempts: resumed.map_or(0, |resumed| resumed.attempts + 1),
        reason: reason.to_owned(),
        connection_strings: has_connection_strings(rotation),
        rollback: joined(before, of_plan(plan, context.vault_suffix())),
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
