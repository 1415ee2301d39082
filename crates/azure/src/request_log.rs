//! The log of requests to Azure, with the ids that Azure's support asks for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use crate::retry::MAX_ATTEMPTS;

/// The time for one attempt at a list of versions.
const LIST_VERSIONS: Duration = Duration::from_millis(1_900);

/// The operation of a request. Displayed as a verb with its object: `read the settings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reads all settings of an app, including plain text.
    ReadSettings,
    /// Replaces all settings of an app.
    WriteSettings,
    /// Reads the statuses of all references of an app.
    ReadReferences,
    /// Reads the status of one reference.
    ReadReference,
    /// Makes Azure resolve all references of an app again.
    RefreshReferences,
    /// Lists the sites of a scope.
    ListSites,
    /// Lists the slots of a site.
    ListSlots,
    /// Reads what App Service authentication does for an app.
    ReadAuthentication,
    /// Lists the versions of a secret.
    ListVersions,
    /// Reads the permissions of an identity.
    ReadRights,
    /// Lists the subscriptions that an identity can see.
    ListAzureSubscriptions,
    /// Lists the vaults of a subscription.
    ListVaults,
    /// Lists the system topics of a subscription.
    ListTopics,
    /// Lists the event subscriptions of a topic.
    ListSubscriptions,
    /// Queries the audit log of vaults in a workspace of Log Analytics.
    QueryAuditLog,
}

/// A finished request, including all attempts at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// The operation.
    pub operation: Operation,
    /// The app, scope, secret or workspace that it was about.
    pub subject: String,
    /// The status of the last response, if there was one.
    pub status: Option<u16>,
    /// The ids in the last response.
    pub ids: RequestIds,
    /// The start of the first attempt.
    pub started: Instant,
    /// The time from the first attempt to the last response, including waits.
    pub elapsed: Duration,
    /// The number of attempts, including those that could not be sent.
    pub attempts: u32,
    /// The number of 429 responses.
    pub throttled: u32,
}

/// The ids that Azure assigns to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestIds {
    /// `x-ms-request-id`
    pub request: Option<String>,
    /// `x-ms-correlation-request-id`
    pub correlation: Option<String>,
}

/// The log of the requests of a rotation. Clones share one log.
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
            Self::ReadAuthentication => "read the authentication settings",
            Self::ListVersions => "list the versions",
            Self::ReadRights => "read the rights",
            Self::ListAzureSubscriptions => "list the subscriptions",
            Self::ListVaults => "list the vaults",
            Self::ListTopics => "list the system topics",
            Self::ListSubscriptions => "list the event subscriptions",
            Self::QueryAuditLog => "query the audit log",
        }
    }

    /// The maximum number of attempts. A list of versions that a vault does not deliver is done
    /// without: two attempts at it take less than four seconds.
    pub(crate) fn max_attempts(self) -> u32 {
        match self {
            Self::ListVersions => 2,
            _ => MAX_ATTEMPTS,
        }
    }

    /// The time for one attempt, where `usual` is that of other operations.
    pub(crate) fn attempt_limit(self, usual: Duration) -> Duration {
        match self {
            Self::ListVersions => usual.min(LIST_VERSIONS),
            _ => usual,
        }
    }

    /// Whether the operation is idempotent. A write of settings is not: another writer may have
    /// written in between. Neither is a refresh: each may restart the app.
    pub(crate) fn is_idempotent(self) -> bool {
        !matches!(self, Self::WriteSettings | Self::RefreshReferences)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RequestIds {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // An id is a GUID. Any other text is cut to a length that fits a log line.
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
    /// The number of records kept. A rotation makes about ten requests and polls about twice a
    /// second for 25 s.
    const KEPT: usize = 100;

    /// The last hundred requests, newest last.
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
