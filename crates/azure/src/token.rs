//! Access tokens, and the error if there is none.

use std::fmt;
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret};
use azure_core::time::OffsetDateTime;
use keyrelay_model::Retryability;
use tokio::time::Instant;

/// The time before its expiry at which a token is renewed. Microsoft's own libraries use the same
/// value. App Service returns the same token until then, so renewing earlier has no effect.
const RENEWED_BEFORE: Duration = Duration::from_mins(5);

/// An access token.
#[derive(Clone)]
pub struct Token {
    bearer: Secret,
    /// The moment at which it is renewed.
    pub(crate) due: Instant,
    pub(crate) expires: Instant,
}

/// The failure to get a token for an audience.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no token for {audience}: {reason}")]
pub struct TokenError {
    pub(crate) audience: String,
    pub(crate) reason: String,
    pub(crate) retryability: Retryability,
}

impl Token {
    /// Converts the expiry of a token from the wall clock to the monotonic clock, which no clock
    /// adjustment affects.
    pub(crate) fn new(token: AccessToken, now: Instant) -> Self {
        let left =
            Duration::try_from(token.expires_on - OffsetDateTime::now_utc()).unwrap_or_default();
        // A token that lives for a few minutes only is renewed at half its lifetime.
        let renewed_before = RENEWED_BEFORE.min(left / 2);
        Self {
            bearer: token.token,
            due: now + (left - renewed_before),
            expires: now + left,
        }
    }

    /// The token itself, for the `Authorization` header.
    pub fn expose(&self) -> &str {
        self.bearer.secret()
    }

    /// Whether both are the same token.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.bearer == other.bearer
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([hidden])")
    }
}

impl TokenError {
    /// Whether a later request for a token may succeed.
    pub fn retryability(&self) -> Retryability {
        self.retryability
    }

    pub(crate) fn late(audience: &str) -> Self {
        Self {
            audience: audience.to_owned(),
            reason: "it did not come in time".to_owned(),
            retryability: Retryability::Transient,
        }
    }
}
