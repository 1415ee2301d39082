//! The summary of a run: the part of its record that lists and filters of runs need.

use std::sync::Arc;

use keyrelay_model::{AppId, Verdict};
use serde::{Deserialize, Serialize};

use crate::record::{Cause, EventRecord, Run};
use crate::run_id::RunId;

/// The summary of a run. Equal parts of the summaries in one list share their memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The id, which has the start time.
    pub id: RunId,
    /// The cause.
    pub cause: Cause,
    /// The duration.
    pub duration_ms: u64,
    /// The event. None: the invocation contained something else.
    pub event: Option<Arc<EventSummary>>,
    /// The most severe verdict, with its weakest evidence, in words.
    pub headline: Arc<str>,
    /// The first line of the message of the most severe verdict. Empty: it is no error.
    pub message: Arc<str>,
    /// The verdict of a run that ended before its rotations, or that left some apps out.
    pub ended: Option<VerdictWord>,
    /// The app and the verdict of each rotation.
    pub rotations: Vec<(Arc<AppId>, VerdictWord)>,
}

/// The summary of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventSummary {
    /// The change of the object, as in the event's type.
    pub occurrence: String,
    /// The kind of object, as in the event's type.
    pub kind: String,
    /// The vault's host.
    pub vault_host: String,
    /// The object's name.
    pub name: String,
}

/// The word for a verdict: `rolled back`. It does not tell whether a failure is transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerdictWord(&'static str);

impl Summary {
    /// Summarises a run.
    pub fn of(run: &Run) -> Self {
        let verdict = run.verdict();
        let mut outcomes = run.outcomes();
        let worst = outcomes.find(|outcome| outcome.verdict == verdict && verdict.is_error());
        let message = worst.and_then(|outcome| outcome.message.lines().next());
        let rotations = run.rotations.iter().map(|rotation| {
            let app = Arc::new(rotation.app.clone());
            (app, rotation.outcome.verdict.into())
        });
        Self {
            id: run.id.clone(),
            cause: run.cause,
            duration_ms: run.duration_ms,
            event: run.event.as_ref().map(|event| Arc::new(event.into())),
            headline: run.headline().into(),
            message: message.unwrap_or_default().into(),
            ended: run.ended.as_ref().map(|ended| ended.verdict.into()),
            rotations: rotations.collect(),
        }
    }

    /// The verdicts of the run itself and of its rotations. A run without any is unchanged.
    pub fn verdicts(&self) -> impl Iterator<Item = VerdictWord> {
        let is_unchanged = self.ended.is_none() && self.rotations.is_empty();
        let unchanged = is_unchanged.then(|| Verdict::Unchanged.into());
        let of_apps = self.rotations.iter().map(|(_, verdict)| *verdict);
        self.ended.into_iter().chain(of_apps).chain(unchanged)
    }
}

impl From<&EventRecord> for EventSummary {
    fn from(event: &EventRecord) -> Self {
        Self {
            occurrence: event.occurrence.clone(),
            kind: event.kind.clone(),
            vault_host: event.vault_host.clone(),
            name: event.name.clone(),
        }
    }
}

impl EventSummary {
    /// The occurrence and the object: `new version contoso-kv/sql`.
    pub fn in_words(&self) -> String {
        let what = match self.occurrence.as_str() {
            "NewVersionCreated" => "new version",
            "NearExpiry" => "near expiry",
            "Expired" => "expired",
            "ExpiryReminder" => "expires soon",
            other => other,
        };
        let kind = match self.kind.as_str() {
            "Secret" => String::new(),
            other => format!("{} ", other.to_lowercase()),
        };
        let vault = self.vault_host.split('.').next().unwrap_or_default();
        format!("{kind}{what} {vault}/{}", self.name)
    }
}

impl VerdictWord {
    /// The word.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Parses a word. None: it is no verdict.
    pub fn parse(word: &str) -> Option<Self> {
        Verdict::from_word(word, false).map(Self::from)
    }
}

impl From<Verdict> for VerdictWord {
    fn from(verdict: Verdict) -> Self {
        Self(verdict.as_str())
    }
}
