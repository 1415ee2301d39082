//! The summary of one invocation of the timer.

use std::fmt;

/// The summary of one invocation of the timer.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The reason why nothing was done, if so.
    pub(super) idle: Option<&'static str>,
    /// Rotations that got their final verdict.
    pub(super) finished: usize,
    /// Rotations and events that are still pending.
    pub(super) waiting: usize,
    /// Apps that were compared, if a comparison was due.
    pub(super) compared: Option<usize>,
    /// Apps that were read because an event reported a change.
    pub(super) changed: usize,
    /// References that were behind.
    pub(super) drifted: usize,
    /// References that were set back by hand.
    pub(super) set_back: usize,
    /// References that were older when keyrelay was installed.
    pub(super) not_adopted: usize,
    /// Reminders that were postponed for policies.
    pub(super) reminders: usize,
    /// Rotations whose version the audit log shows.
    pub(super) audited: usize,
    /// Runs that were removed because of their age.
    pub(super) pruned: usize,
    /// Failures of single parts.
    problems: Vec<String>,
}

impl Summary {
    /// Logs and counts the failure of a part. The other parts continue.
    pub(super) fn problem(&mut self, message: String) {
        tracing::error!("reconciling: {message}");
        self.problems.push(message);
    }

    /// Adds what a comparison has found.
    pub(super) fn add(&mut self, of_comparison: Self) {
        let Self {
            idle: _,
            finished,
            waiting: _,
            compared,
            changed,
            drifted,
            set_back,
            not_adopted,
            reminders,
            audited,
            pruned,
            problems,
        } = of_comparison;
        self.finished += finished;
        self.compared = compared.or(self.compared);
        self.changed += changed;
        self.drifted += drifted;
        self.set_back += set_back;
        self.not_adopted += not_adopted;
        self.reminders += reminders;
        self.audited += audited;
        self.pruned += pruned;
        self.problems.extend(problems);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(idle) = self.idle {
            return write!(f, "nothing is done: {idle}");
        }
        let Self {
            finished, waiting, ..
        } = self;
        write!(f, "{finished} finished, {waiting} still pending")?;
        if let Some(compared) = self.compared {
            write!(
                f,
                "; {compared} apps compared, {} references behind, {} reminders",
                self.drifted, self.reminders
            )?;
        }
        if self.changed > 0 {
            write!(f, "; {} changed apps read", self.changed)?;
        }
        if self.set_back > 0 {
            write!(f, "; {} set back by hand are left", self.set_back)?;
        }
        if self.not_adopted > 0 {
            write!(
                f,
                "; {} pinned to older versions are left (`adopt = true` moves them)",
                self.not_adopted
            )?;
        }
        if self.audited > 0 {
            write!(f, "; {} verified by the audit log", self.audited)?;
        }
        if self.pruned > 0 {
            write!(f, "; {} old runs removed", self.pruned)?;
        }
        match self.problems.as_slice() {
            [] => Ok(()),
            problems => write!(f, "; {} problems: {}", problems.len(), problems.join("; ")),
        }
    }
}
