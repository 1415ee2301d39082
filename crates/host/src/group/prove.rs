//! The proof: look until every awaited reference is resolved, one will not get better, or the time is over.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::ReferenceStatus;
use keyrelay_model::{Plan, Retryability, Verdict};
use tokio::time::Instant;

use super::{Group, already, open::pending, resolved};
use crate::order::{Order, Proof, Rotation};
use crate::outcome::{Outcome, chain};
use crate::pending::to_plan;
use crate::record::EventRecord;
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
        while self
            .rotations
            .iter()
            .any(|rotation| rotation.proof().is_some())
        {
            match self
                .relay
                .resource_manager
                .reference_statuses(&self.app, &self.call)
                .await
            {
                Ok(rows) => {
                    self.look(line, &rows, started, pause.max(crowd.pause()))
                        .await
                }
                Err(error) if error.retryability() == Retryability::Transient => {
                    // Applied it is: what is left is the proof.
                    self.leave_open(&chain(&error), pause.max(crowd.pause()))
                        .await;
                }
                Err(error) => {
                    let message = Outcome::from(error).message;
                    self.leave_all(&message).await;
                }
            }
            if self
                .rotations
                .iter()
                .any(|rotation| rotation.proof().is_some())
            {
                tokio::time::sleep(pause.max(crowd.pause()).min(self.call.deadline.remaining()))
                    .await;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
        self.close().await;
    }

    async fn look(
        &mut self,
        line: &Line,
        rows: &[ReferenceStatus],
        started: Instant,
        pause: Duration,
    ) {
        let mut waiting_for = None;
        for index in 0..self.rotations.len() {
            let Some(proof) = self.rotations.get(index).and_then(Rotation::proof).cloned() else {
                continue;
            };
            let Some(order) = self
                .rotations
                .get(index)
                .map(|rotation| Arc::clone(&rotation.order))
            else {
                continue;
            };
            match self.see(&order, &proof, rows, started) {
                Seen::Good if proof.done.is_none() => {
                    self.end(index, already(&order, &proof.awaited))
                }
                Seen::Good => {
                    self.end(
                        index,
                        Outcome::new(Verdict::Verified, resolved(&proof.awaited)),
                    );
                }
                Seen::Broken(reason) => {
                    let outcome = match self.undo(line, &order, &proof, &reason).await {
                        Ok(outcome) => outcome,
                        Err(failed) => self.keep_undo(&order, failed).await,
                    };
                    self.end(index, outcome);
                }
                Seen::Waiting(message) => waiting_for = Some(message),
            }
        }
        if let Some(message) = waiting_for {
            self.leave_open(&message, pause).await;
        }
    }

    fn see(
        &self,
        order: &Order,
        proof: &Proof,
        rows: &[ReferenceStatus],
        started: Instant,
    ) -> Seen {
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
        let is_over = |rotation: &Rotation| {
            rotation.proof().is_some() && rotation.deadline.remaining() <= pause
        };
        if !self.rotations.iter().any(is_over) {
            return;
        }
        // Those that still have time are kept along: they are taken out when they are proven.
        let kept = self.keep_unproven(is_over).await;
        for index in 0..self.rotations.len() {
            let Some(rotation) = self
                .rotations
                .get(index)
                .filter(|rotation| is_over(rotation))
            else {
                continue;
            };
            let done = rotation.proof().and_then(|proof| proof.done);
            let outcome = match &kept {
                Ok(()) => pending(done, message),
                Err(outcome) => outcome.clone(),
            };
            self.end(index, outcome);
        }
    }

    /// Leaves all that is unproven to the reconcile timer: Azure does not let us look.
    async fn leave_all(&mut self, message: &str) {
        let kept = self.keep_unproven(|_| true).await;
        for index in 0..self.rotations.len() {
            let Some(proof) = self.rotations.get(index).and_then(Rotation::proof) else {
                continue;
            };
            let outcome = match &kept {
                Ok(()) => pending(proof.done, message),
                Err(outcome) => outcome.clone(),
            };
            self.end(index, outcome);
        }
    }

    /// Keeps what could not be taken back, so that the next delivery or the reconcile timer does.
    async fn keep_undo(&mut self, order: &Arc<Order>, failed: Outcome) -> Outcome {
        let kept = self
            .keep_unproven(|rotation| Arc::ptr_eq(&rotation.order, order))
            .await;
        match kept {
            Err(outcome) => outcome,
            Ok(()) if failed.verdict.asks_for_redelivery() => failed,
            Ok(()) => Outcome {
                verdict: Verdict::Pending,
                ..failed
            },
        }
    }

    /// Takes a patch back that will not resolve: one of this run, or of one that was left open. The error says that it
    /// could not be taken back.
    async fn undo(
        &mut self,
        line: &Line,
        order: &Arc<Order>,
        proof: &Proof,
        reason: &str,
    ) -> Result<Outcome, Outcome> {
        let (mut plan, mut not_kept) = (proof.plan.clone(), proof.not_kept.clone());
        if plan.is_empty() && not_kept.is_empty() {
            (plan, not_kept) = self.left_by_others(order).await?;
        }
        if plan.is_empty() && not_kept.is_empty() {
            return Ok(Outcome::permanent(reason));
        }
        let undone = self.undo_in_turn(line, order, &plan).await;
        let lost = match not_kept.as_slice() {
            [] => String::new(),
            names => format!(
                " (but for {}: plain text is never kept, set it by hand)",
                names.join(", ")
            ),
        };
        match undone {
            Ok(()) => Ok(Outcome::new(
                Verdict::RolledBack,
                format!("the former values are back{lost}: {reason}"),
            )),
            Err(outcome) => {
                let message = format!(
                    "{reason}; putting the former values back failed: {}",
                    outcome.message
                );
                Err(Outcome { message, ..outcome })
            }
        }
    }

    async fn undo_in_turn(
        &mut self,
        line: &Line,
        order: &Order,
        plan: &Plan,
    ) -> Result<(), Outcome> {
        let _turn = line.turn().await;
        let mut lease = self.lease().await?;
        let undone = self.take_back(&mut lease, plan).await;
        if undone.is_ok() {
            lease.document.take_back(order);
        }
        let released = lease.release().await;
        undone?;
        // What others have left of the same event would be written again.
        let event = EventRecord::from(&order.event);
        self.relay
            .pending
            .drop_works(&self.app, |work| {
                work.is_about(&event) && !work.undo.is_empty()
            })
            .await?;
        Ok(released?)
    }

    /// What instances that died, or earlier runs, have written for the same event.
    async fn left_by_others(&self, order: &Order) -> Result<(Plan, Vec<String>), Outcome> {
        let event = EventRecord::from(&order.event);
        let entries = self.relay.pending.of_app(&self.app).await?;
        let same = entries
            .iter()
            .flat_map(|entry| &entry.value.works)
            .filter(|work| work.is_about(&event));
        let (mut plan, mut not_kept) = (Plan::default(), Vec::new());
        for work in same {
            let (left, lost) = to_plan(&work.undo, self.vault_suffix());
            plan = plan.followed_by(left);
            not_kept.extend(lost);
        }
        Ok((plan, not_kept))
    }
}
