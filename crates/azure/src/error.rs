//! The error of a call to Azure, and its meaning for the caller.

use std::time::Duration;

use keyrelay_model::{Retryability, error_chain};

use crate::error_response::ErrorResponse;
use crate::failure::Failure;
use crate::failure_table::{FailureClass, FailureKind};
use crate::request_log::Operation;
use crate::retry::REPLAN_PAUSE;

/// A failed call: the operation, its subject and, as the source, the reason.
///
/// Neither the error nor its sources contain a token or a value that was sent.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} of {subject}{}", if self.may_have_been_written() { ", or could not confirm that they were written" } else { "" })]
pub struct AzureError {
    /// The operation that was attempted.
    pub operation: Operation,
    /// The app, scope, secret or workspace that it was attempted on.
    pub subject: String,
    /// The reason.
    #[source]
    pub failure: Failure,
}

impl AzureError {
    /// Whether the call may succeed later without a change by an operator.
    pub fn retryability(&self) -> Retryability {
        match FailureKind::of(&self.failure).class() {
            FailureClass::Momentary | FailureClass::Transient => Retryability::Transient,
            FailureClass::RolePropagation | FailureClass::Permanent => Retryability::Permanent,
        }
    }

    /// The action that is left to an operator: that of the failure table, unless the operation
    /// allows a more precise one.
    pub fn advice(&self) -> &'static str {
        match (self.operation, FailureKind::of(&self.failure)) {
            (Operation::QueryAuditLog, FailureKind::RolePropagation | FailureKind::Forbidden) => {
                "assign the identity the role `Log Analytics Data Reader` or `Log Analytics Reader` on the workspace, \
                 and allow queries of the workspace from keyrelay's network"
            }
            (Operation::QueryAuditLog, FailureKind::NotFound) => {
                "correct the id of the workspace: it is the GUID that the portal shows as `Workspace ID`, not a resource id"
            }
            (_, kind) => kind.action(),
        }
    }

    /// The error with its sources on one line. A permanent failure is followed by the
    /// [`advice`](Self::advice), as a sentence of its own.
    pub fn explanation(&self) -> String {
        let text = error_chain(self);
        if self.retryability() == Retryability::Transient {
            return text;
        }
        let mut advice = self.advice().chars();
        let first = advice.next().map(|first| first.to_ascii_uppercase());
        let advice: String = first.into_iter().chain(advice).collect();
        format!("{}. {advice}.", text.trim_end_matches('.'))
    }

    /// The error response, if Azure sent one.
    pub fn response(&self) -> Option<&ErrorResponse> {
        self.failure.response()
    }

    /// Whether Azure denied the request to the identity: status 403.
    pub fn is_forbidden(&self) -> bool {
        self.failure.status() == Some(403)
    }

    /// Whether the subject does not exist: status 404 or 410.
    pub fn is_not_found(&self) -> bool {
        matches!(self.failure.status(), Some(404 | 410))
    }

    /// Whether the deadline was exceeded before the request could be sent.
    pub fn is_deadline_exceeded(&self) -> bool {
        matches!(self.failure, Failure::DeadlineExceeded)
    }

    /// Whether a role assignment that is still propagating may explain the failure.
    ///
    /// [`retryability`](Self::retryability) reports such a failure as permanent. A caller that
    /// knows since when it lasts may decide otherwise for as long as
    /// [`ROLE_PROPAGATION`](crate::ROLE_PROPAGATION).
    pub fn may_be_role_propagation(&self) -> bool {
        self.response()
            .is_some_and(ErrorResponse::may_be_role_propagation)
    }

    /// Whether the settings may have been written despite the failure. Only a read of the settings
    /// can tell.
    pub fn may_have_been_written(&self) -> bool {
        let is_uncertain = match &self.failure {
            Failure::NoResponse(_)
            | Failure::TimedOut { .. }
            | Failure::Unreadable(_)
            | Failure::TooLarge { .. } => true,
            // A gateway may have given up on a write that continues behind it.
            Failure::Response(response) => response.status == 408 || response.status >= 500,
            _ => false,
        };
        !self.operation.is_idempotent() && is_uncertain
    }

    /// Whether Azure may still be at work on the request: it has not responded, or a gateway has given
    /// up on it.
    pub fn may_take_effect_later(&self) -> bool {
        match &self.failure {
            Failure::NoResponse(_) | Failure::TimedOut { .. } => true,
            Failure::Response(response) => matches!(response.status, 408 | 502 | 504),
            _ => false,
        }
    }

    /// The pause before the settings should be read, planned and written again after a failed
    /// write.
    ///
    /// A write is never repeated unchanged, because another writer may have written in between:
    /// that loop belongs to the caller. `None` for other operations, and if another round would not
    /// help.
    pub fn plan_again_after(&self) -> Option<Duration> {
        let is_hopeless =
            self.retryability() == Retryability::Permanent || self.is_deadline_exceeded();
        if self.operation != Operation::WriteSettings || is_hopeless {
            return None;
        }
        let pause = self.response().and_then(|response| response.retry_after);
        Some(pause.unwrap_or(REPLAN_PAUSE))
    }
}
