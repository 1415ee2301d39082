//! The record of a run: the object in the store, the log lines, and the lines of the response.
//!
//! It holds names, references and digests, never plain text of a setting.

mod event;
mod log;

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::{Operation, RequestRecord};
use keyrelay_model::{AppId, Event, PlannedChange, Verdict};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::outcome::Outcome;
use crate::remaining_sites::RemainingSites;
use crate::run_id::RunId;
pub use event::{EventRecord, EventRecordError};
use keyrelay_config::Mode;

/// The format of the records that this version writes. A reader refuses a higher one.
pub const FORMAT: u32 = 1;

/// One event with all its rotations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// [`FORMAT`].
    pub format: u32,
    /// The id.
    pub id: RunId,
    /// The cause.
    pub cause: Cause,
    /// The run that it continues.
    pub of: Option<RunId>,
    /// The time at which it began.
    pub started: Timestamp,
    /// The duration.
    pub duration_ms: u64,
    /// The invocation.
    pub invocation: String,
    /// The instance of the function app.
    pub instance: Option<String>,
    /// The event. None: the invocation contained something else.
    pub event: Option<EventRecord>,
    /// The policy that decided.
    pub policy: Option<PolicyRecord>,
    /// The mode that applied.
    pub mode: Option<Mode>,
    /// The requests to Azure before the rotations: for versions, sites and references. The newest
    /// hundred.
    #[serde(default)]
    pub requests: Vec<AzureRequest>,
    /// The outcome of a run that ended before its rotations, or that left some apps out.
    pub ended: Option<Outcome>,
    /// Remarks for operators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The rotations.
    pub rotations: Vec<RotationRecord>,
    /// Whether the reconcile timer checks pending work again. Most checks find nothing new.
    #[serde(skip)]
    pub is_recheck: bool,
    /// The time at which the reconcile timer is to handle a postponed event again: its version is not
    /// valid before.
    #[serde(skip)]
    pub not_before: Option<Timestamp>,
    /// The sites that are left to a later run. Empty: none.
    #[serde(skip)]
    pub remaining: Vec<RemainingSites>,
    /// The apps that are left to a later run. Empty: none, or those of [`remaining`](Self::remaining).
    #[serde(skip)]
    pub remaining_apps: Vec<AppId>,
}

/// The cause of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Event Grid delivered an event.
    Event,
    /// The reconcile timer continued pending work.
    Pending,
    /// The reconcile timer found a reference that is behind its vault.
    Drift,
    /// The reconcile timer found a secret that expires soon.
    Reminder,
    /// An operator resubmitted an earlier run.
    Resubmit,
}

impl Cause {
    /// The words of all causes.
    pub const WORDS: [&'static str; 5] = ["event", "pending", "drift", "reminder", "resubmit"];

    /// The word for the cause, as in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Pending => "pending",
            Self::Drift => "drift",
            Self::Reminder => "reminder",
            Self::Resubmit => "resubmit",
        }
    }
}

/// The policy of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its file.
    pub digest: String,
}

/// The record of a rotation: one event, handled for one app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RotationRecord {
    /// The app.
    #[serde(with = "crate::text")]
    pub app: AppId,
    /// The policy's decision, in short.
    pub decision: Option<String>,
    /// The plan: names and references, never plain text.
    pub plan: Vec<PlannedChange>,
    /// Other changes to the app's settings: overwritten values of a concurrent writer that were
    /// restored.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The output of the policy.
    pub policy_log: Vec<String>,
    /// The requests to Azure, for all events of the batch.
    pub requests: Vec<AzureRequest>,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The duration.
    pub duration_ms: u64,
    /// The outcome before a later run continued the rotation.
    #[serde(default)]
    pub before: Option<FormerOutcome>,
}

/// The outcome of a rotation before a later run continued it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerOutcome {
    /// The former outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The later run.
    pub settled_by: RunId,
}

/// The record of a request to Azure, with all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AzureRequest {
    /// A verb with its object: `read the settings`.
    pub operation: String,
    /// The object of the operation.
    pub subject: String,
    /// The time of the first attempt.
    pub at: Timestamp,
    /// The duration, with all attempts.
    pub duration_ms: u64,
    /// The status of the last response. None if there was no response.
    pub status: Option<u16>,
    /// `x-ms-request-id` of the last response.
    pub request_id: Option<String>,
    /// `x-ms-correlation-request-id` of the last response.
    pub correlation_id: Option<String>,
    /// The number of attempts.
    pub attempts: u32,
}

impl Run {
    /// Whether the run is worth a record. Most checks of the reconcile timer find nothing to do, or
    /// nothing new.
    pub fn is_worth_a_record(&self) -> bool {
        let mut outcomes = self.outcomes();
        match self.cause {
            Cause::Event | Cause::Resubmit | Cause::Reminder => true,
            // A postponed event; and pending work that was finished or changed.
            Cause::Pending => {
                !self.is_recheck || self.has_changed_something() || outcomes.all(Outcome::is_final)
            }
            Cause::Drift => {
                outcomes.any(|it| !matches!(it.verdict, Verdict::Unchanged | Verdict::Notice))
            }
        }
    }

    /// Whether any app was changed, or may have been.
    pub fn has_changed_something(&self) -> bool {
        self.rotations.iter().any(RotationRecord::has_changed_app)
    }

    /// Begins a run at this time of the store's clock.
    pub fn begin(
        cause: Cause,
        invocation: &str,
        event: Option<&Event>,
        started: Timestamp,
    ) -> Self {
        Self {
            format: FORMAT,
            id: RunId::at(started),
            cause,
            of: None,
            started,
            duration_ms: 0,
            invocation: invocation.to_owned(),
            instance: None,
            event: event.map(EventRecord::from),
            policy: None,
            mode: None,
            requests: Vec::new(),
            ended: None,
            rotations: Vec::new(),
            notes: Vec::new(),
            is_recheck: false,
            remaining: Vec::new(),
            remaining_apps: Vec::new(),
            not_before: None,
        }
    }

    /// Whether Event Grid should deliver the event again.
    pub fn asks_for_redelivery(&self) -> bool {
        self.outcomes()
            .any(|outcome| outcome.verdict.asks_for_redelivery())
    }

    /// All outcomes of the run.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.ended
            .iter()
            .chain(self.rotations.iter().map(|rotation| &rotation.outcome))
    }

    /// All outcomes of the run, to be changed.
    pub fn outcomes_mut(&mut self) -> impl Iterator<Item = &mut Outcome> {
        self.ended.iter_mut().chain(
            self.rotations
                .iter_mut()
                .map(|rotation| &mut rotation.outcome),
        )
    }

    /// The most severe verdict of the run, with its weakest evidence.
    pub fn headline(&self) -> String {
        let verdict = self.verdict();
        let of_verdict = self.outcomes().filter(|outcome| outcome.verdict == verdict);
        let weakest = of_verdict.min_by_key(|outcome| outcome.evidence);
        weakest.map_or_else(|| verdict.to_string(), Outcome::headline)
    }

    /// The most severe verdict of the run.
    pub fn verdict(&self) -> Verdict {
        let worst = self
            .outcomes()
            .map(|outcome| outcome.verdict)
            .max_by_key(|verdict| verdict.weight());
        worst.unwrap_or(Verdict::Unchanged)
    }
}

impl RotationRecord {
    /// The record of a rotation that ended before anything was done for the app.
    pub fn ended(app: AppId, outcome: Outcome, elapsed: Duration) -> Self {
        Self {
            app,
            decision: None,
            plan: Vec::new(),
            notes: Vec::new(),
            policy_log: Vec::new(),
            requests: Vec::new(),
            outcome,
            duration_ms: milliseconds(elapsed),
            before: None,
        }
    }

    /// Whether the app was changed, or may have been.
    pub fn has_changed_app(&self) -> bool {
        let changes = [Operation::WriteSettings, Operation::RefreshReferences]
            .map(|operation| operation.to_string());
        let mut sent = self.requests.iter().filter(|request| request.attempts > 0);
        sent.any(|request| changes.contains(&request.operation))
    }
}

impl From<RequestRecord> for AzureRequest {
    fn from(record: RequestRecord) -> Self {
        let ago = Instant::now().saturating_duration_since(record.started);
        Self {
            operation: record.operation.to_string(),
            subject: record.subject,
            at: Timestamp::now()
                .checked_sub(ago)
                .unwrap_or(Timestamp::UNIX_EPOCH),
            duration_ms: milliseconds(record.elapsed),
            status: record.status,
            request_id: record.ids.request,
            correlation_id: record.ids.correlation,
            attempts: record.attempts,
        }
    }
}

/// Returns a duration in whole milliseconds.
pub fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
