//! What each rotation of the group wants: in which order the versions come, and what the policies answer.

use std::sync::Arc;

use keyrelay_azure::ReferenceStatus;
use keyrelay_model::{Decision, Plan, Settings, Verdict, plan};
use keyrelay_sandbox::{
    AppView, Undecided, View, VisibleSetting, visible_references, visible_settings,
};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Group;
use crate::config::Mode;
use crate::decide;
use crate::order::{Order, Proof, Rotation, Stage};
use crate::outcome::Outcome;
use crate::pending::to_plan;
use crate::record::Cause;
use crate::state::{self, AppState};
use crate::telemetry::SPANS;
use crate::verify::Awaited;

impl Group {
    /// Ends the rotations whose version is older than one that was applied before, or that another event of this group
    /// brings: no app goes backwards, and none goes there in steps.
    pub(super) fn end_superseded(&mut self, state: &AppState) {
        for index in 0..self.rotations.len() {
            let Some(rotation) = self.rotations.get(index) else {
                continue;
            };
            // Whoever asks for it gets it; the comparison of what apps have with their vaults does not try it every hour.
            if rotation.order.cause == Cause::Drift && state.was_taken_back(&rotation.order) {
                let message = "not handled: the version was taken back before, because it did not resolve; repair what \
                               was wrong with it and resubmit the run";
                self.end(index, Outcome::new(Verdict::Unchanged, message));
                continue;
            }
            let message = match (
                state.newer_than(&rotation.order),
                self.newer_in_group(rotation),
            ) {
                (Some(newer), _) => {
                    format!(
                        "not handled: version {newer} was applied before, and no app goes backwards"
                    )
                }
                (None, Some(newer)) => {
                    format!("not handled: version {newer} is newer and has an event of its own")
                }
                (None, None) => continue,
            };
            self.end(index, Outcome::new(Verdict::Unchanged, message));
        }
    }

    /// The newer version of the same secret that another event of this group brings.
    fn newer_in_group(&self, rotation: &Rotation) -> Option<String> {
        let order = &rotation.order;
        let own = state::announced(order)?;
        let secret = state::secret(&order.event);
        let of_secret = self
            .rotations
            .iter()
            .filter(|other| state::secret(&other.order.event) == secret);
        let mut newer = of_secret
            .filter_map(|other| state::announced(&other.order))
            .filter(|other| {
                other.version != own.version && order.versions.comes_after(other, &own)
            });
        newer.next().map(|newer| newer.version.to_string())
    }

    /// Asks the policies that look at references only. Those that want to see settings are asked when settings are read.
    pub(super) async fn decide_by_references(&mut self, statuses: &[ReferenceStatus]) {
        let targets: Vec<_> = statuses
            .iter()
            .filter_map(|row| Some((row.setting.clone(), self.target(row)?)))
            .collect();
        for index in 0..self.rotations.len() {
            let Some(rotation) = self
                .rotations
                .get(index)
                .filter(|rotation| rotation.is_open())
            else {
                continue;
            };
            if let Some(proof) = self.owed(&rotation.order, statuses) {
                self.set_stage(index, Stage::Proof(proof));
                continue;
            }
            if let Some(outcome) = rotation.order.unless_written.clone() {
                self.end(index, outcome);
                continue;
            }
            if rotation.order.policy.about().view == View::Settings {
                self.set_stage(index, Stage::Patch);
                continue;
            }
            match self.ask(index, visible_references(targets.clone())).await {
                Ok(Decision::Patch(_)) => self.set_stage(index, Stage::Patch),
                Ok(other) => self.take(index, other),
                Err(outcome) => self.end(index, outcome),
            }
        }
    }

    /// What an earlier run has written and left unproven. None if the app has nothing of it.
    fn owed(&self, order: &Order, statuses: &[ReferenceStatus]) -> Option<Proof> {
        let undo = order.carried.as_ref()?.undo.as_slice();
        let (plan, not_kept) = to_plan(undo, self.vault_suffix());
        let written =
            plan.references(self.vault_suffix())
                .into_iter()
                .filter(|(setting, target)| {
                    let row = statuses.iter().find(|row| row.setting == *setting);
                    row.and_then(|row| self.target(row))
                        .is_some_and(|there| there == *target)
                });
        let awaited: Vec<Awaited> = written
            .map(|(setting, target)| Awaited::new(setting, target, &order.event))
            .collect();
        (!awaited.is_empty()).then_some(Proof {
            awaited,
            plan,
            not_kept,
            done: Some("written"),
        })
    }

    /// The settings with the patches of all rotations made, one after the other: each policy sees what those before it
    /// want. Afterwards a rotation in the stage [`Stage::Patch`] has its own plan.
    pub(super) async fn compose(&mut self, read: &Settings) -> (Settings, Vec<(usize, Plan)>) {
        let mut settings = read.clone();
        let mut plans = Vec::new();
        for index in 0..self.rotations.len() {
            let Some(Rotation {
                order,
                stage: Stage::Patch,
                ..
            }) = self.rotations.get(index)
            else {
                continue;
            };
            let order = Arc::clone(order);
            let visible = visible_settings(&settings, &order.grant, self.vault_suffix());
            let patch = match self.ask(index, visible).await {
                Ok(Decision::Patch(patch)) => patch,
                Ok(other) => {
                    self.take(index, other);
                    continue;
                }
                Err(outcome) => {
                    self.end(index, outcome);
                    continue;
                }
            };
            let plan = match plan(
                &patch,
                &order.event,
                &settings,
                &order.grant,
                self.vault_suffix(),
            ) {
                Ok(plan) => plan,
                Err(refusal) => {
                    self.end(index, refusal.into());
                    continue;
                }
            };
            let described = plan.describe(self.vault_suffix());
            if let Some(rotation) = self.rotations.get_mut(index) {
                rotation.plan = described;
            }
            if order.mode == Mode::Monitor && !plan.is_empty() {
                self.end(
                    index,
                    Outcome::new(Verdict::Monitored, format!("would write {plan}")),
                );
                continue;
            }
            settings = plan.apply_to(&settings);
            let mut plan = plan;
            for (_, earlier) in &mut plans {
                // Of one setting there is one former value, and one rotation that answers for it.
                plan.take_over(earlier);
            }
            plans.push((index, plan));
        }
        (settings, plans)
    }

    /// Takes over a decision that is no patch.
    fn take(&mut self, index: usize, decision: Decision) {
        match decision {
            Decision::Patch(_) => self.set_stage(index, Stage::Patch),
            Decision::Refresh => self.set_stage(index, Stage::Refresh),
            Decision::Notice(text) | Decision::Skip(text) => {
                self.end(index, Outcome::new(Verdict::Unchanged, text))
            }
        }
    }

    /// Asks the policy of a rotation, in a fresh instance of its sandbox.
    async fn ask(
        &mut self,
        index: usize,
        settings: Vec<VisibleSetting>,
    ) -> Result<Decision, Outcome> {
        let Some(rotation) = self.rotations.get_mut(index) else {
            return Err(Outcome::transient("the rotation is gone"));
        };
        let order = &rotation.order;
        let view = AppView {
            id: &self.app,
            settings: &settings,
            parameters: &order.parameters,
        };
        let span = tracing::info_span!(
            target: SPANS,
            parent: &rotation.span,
            "decide",
            policy.name = order.policy.name(),
            policy.digest = %order.policy.digest(),
        );
        let began = Instant::now();
        let answer = order
            .policy
            .decide(&order.event, &view, &order.limits)
            .instrument(span)
            .await;
        self.relay
            .metrics
            .decision(order.policy.name(), began.elapsed());
        match answer {
            Ok(answer) => {
                rotation.policy_log = answer.log;
                rotation.decision = Some(decide::in_short(&answer.decision));
                Ok(answer.decision)
            }
            Err(Undecided { error, log }) => {
                rotation.policy_log = log;
                Err(error.into())
            }
        }
    }
}
