//! The checks of the installation that look at Azure, too. The caller makes them: they are those of
//! `keyrelay doctor`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

/// The time from the end of the checks to the next ones.
const BETWEEN: Duration = Duration::from_mins(15);

/// The checks of an installation.
pub trait InstallationChecks: fmt::Debug + Send + Sync {
    /// Makes all checks, and returns what they have found, worst first.
    fn check(&self) -> BoxFuture<'_, Vec<InstallationFinding>>;
}

/// A finding of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationFinding {
    /// How good or bad it is.
    pub level: FindingLevel,
    /// The subject of the check: `rights`.
    pub what: String,
    /// What was found.
    pub message: String,
    /// What to do about it. None: there is nothing to do.
    pub fix: Option<String>,
}

/// How good or bad a finding is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// A check that failed.
    Failed,
    /// It works, and is not as it should be.
    Warning,
    /// A check that passed.
    Good,
}

/// The checks, and what they found last.
#[derive(Debug)]
pub(crate) struct Checks {
    by: Arc<dyn InstallationChecks>,
    last: Mutex<Option<Checked>>,
}

/// What the checks have found.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) at: Timestamp,
    pub(crate) findings: Arc<Vec<InstallationFinding>>,
}

impl Checks {
    pub(crate) fn new(by: Arc<dyn InstallationChecks>) -> Self {
        Self {
            by,
            last: Mutex::default(),
        }
    }

    /// Makes the checks again and again.
    pub(crate) async fn repeat(&self) {
        loop {
            let findings = Arc::new(self.by.check().await);
            let at = Timestamp::now();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Checked { at, findings });
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// What the checks found last. None: the first ones have not ended.
    pub(crate) fn last(&self) -> Option<Checked> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Checked {
    /// The number of findings of a level.
    pub(crate) fn count(&self, level: FindingLevel) -> usize {
        self.findings.iter().filter(|it| it.level == level).count()
    }
}
