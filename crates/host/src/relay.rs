//! Everything that handles events, put together, and the way of one event through it:
//! decode → admit → route → (read → decide → check → apply → verify) for each app → record.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, FuturesUnordered};
use jiff::Timestamp;
use keyrelay_azure::{Call, Deadline, KeyVault, ResourceManager};
use keyrelay_model::{AppId, Event, EventError, Verdict, Versions};
use keyrelay_sandbox::Limits;
use keyrelay_store::Store;
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::admit::{Admission, admit, known_versions};
use crate::config::{Config, Rule};
use crate::denials::Denials;
use crate::discovery::{Discovery, Found, Question};
use crate::history::History;
use crate::memory::Memories;
use crate::order::{Carried, Order};
use crate::outcome::Outcome;
use crate::pending::{Pending, Postponed, app_key};
use crate::record::{Cause, EventRecord, PolicyRecord, Request, RotationRecord, Run, milliseconds};
use crate::route::route;
use crate::run_id::RunId;
use crate::settled::Settled;
use crate::shelf::Shelf;
use crate::telemetry::{Metrics, SPANS, Telemetry};
use crate::turns::{Arrival, Turns};

/// The parts of the program that live as long as the process.
#[derive(Debug)]
pub struct Relay {
    /// What was configured.
    pub config: Config,
    /// The app that this process runs in, in Azure.
    pub own_app: Option<AppId>,
    /// What this process is called where others see it: the instance of the function app, and the process on it.
    pub instance: String,
    /// The policies.
    pub shelf: Shelf,
    /// Sites and their settings.
    pub resource_manager: ResourceManager,
    /// Versions of secrets, never their values.
    pub key_vault: KeyVault,
    /// Which versions secrets have.
    pub(crate) versions: Memories<String, Arc<Versions>>,
    /// Which apps use which secret.
    pub discovery: Discovery,
    /// One writer for each app, in this process.
    pub turns: Turns,
    /// What outlives an invocation: leases, and what is behind the next three.
    pub store: Store,
    /// The runs.
    pub history: History,
    /// What is not finished.
    pub pending: Pending,
    /// Refusals that may be fresh role assignments.
    pub denials: Denials,
    /// What redeliveries need not look at again.
    pub settled: Settled,
    /// What is sent to whoever watches.
    pub telemetry: Telemetry,
    /// What is counted and measured for it.
    pub metrics: Arc<Metrics>,
}

/// How long one rotation may take, if nobody waits for the answer: others wait for their turn.
const ONE_ROTATION: Duration = Duration::from_secs(45);

/// What makes a run, and what it is limited to.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) invocation: String,
    pub(crate) cause: Cause,
    pub(crate) of: Option<RunId>,
    /// The apps that it is about. None: those that the rule names, or that use the secret.
    pub(crate) apps: Option<Vec<AppId>>,
    pub(crate) carried: Option<Carried>,
}

impl Trigger {
    pub(crate) fn event(invocation: &str) -> Self {
        Self {
            invocation: invocation.to_owned(),
            cause: Cause::Event,
            of: None,
            apps: None,
            carried: None,
        }
    }
}

impl Relay {
    /// Handles one event, or the value that came in its place, for all apps that it concerns, and records it.
    pub(crate) async fn run(
        self: &Arc<Self>,
        trigger: Trigger,
        event: Result<Event, EventError>,
        deadline: Deadline,
    ) -> Run {
        let span = tracing::info_span!(
            target: SPANS,
            "event",
            cause = ?trigger.cause,
            event.id = event.as_ref().ok().map(|event| event.id.as_str()),
            event.type = event.as_ref().ok().map(|event| format!("{}{}", event.kind, event.occurrence)),
            secret.name = event.as_ref().ok().map(|event| event.name.as_str()),
            run.id = Empty,
            of = trigger.of.as_ref().map(RunId::as_str),
        );
        self.run_within(trigger, event, deadline)
            .instrument(span)
            .await
    }

    async fn run_within(
        self: &Arc<Self>,
        trigger: Trigger,
        event: Result<Event, EventError>,
        deadline: Deadline,
    ) -> Run {
        let began = Instant::now();
        let arrival = self.turns.arrival();
        let mut run = Run::begin(trigger.cause, &trigger.invocation, event.as_ref().ok());
        tracing::Span::current().record("run.id", run.id.as_str());
        run.instance = Some(self.instance.clone());
        run.of = trigger.of.clone();
        run.is_look = trigger.carried.is_some();
        let call = Call::until(deadline);
        let ended = match &event {
            Ok(event) => self.handle(event, &trigger, &call, arrival, &mut run).await,
            Err(error) => Err(Outcome::new(
                Verdict::Refused,
                format!("not handled: {error}"),
            )),
        };
        run.ended = ended.err();
        run.requests = call.log.records().into_iter().map(Request::from).collect();
        self.judge_denials(&mut run).await;
        run.duration_ms = milliseconds(began.elapsed());
        self.record(&mut run).await;
        self.metrics.run(&run);
        run.log(
            event
                .map_or_else(|error| error.id, |event| Some(event.id))
                .as_deref(),
        );
        run
    }

    /// Records an invocation that held no event at all.
    pub(crate) async fn refuse(&self, invocation: &str, message: String) -> Run {
        let mut run = Run::begin(Cause::Event, invocation, None);
        run.instance = Some(self.instance.clone());
        run.ended = Some(Outcome::new(Verdict::Refused, message));
        self.record(&mut run).await;
        run.log(None);
        run
    }

    /// Looks for rules whose policy is not there, or does not like its parameters: a mistake is said when keyrelay
    /// starts, and not only when a secret rotates.
    pub async fn check_rules(&self) {
        for (index, rule) in self.config.rules.iter().enumerate() {
            let Some(name) = &rule.policy else { continue };
            let checked = match self.shelf.policy(name).await {
                Ok(policy) => policy
                    .check_parameters(&rule.parameters, &limits(Some(rule)))
                    .await
                    .map_err(Outcome::from),
                Err(missing) => Err(Outcome::from(missing)),
            };
            if let Err(Outcome { message, .. }) = checked {
                tracing::error!(
                    policy.name = name,
                    "keyrelay.toml: rotation[{index}] will fail: {message}"
                );
            }
        }
    }

    /// The way of an event. `Err` is an end before its rotations, not necessarily a bad one.
    async fn handle(
        self: &Arc<Self>,
        event: &Event,
        trigger: &Trigger,
        call: &Call,
        arrival: Arrival,
        run: &mut Run,
    ) -> Result<(), Outcome> {
        let route = route(&self.config, &self.shelf.names(), &event.name);
        run.mode = Some(route.mode);
        // What an earlier run has written is proven or taken back, whatever has become of the event since.
        let owes = trigger
            .carried
            .as_ref()
            .is_some_and(|carried| !carried.undo.is_empty());
        let mut unless_written = None;
        let versions = match admit(self, event, route.mode, call).await {
            Admission::Admitted(versions) => versions,
            Admission::Ended(outcome) if owes => {
                unless_written = Some(outcome);
                known_versions(self, &event.vault_host, &event.name, call).await
            }
            Admission::Ended(outcome) => return Err(outcome),
            Admission::Postponed(not_before) => {
                return Err(self.postpone(event, not_before, run).await?);
            }
        };
        let policy = self.shelf.policy(&route.policy).await?;
        run.policy = Some(PolicyRecord {
            name: route.policy.clone(),
            digest: policy.digest().to_string(),
        });
        if !policy.about().wants(event.occurrence) {
            let message = format!(
                "policy `{}` does not decide about {}",
                route.policy, event.occurrence
            );
            let outcome = Outcome::new(Verdict::Unchanged, message);
            if !owes {
                return Err(outcome);
            }
            unless_written.get_or_insert(outcome);
        }
        let (parameters, grant) = route
            .rule
            .map(|rule| (rule.parameters.clone(), rule.grant.clone()))
            .unwrap_or_default();
        let limits = limits(route.rule);
        if let Err(error) = policy.check_parameters(&parameters, &limits).await {
            if !owes {
                return Err(error.into());
            }
            unless_written.get_or_insert(error.into());
        }
        let order = Arc::new(Order {
            run: run.id.clone(),
            cause: trigger.cause,
            event: event.clone(),
            began: run.started,
            versions,
            policy,
            mode: route.mode,
            grant,
            parameters,
            limits,
            carried: trigger.carried.clone(),
            unless_written,
        });
        let left = self
            .rotate(
                &order,
                route.rule,
                trigger,
                call,
                arrival,
                &mut run.rotations,
            )
            .await?;
        if left {
            return Err(self.leave_rest(event, trigger, run).await);
        }
        if run.rotations.is_empty() {
            return Err(Outcome::new(
                Verdict::Unchanged,
                "no app in the scope references the secret",
            ));
        }
        Ok(())
    }

    /// Rotates the apps that the event is about, side by side and as they are found. Returns whether the time was over
    /// before all had been begun.
    async fn rotate(
        self: &Arc<Self>,
        order: &Arc<Order>,
        rule: Option<&Rule>,
        trigger: &Trigger,
        call: &Call,
        arrival: Arrival,
        rotations: &mut Vec<RotationRecord>,
    ) -> Result<bool, Outcome> {
        let arrived = Instant::now();
        let deadline = call.deadline;
        let question = Question {
            event: &order.event,
            arrived,
            scope: &self.config.scope,
            azure: &self.resource_manager,
            vault_suffix: &self.config.cloud.vault_suffix,
            call,
        };
        let named = trigger
            .apps
            .as_ref()
            .or(rule.map(|rule| &rule.apps).filter(|apps| !apps.is_empty()));
        let mut found = match named {
            Some(apps) => {
                stream::iter(apps.iter().cloned().map(|app| Ok(Found::Using(app)))).boxed()
            }
            None => self.discovery.find(&question).boxed(),
        };
        let (mut waiting, mut under_way) = (VecDeque::new(), FuturesUnordered::new());
        let (mut arrival, mut is_searching, mut is_cut) = (Some(arrival), true, false);
        loop {
            while under_way.len() < self.config.apps_at_once
                && let Some(app) = waiting.pop_front()
            {
                if let Some(outcome) = self.without_turn(order, &app, trigger) {
                    rotations.push(RotationRecord::ended(app, outcome, Duration::ZERO));
                } else if deadline.has_passed() {
                    is_cut = true;
                } else {
                    let deadline = deadline.min(Deadline::after(ONE_ROTATION));
                    under_way.push(Turns::rotate(self, Arc::clone(order), app, deadline));
                }
            }
            if !is_searching || under_way.len() >= self.config.apps_at_once {
                // Now the event is with its apps, or with as many as are handled at once.
                arrival.take();
            }
            tokio::select! {
                Some(rotation) = under_way.next() => {
                    if matches!(trigger.cause, Cause::Event | Cause::Pending) {
                        self.settled.note(&order.event.id, &rotation);
                    }
                    rotations.push(rotation);
                }
                next = found.next(), if is_searching => match next {
                    Some(Ok(Found::Using(app))) => waiting.push_back(app),
                    Some(Ok(Found::Unknown(_, error))) if error.is_deadline_exceeded() => is_cut = true,
                    Some(Ok(Found::Unknown(app, error))) => {
                        rotations.push(RotationRecord::ended(app, error.into(), arrived.elapsed()));
                    }
                    // Only the list of sites can end like this, before anything has begun.
                    Some(Err(error)) => return Err(error.into()),
                    None => is_searching = false,
                },
                else => break,
            }
        }
        Ok(is_cut)
    }

    /// Leaves the apps that there was no time for to the next delivery, and to the reconcile timer, which has more time.
    async fn leave_rest(&self, event: &Event, trigger: &Trigger, run: &Run) -> Outcome {
        let reason = "there was no time for all apps of the scope";
        if trigger.cause == Cause::Event
            && let Err(outcome) = self
                .keep_for_later(event, Timestamp::now(), reason, run)
                .await
        {
            return outcome;
        }
        Outcome::transient(format!(
            "{reason}: the next delivery of the event goes on, and so does the reconcile timer"
        ))
    }

    /// How a rotation ends that nothing needs to be asked for.
    fn without_turn(&self, order: &Order, app: &AppId, trigger: &Trigger) -> Option<Outcome> {
        if self.own_app.as_ref() == Some(app) {
            let message =
                "keyrelay does not touch the app that it runs in: a write would stop it half-way";
            return Some(Outcome::new(Verdict::Refused, message));
        }
        let again = matches!(trigger.cause, Cause::Event | Cause::Pending)
            && self.settled.contains(&order.event.id, app);
        again.then(|| {
            Outcome::new(
                Verdict::Unchanged,
                "an earlier delivery of the event was handled for the app",
            )
        })
    }

    /// Keeps an event until its version is valid.
    async fn postpone(
        &self,
        event: &Event,
        not_before: u64,
        run: &Run,
    ) -> Result<Outcome, Outcome> {
        let due = i64::try_from(not_before)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        let due = due.ok_or_else(|| {
            Outcome::new(
                Verdict::Refused,
                "the version's not-before date is out of range",
            )
        })?;
        let reason = format!("the version is not valid before {due}");
        Ok(match self.keep_for_later(event, due, &reason, run).await? {
            true => Outcome::new(Verdict::Pending, format!("{reason}: it is handled then")),
            false => Outcome::new(
                Verdict::Unchanged,
                format!("{reason}: it is handled then, for an earlier delivery"),
            ),
        })
    }

    async fn keep_for_later(
        &self,
        event: &Event,
        due: Timestamp,
        reason: &str,
        run: &Run,
    ) -> Result<bool, Outcome> {
        let postponed = Postponed {
            run: Some(run.id.clone()),
            event: EventRecord::from(event),
            cause: Cause::Pending,
            due,
            since: Timestamp::now(),
            reason: reason.to_owned(),
            tried_since: None,
        };
        Ok(self.pending.postpone(&postponed).await?)
    }

    async fn judge_denials(&self, run: &mut Run) {
        if let Some(ended) = &mut run.ended {
            self.denials.judge("scope", ended).await;
        }
        for rotation in &mut run.rotations {
            self.denials
                .judge(&app_key(&rotation.app), &mut rotation.outcome)
                .await;
        }
    }

    /// Keeps the run in the history. If that fails the event is delivered again: nothing is done without a record.
    async fn record(&self, run: &mut Run) {
        if !run.is_worth_a_record() {
            return;
        }
        let Err(error) = self.history.keep(run).await else {
            return;
        };
        let outcome = Outcome::from(error);
        let message = format!(
            "the run is not recorded, deliver the event again: {}",
            outcome.message
        );
        let before = run
            .ended
            .take()
            .map(|ended| format!("{}; ", ended.message))
            .unwrap_or_default();
        run.ended = Some(Outcome {
            message: format!("{before}{message}"),
            ..outcome
        });
    }
}

impl Run {
    /// Whether there is something to record. The reconcile timer looks at many things that are as they should be, or are
    /// still open.
    fn is_worth_a_record(&self) -> bool {
        let mut outcomes = self.outcomes();
        match self.cause {
            Cause::Event | Cause::Resubmit | Cause::Reminder => true,
            // A postponed event; and open work if that is done with, or was worked on.
            Cause::Pending => {
                !self.is_look || self.has_changed_something() || outcomes.all(Outcome::is_final)
            }
            Cause::Drift => outcomes.any(|outcome| outcome.verdict != Verdict::Unchanged),
        }
    }
}

/// The limits of a policy under a rule.
pub fn limits(rule: Option<&Rule>) -> Limits {
    let overrides = rule.map(|rule| rule.limits).unwrap_or_default();
    let limits = Limits::default();
    Limits {
        time: overrides.time.unwrap_or(limits.time),
        memory: overrides.memory.unwrap_or(limits.memory),
        ..limits
    }
}
