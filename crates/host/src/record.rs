//! The record of a run: what is kept in the store, what is logged, and what an invocation is answered.
//!
//! It holds names, references and digests, never plain text of a setting.

mod event;
mod log;

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::{Operation, RequestRecord};
use keyrelay_model::{AppId, Event, Verdict};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::Mode;
use crate::outcome::Outcome;
use crate::run_id::RunId;
pub use event::{EventRecord, EventRecordError};

/// The format of the records that this version writes. A reader refuses a higher one.
pub const FORMAT: u32 = 1;

/// One event with all its rotations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// [`FORMAT`].
    pub format: u32,
    /// Its name.
    pub id: RunId,
    /// What made it happen.
    pub cause: Cause,
    /// The run that it takes further.
    pub of: Option<RunId>,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The invocation in which it happened.
    pub invocation: String,
    /// The instance of the function app that it happened on, if Azure says so.
    pub instance: Option<String>,
    /// The event. None: the value that came in its place is none.
    pub event: Option<EventRecord>,
    /// The policy that decided.
    pub policy: Option<PolicyRecord>,
    /// The mode that held.
    pub mode: Option<Mode>,
    /// The requests made to Azure before it came to rotations: for versions, sites and references. The newest hundred.
    #[serde(default)]
    pub requests: Vec<Request>,
    /// How the run ended before it came to rotations, if it did.
    pub ended: Option<Outcome>,
    /// The rotations.
    pub rotations: Vec<RotationRecord>,
    /// Whether it is one of the reconcile timer's looks at open work. Most of them find nothing new.
    #[serde(skip)]
    pub is_look: bool,
}

/// What makes a run happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Event Grid delivered an event.
    Event,
    /// The reconcile timer went on with what was pending.
    Pending,
    /// The reconcile timer found a reference that is behind its vault.
    Drift,
    /// The reconcile timer found a secret that expires soon.
    Reminder,
    /// Somebody asked for it.
    Resubmit,
}

/// The policy that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its file.
    pub digest: String,
}

/// One rotation: one event, handled for one app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RotationRecord {
    /// The app.
    #[serde(with = "text")]
    pub app: AppId,
    /// What the policy answered, in short.
    pub decision: Option<String>,
    /// The plan: names and references, never plain text.
    pub plan: Vec<String>,
    /// What else happened to the app's settings that an operator should know: a repaired collision.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What the policy wrote to its output.
    pub policy_log: Vec<String>,
    /// The requests made to Azure, for all events that were handled together.
    pub requests: Vec<Request>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took.
    pub duration_ms: u64,
    /// How it stood before a later run took it further.
    #[serde(default)]
    pub before: Option<Former>,
}

/// How a rotation stood before a later run took it further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// What it was then.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The later run.
    pub settled_by: RunId,
}

/// One request to Azure: all attempts at it, seen as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// A verb with its object: `read the settings`.
    pub operation: String,
    /// To what it was done.
    pub subject: String,
    /// When it was begun.
    pub at: Timestamp,
    /// How long it took, repetitions included.
    pub duration_ms: u64,
    /// The status of the last answer; none if there was none.
    pub status: Option<u16>,
    /// `x-ms-request-id` of the last answer.
    pub request_id: Option<String>,
    /// `x-ms-correlation-request-id` of the last answer.
    pub correlation_id: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
}

impl Run {
    /// Whether any app was changed, or may have been.
    pub(crate) fn has_changed_something(&self) -> bool {
        let changes = [Operation::WriteSettings, Operation::RefreshReferences]
            .map(|operation| operation.to_string());
        let mut requests = self
            .rotations
            .iter()
            .flat_map(|rotation| &rotation.requests);
        requests.any(|request| changes.contains(&request.operation))
    }

    /// A run that begins now.
    pub fn begin(cause: Cause, invocation: &str, event: Option<&Event>) -> Self {
        let started = Timestamp::now();
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
            is_look: false,
        }
    }

    /// Whether Event Grid should deliver the event again.
    pub fn asks_for_redelivery(&self) -> bool {
        self.outcomes()
            .any(|outcome| outcome.verdict.asks_for_redelivery())
    }

    /// Every verdict with its sentence.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.ended
            .iter()
            .chain(self.rotations.iter().map(|rotation| &rotation.outcome))
    }

    pub(crate) fn outcomes_mut(&mut self) -> impl Iterator<Item = &mut Outcome> {
        self.ended.iter_mut().chain(
            self.rotations
                .iter_mut()
                .map(|rotation| &mut rotation.outcome),
        )
    }

    /// The verdict that an operator should see first, of all that the run has.
    pub fn verdict(&self) -> Verdict {
        let worst = self
            .outcomes()
            .map(|outcome| outcome.verdict)
            .max_by_key(|verdict| verdict.weight());
        worst.unwrap_or(Verdict::Unchanged)
    }
}

impl RotationRecord {
    /// A rotation that ended before anything was done for the app.
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
}

impl From<RequestRecord> for Request {
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

pub(crate) fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// An app's id as the text that it is.
mod text {
    use keyrelay_model::AppId;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(app: &AppId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(app)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<AppId, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
