//! The audit log of the vaults, as Log Analytics holds it.

use std::time::Duration;

use jiff::Timestamp;

use crate::journal::Journal;

/// The options of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditOptions {
    /// The id of the workspace in Log Analytics.
    pub workspace: String,
    /// The delay until an entry is visible. Default: 10 minutes.
    pub takes: Duration,
}

impl AuditOptions {
    /// The audit log in a workspace, with Azure's delay.
    pub fn new(workspace: impl Into<String>) -> Self {
        Self {
            workspace: workspace.into(),
            takes: Duration::from_secs(10 * 60),
        }
    }
}

/// A `SecretGet` in the audit log.
#[derive(Debug, Clone)]
pub(crate) struct AuditEntry {
    pub(crate) time: Timestamp,
    /// The id of the version: `https://{vault host}/secrets/{name}/{version}`.
    pub(crate) secret: String,
    /// The object id of the identity.
    pub(crate) principal: String,
}

/// The last entries of the audit log.
#[derive(Debug)]
pub(crate) struct AuditLog(Journal<AuditEntry>);

/// The number of entries that are kept in memory.
const KEPT: usize = 100_000;

impl AuditLog {
    pub(crate) fn new() -> Self {
        Self(Journal::new(KEPT))
    }

    /// Adds an entry.
    pub(crate) fn add(&self, entry: AuditEntry) {
        self.0.push(entry);
    }

    /// The entries about these versions up to a time, oldest first. Ids compare
    /// case-insensitively.
    pub(crate) fn about(&self, secrets: &[String], until: Timestamp) -> Vec<AuditEntry> {
        let mut entries = self.0.snapshot();
        entries.retain(|entry| {
            entry.time <= until
                && secrets
                    .iter()
                    .any(|it| it.eq_ignore_ascii_case(&entry.secret))
        });
        entries
    }
}
