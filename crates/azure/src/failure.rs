//! The reasons for which a request to Azure fails.

use std::time::Duration;

use crate::error_response::ErrorResponse;
use crate::token::TokenError;

/// The reason for which a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Azure responded with a status other than success, or with a success that contains an error.
    #[error(transparent)]
    Response(Box<ErrorResponse>),
    /// There was no token to send.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nothing was sent: the host name did not resolve, the connection was refused, or TLS failed.
    #[error("no connection could be made")]
    NotSent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request may have arrived, but no complete response was received.
    #[error("the connection broke before the response was complete")]
    NoResponse(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request may have arrived, but no response was received in time.
    #[error("no response within {} ms", after.as_millis())]
    TimedOut {
        /// The time waited.
        after: Duration,
    },
    /// The deadline passed, or would have passed, before the request could be sent.
    #[error("the deadline was exceeded before the request could be sent")]
    DeadlineExceeded,
    /// The body of a success does not have the documented shape. The text names the position, never
    /// the content.
    #[error("the response cannot be read: {0}")]
    Unreadable(String),
    /// The body is larger than the limit.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A list cannot be read to its end.
    #[error(transparent)]
    NextLink(#[from] NextLinkError),
    /// The vault does not belong to the configured cloud and gets no token.
    #[error("the vault's host does not end in `{suffix}`, so the vault is not in this cloud")]
    ForeignVault {
        /// The host suffix of the cloud's vaults.
        suffix: String,
    },
}

/// The reason for which a list cannot be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NextLinkError {
    /// The link is not a URL, or leads to another origin, which must not get the token.
    #[error("the link to the next page does not lead to the same endpoint")]
    Elsewhere,
    /// The link leads back to a page that was already read.
    #[error("the link to the next page leads back to an earlier page")]
    Loop,
    /// The list has more pages than any list of Azure's can have.
    #[error("the list has more than {0} pages")]
    Endless(u32),
}

impl Failure {
    pub(crate) fn response(&self) -> Option<&ErrorResponse> {
        match self {
            Self::Response(response) => Some(response),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.response().map(|response| response.status)
    }
}
