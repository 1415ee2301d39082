//! What all rotations of one event have in common, and one rotation on its way through the queue of its app.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use keyrelay_azure::{Call, Deadline};
use keyrelay_model::{AppId, Event, Grant, Occurrence, Plan, SecretVersion, Versions};
use keyrelay_sandbox::{Limits, Policy};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use crate::config::Mode;
use crate::outcome::Outcome;
use crate::pending::Undo;
use crate::record::{Cause, Request, RotationRecord, milliseconds};
use crate::run_id::RunId;
use crate::telemetry::SPANS;
use crate::verify::Awaited;

/// What all rotations of one event have in common.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) run: RunId,
    pub(crate) cause: Cause,
    pub(crate) event: Event,
    /// When the run began.
    pub(crate) began: Timestamp,
    /// The vault's list of versions, not older than that.
    pub(crate) versions: Arc<Versions>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) mode: Mode,
    pub(crate) grant: Grant,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) limits: Limits,
    /// What an earlier run left open, if this one goes on with it.
    pub(crate) carried: Option<Carried>,
    /// How it ends if the earlier run has written nothing after all: the event would not be handled any more. What was
    /// written is proven or taken back all the same.
    pub(crate) unless_written: Option<Outcome>,
}

/// What an earlier run left open.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    /// The first run, which is still without a final verdict.
    pub(crate) run: RunId,
    pub(crate) since: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) undo: Vec<Undo>,
}

/// One rotation: an order for one app.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) order: Arc<Order>,
    pub(crate) deadline: Deadline,
    pub(crate) stage: Stage,
    pub(crate) decision: Option<String>,
    pub(crate) plan: Vec<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) policy_log: Vec<String>,
    /// Its part of the trace, until its verdict is out.
    pub(crate) span: Span,
    began: Instant,
    reply: Option<oneshot::Sender<RotationRecord>>,
}

/// How far a rotation has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The policy has not been asked.
    Undecided,
    /// The policy wants to patch, or wants to see the settings before it says what it wants.
    Patch,
    /// The policy wants a refresh.
    Refresh,
    /// Applied, if there was anything to apply; what is left is the proof.
    Proof(Proof),
    /// Its verdict is out.
    Ended,
}

/// What has to be proven, and what is taken back if it cannot be.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) awaited: Vec<Awaited>,
    pub(crate) plan: Plan,
    /// The settings whose former values are not known any more.
    pub(crate) not_kept: Vec<String>,
    /// Whether anything was done: `written`, `refreshed`, or nothing.
    pub(crate) done: Option<&'static str>,
}

impl Order {
    /// The new version that the event tells of; none for other events.
    pub(crate) fn new_version(&self) -> Option<&SecretVersion> {
        self.event
            .version
            .as_ref()
            .filter(|_| self.event.occurrence == Occurrence::NewVersionCreated)
    }

    /// The run that an operator knows this work by.
    pub(crate) fn first_run(&self) -> &RunId {
        self.carried
            .as_ref()
            .map_or(&self.run, |carried| &carried.run)
    }
}

impl Rotation {
    /// A rotation, and where its record will come out.
    pub(crate) fn new(
        order: Arc<Order>,
        app: &AppId,
        deadline: Deadline,
    ) -> (Self, oneshot::Receiver<RotationRecord>) {
        let (reply, record) = oneshot::channel();
        let span = tracing::info_span!(
            target: SPANS,
            "rotation",
            app.id = %app,
            secret.name = order.event.name.as_str(),
            policy.name = order.policy.name(),
            run.id = order.run.as_str(),
            decision = Empty,
            verdict = Empty,
            otel.status_code = Empty,
        );
        let rotation = Self {
            order,
            deadline,
            stage: Stage::Undecided,
            decision: None,
            plan: Vec::new(),
            notes: Vec::new(),
            policy_log: Vec::new(),
            span,
            began: Instant::now(),
            reply: Some(reply),
        };
        (rotation, record)
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Ended)
    }

    /// The proof that is still owed.
    pub(crate) fn proof(&self) -> Option<&Proof> {
        match &self.stage {
            Stage::Proof(proof) => Some(proof),
            _ => None,
        }
    }

    /// Gives the verdict out. Does nothing if it is out already.
    pub(crate) fn end(&mut self, app: &AppId, call: &Call, outcome: Outcome) {
        self.stage = Stage::Ended;
        let Some(reply) = self.reply.take() else {
            return;
        };
        let span = std::mem::replace(&mut self.span, Span::none());
        self.decision
            .as_deref()
            .map(|decision| span.record("decision", decision));
        span.record("verdict", outcome.verdict.as_str());
        if outcome.verdict.is_error() {
            span.record("otel.status_code", "ERROR");
        }
        drop(span);
        let record = RotationRecord {
            app: app.clone(),
            decision: self.decision.take(),
            plan: std::mem::take(&mut self.plan),
            notes: std::mem::take(&mut self.notes),
            policy_log: std::mem::take(&mut self.policy_log),
            requests: call.log.records().into_iter().map(Request::from).collect(),
            outcome,
            duration_ms: milliseconds(self.began.elapsed()),
            before: None,
        };
        // Whoever waited for it may have run out of time; then the event is delivered again.
        let _ = reply.send(record);
    }
}
