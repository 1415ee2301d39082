//! The reason for a run, and its limits.

use keyrelay_azure::{Call, Deadline};
use keyrelay_model::AppId;
use keyrelay_records::{Cause, PendingRotation, RemainingSites, RunId, WorkEntry};

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
    /// The sites that are left, if an earlier run has handled the others. Empty: all.
    pub(crate) remaining: Vec<RemainingSites>,
    /// Whether an earlier run has tried the same.
    pub(crate) is_retry: bool,
    /// The pending work that this run resumes.
    pub(crate) resumed: Option<Resumed>,
}

/// Pending work of an earlier run that is resumed.
#[derive(Debug, Clone)]
pub(crate) struct Resumed {
    /// The rotation, as the earlier run has left it.
    pub(crate) work: PendingRotation,
    /// Its object in the store, which is claimed.
    pub(crate) entry: WorkEntry,
    /// Whether this is the last attempt: what is not verified now is rolled back.
    pub(crate) is_last: bool,
}

impl Resumed {
    /// Whether the app has had a refresh, and nothing is to be rolled back: then there is no hurry.
    pub(crate) fn is_refreshed(&self) -> bool {
        self.work.is_refresh && self.work.rollback.is_empty()
    }
}

impl Trigger {
    /// A delivery by Event Grid.
    pub(crate) fn event(invocation: &str) -> Self {
        Self {
            invocation: invocation.to_owned(),
            cause: Cause::Event,
            of: None,
            apps: None,
            remaining: Vec::new(),
            is_retry: false,
            resumed: None,
        }
    }

    /// Whether an earlier run may have changed the app, and the change is not verified. It is
    /// verified or rolled back even if the event itself would not be handled any more.
    pub(crate) fn owes_verification(&self) -> bool {
        self.resumed
            .as_ref()
            .is_some_and(|resumed| !resumed.work.rollback.is_empty() || resumed.work.is_refresh)
    }

    /// The context of the run's requests: those of the comparison, and second refreshes, yield to
    /// those of apps that have had no refresh.
    pub(crate) fn call(&self, deadline: Deadline) -> Call {
        let is_refreshed = self.resumed.as_ref().is_some_and(Resumed::is_refreshed);
        match self.cause {
            Cause::Drift | Cause::Reminder => Call::background(deadline),
            Cause::Pending if is_refreshed => Call::background(deadline),
            Cause::Event | Cause::Pending | Cause::Resubmit => Call::until(deadline),
        }
    }

    /// Whether redeliveries of the event are deduplicated. Pending work that is resumed is none.
    pub(crate) fn is_deduplicated(&self) -> bool {
        matches!(self.cause, Cause::Event | Cause::Pending) && self.resumed.is_none()
    }
}
