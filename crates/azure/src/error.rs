//! What can go wrong between keyrelay and Azure, and what that means for whoever called.

mod answer;

use std::time::Duration;

use keyrelay_model::Retryability;

pub use answer::ErrorAnswer;
pub(crate) use answer::one_line;

use crate::credential::TokenError;
use crate::request_log::Operation;
use crate::trouble::{self, End};

/// A call that failed: what was attempted, on what, and (as its source) why.
///
/// Neither it nor its sources ever hold a token, or a value that was sent.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} of {subject}{}", if self.may_have_been_written() { ", or could not learn that it was done" } else { "" })]
pub struct AzureError {
    /// What was attempted.
    pub operation: Operation,
    /// On what: an app, a scope, or a secret.
    pub subject: String,
    /// Why it failed.
    #[source]
    pub failure: Failure,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Azure answered with another status than success.
    #[error(transparent)]
    Answer(Box<ErrorAnswer>),
    /// There was no token to send.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nothing was sent: the name was not found, the connection refused, or TLS failed.
    #[error("no connection could be made")]
    NotSent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request may have arrived, but no whole answer came.
    #[error("the connection broke before a whole answer had come")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request may have arrived, but no answer came in time.
    #[error("no answer came within {} ms", after.as_millis())]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// The deadline passed before the request could be sent.
    #[error("the time for it was over before it could be sent")]
    OutOfTime,
    /// A success whose body is not what the interface promises. The text names the place, never the content.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// A body beyond the limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A list cannot be followed to its end.
    #[error(transparent)]
    NextLink(#[from] NextLinkError),
    /// The vault is not one of our cloud: it does not get our token.
    #[error("the vault's host does not end in `{suffix}`, so it is not one of this cloud")]
    ForeignVault {
        /// What it should end in.
        suffix: String,
    },
}

/// Why a list cannot be followed to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NextLinkError {
    /// The next page is no URL, or one of another origin: our token does not go there.
    #[error("the link to the next page does not lead to the endpoint that was asked")]
    Elsewhere,
    /// The next page is one that was read before.
    #[error("the link to the next page leads back to an earlier page")]
    Loop,
    /// The list does not end.
    #[error("the list has more than {0} pages")]
    TooMany(usize),
}

impl AzureError {
    /// Whether the call may succeed later, without anybody doing anything.
    pub fn retryability(&self) -> Retryability {
        match trouble::row_of(&self.failure).end {
            End::Momentary | End::Transient => Retryability::Transient,
            End::FreshRole | End::Permanent => Retryability::Permanent,
        }
    }

    /// What is left to a person.
    pub fn advice(&self) -> &'static str {
        trouble::row_of(&self.failure).person
    }

    /// The answer, if Azure gave one.
    pub fn answer(&self) -> Option<&ErrorAnswer> {
        self.failure.answer()
    }

    /// Whether Azure says that whoever asks may not.
    pub fn is_forbidden(&self) -> bool {
        self.failure.status() == Some(403)
    }

    /// Whether Azure says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self.failure.status(), Some(404 | 410))
    }

    /// Whether the time was over before anything could be asked.
    pub fn is_out_of_time(&self) -> bool {
        matches!(self.failure, Failure::OutOfTime)
    }

    /// Whether Azure knows us and does not let us.
    pub fn is_access_denied(&self) -> bool {
        self.failure.status() == Some(403)
    }

    /// Whether a role assignment that is minutes old may explain the denial: they take that long to spread.
    /// [`retryability`](Self::retryability) calls it permanent; a caller that knows how fresh things are may know better.
    pub fn may_be_a_fresh_role(&self) -> bool {
        self.answer().is_some_and(ErrorAnswer::may_be_a_fresh_role)
    }

    /// Whether the failure leaves it open if settings were written: they have to be read to know.
    pub fn may_have_been_written(&self) -> bool {
        let open = match &self.failure {
            Failure::NoAnswer(_)
            | Failure::TimedOut { .. }
            | Failure::Unreadable(_)
            | Failure::TooLarge { .. } => true,
            // A gateway may have given up on a write that goes on behind it.
            Failure::Answer(answer) => answer.status == 408 || answer.status >= 500,
            _ => false,
        };
        self.operation == Operation::WriteSettings && open
    }

    /// After a failed write that is worth another round of reading, planning and writing: how long to wait before.
    ///
    /// A write is never repeated as it is, for somebody else may have written in between; this is the caller's part of
    /// what other operations do by themselves. None for other operations, and when another round would not help.
    pub fn plan_again_after(&self) -> Option<Duration> {
        // What Azure is busy with when it refuses a write takes seconds.
        const BUSY: Duration = Duration::from_secs(1);
        let hopeless = self.retryability() == Retryability::Permanent
            || matches!(self.failure, Failure::OutOfTime);
        if self.operation != Operation::WriteSettings || hopeless {
            return None;
        }
        Some(
            self.answer()
                .and_then(|answer| answer.retry_after)
                .unwrap_or(BUSY),
        )
    }
}

impl Failure {
    /// Whether another attempt within the call may help.
    pub(crate) fn is_momentary(&self) -> bool {
        trouble::row_of(self).end == End::Momentary
    }

    pub(crate) fn answer(&self) -> Option<&ErrorAnswer> {
        match self {
            Self::Answer(answer) => Some(answer),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.answer().map(|answer| answer.status)
    }
}
