//! Everything that handles events, put together, and the way of one event through it:
//! decode → admit → route → (read → decide → check → apply → verify) for each app → record.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use keyrelay_azure::{Call, Deadline, KeyVault, ResourceManager};
use keyrelay_model::{AppId, Event, EventError, Verdict};
use keyrelay_sandbox::Limits;
use tokio::time::Instant;

use crate::admit::{Admission, admit};
use crate::config::{Config, Rule};
use crate::discovery::{Discovery, Question};
use crate::outcome::Outcome;
use crate::record::{RotationRecord, Run};
use crate::rotation::{Order, Rotation};
use crate::route::route;
use crate::shelf::Shelf;
use crate::writers::Writers;

/// The parts of the program that live as long as the process.
#[derive(Debug)]
pub struct Relay {
    /// What was configured.
    pub config: Config,
    /// The app that this process runs in, in Azure.
    pub own_app: Option<AppId>,
    /// The policies.
    pub shelf: Shelf,
    /// Sites and their settings.
    pub resource_manager: ResourceManager,
    /// Versions of secrets, never their values.
    pub key_vault: KeyVault,
    /// Which apps use which secret.
    pub discovery: Discovery,
    /// One writer for each app.
    pub writers: Writers,
}

impl Relay {
    /// Handles one event, or the value that came in its place, for all apps that it concerns.
    pub async fn run(&self, invocation: &str, event: Result<Event, EventError>, deadline: Deadline) -> Run {
        let started = Instant::now();
        let mut run = Run {
            invocation: invocation.to_owned(),
            event,
            policy: None,
            rotations: Vec::new(),
            ended: None,
            elapsed: started.elapsed(),
        };
        let ended = match &run.event {
            Ok(event) => self.handle(event, deadline, &mut run.policy, &mut run.rotations).await,
            Err(error) => Err(Outcome::new(Verdict::Refused, format!("not handled: {error}"))),
        };
        run.ended = ended.err();
        run.elapsed = started.elapsed();
        run.log();
        run
    }

    /// Looks for rules whose policy is not there, or does not like its parameters: a mistake is said when keyrelay
    /// starts, and not only when a secret rotates.
    pub async fn check_rules(&self) {
        for (index, rule) in self.config.rules.iter().enumerate() {
            let Some(name) = &rule.policy else { continue };
            let checked = match self.shelf.policy(name).await {
                Ok(policy) => {
                    policy.check_parameters(&rule.parameters, &limits(Some(rule))).await.map_err(Outcome::from)
                }
                Err(missing) => Err(Outcome::from(missing)),
            };
            if let Err(Outcome { message, .. }) = checked {
                tracing::error!(policy.name = name, "keyrelay.toml: rotation[{index}] will fail: {message}");
            }
        }
    }

    /// The way of an event. `Err` is an end before its rotations, not necessarily a bad one.
    async fn handle(
        &self,
        event: &Event,
        deadline: Deadline,
        decided_by: &mut Option<(String, String)>,
        rotations: &mut Vec<RotationRecord>,
    ) -> Result<(), Outcome> {
        let route = route(&self.config, &self.shelf.names(), &event.name);
        let versions = match admit(self, event, route.mode, deadline).await {
            Admission::Admitted(versions) => versions,
            Admission::Ended(outcome) => return Err(outcome),
        };
        let policy = self.shelf.policy(&route.policy).await?;
        *decided_by = Some((route.policy.clone(), policy.digest().to_string()));
        if !policy.about().wants(event.occurrence) {
            let message = format!("policy `{}` does not decide about {}", route.policy, event.occurrence);
            return Err(Outcome::new(Verdict::Unchanged, message));
        }
        let (no_parameters, no_grant) = (BTreeMap::new(), keyrelay_model::Grant::default());
        let order = Order {
            event,
            versions: &versions,
            policy: &policy,
            mode: route.mode,
            grant: route.rule.map_or(&no_grant, |rule| &rule.grant),
            parameters: route.rule.map_or(&no_parameters, |rule| &rule.parameters),
            limits: limits(route.rule),
        };
        policy.check_parameters(order.parameters, &order.limits).await?;
        let apps = self.apps(event, route.rule, deadline, rotations).await?;
        let under_way = stream::iter(apps).map(|app| Rotation::new(self, &order, app, Call::until(deadline)).run());
        let done: Vec<_> = under_way.buffer_unordered(self.config.apps_at_once).collect().await;
        rotations.extend(done);
        if rotations.is_empty() {
            return Err(Outcome::new(Verdict::Unchanged, "no app in the scope references the secret"));
        }
        Ok(())
    }

    /// The apps that a rule names, or those of the scope that reference the secret. Apps that cannot be asked become
    /// failed rotations: they may use the secret.
    async fn apps(
        &self,
        event: &Event,
        rule: Option<&Rule>,
        deadline: Deadline,
        rotations: &mut Vec<RotationRecord>,
    ) -> Result<Vec<AppId>, Outcome> {
        if let Some(rule) = rule.filter(|rule| !rule.apps.is_empty()) {
            return Ok(rule.apps.clone());
        }
        let arrived = Instant::now();
        let call = Call::until(deadline);
        let question = Question {
            event,
            arrived,
            scope: &self.config.scope,
            azure: &self.resource_manager,
            vault_suffix: &self.config.cloud.vault_suffix,
            at_once: self.config.apps_at_once,
            call: &call,
        };
        let found = self.discovery.find(&question).await?;
        rotations.extend(found.unknown.into_iter().map(|(app, error)| RotationRecord {
            app,
            decision: None,
            plan: Vec::new(),
            policy_log: Vec::new(),
            requests: Vec::new(),
            outcome: error.into(),
            elapsed: arrived.elapsed(),
        }));
        Ok(found.using)
    }
}

fn limits(rule: Option<&Rule>) -> Limits {
    let overrides = rule.map(|rule| rule.limits).unwrap_or_default();
    let limits = Limits::default();
    Limits { time: overrides.time.unwrap_or(limits.time), memory: overrides.memory.unwrap_or(limits.memory), ..limits }
}
