//! Writing settings so that nobody's write is lost: read, plan, read again, write only if the ground has not moved,
//! read back, compare.
//!
//! Azure replaces all settings of an app with one request and knows no condition on it, so two readers that agree just
//! before the write are as near as one can come.

use keyrelay_azure::AzureError;
use keyrelay_model::{Decision, Plan, Settings, Verdict, plan};

use super::Rotation;
use crate::config::Mode;
use crate::outcome::Outcome;

/// How often a plan is made anew because somebody else wrote in between.
const ATTEMPTS: u32 = 5;

/// What is to be done with the settings, and, once it is returned to the caller, was done.
pub(super) enum Planned {
    /// To make the settings hold what the plan wants. Empty: they do already.
    Plan(Plan),
    /// Asked again with all settings in view, the policy wants a refresh.
    Refresh,
}

/// What is wanted of the settings, each time they are read.
enum Wanted<'p> {
    /// What the policy decides.
    Decision,
    /// That a plan of ours is taken back.
    Undone(&'p Plan),
}

impl Rotation<'_> {
    /// Writes what the policy decides.
    pub(super) async fn write_decision(&mut self) -> Result<Planned, Outcome> {
        self.write(Wanted::Decision).await
    }

    /// Puts back what was there before the plan, for its names only, and only where nobody has changed it since.
    pub(super) async fn roll_back(&mut self, plan: &Plan, reason: &str) -> Result<Outcome, Outcome> {
        match self.write(Wanted::Undone(plan)).await {
            Ok(_) => Ok(Outcome::new(Verdict::RolledBack, format!("the former values are back: {reason}"))),
            Err(outcome) => {
                let message = format!("{reason}; putting the former values back failed: {}", outcome.message);
                Err(Outcome::new(outcome.verdict, message))
            }
        }
    }

    async fn write(&mut self, wanted: Wanted<'_>) -> Result<Planned, Outcome> {
        let mut settings = self.read().await?;
        for _ in 0..ATTEMPTS {
            let Planned::Plan(plan) = self.plan_for(&wanted, &settings).await? else {
                return Ok(Planned::Refresh);
            };
            if matches!(wanted, Wanted::Decision) {
                self.plan = plan.describe(self.vault_suffix());
                self.stop_if_monitoring(&plan)?;
            }
            if plan.is_empty() {
                return Ok(Planned::Plan(plan));
            }
            let again = self.read().await?;
            if again != settings {
                settings = again;
                continue;
            }
            settings = self.replace(&plan.apply_to(&again)).await?;
            if plan.is_in(&settings) {
                return Ok(Planned::Plan(plan));
            }
        }
        Err(Outcome::transient(format!(
            "somebody else keeps writing the settings of the app: {ATTEMPTS} attempts met other values than were read"
        )))
    }

    async fn plan_for(&mut self, wanted: &Wanted<'_>, settings: &Settings) -> Result<Planned, Outcome> {
        let decision = match wanted {
            Wanted::Undone(plan) => return Ok(Planned::Plan(plan.undo(settings))),
            Wanted::Decision => self.decide_on(settings).await?,
        };
        match decision {
            Decision::Patch(patch) => {
                let order = self.order;
                let plan = plan(&patch, order.event, settings, order.grant, self.vault_suffix())?;
                Ok(Planned::Plan(plan))
            }
            Decision::Refresh => Ok(Planned::Refresh),
            Decision::Notice(text) | Decision::Skip(text) => Err(Outcome::new(Verdict::Unchanged, text)),
        }
    }

    fn stop_if_monitoring(&self, plan: &Plan) -> Result<(), Outcome> {
        if self.order.mode != Mode::Monitor || plan.is_empty() {
            return Ok(());
        }
        Err(Outcome::new(Verdict::Monitored, format!("would write {plan}")))
    }

    /// Replaces all settings and returns what is there afterwards, read anew.
    ///
    /// When the write's fate is unknown (no answer, half an answer), or it was refused for the moment, what is read
    /// decides: the caller compares, and plans again if need be.
    async fn replace(&self, settings: &Settings) -> Result<Settings, Outcome> {
        if let Err(error) = self.relay.resource_manager.write_settings(&self.app, settings, &self.call).await {
            match error.plan_again_after() {
                Some(pause) if pause < self.call.deadline.remaining() => tokio::time::sleep(pause).await,
                None if error.may_have_been_written() => {}
                _ => return Err(error.into()),
            }
        }
        Ok(self.read().await?)
    }

    async fn read(&self) -> Result<Settings, AzureError> {
        self.relay.resource_manager.settings(&self.app, &self.call).await
    }
}
