//! The context of an event: everything that its rotations have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use keyrelay_config::Mode;
use keyrelay_model::{Event, Grant, RefreshRule, Versions};
use keyrelay_records::{Cause, Outcome, RunId};
use keyrelay_sandbox::{Policy, PolicyLimits};

use super::trigger::Resumed;

/// Everything that the rotations of one event have in common.
#[derive(Debug)]
pub(crate) struct EventContext {
    pub(crate) run: RunId,
    pub(crate) cause: Cause,
    pub(crate) event: Event,
    /// Whether an earlier run has tried the same.
    pub(crate) is_retry: bool,
    /// The time at which the run began.
    pub(crate) began: Timestamp,
    /// The vault's list of versions. It was requested after the run began, or a few seconds before it
    /// for pending work.
    pub(crate) versions: Arc<Versions>,
    /// None: it cannot be used any more, and only verifies or rolls back what an earlier run did.
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) mode: Mode,
    pub(crate) refresh: RefreshRule,
    pub(crate) grant: Grant,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) limits: PolicyLimits,
    /// Whether the rule names its apps, so that one that does not exist is an error.
    pub(crate) is_named_by_rule: bool,
    /// The pending work that the run resumes.
    pub(crate) resumed: Option<Resumed>,
    /// The outcome if the resumed work turns out to have written nothing: the event would not be
    /// handled any more.
    pub(crate) outcome_unless_written: Option<Outcome>,
}

impl EventContext {
    /// The run that operators know this work by: the first one.
    pub(crate) fn first_run(&self) -> &RunId {
        self.resumed
            .as_ref()
            .map_or(&self.run, |resumed| &resumed.work.run)
    }

    /// Whether the work is given up if it is not done now.
    pub(crate) fn is_last_attempt(&self) -> bool {
        self.resumed.as_ref().is_some_and(|resumed| resumed.is_last)
    }
}
