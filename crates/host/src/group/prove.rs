//! The proof: look until every awaited reference is resolved, one will not get better, or the time is over.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::ReferenceStatus;
use keyrelay_model::{Trouble, Verdict};
use tokio::time::Instant;

use super::{Group, already, open::pending, resolved};
use crate::order::{Order, Proof, Rotation};
use crate::outcome::{Outcome, chain};
use crate::pending::to_plan;
use crate::state;
use crate::turns::Line;
use crate::verify::{Look, PATIENCE, PAUSES, judge};

/// How a look at one rotation's references came out.
enum Seen {
    Good,
    Waiting(String),
    Broken(String),
}

impl Group {
    /// Proves what was applied, and gives every rotation its verdict.
    pub(crate) async fn prove(mut self, line: &Line) {
        let started = Instant::now();
        let crowd = self.relay.turns.proving();
        let mut pause = PAUSES.0;
        while self.rotations.iter().any(|rotation| rotation.proof().is_some()) {
            match self.relay.resource_manager.reference_statuses(&self.app, &self.call).await {
                Ok(rows) => self.look(line, &rows, started, pause.max(crowd.pause())).await,
                Err(error) if error.trouble() == Trouble::Transient => {
                    // Applied it is: what is left is the proof.
                    self.leave_open(&chain(&error), pause.max(crowd.pause())).await;
                }
                Err(error) => {
                    let outcome = Outcome::from(error);
                    self.end_open(&outcome);
                }
            }
            if self.rotations.iter().any(|rotation| rotation.proof().is_some()) {
                tokio::time::sleep(pause.max(crowd.pause()).min(self.call.deadline.remaining())).await;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
        self.close().await;
    }

    async fn look(&mut self, line: &Line, rows: &[ReferenceStatus], started: Instant, pause: Duration) {
        let mut waiting_for = None;
        for index in 0..self.rotations.len() {
            let Some(proof) = self.rotations.get(index).and_then(Rotation::proof).cloned() else { continue };
            let Some(order) = self.rotations.get(index).map(|rotation| Arc::clone(&rotation.order)) else { continue };
            match self.see(&order, &proof, rows, started) {
                Seen::Good if proof.done.is_none() => self.end(index, already(&order, &proof.awaited)),
                Seen::Good => {
                    self.end(index, Outcome::new(Verdict::Verified, resolved(&proof.awaited)));
                }
                Seen::Broken(reason) => {
                    let outcome = self.undo(line, &order, &proof, &reason).await;
                    self.end(index, outcome);
                }
                Seen::Waiting(message) => waiting_for = Some(message),
            }
        }
        if let Some(message) = waiting_for {
            self.leave_open(&message, pause).await;
        }
    }

    fn see(&self, order: &Order, proof: &Proof, rows: &[ReferenceStatus], started: Instant) -> Seen {
        let patient = started.elapsed() < PATIENCE;
        for it in &proof.awaited {
            let row = rows.iter().find(|row| row.setting == it.setting);
            match judge(it, row, &order.versions, self.vault_suffix()) {
                Look::Good => {}
                Look::Bad(message) if !patient => return Seen::Broken(message),
                Look::Waiting(message) | Look::Bad(message) => return Seen::Waiting(message),
            }
        }
        Seen::Good
    }

    /// Ends those whose time is over as pending, once that is kept in the store.
    async fn leave_open(&mut self, message: &str, pause: Duration) {
        let is_over = |rotation: &Rotation| rotation.proof().is_some() && rotation.deadline.remaining() <= pause;
        if !self.rotations.iter().any(is_over) {
            return;
        }
        // Those that still have time are kept along: they are taken out when they are proven.
        let kept = self.keep_unproven(is_over).await;
        for index in 0..self.rotations.len() {
            let Some(rotation) = self.rotations.get(index).filter(|rotation| is_over(rotation)) else { continue };
            let done = rotation.proof().and_then(|proof| proof.done);
            let outcome = match &kept {
                Ok(()) => pending(done, message),
                Err(outcome) => outcome.clone(),
            };
            self.end(index, outcome);
        }
    }

    /// Takes a patch back that will not resolve: one of this run, or of one that was left open.
    async fn undo(&mut self, line: &Line, order: &Arc<Order>, proof: &Proof, reason: &str) -> Outcome {
        let (mut plan, mut not_kept) = (proof.plan.clone(), Vec::new());
        if plan.is_empty() {
            match self.left_by_others(order).await {
                Ok(left) => (plan, not_kept) = left,
                Err(outcome) => return outcome,
            }
        }
        if plan.is_empty() && not_kept.is_empty() {
            return Outcome::permanent(reason);
        }
        let undone = self.undo_in_turn(line, order, &plan).await;
        let lost = match not_kept.as_slice() {
            [] => String::new(),
            names => format!(" (but for {}: plain text is never kept, set it by hand)", names.join(", ")),
        };
        match undone {
            Ok(()) => Outcome::new(Verdict::RolledBack, format!("the former values are back{lost}: {reason}")),
            Err(outcome) => {
                let message = format!("{reason}; putting the former values back failed: {}", outcome.message);
                Outcome { message, ..outcome }
            }
        }
    }

    async fn undo_in_turn(&mut self, line: &Line, order: &Order, plan: &keyrelay_model::Plan) -> Result<(), Outcome> {
        let _turn = line.turn().await;
        let mut lease = self.lease().await?;
        let undone = self.take_back(&mut lease, plan).await;
        if undone.is_ok() {
            lease.document.forget(order);
        }
        let released = lease.release().await;
        undone?;
        Ok(released?)
    }

    /// What an instance that died, or an earlier run, has written for the same event.
    async fn left_by_others(&self, order: &Order) -> Result<(keyrelay_model::Plan, Vec<String>), Outcome> {
        let carried = order.carried.as_ref().map(|carried| carried.undo.clone()).unwrap_or_default();
        if !carried.is_empty() {
            return Ok(to_plan(&carried, self.vault_suffix()));
        }
        let secret = state::secret(&order.event);
        let version = order.event.version.as_ref().map(ToString::to_string);
        let left = self.relay.pending.of_app(&self.app).await?;
        let same = left.into_iter().find(|work| {
            format!("{}/{}", work.event.vault_host, work.event.name).to_lowercase() == secret
                && work.event.version == version
                && !work.undo.is_empty()
        });
        Ok(same.map(|work| to_plan(&work.undo, self.vault_suffix())).unwrap_or_default())
    }
}
