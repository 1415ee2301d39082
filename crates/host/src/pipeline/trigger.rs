//! The reason for a run, and its limits.

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_records::{Cause, Rollback, RunId};

/// The reason for a run, and its limits.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    /// The id of the invocation.
    pub(crate) invocation: String,
    /// The cause, as it is recorded.
    pub(crate) cause: Cause,
    /// The run that this one continues or repeats.
    pub(crate) of: Option<RunId>,
    /// The apps to rotate. None: those that the rule names, or those that use the secret.
    pub(crate) apps: Option<Vec<AppId>>,
    /// Whether an earlier run has tried the same.
    pub(crate) is_retry: bool,
    /// The pending work that this run resumes.
    pub(crate) resumed: Option<Resumed>,
}

/// Pending work of an earlier run that is resumed.
#[derive(Debug, Clone)]
pub(crate) struct Resumed {
    /// The first run, which has no final verdict yet.
    pub(crate) run: RunId,
    /// The time since which the work is pending.
    pub(crate) since: Timestamp,
    /// The number of earlier attempts by the reconcile timer.
    pub(crate) attempts: u32,
    /// Whether references in connection strings are to be verified too.
    pub(crate) connection_strings: bool,
    /// The way back from all that was written, or was about to be.
    pub(crate) rollback: Vec<Rollback>,
}

impl Trigger {
    /// A delivery by Event Grid.
    pub(crate) fn event(invocation: &str) -> Self {
        Self {
            invocation: invocation.to_owned(),
            cause: Cause::Event,
            of: None,
            apps: None,
            is_retry: false,
            resumed: None,
        }
    }

    /// Whether an earlier run may have written settings that are not verified. They are verified or
    /// rolled back even if the event itself would not be handled any more.
    pub(crate) fn owes_verification(&self) -> bool {
        self.resumed
            .as_ref()
            .is_some_and(|resumed| !resumed.rollback.is_empty())
    }

    /// Whether redeliveries of the event are deduplicated. Pending work that is resumed is none.
    pub(crate) fn is_deduplicated(&self) -> bool {
        matches!(self.cause, Cause::Event | Cause::Pending) && self.resumed.is_none()
    }
}
