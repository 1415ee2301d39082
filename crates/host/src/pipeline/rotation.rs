//! One rotation: one event, handled for one app.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{Call, ReferenceKind};
use keyrelay_model::{
    AppId, Event, Occurrence, Plan, PlannedChange, RefreshProgress, SecretVersion, SettingName,
    Target,
};
use keyrelay_records::{AzureRequest, Outcome, RotationRecord, WorkEntry, milliseconds};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use super::arrivals::ArrivalId;
use super::event_context::EventContext;
use super::time_budget::TimeBudget;
use crate::telemetry::SPANS;

/// One rotation on its way through the queue of its app.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) context: Arc<EventContext>,
    pub(crate) budget: TimeBudget,
    /// The arrival of its event.
    pub(crate) arrival: ArrivalId,
    pub(crate) stage: Stage,
    /// Whether a connection string of the app may reference the secret.
    pub(crate) may_have_connection_strings: bool,
    /// The patch of all attempts so far. It holds, for each setting, the value before the first
    /// attempt, and stays if a later evaluation does not patch any more: a write may have happened.
    pub(crate) attempted: Plan,
    /// The policy's decision in short, for the record.
    pub(crate) decision: Option<String>,
    /// The plan in words, for the record.
    pub(crate) plan: Vec<PlannedChange>,
    /// Remarks for operators, for the record.
    pub(crate) notes: Vec<String>,
    /// The output of the policy, for the record.
    pub(crate) policy_log: Vec<String>,
    /// The reason for which the rotation has no verdict yet.
    pub(crate) reason: String,
    /// The time until the reconcile timer is to continue, if that is known.
    pub(crate) due_in: Option<Duration>,
    /// Whether another status check may find something new before that.
    pub(crate) is_visible: bool,
    /// The pending work of the rotation in the store.
    pub(crate) entry: Option<WorkEntry>,
    /// The span of the rotation, until its verdict.
    pub(crate) span: Span,
    began: Instant,
    reply: Option<oneshot::Sender<RotationRecord>>,
    /// The record of a rotation that has its verdict, until it is delivered.
    record: Option<RotationRecord>,
}

/// The stage of a rotation.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The policy has not decided.
    Undecided,
    /// The policy needs the app's settings to decide.
    NeedsSettings,
    /// The policy patches.
    Patch,
    /// The policy refreshes.
    Refresh,
    /// The change is applied, if there was one, and has to be verified.
    Verify(Verification),
    /// The rotation has its verdict.
    Closed,
}

/// The references to verify, and the way back if they do not resolve.
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    pub(crate) awaited: Vec<AwaitedReference>,
    /// The plan that was applied, which is rolled back if a reference does not resolve.
    pub(crate) plan: Plan,
    /// The settings whose values before the plan are unknown: plain text is never stored.
    pub(crate) unrecoverable: Vec<String>,
    pub(crate) change: AppliedChange,
    /// Whether the policy has decided to refresh. Then pinned references are refreshed too.
    pub(crate) is_refresh: bool,
    /// The refreshes for the event so far, at the moment `progress_at`.
    pub(crate) progress: RefreshProgress,
    pub(crate) progress_at: Instant,
}

/// The change that a rotation has made to its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppliedChange {
    /// The app was as the policy wants it.
    None,
    /// Settings were written.
    Written,
    /// The references were refreshed.
    Refreshed,
}

/// A reference that has to be resolved with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AwaitedReference {
    /// The setting that holds the reference.
    pub(crate) setting: SettingName,
    /// Whether it is an app setting or a connection string.
    pub(crate) kind: ReferenceKind,
    /// The secret that it references.
    pub(crate) target: Target,
    /// The version that has to be active, or a newer one. None: any version.
    pub(crate) version: Option<SecretVersion>,
}

impl AwaitedReference {
    /// The reference to wait for when `setting` references `target`: with the version that it is
    /// pinned to, or else with the version of the event, if that is a new version of the same
    /// secret.
    pub(crate) fn new(
        (setting, kind): (SettingName, ReferenceKind),
        target: Target,
        event: &Event,
    ) -> Self {
        let is_new = target.is_of(event) && event.occurrence == Occurrence::NewVersionCreated;
        let of_event = event.version.clone().filter(|_| is_new);
        let version = target.version.clone().or(of_event);
        Self {
            setting,
            kind,
            target,
            version,
        }
    }
}

impl Verification {
    /// A verification of references, without a change so far.
    pub(crate) fn of(awaited: Vec<AwaitedReference>) -> Self {
        Self {
            awaited,
            plan: Plan::default(),
            unrecoverable: Vec::new(),
            change: AppliedChange::None,
            is_refresh: false,
            progress: RefreshProgress::default(),
            progress_at: Instant::now(),
        }
    }

    /// The refreshes for the event so far, as of now.
    pub(crate) fn progress(&self) -> RefreshProgress {
        self.progress.later(self.progress_at.elapsed())
    }
}

impl Rotation {
    /// Makes a rotation. The receiver gets its record.
    pub(crate) fn new(
        context: Arc<EventContext>,
        app: &AppId,
        budget: TimeBudget,
        arrival: ArrivalId,
    ) -> (Self, oneshot::Receiver<RotationRecord>) {
        let (reply, record) = oneshot::channel();
        let span = tracing::info_span!(
            target: SPANS,
            "rotation",
            app.id = %app,
            secret.name = context.event.name.as_str(),
            policy.name = context.policy.as_ref().map(|policy| policy.name()),
            run.id = context.run.as_str(),
            decision = Empty,
            verdict = Empty,
            otel.status_code = Empty,
        );
        let resumed = context.resumed.as_ref();
        let entry = resumed.map(|resumed| resumed.entry.clone());
        let notes = resumed.map_or_else(Vec::new, |it| it.work.notes.clone());
        let rotation = Self {
            entry,
            record: None,
            context,
            budget,
            arrival,
            stage: Stage::Undecided,
            may_have_connection_strings: true,
            attempted: Plan::default(),
            decision: None,
            plan: Vec::new(),
            notes,
            policy_log: Vec::new(),
            reason: String::new(),
            due_in: None,
            is_visible: true,
            span,
            began: Instant::now(),
            reply: Some(reply),
        };
        (rotation, record)
    }

    /// Whether the rotation has no verdict yet.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Closed)
    }

    /// Whether the policy is to decide with the settings of the app.
    pub(crate) fn wants_settings(&self) -> bool {
        matches!(self.stage, Stage::NeedsSettings | Stage::Patch)
    }

    /// The verification that is due.
    pub(crate) fn verification(&self) -> Option<&Verification> {
        match &self.stage {
            Stage::Verify(verification) => Some(verification),
            _ => None,
        }
    }

    /// The verification that is due, to be changed.
    pub(crate) fn verification_mut(&mut self) -> Option<&mut Verification> {
        match &mut self.stage {
            Stage::Verify(verification) => Some(verification),
            _ => None,
        }
    }

    /// Notes that there is nothing to do for now.
    pub(crate) fn wait(&mut self, reason: String, due_in: Option<Duration>, is_visible: bool) {
        self.reason = reason;
        self.due_in = due_in;
        self.is_visible = is_visible;
    }

    /// Whether the rotation owns an entry of pending work: a later verdict has to remove it. That of
    /// resumed work is removed by the reconcile timer, when the first run has the verdict too.
    pub(crate) fn owns_entry(&self) -> bool {
        self.entry.is_some() && self.context.resumed.is_none()
    }

    /// Closes the rotation with its verdict. The first verdict counts.
    ///
    /// The verdict is delivered at once, unless pending work has to be removed before:
    /// [`deliver`](Self::deliver) follows then.
    pub(crate) fn close(&mut self, app: &AppId, call: &Call, outcome: Outcome) {
        if !self.is_open() {
            return;
        }
        self.stage = Stage::Closed;
        let span = std::mem::replace(&mut self.span, Span::none());
        if let Some(decision) = self.decision.as_deref() {
            span.record("decision", decision);
        }
        span.record("verdict", outcome.verdict.as_str());
        if outcome.verdict.is_error() {
            span.record("otel.status_code", "ERROR");
        }
        drop(span);
        self.record = Some(RotationRecord {
            app: app.clone(),
            decision: self.decision.take(),
            plan: std::mem::take(&mut self.plan),
            notes: std::mem::take(&mut self.notes),
            policy_log: std::mem::take(&mut self.policy_log),
            requests: call
                .log
                .records()
                .into_iter()
                .map(AzureRequest::from)
                .collect(),
            outcome,
            duration_ms: milliseconds(self.began.elapsed()),
            before: None,
        });
        if !self.owns_entry() {
            self.deliver();
        }
    }

    /// Delivers the verdict to the run.
    pub(crate) fn deliver(&mut self) {
        if let Some((reply, record)) = self.reply.take().zip(self.record.take()) {
            // The run may have ended without it; then the reconcile timer goes on.
            let _ = reply.send(record);
        }
    }

    /// Whether the run has ended without the rotation.
    pub(crate) fn is_late(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Whether the rotation has its verdict, which is not delivered yet.
    pub(crate) fn is_undelivered(&self) -> bool {
        self.record.is_some()
    }
}
