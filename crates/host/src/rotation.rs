//! One rotation: one event, handled for one app. Read, decide, check, apply, verify.

mod apply;

use std::collections::BTreeMap;

use keyrelay_azure::{Call, ReferenceStatus};
use keyrelay_model::{AppId, Decision, Event, Grant, Plan, Reference, Settings, Target, Verdict, Versions};
use keyrelay_sandbox::{
    AppView, Limits, Policy, Undecided, View, VisibleSetting, visible_references, visible_settings,
};
use tokio::time::Instant;

use crate::config::Mode;
use crate::decide;
use crate::outcome::Outcome;
use crate::record::RotationRecord;
use crate::relay::Relay;
use crate::verify::{Awaited, Look, Unproven, judge};

/// What all rotations of one event have in common.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) event: &'a Event,
    pub(crate) versions: &'a Versions,
    pub(crate) policy: &'a Policy,
    pub(crate) mode: Mode,
    pub(crate) grant: &'a Grant,
    pub(crate) parameters: &'a BTreeMap<String, String>,
    pub(crate) limits: Limits,
}

/// One rotation under way.
pub(crate) struct Rotation<'a> {
    relay: &'a Relay,
    order: &'a Order<'a>,
    app: AppId,
    call: Call,
    decision: Option<String>,
    plan: Vec<String>,
    policy_log: Vec<String>,
}

impl<'a> Rotation<'a> {
    pub(crate) fn new(relay: &'a Relay, order: &'a Order<'a>, app: AppId, call: Call) -> Self {
        Self { relay, order, app, call, decision: None, plan: Vec::new(), policy_log: Vec::new() }
    }

    /// Goes the whole way and writes down how it ended.
    pub(crate) async fn run(mut self) -> RotationRecord {
        let started = Instant::now();
        let (Ok(outcome) | Err(outcome)) = self.way().await;
        RotationRecord {
            decision: self.decision,
            plan: self.plan,
            policy_log: self.policy_log,
            requests: self.call.log.records(),
            outcome,
            elapsed: started.elapsed(),
            app: self.app,
        }
    }

    /// The way itself. `Err` is an end before the last step, not necessarily a bad one.
    async fn way(&mut self) -> Result<Outcome, Outcome> {
        if self.relay.own_app.as_ref() == Some(&self.app) {
            let message = "keyrelay does not touch the app that it runs in: a write would stop it half-way";
            return Err(Outcome::new(Verdict::Refused, message));
        }
        let _writer = self.relay.writers.lock(&self.app, &self.call).await?;
        let statuses = self.relay.resource_manager.reference_statuses(&self.app, &self.call).await?;
        let decision = match self.order.policy.about().view {
            View::References => {
                let references = statuses.iter().filter_map(|row| Some((row.setting.clone(), self.target(row)?)));
                self.decide(visible_references(references)).await?
            }
            View::Settings => {
                let settings = self.relay.resource_manager.settings(&self.app, &self.call).await?;
                self.decide_on(&settings).await?
            }
        };
        match decision {
            Decision::Patch(_) => self.patch(&statuses).await,
            Decision::Refresh => self.refresh(&statuses).await,
            Decision::Notice(text) | Decision::Skip(text) => Ok(Outcome::new(Verdict::Unchanged, text)),
        }
    }

    fn target(&self, row: &ReferenceStatus) -> Option<Target> {
        let reference = Reference::parse(&row.reference, self.vault_suffix()).ok()?;
        Some(reference.target().clone())
    }

    fn vault_suffix(&self) -> &'a str {
        &self.relay.config.cloud.vault_suffix
    }

    async fn decide_on(&mut self, settings: &Settings) -> Result<Decision, Outcome> {
        self.decide(visible_settings(settings, self.order.grant, self.vault_suffix())).await
    }

    /// Asks the policy, in a fresh instance of its sandbox.
    async fn decide(&mut self, settings: Vec<VisibleSetting>) -> Result<Decision, Outcome> {
        let order = self.order;
        let view = AppView { id: &self.app, settings: &settings, parameters: order.parameters };
        match order.policy.decide(order.event, &view, &order.limits).await {
            Ok(answer) => {
                self.policy_log = answer.log;
                self.decision = Some(decide::in_short(&answer.decision));
                Ok(answer.decision)
            }
            Err(Undecided { error, log }) => {
                self.policy_log = log;
                Err(error.into())
            }
        }
    }

    /// Has Azure resolve all references anew, unless those of the secret are good already. Never reads the settings.
    async fn refresh(&mut self, statuses: &[ReferenceStatus]) -> Result<Outcome, Outcome> {
        let order = self.order;
        let awaited = self.awaited(statuses);
        if awaited.is_empty() {
            let message = "no setting of the app references the secret without a version: a refresh changes nothing";
            return Ok(Outcome::new(Verdict::Unchanged, message));
        }
        if self.are_good(&awaited, statuses) {
            return Ok(Outcome::new(Verdict::Unchanged, format!("{} already", resolved(&awaited))));
        }
        if order.mode == Mode::Monitor {
            return Ok(Outcome::new(Verdict::Monitored, "would refresh the references of the app"));
        }
        self.relay.resource_manager.refresh_references(&self.app, &self.call).await?;
        match self.verify(&awaited).await {
            Ok(()) => Ok(Outcome::new(Verdict::Verified, resolved(&awaited))),
            Err(Unproven::Pending(message)) => Ok(pending("refreshed", &message)),
            Err(Unproven::Broken(message)) => Err(Outcome::permanent(message)),
            Err(Unproven::Failed(outcome)) => Err(outcome),
        }
    }

    /// Writes what the policy wants, if its grant allows it, and proves it or takes it back.
    async fn patch(&mut self, statuses: &[ReferenceStatus]) -> Result<Outcome, Outcome> {
        let plan = match self.write_decision().await? {
            apply::Planned::Plan(plan) => plan,
            apply::Planned::Refresh => return self.refresh(statuses).await,
        };
        let awaited = self.awaited_after(&plan, statuses);
        let outcome = match self.verify(&awaited).await {
            Ok(()) if plan.is_empty() => Outcome::new(Verdict::Unchanged, format!("{} already", resolved(&awaited))),
            Ok(()) => Outcome::new(Verdict::Verified, resolved(&awaited)),
            Err(Unproven::Pending(message)) => pending("written", &message),
            Err(Unproven::Failed(outcome)) => return Err(outcome),
            Err(Unproven::Broken(message)) if plan.is_empty() => return Err(Outcome::permanent(message)),
            Err(Unproven::Broken(message)) => self.roll_back(&plan, &message).await?,
        };
        Ok(outcome)
    }

    /// The references that a refresh or a write brings to the event's version: those to its secret, but for the ones
    /// that are pinned to another version.
    fn awaited(&self, statuses: &[ReferenceStatus]) -> Vec<Awaited> {
        let event = self.order.event;
        let targets = statuses.iter().filter_map(|row| Some((row.setting.clone(), self.target(row)?)));
        let of_secret = targets.filter(|(_, target)| target.is_of(event));
        let moving = of_secret.filter(|(_, target)| target.version.is_none() || target.version == event.version);
        moving.map(|(setting, target)| Awaited::new(setting, target, event)).collect()
    }

    /// The references to wait for after a write: those of the plan, and those that Azure resolves anew along with them.
    fn awaited_after(&self, plan: &Plan, statuses: &[ReferenceStatus]) -> Vec<Awaited> {
        let written = plan.references(self.vault_suffix()).into_iter();
        let mut awaited: Vec<Awaited> =
            written.map(|(setting, target)| Awaited::new(setting, target, self.order.event)).collect();
        let others = self.awaited(statuses).into_iter();
        awaited.extend(others.filter(|it| plan.changes().all(|(name, _)| *name != it.setting)));
        awaited
    }

    /// Whether every version that is wanted is there. One that is not known may always be missing.
    fn are_good(&self, awaited: &[Awaited], statuses: &[ReferenceStatus]) -> bool {
        awaited.iter().all(|it| {
            if it.version.is_none() {
                return false;
            }
            let row = statuses.iter().find(|row| row.setting == it.setting);
            judge(it, row, self.order.versions, self.vault_suffix()) == Look::Good
        })
    }

    async fn verify(&self, awaited: &[Awaited]) -> Result<(), Unproven> {
        self.relay.verify(&self.app, awaited, self.order.versions, &self.call).await
    }
}

fn pending(done: &str, message: &str) -> Outcome {
    Outcome::new(Verdict::Pending, format!("{done}, not confirmed yet: {message}"))
}

/// Says which settings hold which version.
fn resolved(awaited: &[Awaited]) -> String {
    let one = |it: &Awaited| match &it.version {
        Some(version) => format!("`{}` is resolved with version {version}", it.setting),
        None => format!("`{}` is resolved", it.setting),
    };
    let all: Vec<String> = awaited.iter().map(one).collect();
    if all.is_empty() { "nothing is left to do".to_owned() } else { all.join(", ") }
}
