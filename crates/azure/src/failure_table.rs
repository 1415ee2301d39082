//! The failure table: each kind of failure between keyrelay and Azure, its handling, and its
//! outcome.
//!
//! `docs/failures.md` shows the table to operators; a test compares the two.

use std::borrow::Cow;
use std::time::Duration;

use keyrelay_model::Retryability;

use crate::failure::Failure;
use crate::limits::RequestLimits;
use crate::retry::{
    FIRST_PAUSE, FIRST_THROTTLED, LONGEST_PAUSE, LONGEST_RETRY_AFTER, LONGEST_THROTTLED,
    MAX_ATTEMPTS, REPLAN_PAUSE, ROLE_PROPAGATION, TOKEN_LIMIT,
};

/// The outcome of a failure that persists through a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The request is retried within the call; after that as [`Transient`](Self::Transient).
    Momentary,
    /// Another delivery of the event may succeed.
    Transient,
    /// A role assignment may still be propagating, which takes minutes; after that as
    /// [`Permanent`](Self::Permanent).
    RolePropagation,
    /// The failure persists until an operator makes a change.
    Permanent,
}

/// A kind of failure, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    NotSent,
    NoResponse,
    TimedOut,
    DeadlineExceeded,
    TooManyRequests,
    Busy,
    OtherServerError,
    TokenUnavailable,
    TokenRejected,
    NoIdentity,
    RolePropagation,
    Forbidden,
    NotFound,
    Conflict,
    Locked,
    Unreadable,
    TooLarge,
    BrokenPaging,
    ForeignVault,
    OtherResponse,
}

/// A row of the failure table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    /// The failure.
    pub failure: Cow<'static, str>,
    /// Its handling within the call.
    pub within_call: Cow<'static, str>,
    /// Its outcome after the call.
    pub class: FailureClass,
    /// The action that is left to an operator.
    pub action: &'static str,
}

const NOTHING: &str = "nothing";

impl FailureKind {
    const ALL: [Self; 20] = [
        Self::NotSent,
        Self::NoResponse,
        Self::TimedOut,
        Self::DeadlineExceeded,
        Self::TooManyRequests,
        Self::Busy,
        Self::OtherServerError,
        Self::TokenUnavailable,
        Self::TokenRejected,
        Self::NoIdentity,
        Self::RolePropagation,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Locked,
        Self::Unreadable,
        Self::TooLarge,
        Self::BrokenPaging,
        Self::ForeignVault,
        Self::OtherResponse,
    ];

    /// Classifies a failure.
    pub(crate) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::NotSent(_) => Self::NotSent,
            Failure::NoResponse(_) => Self::NoResponse,
            Failure::TimedOut { .. } => Self::TimedOut,
            Failure::DeadlineExceeded => Self::DeadlineExceeded,
            Failure::Unreadable(_) => Self::Unreadable,
            Failure::TooLarge { .. } => Self::TooLarge,
            Failure::NextLink(_) => Self::BrokenPaging,
            Failure::ForeignVault { .. } => Self::ForeignVault,
            Failure::Token(error) if error.retryability() == Retryability::Transient => {
                Self::TokenUnavailable
            }
            Failure::Token(_) => Self::NoIdentity,
            Failure::Response(response) => match response.status {
                // The results beside the error are incomplete.
                200..=299 => Self::Unreadable,
                429 => Self::TooManyRequests,
                408 | 500 | 502 | 503 | 504 => Self::Busy,
                500.. => Self::OtherServerError,
                401 => Self::TokenRejected,
                403 if response.may_be_role_propagation() => Self::RolePropagation,
                403 => Self::Forbidden,
                404 | 410 => Self::NotFound,
                409 if response.has_code("ScopeLocked") => Self::Locked,
                409 => Self::Conflict,
                _ => Self::OtherResponse,
            },
        }
    }

    pub(crate) fn class(self) -> FailureClass {
        match self {
            Self::NotSent
            | Self::NoResponse
            | Self::TimedOut
            | Self::TooManyRequests
            | Self::Busy => FailureClass::Momentary,
            Self::DeadlineExceeded
            | Self::OtherServerError
            | Self::TokenUnavailable
            | Self::Conflict
            | Self::Unreadable => FailureClass::Transient,
            Self::RolePropagation => FailureClass::RolePropagation,
            Self::TokenRejected
            | Self::NoIdentity
            | Self::Forbidden
            | Self::NotFound
            | Self::Locked
            | Self::TooLarge
            | Self::BrokenPaging
            | Self::ForeignVault
            | Self::OtherResponse => FailureClass::Permanent,
        }
    }

    /// Whether another attempt within the call may succeed.
    pub(crate) fn is_momentary(self) -> bool {
        self.class() == FailureClass::Momentary
    }

    fn failure(self) -> Cow<'static, str> {
        match self {
            Self::NotSent => "no connection: the host name does not resolve, the connection is refused, or TLS fails".into(),
            Self::NoResponse => "the connection breaks before the response is complete".into(),
            Self::TimedOut => format!("no response within {}", time(RequestLimits::ATTEMPT)).into(),
            Self::DeadlineExceeded => "the deadline of the invocation is exceeded before the request can be sent".into(),
            Self::TooManyRequests => "429, with or without `Retry-After`".into(),
            Self::Busy => "408, 500, 502, 503, 504".into(),
            Self::OtherServerError => "any other 5xx".into(),
            Self::TokenUnavailable => "the identity endpoint does not respond, or fails".into(),
            Self::TokenRejected => "401: the token is rejected".into(),
            Self::NoIdentity => "the identity endpoint reports that the identity does not exist".into(),
            Self::RolePropagation => "403 `AuthorizationFailed`, `LinkedAuthorizationFailed` or `ForbiddenByRbac`".into(),
            Self::Forbidden => "any other 403".into(),
            Self::NotFound => "404 or 410".into(),
            Self::Conflict => "409: another operation on the app is in progress".into(),
            Self::Locked => "409 `ScopeLocked`".into(),
            Self::Unreadable => "a success whose body does not have the documented shape".into(),
            Self::TooLarge => format!("a response larger than {} MB", RequestLimits::RESPONSE_BYTES >> 20).into(),
            Self::BrokenPaging => "a list that cannot be read to its end: the link to the next page leads to another \
                                   host or back to an earlier page"
                .into(),
            Self::ForeignVault => "an event or a reference names a vault of another cloud".into(),
            Self::OtherResponse => "any other status, including redirects".into(),
        }
    }

    fn within_call(self) -> Cow<'static, str> {
        match self {
            Self::NotSent | Self::NoResponse | Self::TimedOut | Self::Busy => format!(
                "the request is retried with exponential back-off, from {} to {}, up to {MAX_ATTEMPTS} attempts in all; a \
                 write of settings is not retried: the settings are read and planned again",
                time(FIRST_PAUSE),
                time(LONGEST_PAUSE)
            )
            .into(),
            Self::TooManyRequests => format!(
                "all requests of the same kind in the subscription wait as long as `Retry-After` says, at most {}; without \
                 it, they wait {}, doubling up to {}; then the request is retried, up to {MAX_ATTEMPTS} attempts in all",
                time(LONGEST_RETRY_AFTER),
                time(FIRST_THROTTLED),
                time(LONGEST_THROTTLED)
            )
            .into(),
            Self::TokenUnavailable => format!("the request for a token is retried for {}", time(TOKEN_LIMIT)).into(),
            Self::TokenRejected => "the request is retried once, with a new token".into(),
            Self::RolePropagation => format!(
                "nothing; a new role assignment may still be propagating, so the app is tried again for {}",
                time(ROLE_PROPAGATION)
            )
            .into(),
            Self::NotFound => "an app that was listed a moment ago is skipped; otherwise nothing".into(),
            Self::Conflict => format!(
                "for a write of settings, the settings are read and planned again after {}",
                time(REPLAN_PAUSE)
            )
            .into(),
            Self::Unreadable => "for a write of settings, the settings are read and planned again".into(),
            Self::ForeignVault => "no request is sent to that vault".into(),
            Self::DeadlineExceeded
            | Self::OtherServerError
            | Self::NoIdentity
            | Self::Forbidden
            | Self::Locked
            | Self::TooLarge
            | Self::BrokenPaging
            | Self::OtherResponse => NOTHING.into(),
        }
    }

    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::NotSent
            | Self::NoResponse
            | Self::TimedOut
            | Self::Busy
            | Self::OtherServerError
            | Self::TokenUnavailable
            | Self::Conflict => "nothing, unless it persists",
            Self::DeadlineExceeded => {
                "nothing: the next delivery or the reconcile timer continues the work"
            }
            Self::TooManyRequests => {
                "find the other callers that use up the rate limit of the identity"
            }
            Self::TokenRejected => {
                "check that `cloud` and the tenant of the identity match the subscription"
            }
            Self::NoIdentity => {
                "assign a managed identity to the function app, or correct `client_id` or `client_ids`"
            }
            Self::RolePropagation => {
                "assign the identity a role that allows the denied action at that scope"
            }
            Self::Forbidden => {
                "allow keyrelay through the firewall, or exempt it from the Azure Policy assignment that denies the request"
            }
            Self::NotFound => "correct the name in `keyrelay.toml`",
            Self::Locked => "remove the lock, or exclude the app from the scope",
            Self::Unreadable => "report it if it persists",
            Self::TooLarge => "use a smaller scope",
            Self::BrokenPaging => "report it as a bug; the token is not sent to another host",
            Self::ForeignVault => "correct `cloud`",
            Self::OtherResponse => "read Azure's message, which gives the reason",
        }
    }
}

/// All rows of the failure table.
pub fn failure_table() -> impl Iterator<Item = FailureRow> {
    FailureKind::ALL.into_iter().map(|kind| FailureRow {
        failure: kind.failure(),
        within_call: kind.within_call(),
        class: kind.class(),
        action: kind.action(),
    })
}

/// A time as the table shows it: `0.5 s`, `15 minutes`.
fn time(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        _ => format!("{} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as `docs/failures.md` must contain it.
    fn table() -> String {
        let mut text =
            "| failure | within the call | outcome | what you do |\n|---|---|---|---|\n".to_owned();
        for FailureRow {
            failure,
            within_call,
            class,
            action,
        } in failure_table()
        {
            let outcome = match class {
                FailureClass::Momentary | FailureClass::Transient => "transient".to_owned(),
                FailureClass::RolePropagation => {
                    format!("transient for {}, then permanent", time(ROLE_PROPAGATION))
                }
                FailureClass::Permanent => "permanent".to_owned(),
            };
            text += &format!("| {failure} | {within_call} | {outcome} | {action} |\n");
        }
        text
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/failures.md");
        let text = std::fs::read_to_string(&file).unwrap();
        let table = table();
        assert!(
            text.contains(&table),
            "put this into {}:\n{table}",
            file.display()
        );
    }

    #[test]
    fn every_kind_has_its_row() {
        for (position, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(position, kind as usize, "the order of the kinds");
        }
        assert_eq!(
            FailureKind::ALL.len(),
            FailureKind::OtherResponse as usize + 1,
            "a kind is missing in `ALL`"
        );
    }
}
