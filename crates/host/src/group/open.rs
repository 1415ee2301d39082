//! What is kept in the store while the end of rotations is open: from before the first write to the last verdict.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_model::{Plan, Verdict};

use super::Group;
use crate::order::Rotation;
use crate::outcome::Outcome;
use crate::pending::{OpenWork, Undo, Work, of_plan};
use crate::record::EventRecord;

/// When the reconcile timer looks at open work again: by how often it has done so already. Each look may refresh.
const LOOKS: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
];

impl Group {
    /// Keeps what is about to be written: if this process dies, another can prove it, or take it back.
    pub(super) async fn intend(&mut self, plans: &[(usize, Plan)]) -> Result<(), Outcome> {
        // Not before this process must have come to an end with it.
        let alive = self.call.deadline.remaining() + self.relay.config.lease;
        let works = plans
            .iter()
            .filter(|(_, plan)| !plan.is_empty())
            .filter_map(|(index, plan)| {
                let rotation = self
                    .rotations
                    .get(*index)
                    .filter(|rotation| rotation.is_open())?;
                Some(self.work(rotation, plan, alive, "about to be written"))
            });
        let works: Vec<Work> = works.collect();
        self.keep(works).await
    }

    /// Keeps the rotations that are not proven yet. Those that `is_over` selects stay there until the reconcile timer takes
    /// them; the others are taken out again when they are proven.
    pub(super) async fn keep_unproven(
        &mut self,
        is_over: impl Fn(&Rotation) -> bool,
    ) -> Result<(), Outcome> {
        let mut left = self.left.clone();
        let mut works = Vec::new();
        for rotation in &self.rotations {
            let Some(proof) = rotation.proof() else {
                continue;
            };
            let looked = rotation
                .order
                .carried
                .as_ref()
                .map_or(0, |carried| carried.attempts);
            let work = self.work(
                rotation,
                &proof.plan,
                pause_after(looked),
                "not confirmed by Azure yet",
            );
            if is_over(rotation) {
                left.push(work)
            } else {
                works.push(work)
            }
        }
        works.extend(left.iter().cloned());
        self.keep(works).await?;
        self.left = left;
        Ok(())
    }

    /// Leaves in the store what the reconcile timer is to go on with, and nothing else.
    pub(super) async fn close(&mut self) {
        if !self.is_kept || self.is_uncertain {
            return;
        }
        let closed = match self.left.is_empty() {
            true => self.relay.pending.forget(&self.app, &self.name).await,
            false => {
                let open = OpenWork {
                    app: self.app.to_string(),
                    works: self.left.clone(),
                };
                self.relay.pending.keep(&self.app, &self.name, &open).await
            }
        };
        // What stays too long is looked at by the reconcile timer, which will find nothing to do.
        if let Err(error) = closed {
            tracing::warn!(app.id = %self.app, "finished work stays in the store for now: {error}");
        }
    }

    async fn keep(&mut self, works: Vec<Work>) -> Result<(), Outcome> {
        let open = OpenWork {
            app: self.app.to_string(),
            works,
        };
        self.relay
            .pending
            .keep(&self.app, &self.name, &open)
            .await?;
        self.is_kept = true;
        Ok(())
    }

    fn work(&self, rotation: &Rotation, plan: &Plan, due_in: Duration, reason: &str) -> Work {
        let order = &rotation.order;
        let carried = order.carried.as_ref();
        let now = Timestamp::now();
        Work {
            run: order.first_run().clone(),
            event: EventRecord::from(&order.event),
            since: carried.map_or(now, |carried| carried.since),
            due: now.checked_add(due_in).unwrap_or(now),
            attempts: carried.map_or(0, |carried| carried.attempts + 1),
            reason: reason.to_owned(),
            undo: joined(
                carried
                    .map(|carried| carried.undo.as_slice())
                    .unwrap_or_default(),
                of_plan(plan, self.vault_suffix()),
            ),
        }
    }
}

/// How long after a look the next one is due.
fn pause_after(looked: u32) -> Duration {
    let [first, second, third, last] = LOOKS;
    match looked {
        0 => first,
        1 => second,
        2 => third,
        _ => last,
    }
}

/// What was written before and what was written now: the oldest former value of each setting counts.
fn joined(before: &[Undo], now: Vec<Undo>) -> Vec<Undo> {
    let mut all = before.to_vec();
    for undo in now {
        match all.iter_mut().find(|known| known.setting == undo.setting) {
            Some(known) if known.after == undo.before => known.after = undo.after,
            Some(known) => *known = undo,
            None => all.push(undo),
        }
    }
    all
}

/// The verdict of what is kept for the reconcile timer.
pub(super) fn pending(done: Option<&str>, message: &str) -> Outcome {
    let done = done.map(|done| format!("{done}, ")).unwrap_or_default();
    Outcome::new(
        Verdict::Pending,
        format!("{done}not confirmed yet: {message}"),
    )
}
