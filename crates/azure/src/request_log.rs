//! What was asked of Azure, and the ids under which Azure's support finds it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// What is done with a request. Displayed as a verb with its object: `read the settings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// All settings of an app, plain text included.
    ReadSettings,
    /// All settings of an app are replaced.
    WriteSettings,
    /// The statuses of all references of an app.
    ReadReferences,
    /// The status of one reference.
    ReadReference,
    /// All references of an app are resolved anew.
    RefreshReferences,
    /// The sites of a scope.
    ListSites,
    /// The slots of a site.
    ListSlots,
    /// The versions of a secret.
    ListVersions,
    /// What an identity may do.
    ReadRights,
    /// The system topics of a subscription.
    ListTopics,
    /// The event subscriptions of a topic.
    ListSubscriptions,
}

/// One finished request: all attempts at it, seen as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// What was done.
    pub operation: Operation,
    /// To what: an app, a scope, or a secret.
    pub subject: String,
    /// The status of the last answer; none if there was no answer.
    pub status: Option<u16>,
    /// The ids in the last answer.
    pub ids: RequestIds,
    /// When the first attempt began.
    pub started: Instant,
    /// From the first attempt to the last answer, waiting included.
    pub elapsed: Duration,
    /// How many times it was sent, or tried to be.
    pub attempts: u32,
    /// How many of the answers were 429.
    pub throttled: u32,
}

/// The ids that Azure gives a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestIds {
    /// `x-ms-request-id`
    pub request: Option<String>,
    /// `x-ms-correlation-request-id`
    pub correlation: Option<String>,
}

/// The requests of a rotation, newest last. Clones share one log.
#[derive(Clone, Default)]
pub struct RequestLog(Arc<Mutex<VecDeque<RequestRecord>>>);

impl Operation {
    /// The operation as a verb with its object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadSettings => "read the settings",
            Self::WriteSettings => "write the settings",
            Self::ReadReferences => "read the reference statuses",
            Self::ReadReference => "read a reference status",
            Self::RefreshReferences => "refresh the references",
            Self::ListSites => "list the sites",
            Self::ListSlots => "list the slots",
            Self::ListVersions => "list the versions",
            Self::ReadRights => "read the rights",
            Self::ListTopics => "list the system topics",
            Self::ListSubscriptions => "list the event subscriptions",
        }
    }

    /// Whether doing it twice is as good as doing it once. A write is not: somebody else may have written in between.
    pub(crate) fn may_be_repeated(self) -> bool {
        self != Self::WriteSettings
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RequestIds {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // An id is a GUID; whatever else comes is cut to what a log line can take.
        let text = |name: &str| {
            Some(
                headers
                    .get(name)?
                    .to_str()
                    .ok()?
                    .chars()
                    .take(100)
                    .collect(),
            )
        };
        Self {
            request: text("x-ms-request-id"),
            correlation: text("x-ms-correlation-request-id"),
        }
    }
}

impl RequestLog {
    /// How many records are kept. A rotation makes about ten requests and polls about twice a second for 25 s.
    const KEPT: usize = 100;

    /// The newest hundred requests, newest last.
    pub fn records(&self) -> Vec<RequestRecord> {
        self.locked().iter().cloned().collect()
    }

    pub(crate) fn push(&self, record: RequestRecord) {
        let mut records = self.locked();
        if records.len() == Self::KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<RequestRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.locked().iter()).finish()
    }
}
